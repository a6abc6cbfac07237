//! Contiguous memory for drivers.
#![allow(unsafe_code, reason = "memory of the Windows ABI")]

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::quarantine;
use crate::arch::paging::{self, Access, Caching};
use crate::arch::uninterrupted::Uninterrupted;
use crate::arch::{PAGE_SIZE, frames, pages_spanning, window};
use crate::contract::verifier;
use crate::export_functions;
use crate::nt::{PHYSICAL_ADDRESS, PVOID};

/// Virtual address -> physical address and bytes.
static CONTIGUOUS: Uninterrupted<BTreeMap<u64, (u64, u64)>> = Uninterrupted::new(BTreeMap::new());

/// Returns the contiguous memory that is not freed, a line each, for the leak check.
pub(super) fn outstanding() -> Vec<String> {
    let line = |(at, (_, bytes)): (&u64, &(u64, u64))| format!("{bytes:#x} bytes of contiguous memory at {at:#x}");
    CONTIGUOUS.with(|all| all.iter().map(line).collect())
}

/// Allocates contiguous memory that drivers see: zeroed, a page that is not mapped behind it.
pub fn allocate_contiguous(bytes: u64, align: u64, lowest: u64, highest: u64) -> Option<(u64, u64)> {
    let length = pages_spanning(bytes);
    let physical = frames::allocate_contiguous(length, align, highest.saturating_add(1))?;
    let give_back = || frames::free(physical, length);
    if physical < lowest {
        give_back();
        return None;
    }
    let Some(at) = window::POOL.reserve(length) else {
        give_back();
        return None;
    };
    if paging::map_range(at, physical, length, Access::ReadWrite, Caching::Cached).is_err() {
        window::POOL.release(at, length);
        give_back();
        return None;
    }
    // SAFETY: memory that was just mapped.
    unsafe { (at as *mut u8).write_bytes(0, length as usize) };
    CONTIGUOUS.with(|all| all.insert(at, (physical, length)));
    Some((at, physical))
}

/// Returns whether a frame of physical memory is contiguous memory of the driver's.
pub(super) fn has_frame(frame: u64) -> bool {
    CONTIGUOUS.with(|all| all.values().any(|(physical, bytes)| (*physical..physical + bytes).contains(&frame)))
}

/// Frees contiguous memory.
pub fn free_contiguous(function: &'static str, address: u64) {
    let Some((physical, length)) = CONTIGUOUS.with(|all| all.remove(&address)) else {
        verifier::stop(
            0xc2,
            function,
            [0x46, address, 0, 0],
            format_args!("{address:#x} is no contiguous memory, or was freed before"),
        );
    };
    for page in (address..address + length).step_by(PAGE_SIZE as usize) {
        paging::unmap(page);
    }
    window::POOL.release(address, length);
    quarantine::put(physical, length, "contiguous memory");
}

export_functions! {
    /// Contiguous memory.
    pub static EXPORTS;

    /// Allocates contiguous memory below a physical address.
    [DISPATCH] fn MmAllocateContiguousMemory(bytes: u64, highest: PHYSICAL_ADDRESS) -> PVOID {
        allocate_contiguous(bytes, PAGE_SIZE, 0, highest as u64).map_or(core::ptr::null_mut(), |(at, _)| at as PVOID)
    }

    /// Allocates contiguous memory in bounds.
    [DISPATCH] fn MmAllocateContiguousMemorySpecifyCache(bytes: u64, lowest: PHYSICAL_ADDRESS, highest: PHYSICAL_ADDRESS,
        boundary: PHYSICAL_ADDRESS, _caching: i32) -> PVOID {
        // Aligned to the boundary, or to its own size, it crosses none.
        let align = if boundary == 0 { PAGE_SIZE } else { bytes.next_power_of_two().min(boundary as u64) };
        allocate_contiguous(bytes, align, lowest as u64, highest as u64).map_or(core::ptr::null_mut(), |(at, _)| at as PVOID)
    }

    /// Frees contiguous memory.
    [DISPATCH] fn MmFreeContiguousMemory(address: PVOID) { free_contiguous("MmFreeContiguousMemory", address as u64) }

    /// Frees contiguous memory.
    [DISPATCH] fn MmFreeContiguousMemorySpecifyCache(address: PVOID, _bytes: u64, _caching: i32) {
        free_contiguous("MmFreeContiguousMemorySpecifyCache", address as u64);
    }

    /// Allocates contiguous memory in bounds, on a node: there is one.
    [DISPATCH] fn MmAllocateContiguousMemorySpecifyCacheNode(bytes: u64, lowest: PHYSICAL_ADDRESS, highest: PHYSICAL_ADDRESS,
        boundary: PHYSICAL_ADDRESS, caching: i32, _node: u32) -> PVOID {
        MmAllocateContiguousMemorySpecifyCache(bytes, lowest, highest, boundary, caching)
    }
}
