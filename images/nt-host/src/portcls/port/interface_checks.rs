//! Checks of a driver's objects: their vtables, their identity, their optional interfaces, and the method that the port
//! never calls.

#![allow(unsafe_code, reason = "drivers' objects are called by slot number")]

use alloc::format;
use alloc::vec::Vec;

use crate::contract::violation::{Violation, violation};
use crate::contract::{rules, watch};
use crate::nt::PVOID;
use crate::nt::status::success;
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::com::kind::Kind;
use crate::portcls::com::object;
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::kernel;

/// Methods of `IMXF`, `IUnknown`'s included (dmusicks.h).
pub(crate) const MXF_METHODS: usize = 7;
/// Methods of `IMiniportDMus`, `IUnknown`'s included (dmusicks.h).
pub(crate) const MINIPORT_DMUS_METHODS: usize = 8;
/// Methods of `IMiniportMidi`, `IUnknown`'s included (portcls.h).
pub(crate) const MINIPORT_MIDI_METHODS: usize = 8;
/// Methods of `IMiniportMidiStream`, `IUnknown`'s included (portcls.h).
pub(crate) const MIDI_STREAM_METHODS: usize = 7;
/// Methods of `ISynthSinkDMus`, `IUnknown`'s included (dmusicks.h).
pub(crate) const SYNTH_SINK_METHODS: usize = 11;

/// An interface that a miniport may have: its name, its methods, and of which ports' miniports.
type Optional = (&'static str, &'static GUID, usize, fn(Kind) -> bool);

/// Interfaces that a miniport may have.
const OPTIONAL: [Optional; 4] = [
    ("IPowerNotify", &guids::IID_IPOWERNOTIFY, 4, |_| true),
    ("IPinCount", &guids::IID_IPINCOUNT, 4, |_| true),
    ("IMusicTechnology", &guids::IID_IMUSICTECHNOLOGY, 4, Kind::is_music),
    ("IMiniportPnpNotify", &guids::IID_IMINIPORTPNPNOTIFY, 4, |kind| matches!(kind, Kind::Topology | Kind::WaveRt)),
];

/// Checks that every slot of an interface leads into the driver's code (rule 1).
pub(crate) fn check_slots(interface: &Foreign, methods: usize, name: &'static str) {
    // What PcNewMiniport makes is PortCls' own.
    if !watch::is_on() || object::is_own(interface.as_raw()) {
        return;
    }
    for slot in 0..methods {
        // SAFETY: a live object begins with the address of its vtable; whether that can be read is checked first.
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
            );
            return;
        }
    }
    rules::INTERFACE_SLOTS.held();
}

/// An interface that no object has, to see how a driver refuses one.
const IID_UNKNOWN_INTERFACE: GUID = GUID::from_u128(0x8B1C_5F0E_2D47_4A9B_9E63_D0A4_7C51_E826);

/// Checks how a driver's object answers `QueryInterface` (rules 2, 3, 5 and 6): the interfaces that it must have, with
/// one identity and a reference for each, and a clean refusal of one that no object has.
pub(crate) fn check_interfaces(object: &Foreign, required: &[GUID], rule: &'static rules::Rule, name: &'static str) {
    if !watch::is_on() {
        return;
    }
    let ask = |interface: &GUID| {
        let answered = object.query(interface);
        if let Err(status) = answered {
            let of_com = *interface == guids::IID_IUNKNOWN && object.query(&guids::COM_IID_IUNKNOWN).is_ok();
            let remedy = if of_com {
                "answer IID_IUnknown as punknown.h defines it; what is answered here is COM's value, of unknwn.h"
            } else {
                "answer every interface of the object, with STATUS_SUCCESS and a reference"
            };
            violation(
                name,
                Violation::new(
                    rule,
                    format!("QueryInterface for {} answers {status:#010x}", guids::Printed(interface)),
                    remedy,
                ),
            );
        }
        answered.ok()
    };
    let before = object.references();
    // Held until the end: an identity that is made anew for each question would come back at the same address.
    let identity = ask(&guids::IID_IUNKNOWN);
    let found: Vec<Foreign> = required.iter().filter_map(ask).collect();
    let Some(identity) = identity.filter(|_| found.len() == required.len()) else { return };
    let after = object.references();
    let one_identity = [object].into_iter().chain(&found).all(|interface| {
        interface.query(&guids::IID_IUNKNOWN).is_ok_and(|unknown| {
            let same = unknown.as_raw() == identity.as_raw();
            if after != before + 1 + found.len() as u32 {
                // The references that are missing must not be released.
                core::mem::forget(unknown);
            }
            same
        })
    });
    if !one_identity {
        violation(
            name,
            Violation::new(
                rule,
                "QueryInterface for IUnknown gives different pointers",
                "answer IUnknown with the same pointer every time, from each interface",
            ),
        );
    }
    let counted = after == before + 1 + found.len() as u32;
    if !counted {
        violation(
            name,
            Violation::new(
                rules::REFERENCE_COUNTS,
                format!("{} interfaces were given out, and the count went from {before} to {after}", found.len() + 1),
                "AddRef the interface that QueryInterface gives out",
            ),
        );
    }
    drop((identity, found));
    let mut out: PVOID = core::ptr::dangling_mut();
    // SAFETY: the reference keeps the object.
    let status = unsafe { slots::unknown::query_interface(object.as_raw(), &IID_UNKNOWN_INTERFACE, &mut out) };
    let after = object.references();
    let refused = !success(status) && out.is_null() && after == before;
    if !refused {
        violation(
            name,
            Violation::new(
                rules::UNKNOWN_INTERFACE,
                format!(
                    "QueryInterface for an unknown interface returns {status:#010x}, stores {out:p}, and the count goes from {before} to {after}"
                ),
                "return STATUS_INVALID_PARAMETER, store NULL, AddRef nothing",
            ),
        );
    }
    if one_identity {
        rule.held();
    }
    if counted {
        rules::REFERENCE_COUNTS.held();
    }
    if refused {
        rules::UNKNOWN_INTERFACE.held();
    }
}

/// Checks that optional interfaces are there whole, or refused cleanly (rule 4).
pub(crate) fn check_optional(miniport: &Foreign, kind: Kind) {
    if !watch::is_on() {
        return;
    }
    for (name, interface, methods, _) in OPTIONAL.into_iter().filter(|(.., applies)| applies(kind)) {
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
            } else {
                rules::OPTIONAL_INTERFACES.held();
            }
            continue;
        }
        if out.is_null() || after != before + 1 {
            broken(
                name,
                format!("QueryInterface gives it out as {out:p}, and the count goes from {before} to {after}"),
            );
            continue;
        }
        // SAFETY: the reference is ours.
        let found = unsafe { Foreign::from_owned(out) };
        let one_identity = match (found.query(&guids::IID_IUNKNOWN), miniport.query(&guids::IID_IUNKNOWN)) {
            (Ok(found), Ok(own)) => found.as_raw() == own.as_raw(),
            _ => false,
        };
        if !one_identity {
            broken(name, "its IUnknown is not the miniport's".into());
            continue;
        }
        check_slots(&found, methods, name);
        rules::OPTIONAL_INTERFACES.held();
    }
}

/// Checks that `Service` may be called (rule 81).
pub(crate) fn check_service(miniport: &Foreign) {
    if !watch::is_on() {
        return;
    }
    // SAFETY: the reference keeps the miniport.
    rules::must_survive(rules::SERVICE, || unsafe { slots::miniport_dmus::service(miniport.as_raw()) });
}

fn broken(name: &'static str, what: alloc::string::String) {
    violation(
        name,
        Violation::new(
            rules::OPTIONAL_INTERFACES,
            what,
            "answer it with a reference and the miniport's identity, or fail and store NULL",
        ),
    );
}
