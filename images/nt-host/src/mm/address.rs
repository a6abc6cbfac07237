//! Physical addresses, and memory that may not be there.
#![allow(unsafe_code, reason = "memory of the Windows ABI")]

use super::exposed;
use crate::arch::boot::DIRECT_MAP;
use crate::arch::{PAGE_SIZE, frames, paging};
use crate::export_functions;
use crate::nt::status::*;
use crate::nt::{NTSTATUS, PHYSICAL_ADDRESS, PVOID};

export_functions! {
    /// Addresses.
    pub static EXPORTS;

    /// Returns the physical address of a virtual one.
    [ANY] fn MmGetPhysicalAddress(address: PVOID) -> PHYSICAL_ADDRESS {
        let physical = paging::physical(address as u64);
        physical.inspect(|&physical| exposed::expose(physical)).unwrap_or(0) as PHYSICAL_ADDRESS
    }

    /// Copies from memory that may not be there: by virtual (2) or physical (1) address, given by value.
    [APC] fn MmCopyMemory(target: *mut u8, source: u64, bytes: u64, flags: u32, transferred: *mut u64) -> NTSTATUS {
        const PHYSICAL: u32 = 1;
        const VIRTUAL: u32 = 2;
        let mut done = 0;
        let status = loop {
            if done == bytes {
                break STATUS_SUCCESS;
            }
            let at = source.wrapping_add(done);
            let piece = (PAGE_SIZE - at % PAGE_SIZE).min(bytes - done);
            let from = match flags {
                VIRTUAL if paging::accessible(at, piece, false) => at,
                PHYSICAL if frames::is_memory(at) => DIRECT_MAP + at,
                PHYSICAL | VIRTUAL => break STATUS_ACCESS_VIOLATION,
                _ => break STATUS_INVALID_PARAMETER,
            };
            core::ptr::copy_nonoverlapping(from as *const u8, target.add(done as usize), piece as usize);
            done += piece;
        };
        transferred.write(done);
        status
    }

    /// Returns whether an address is mapped.
    [DISPATCH] fn MmIsAddressValid(address: PVOID) -> u8 { u8::from(paging::accessible(address as u64, 1, false)) }
}
