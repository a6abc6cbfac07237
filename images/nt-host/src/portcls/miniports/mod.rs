//! The miniports that come with the system (`PcNewMiniport`): for an MPU-401 in UART mode, written from its programming
//! model and the reference pages.
//!
//! | what | where |
//! |---|---|
//! | the device: two ports, what waits to be written, what was received | `mpu401` |
//! | the miniport object, its service routine, its power | `uart` |
//! | its filter descriptor, and the properties of its synthesizer nodes | `descriptor`, `synth_node` |
//! | streams of events (`IMXF`), streams of bytes (`IMiniportMidiStream`) | `events`, `bytes` |
//!
//! Drivers reach them through vtables, as they reach a miniport of their own. The rules of the contract that are about a
//! miniport are not the driver's affair then; a report says so.

pub(crate) mod bytes;
pub(crate) mod descriptor;
pub(crate) mod events;
pub(crate) mod mpu401;
pub(crate) mod ring;
pub(crate) mod synth_node;
#[cfg(test)]
mod tests;
pub(crate) mod uart;

use self::descriptor::Pins;
use self::uart::{Dmus, Midi, Uart};
use crate::nt::PVOID;
use crate::portcls::com::guids::{self, GUID};

/// Makes a miniport of a class, with a reference for the caller. `None` for a class that the system does not have: the
/// miniports for OPL3 synthesizers are 32-bit only since Windows Server 2003 SP1.
pub(crate) fn make(class: &GUID) -> Option<PVOID> {
    match *class {
        guids::CLSID_MINIPORTDRIVERDMUSUART => Some(Uart::<Dmus>::create(Pins::Both).into_raw()),
        guids::CLSID_MINIPORTDRIVERDMUSUARTCAPTURE => Some(Uart::<Dmus>::create(Pins::Capture).into_raw()),
        guids::CLSID_MINIPORTDRIVERUART => Some(Uart::<Midi>::create(Pins::Both).into_raw()),
        _ => None,
    }
}

#[cfg(target_os = "none")]
pub(crate) use exports::EXPORTS;

#[cfg(target_os = "none")]
mod exports {
    #![allow(unsafe_code, reason = "out parameters of the driver's")]

    use crate::nt::status::{
        STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED, STATUS_SUCCESS,
    };
    use crate::nt::{NTSTATUS, PVOID};
    use crate::portcls::com::guids::{self, GUID};
    use crate::portcls::services::call_faults;

    crate::export_functions! {
        /// Miniports of the system's.
        pub(crate) static EXPORTS;

        /// Makes a miniport of the system's.
        [PASSIVE] fn PcNewMiniport(out: *mut PVOID, class: *const GUID) -> NTSTATUS {
            if out.is_null() || class.is_null() {
                return STATUS_INVALID_PARAMETER;
            }
            out.write(core::ptr::null_mut());
            let class = class.read_unaligned();
            if call_faults::must_fail("PcNewMiniport") {
                return STATUS_INSUFFICIENT_RESOURCES;
            }
            let Some(miniport) = super::make(&class) else {
                crate::warn!(
                    "PcNewMiniport: {} is no miniport of the system's: those for OPL3 synthesizers are 32-bit only, and all others are the driver's own to make",
                    guids::Printed(&class)
                );
                return STATUS_NOT_SUPPORTED;
            };
            out.write(miniport);
            STATUS_SUCCESS
        }
    }
}
