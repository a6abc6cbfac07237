//! `PcNewMiniport`: the miniports that come with the system, of which this guest has none.

#![allow(unsafe_code, reason = "out parameters of the driver's")]

use crate::nt::status::{STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::guids::{self, GUID};

/// Those that Windows has on x64: for an MPU-401 UART. Those for FM synthesizers went with Windows Server 2003.
const OF_WINDOWS: [GUID; 3] =
    [guids::CLSID_MINIPORTDRIVERDMUSUART, guids::CLSID_MINIPORTDRIVERDMUSUARTCAPTURE, guids::CLSID_MINIPORTDRIVERUART];

crate::export_functions! {
    /// Miniports of the system's.
    pub(crate) static EXPORTS;

    /// Makes a miniport of the system's: there is none here, as there is none of an unknown class anywhere.
    [PASSIVE] fn PcNewMiniport(out: *mut PVOID, class: *const GUID) -> NTSTATUS {
        if out.is_null() || class.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        out.write(core::ptr::null_mut());
        let class = class.read_unaligned();
        if OF_WINDOWS.contains(&class) {
            crate::warn!("PcNewMiniport for {}: Windows' miniport for an MPU-401 UART is not here", guids::Printed(&class));
        }
        STATUS_NOT_SUPPORTED
    }
}
