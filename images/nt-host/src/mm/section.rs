//! Pageable sections of a driver, kept in memory on demand.
#![allow(unsafe_code, reason = "exported functions")]

use crate::arch::pageable;
use crate::export_functions;
use crate::nt::PVOID;

export_functions! {
    /// Pageable sections.
    pub static EXPORTS;

    /// Keeps the section of code or data that holds an address in memory. A section that is not pageable always is.
    [APC] fn MmLockPagableDataSection(address: PVOID) -> PVOID {
        let Some(range) = pageable::range_of(address as u64) else { return address };
        pageable::pin(&range);
        range.start as PVOID
    }

    /// Keeps a section in memory, by what `MmLockPagableDataSection` returned before.
    [APC] fn MmLockPagableSectionByHandle(handle: PVOID) { MmLockPagableDataSection(handle); }

    /// Undoes it.
    [APC] fn MmUnlockPagableImageSection(handle: PVOID) {
        if let Some(range) = pageable::range_of(handle as u64) {
            pageable::unpin(&range);
        }
    }

    /// Makes the whole driver pageable: it stays resident.
    [APC] fn MmPageEntireDriver(address: PVOID) -> PVOID { address }

    /// Undoes it.
    [APC] fn MmResetDriverPaging(_address: PVOID) {}
}
