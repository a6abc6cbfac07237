//! Lookaside lists. Inlined code of the WDK keeps freed entries in the list and calls the routines in it otherwise;
//! with a depth of zero every entry goes to pool, where its misuse is found.
#![allow(unsafe_code, reason = "lists of the Windows ABI")]

use super::lists::SListHeader;
use super::pool;
use crate::export_functions;
use crate::nt::status::STATUS_SUCCESS;
use crate::nt::{LIST_ENTRY, NTSTATUS, POOL_TYPE, PVOID, SINGLE_LIST_ENTRY};

type Allocate = unsafe extern "win64" fn(POOL_TYPE, u64, u32) -> PVOID;
type Free = unsafe extern "win64" fn(PVOID);

/// `GENERAL_LOOKASIDE`: paged and nonpaged lists alike.
#[repr(C, align(64))]
pub struct Lookaside {
    list: SListHeader,
    depth: u16,
    maximum_depth: u16,
    total_allocates: u32,
    allocate_misses: u32,
    total_frees: u32,
    free_misses: u32,
    kind: POOL_TYPE,
    tag: u32,
    size: u32,
    allocate: Option<Allocate>,
    free: Option<Free>,
    list_entry: LIST_ENTRY,
    last_total_allocates: u32,
    last_allocate_misses: u32,
    future: [u32; 2],
}

const _: () = assert!(size_of::<Lookaside>() == 128 && core::mem::offset_of!(Lookaside, allocate) == 48);

fn initialize(
    lookaside: *mut Lookaside,
    allocate: Option<Allocate>,
    free: Option<Free>,
    kind: POOL_TYPE,
    size: u64,
    tag: u32,
) {
    // SAFETY: an export's argument.
    unsafe {
        lookaside.cast::<u8>().write_bytes(0, size_of::<Lookaside>());
        (*lookaside).kind = kind;
        (*lookaside).tag = tag;
        (*lookaside).size = size as u32;
        (*lookaside).allocate = Some(allocate.unwrap_or(pool::ExAllocatePoolWithTag));
        (*lookaside).free = Some(free.unwrap_or(pool::ExFreePool));
    }
}

fn delete(lookaside: *mut Lookaside) {
    // SAFETY: an export's argument; the entries in the list came from its own routine.
    unsafe {
        let mut entry = super::lists::ExpInterlockedFlushSList(&raw mut (*lookaside).list);
        while !entry.is_null() {
            let next = (*entry).Next;
            if let Some(free) = (*lookaside).free {
                free(entry.cast::<SINGLE_LIST_ENTRY>().cast());
            }
            entry = next;
        }
    }
}

export_functions! {
    /// Lookaside lists.
    pub static EXPORTS;

    /// Initialises a list of nonpaged entries.
    [DISPATCH] fn ExInitializeNPagedLookasideList(lookaside: *mut Lookaside, allocate: Option<Allocate>, free: Option<Free>,
        flags: u32, size: u64, tag: u32, _depth: u16) {
        /// `POOL_NX_ALLOCATION`.
        const NX: u32 = 512;
        initialize(lookaside, allocate, free, (flags & NX) as POOL_TYPE, size, tag);
    }

    /// Initialises a list of paged entries.
    [APC] fn ExInitializePagedLookasideList(lookaside: *mut Lookaside, allocate: Option<Allocate>, free: Option<Free>,
        _flags: u32, size: u64, tag: u32, _depth: u16) {
        initialize(lookaside, allocate, free, 1, size, tag);
    }

    /// Initialises a list of either kind, whose routines get the list.
    [DISPATCH] fn ExInitializeLookasideListEx(lookaside: *mut Lookaside, allocate: Option<Allocate>, free: Option<Free>,
        kind: POOL_TYPE, _flags: u32, size: u64, tag: u32, _depth: u16) -> NTSTATUS {
        initialize(lookaside, allocate, free, kind, size, tag);
        STATUS_SUCCESS
    }

    /// Takes an entry of a list of paged entries, or a new one.
    [APC] fn ExAllocateFromPagedLookasideList(lookaside: *mut Lookaside) -> PVOID {
        (*lookaside).total_allocates += 1;
        let entry = super::lists::ExpInterlockedPopEntrySList(&raw mut (*lookaside).list);
        if !entry.is_null() { return entry.cast() }
        (*lookaside).allocate_misses += 1;
        match (*lookaside).allocate {
            Some(allocate) => allocate((*lookaside).kind, (*lookaside).size.into(), (*lookaside).tag),
            None => core::ptr::null_mut(),
        }
    }

    /// Gives an entry of a list of paged entries back.
    [APC] fn ExFreeToPagedLookasideList(lookaside: *mut Lookaside, entry: PVOID) {
        (*lookaside).total_frees += 1;
        if let Some(free) = (*lookaside).free { free(entry) }
    }

    /// Gives the entries of a list back to pool.
    [DISPATCH] fn ExDeleteLookasideListEx(lookaside: *mut Lookaside) { delete(lookaside) }

    /// Gives the entries of a list back to pool; it goes on.
    [DISPATCH] fn ExFlushLookasideListEx(lookaside: *mut Lookaside) { delete(lookaside) }

    /// Gives the entries of a list back to pool.
    [DISPATCH] fn ExDeleteNPagedLookasideList(lookaside: *mut Lookaside) { delete(lookaside) }

    /// Gives the entries of a list back to pool.
    [APC] fn ExDeletePagedLookasideList(lookaside: *mut Lookaside) { delete(lookaside) }
}
