//! Device registers, mapped for drivers.
#![allow(unsafe_code, reason = "exported functions")]

use crate::export_functions;
use crate::nt::{PHYSICAL_ADDRESS, PVOID};
use crate::pci::registers;

export_functions! {
    /// Device registers.
    pub static EXPORTS;

    /// Maps device registers.
    [DISPATCH] fn MmMapIoSpace(physical: PHYSICAL_ADDRESS, bytes: u64, _caching: i32) -> PVOID {
        registers::map("MmMapIoSpace", physical as u64, bytes).unwrap_or(0) as PVOID
    }

    /// Maps device registers with a page protection.
    [DISPATCH] fn MmMapIoSpaceEx(physical: PHYSICAL_ADDRESS, bytes: u64, _protection: u32) -> PVOID {
        registers::map("MmMapIoSpaceEx", physical as u64, bytes).unwrap_or(0) as PVOID
    }

    /// Unmaps device registers.
    [DISPATCH] fn MmUnmapIoSpace(address: PVOID, bytes: u64) { registers::unmap("MmUnmapIoSpace", address as u64, bytes) }

    /// Returns whether device registers in a range of physical addresses are mapped.
    [DISPATCH] fn MmIsIoSpaceActive(physical: PHYSICAL_ADDRESS, bytes: u64) -> u8 {
        u8::from(registers::is_mapped(physical as u64, bytes))
    }
}
