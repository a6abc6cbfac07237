//! The miniport's objects: their vtables, their optional interfaces, and the method that nobody calls.

use alloc::format;

use super::super::guids::{self, GUID};
use super::super::slots::{self, Foreign};
use crate::contract::rules;
use crate::contract::violation::{Violation, violation};
use crate::nt::PVOID;
use crate::nt::status::success;
use crate::portcls::kernel;

/// Methods of each interface, `IUnknown`'s included (portcls.h, dmusicks.h).
pub(crate) const MINIPORT_DMUS_METHODS: usize = 8;
pub(crate) const MXF_METHODS: usize = 7;
pub(crate) const SYNTH_SINK_METHODS: usize = 11;

/// Interfaces that a miniport may have, and their methods.
const OPTIONAL: [(&str, &GUID, usize); 3] = [
    ("IPowerNotify", &guids::IID_IPOWERNOTIFY, 4),
    ("IPinCount", &guids::IID_IPINCOUNT, 4),
    ("IMusicTechnology", &guids::IID_IMUSICTECHNOLOGY, 4),
];

/// Every slot of an interface leads into the driver's code (rule 1).
pub(crate) fn check_slots(interface: &Foreign, methods: usize, name: &'static str) {
    for slot in 0..methods {
        // SAFETY: a live object begins with the address of its vtable; whether that can be read is asked first.
        let function = unsafe {
            let table = interface.as_raw().cast::<*const usize>().read();
            if kernel::is_readable(table.wrapping_add(slot) as usize) { table.add(slot).read() } else { 0 }
        };
        if !kernel::is_driver_code(function) {
            violation(
                name,
                Violation::new(
                    rules::INTERFACE_SLOTS,
                    format!("slot {slot} of {name}'s vtable holds {function:#x}, which is no code of the driver"),
                    "derive the class from the interface of the public header and implement every method of it",
                ),
            )
        }
    }
    rules::INTERFACE_SLOTS.held();
}

/// Optional interfaces are there whole, or refused cleanly (rule 4).
pub(crate) fn check_optional(miniport: &Foreign) {
    for (name, interface, methods) in OPTIONAL {
        let before = miniport.references();
        let mut out: PVOID = core::ptr::dangling_mut();
        // SAFETY: the reference keeps the miniport.
        let status = unsafe { slots::unknown::query_interface(miniport.as_raw(), interface, &mut out) };
        let after = miniport.references();
        if !success(status) {
            if !out.is_null() || after != before {
                broken(
                    name,
                    format!(
                        "QueryInterface refuses it with {status:#010x}, stores {out:p}, and the count goes from {before} to {after}"
                    ),
                );
            }
            rules::OPTIONAL_INTERFACES.held();
            continue;
        }
        if out.is_null() || after != before + 1 {
            broken(
                name,
                format!("QueryInterface gives it out as {out:p}, and the count goes from {before} to {after}"),
            );
        }
        // SAFETY: the reference is ours.
        let found = unsafe { Foreign::from_owned(out) };
        let one_identity = match (found.query(&guids::IID_IUNKNOWN), miniport.query(&guids::IID_IUNKNOWN)) {
            (Ok(found), Ok(own)) => found.as_raw() == own.as_raw(),
            _ => false,
        };
        if !one_identity {
            broken(name, "its IUnknown is not the miniport's".into());
        }
        check_slots(&found, methods, name);
        rules::OPTIONAL_INTERFACES.held();
    }
}

/// `Service` may be called (rule 81).
pub(crate) fn check_service(miniport: &Foreign) {
    // SAFETY: the reference keeps the miniport.
    rules::must_survive(rules::SERVICE, || unsafe { slots::miniport_dmus::service(miniport.as_raw()) });
}

fn broken(name: &'static str, what: alloc::string::String) -> ! {
    violation(
        name,
        Violation::new(
            rules::OPTIONAL_INTERFACES,
            what,
            "answer it with a reference and the miniport's identity, or fail and store NULL",
        ),
    )
}
