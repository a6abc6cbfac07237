//! Doubly linked lists as drivers see them: `LIST_ENTRY`.
#![allow(unsafe_code, reason = "intrusive lists of the Windows ABI")]

use crate::nt::LIST_ENTRY;

/// Makes `head` an empty list.
///
/// # Safety
/// `head` is valid for writing.
pub unsafe fn init(head: *mut LIST_ENTRY) {
    // SAFETY: the caller's promise.
    unsafe { head.write(LIST_ENTRY { Flink: head, Blink: head }) };
}

/// Returns whether the list has no entries. A head of zeros, never initialised, counts as empty.
///
/// # Safety
/// `head` is valid for reading.
pub unsafe fn is_empty(head: *mut LIST_ENTRY) -> bool {
    // SAFETY: the caller's promise.
    let next = unsafe { (*head).Flink };
    next == head || next.is_null()
}

/// Inserts `entry` before `next`: at the tail, if `next` is the head.
///
/// # Safety
/// `next` is in a well-formed list, `entry` in none.
pub unsafe fn insert_before(next: *mut LIST_ENTRY, entry: *mut LIST_ENTRY) {
    // SAFETY: the caller's promise.
    unsafe {
        let before = (*next).Blink;
        entry.write(LIST_ENTRY { Flink: next, Blink: before });
        (*before).Flink = entry;
        (*next).Blink = entry;
    }
}

/// Takes `entry` out of its list and leaves it empty.
///
/// # Safety
/// `entry` is in a well-formed list.
pub unsafe fn remove(entry: *mut LIST_ENTRY) {
    // SAFETY: the caller's promise.
    unsafe {
        let LIST_ENTRY { Flink: next, Blink: before } = *entry;
        (*before).Flink = next;
        (*next).Blink = before;
        init(entry);
    }
}

/// Takes the first entry out.
///
/// # Safety
/// `head` is a well-formed list.
pub unsafe fn pop(head: *mut LIST_ENTRY) -> Option<*mut LIST_ENTRY> {
    // SAFETY: the caller's promise.
    unsafe {
        if is_empty(head) {
            return None;
        }
        let first = (*head).Flink;
        remove(first);
        Some(first)
    }
}

/// The structure that an entry is the field `$field` of.
#[macro_export]
macro_rules! containing_record {
    ($entry:expr, $type:ty, $($field:ident).+) => {
        $entry.cast::<u8>().sub(core::mem::offset_of!($type, $($field).+)).cast::<$type>()
    };
}
