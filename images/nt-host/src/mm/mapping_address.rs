//! Reserved mappings: a driver keeps a range of addresses, and maps locked pages there when it must not fail.
#![allow(unsafe_code, reason = "memory of the Windows ABI")]

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::mdl;
use crate::arch::paging::{self, Access, Caching};
use crate::arch::uninterrupted::Uninterrupted;
use crate::arch::{PAGE_SIZE, pages_spanning, window};
use crate::contract::verifier;
use crate::export_functions;
use crate::nt::{MDL, MDL_MAPPED_TO_SYSTEM_VA, MDL_PAGES_LOCKED, PVOID};

const SYSTEM_PTE_MISUSE: u32 = 0xda;

struct Reservation {
    bytes: u64,
    tag: u32,
    /// Bytes that are mapped at this moment.
    mapped: u64,
}

static RESERVED: Uninterrupted<BTreeMap<u64, Reservation>> = Uninterrupted::new(BTreeMap::new());

/// Returns what is reserved, a line each, for the leak check.
pub(super) fn outstanding() -> Vec<String> {
    RESERVED.with(|all| {
        all.iter().map(|(at, own)| alloc::format!("the mapping address {at:#x} of {:#x} bytes", own.bytes)).collect()
    })
}

fn misuse(function: &'static str, address: u64, what: &str) -> ! {
    verifier::stop(SYSTEM_PTE_MISUSE, function, [address, 0, 0, 0], format_args!("{function}: {what} at {address:#x}"))
}

/// Unmaps a page, whose frame is its MDL's.
fn unmap(page: u64) {
    paging::unmap(page);
}

/// Finds a reservation by its address, and checks its tag.
fn find(function: &'static str, address: u64, tag: u32) -> (u64, u64) {
    match RESERVED.with(|all| all.get(&address).map(|own| (own.bytes, own.tag, own.mapped))) {
        Some((bytes, found, mapped)) if found == tag => (bytes, mapped),
        Some(_) => misuse(function, address, "another tag reserved the addresses"),
        None => misuse(function, address, "nothing is reserved"),
    }
}

export_functions! {
    /// Reserved mappings.
    pub static EXPORTS;

    /// Reserves addresses to map pages at.
    [APC] fn MmAllocateMappingAddress(bytes: u64, tag: u32) -> PVOID {
        let length = pages_spanning(bytes);
        if bytes == 0 { return core::ptr::null_mut() }
        let Some(at) = window::POOL.reserve(length) else { return core::ptr::null_mut() };
        RESERVED.with(|all| all.insert(at, Reservation { bytes: length, tag, mapped: 0 }));
        at as PVOID
    }

    /// Gives reserved addresses back, at which nothing is mapped.
    [APC] fn MmFreeMappingAddress(address: PVOID, tag: u32) {
        let (bytes, mapped) = find("MmFreeMappingAddress", address as u64, tag);
        if mapped != 0 { misuse("MmFreeMappingAddress", address as u64, "pages are still mapped") }
        RESERVED.with(|all| all.remove(&(address as u64)));
        window::POOL.release(address as u64, bytes);
    }

    /// Maps locked pages at reserved addresses; NULL where they are too few.
    [DISPATCH] fn MmMapLockedPagesWithReservedMapping(address: PVOID, tag: u32, list: *mut MDL, _caching: i32) -> PVOID {
        let at = address as u64;
        let (reserved, mapped) = find("MmMapLockedPagesWithReservedMapping", at, tag);
        if mapped != 0 { misuse("MmMapLockedPagesWithReservedMapping", at, "pages are mapped already") }
        if (*list).MdlFlags & MDL_PAGES_LOCKED == 0 {
            misuse("MmMapLockedPagesWithReservedMapping", list as u64, "the pages of the MDL are not locked");
        }
        let offset = u64::from((*list).ByteOffset);
        let length = pages_spanning(offset + u64::from((*list).ByteCount));
        if length > reserved { return core::ptr::null_mut() }
        for page in (0..length).step_by(PAGE_SIZE as usize) {
            let frame = mdl::frame_numbers(list).add((page / PAGE_SIZE) as usize).read() * PAGE_SIZE;
            if paging::map(at + page, frame, Access::ReadWrite, Caching::Cached).is_err() {
                (at..at + page).step_by(PAGE_SIZE as usize).for_each(unmap);
                return core::ptr::null_mut();
            }
        }
        RESERVED.with(|all| if let Some(own) = all.get_mut(&at) { own.mapped = length });
        (*list).MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
        (*list).MappedSystemVa = (at + offset) as PVOID;
        (*list).MappedSystemVa
    }

    /// Unmaps pages from reserved addresses, which stay reserved.
    [DISPATCH] fn MmUnmapReservedMapping(address: PVOID, tag: u32, list: *mut MDL) {
        let at = address as u64 / PAGE_SIZE * PAGE_SIZE;
        let (_, mapped) = find("MmUnmapReservedMapping", at, tag);
        if mapped == 0 { misuse("MmUnmapReservedMapping", at, "nothing is mapped") }
        (at..at + mapped).step_by(PAGE_SIZE as usize).for_each(unmap);
        RESERVED.with(|all| if let Some(own) = all.get_mut(&at) { own.mapped = 0 });
        (*list).MdlFlags &= !MDL_MAPPED_TO_SYSTEM_VA;
    }

    /// Takes bytes off the front of an MDL's buffer: the pages that they were in belong to it no more.
    [DISPATCH] fn MmAdvanceMdl(list: *mut MDL, bytes: u32) -> crate::nt::NTSTATUS {
        if bytes >= (*list).ByteCount { return crate::nt::status::STATUS_INVALID_PARAMETER_2 }
        let offset = u64::from((*list).ByteOffset) + u64::from(bytes);
        let pages = (offset / PAGE_SIZE) as usize;
        let left = (pages_spanning(offset % PAGE_SIZE + u64::from((*list).ByteCount - bytes)) / PAGE_SIZE) as usize;
        let frames = mdl::frame_numbers(list);
        core::ptr::copy(frames.add(pages), frames, left);
        (*list).StartVa = ((*list).StartVa as u64 + pages as u64 * PAGE_SIZE) as PVOID;
        (*list).ByteOffset = (offset % PAGE_SIZE) as u32;
        (*list).ByteCount -= bytes;
        if !(*list).MappedSystemVa.is_null() {
            (*list).MappedSystemVa = ((*list).MappedSystemVa as u64 + u64::from(bytes)) as PVOID;
        }
        crate::nt::status::STATUS_SUCCESS
    }
}
