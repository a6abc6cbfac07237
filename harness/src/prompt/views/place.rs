//! Places in code: the functions of addresses in the driver's image or in the guest.

use guest_protocol::StackFrame;

use super::super::turn::Turn;
use crate::testbed::bug_check::{HOST_MODULE, places};

/// Returns addresses of routines, with the function of each where symbols have one; an empty text for 0.
pub(super) fn named(turn: &mut Turn<'_, '_>, addresses: &[u64]) -> Vec<String> {
    let bed = turn.bed();
    let loaded = bed.driver().map(|driver| (driver.base, driver.base + u64::from(driver.image_bytes)));
    let artefacts = &bed.provisioned().artefacts;
    let name = artefacts.driver.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // Symbols are of the instruction before a return address: a routine's own is one before the next.
    let frame = |&address: &u64| match loaded.filter(|(base, end)| (*base..*end).contains(&address)) {
        Some((base, _)) => StackFrame { address: address + 1, module: Some(name.clone()), offset: address + 1 - base },
        None => StackFrame { address: address + 1, module: Some(HOST_MODULE.into()), offset: address + 1 },
    };
    let frames: Vec<StackFrame> = addresses.iter().map(frame).collect();
    let stack = places(&frames, Some(&artefacts.driver), Some(&artefacts.nt_host));
    let text = |(address, place): (&u64, &crate::testbed::bug_check::Place)| {
        if *address == 0 {
            return String::new();
        }
        let in_driver = loaded.filter(|(base, end)| (*base..*end).contains(address));
        let offset =
            in_driver.map_or_else(|| format!("{address:#x}"), |(base, _)| format!("{name}+{:#x}", address - base));
        // The outermost is the routine; what is inlined into it stands before.
        place
            .functions
            .last()
            .filter(|function| function.name != "?")
            .map_or(offset.clone(), |function| format!("{offset} {}", function.name))
    };
    addresses.iter().zip(&stack.places).map(text).collect()
}
