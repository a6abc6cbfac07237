//! Interlocked lists.
#![allow(unsafe_code, reason = "lists of the Windows ABI")]

use crate::arch::cpu::exclusively;
use crate::export_functions;
use crate::ke::list;
use crate::nt::{KSPIN_LOCK, LIST_ENTRY, SINGLE_LIST_ENTRY};

/// `SLIST_HEADER`: sixteen bytes that only these functions read.
#[repr(C, align(16))]
pub struct SListHeader {
    first: *mut SINGLE_LIST_ENTRY,
    depth: u64,
}

unsafe fn ends(head: *mut LIST_ENTRY, entry: *mut LIST_ENTRY) -> *mut LIST_ENTRY {
    if entry == head { core::ptr::null_mut() } else { entry }
}

export_functions! {
    /// Interlocked lists.
    pub static EXPORTS;

    /// Inserts at the tail and gives the former last entry.
    [ANY] fn ExInterlockedInsertTailList(head: *mut LIST_ENTRY, entry: *mut LIST_ENTRY, _lock: *mut KSPIN_LOCK) -> *mut LIST_ENTRY {
        exclusively(|| {
            let last = ends(head, (*head).Blink);
            list::insert_before(head, entry);
            last
        })
    }

    /// Inserts at the head and gives the former first entry.
    [ANY] fn ExInterlockedInsertHeadList(head: *mut LIST_ENTRY, entry: *mut LIST_ENTRY, _lock: *mut KSPIN_LOCK) -> *mut LIST_ENTRY {
        exclusively(|| {
            let first = (*head).Flink;
            list::insert_before(first, entry);
            ends(head, first)
        })
    }

    /// Takes the first entry.
    [ANY] fn ExInterlockedRemoveHeadList(head: *mut LIST_ENTRY, _lock: *mut KSPIN_LOCK) -> *mut LIST_ENTRY {
        exclusively(|| list::pop(head).unwrap_or(core::ptr::null_mut()))
    }

    /// Pushes an entry and gives the former first.
    [ANY] fn ExInterlockedPushEntryList(head: *mut SINGLE_LIST_ENTRY, entry: *mut SINGLE_LIST_ENTRY, _lock: *mut KSPIN_LOCK) -> *mut SINGLE_LIST_ENTRY {
        exclusively(|| {
            let first = (*head).Next;
            (*entry).Next = first;
            (*head).Next = entry;
            first
        })
    }

    /// Pops the first entry.
    [ANY] fn ExInterlockedPopEntryList(head: *mut SINGLE_LIST_ENTRY, _lock: *mut KSPIN_LOCK) -> *mut SINGLE_LIST_ENTRY {
        exclusively(|| {
            let first = (*head).Next;
            if !first.is_null() { (*head).Next = (*first).Next }
            first
        })
    }

    /// Adds and gives the former value.
    [ANY] fn ExInterlockedAddLargeInteger(value: *mut i64, more: i64, _lock: *mut KSPIN_LOCK) -> i64 {
        exclusively(|| { let old = *value; *value = old.wrapping_add(more); old })
    }

    /// Adds and gives the former value.
    [ANY] fn ExInterlockedAddUlong(value: *mut u32, more: u32, _lock: *mut KSPIN_LOCK) -> u32 {
        exclusively(|| { let old = *value; *value = old.wrapping_add(more); old })
    }

    /// Makes an empty sequenced list.
    [ANY] fn InitializeSListHead(head: *mut SListHeader) {
        head.write(SListHeader { first: core::ptr::null_mut(), depth: 0 })
    }

    /// Pushes an entry and gives the former first.
    [ANY] fn ExpInterlockedPushEntrySList(head: *mut SListHeader, entry: *mut SINGLE_LIST_ENTRY) -> *mut SINGLE_LIST_ENTRY {
        exclusively(|| {
            let first = (*head).first;
            (*entry).Next = first;
            (*head).first = entry;
            (*head).depth += 1;
            first
        })
    }

    /// Pops the first entry.
    [ANY] fn ExpInterlockedPopEntrySList(head: *mut SListHeader) -> *mut SINGLE_LIST_ENTRY {
        exclusively(|| {
            let first = (*head).first;
            if !first.is_null() {
                (*head).first = (*first).Next;
                (*head).depth -= 1;
            }
            first
        })
    }

    /// Takes all entries.
    [ANY] fn ExpInterlockedFlushSList(head: *mut SListHeader) -> *mut SINGLE_LIST_ENTRY {
        exclusively(|| {
            (*head).depth = 0;
            core::mem::replace(&mut (*head).first, core::ptr::null_mut())
        })
    }

    /// Returns how many entries a sequenced list has.
    [ANY] fn ExQueryDepthSList(head: *mut SListHeader) -> u16 { (*head).depth as u16 }
}
