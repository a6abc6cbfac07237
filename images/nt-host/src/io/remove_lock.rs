//! Remove locks: a device is not taken away while requests use it.
#![allow(unsafe_code, reason = "locks of the Windows ABI")]

use core::sync::atomic::{AtomicI32, Ordering};

use crate::contract::verifier;
use crate::export_functions;
use crate::ke::{event, wait};
use crate::nt::status::*;
use crate::nt::{IO_REMOVE_LOCK_COMMON_BLOCK, NTSTATUS, PVOID};

unsafe fn count(lock: *mut IO_REMOVE_LOCK_COMMON_BLOCK) -> &'static AtomicI32 {
    // SAFETY: an export's argument; lives as long as its device.
    unsafe { AtomicI32::from_ptr(&raw mut (*lock).IoCount) }
}

export_functions! {
    /// Remove locks.
    pub static EXPORTS;

    /// Initialises a lock.
    [PASSIVE] fn IoInitializeRemoveLockEx(lock: *mut IO_REMOVE_LOCK_COMMON_BLOCK, _tag: u32, _minutes: u32, _high: u32, _size: u32) {
        {
            (*lock).Removed = 0;
            (*lock).IoCount = 1;
            event::KeInitializeEvent(&raw mut (*lock).RemoveEvent, 1, 0);
        }
    }

    /// Takes a share.
    [DISPATCH] fn IoAcquireRemoveLockEx(lock: *mut IO_REMOVE_LOCK_COMMON_BLOCK, _tag: PVOID, _file: *const u8, _line: u32, _size: u32) -> NTSTATUS {
        {
            count(lock).fetch_add(1, Ordering::SeqCst);
            if (*lock).Removed != 0 {
                IoReleaseRemoveLockEx(lock, core::ptr::null_mut(), 0);
                return STATUS_DELETE_PENDING;
            }
        }
        STATUS_SUCCESS
    }

    /// Gives a share back.
    [DISPATCH] fn IoReleaseRemoveLockEx(lock: *mut IO_REMOVE_LOCK_COMMON_BLOCK, _tag: PVOID, _size: u32) {
        {
            match count(lock).fetch_sub(1, Ordering::SeqCst) {
                ..=0 => verifier::stop(0xc4, "IoReleaseRemoveLockEx", [lock as u64, 0, 0, 0],
                    format_args!("the remove lock at {lock:p} is released more often than acquired")),
                1 => { event::KeSetEvent(&raw mut (*lock).RemoveEvent, 0, 0); }
                _ => {}
            }
        }
    }

    /// Gives the last share back and waits for all others.
    [PASSIVE] fn IoReleaseRemoveLockAndWaitEx(lock: *mut IO_REMOVE_LOCK_COMMON_BLOCK, _tag: PVOID, _size: u32) {
        {
            (*lock).Removed = 1;
            count(lock).fetch_sub(1, Ordering::SeqCst);
            if count(lock).fetch_sub(1, Ordering::SeqCst) > 1 {
                wait::wait_one("IoReleaseRemoveLockAndWaitEx", (&raw mut (*lock).RemoveEvent).cast());
            }
        }
    }
}
