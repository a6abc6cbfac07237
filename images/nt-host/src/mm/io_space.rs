//! Device registers, mapped for drivers.
#![allow(unsafe_code, reason = "exported functions")]

use alloc::format;

use super::{contiguous, pool};
use crate::arch::{PAGE_SIZE, frames};
use crate::contract::{checks, verifier, watch};
use crate::export_functions;
use crate::nt::{PHYSICAL_ADDRESS, PVOID};
use crate::pci::registers;

/// Checks that a driver maps registers of its own device, memory of its own, or what is neither registers of a function
/// of the bus nor memory.
fn expect_own(function: &'static str, physical: u64, bytes: u64) {
    if !watch::is_on() {
        return;
    }
    let wanted = physical..physical.saturating_add(bytes);
    let memory = (wanted.start / PAGE_SIZE * PAGE_SIZE..wanted.end)
        .step_by(PAGE_SIZE as usize)
        .find(|&page| frames::is_memory(page) && !contiguous::has_frame(page) && !pool::has_frame(page));
    let whole = registers::cut_to_32_bits(physical);
    let what = if let Some(whole) = whole {
        format!(
            "nothing of the device: the address is the low 32 bits of {whole:#x}, where the device's registers are. Keep all 64 bits \
             of u.Memory.Start, a PHYSICAL_ADDRESS"
        )
    } else if let Some(page) = memory {
        format!("memory at {page:#x} that the driver has not allocated")
    } else if let Some(other) = registers::of_another_device(&wanted) {
        format!("registers of {other}, which is not the driver's device")
    } else {
        return;
    };
    verifier::failed(
        checks::FOREIGN_MEMORY,
        0xc4,
        function,
        [physical, bytes, 0, 0],
        format_args!(
            "{function} maps {bytes:#x} bytes at {physical:#x}, where there is {what}: take address and length from the \
             translated resources of IRP_MN_START_DEVICE, and for memory use an MDL or a common buffer"
        ),
    );
}

export_functions! {
    /// Device registers.
    pub static EXPORTS;

    /// Maps device registers.
    [DISPATCH] fn MmMapIoSpace(physical: PHYSICAL_ADDRESS, bytes: u64, _caching: i32) -> PVOID {
        expect_own("MmMapIoSpace", physical as u64, bytes);
        registers::map("MmMapIoSpace", physical as u64, bytes).unwrap_or(0) as PVOID
    }

    /// Maps device registers with a page protection.
    [DISPATCH] fn MmMapIoSpaceEx(physical: PHYSICAL_ADDRESS, bytes: u64, _protection: u32) -> PVOID {
        expect_own("MmMapIoSpaceEx", physical as u64, bytes);
        registers::map("MmMapIoSpaceEx", physical as u64, bytes).unwrap_or(0) as PVOID
    }

    /// Unmaps device registers.
    [DISPATCH] fn MmUnmapIoSpace(address: PVOID, bytes: u64) { registers::unmap("MmUnmapIoSpace", address as u64, bytes) }

    /// Returns whether device registers in a range of physical addresses are mapped.
    [DISPATCH] fn MmIsIoSpaceActive(physical: PHYSICAL_ADDRESS, bytes: u64) -> u8 {
        u8::from(registers::is_mapped(physical as u64, bytes))
    }
}
