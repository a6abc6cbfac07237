//! Push locks: one thread that writes, or several that read, in one word.
#![allow(unsafe_code, reason = "locks of the Windows ABI")]

use super::wait_on_address;
use crate::arch::cpu::exclusively;
use crate::contract::verifier;
use crate::export_functions;
use crate::ke::lock_order::{self, Holder};

/// Held alone.
const ALONE: u64 = 1;
/// One of several holders.
const SHARED: u64 = 2;

unsafe fn acquire(function: &'static str, lock: *mut u64, alone: bool) {
    if alone {
        lock_order::ordered(function, Holder::this_thread(), lock as u64);
    }
    wait_on_address::wait_until(function, lock as u64, || {
        // SAFETY: an export's argument; nothing runs beside this.
        unsafe {
            let free = if alone { *lock == 0 } else { *lock & ALONE == 0 };
            if free {
                *lock = if alone { ALONE } else { *lock + SHARED };
            }
            free
        }
    });
    if alone {
        lock_order::acquired(Holder::this_thread(), lock as u64);
    } else {
        lock_order::acquired_shared(Holder::this_thread(), lock as u64);
    }
}

unsafe fn release(function: &'static str, lock: *mut u64, alone: bool) {
    lock_order::released(Holder::this_thread(), lock as u64);
    // SAFETY: an export's argument.
    let held = exclusively(|| unsafe {
        let held = if alone { *lock == ALONE } else { *lock >= SHARED && *lock & ALONE == 0 };
        if held {
            *lock -= if alone { ALONE } else { SHARED };
        }
        held
    });
    if !held {
        verifier::stop(
            verifier::DRIVER_VERIFIER_DETECTED_VIOLATION,
            function,
            [lock as u64, alone.into(), 0, 0],
            format_args!(
                "the push lock at {lock:p} is released and is not held so: {}",
                if alone { "alone" } else { "shared" }
            ),
        );
    }
    wait_on_address::changed(lock as u64);
}

export_functions! {
    /// Push locks.
    pub static EXPORTS;

    /// Initialises a lock.
    [ANY] fn ExInitializePushLock(lock: *mut u64) {
        lock_order::forget(&(lock as u64..lock as u64 + 1));
        lock.write(0)
    }

    /// Takes a lock alone.
    [APC] fn ExAcquirePushLockExclusiveEx(lock: *mut u64, _flags: u32) { acquire("ExAcquirePushLockExclusiveEx", lock, true) }

    /// Takes a lock with others.
    [APC] fn ExAcquirePushLockSharedEx(lock: *mut u64, _flags: u32) { acquire("ExAcquirePushLockSharedEx", lock, false) }

    /// Gives a lock back that was taken alone.
    [APC] fn ExReleasePushLockExclusiveEx(lock: *mut u64, _flags: u32) { release("ExReleasePushLockExclusiveEx", lock, true) }

    /// Gives a lock back that was taken with others.
    [APC] fn ExReleasePushLockSharedEx(lock: *mut u64, _flags: u32) { release("ExReleasePushLockSharedEx", lock, false) }

    /// Takes a lock alone.
    [APC] fn ExfAcquirePushLockExclusive(lock: *mut u64) { acquire("ExfAcquirePushLockExclusive", lock, true) }

    /// Takes a lock with others.
    [APC] fn ExfAcquirePushLockShared(lock: *mut u64) { acquire("ExfAcquirePushLockShared", lock, false) }

    /// Gives a lock back that was taken alone.
    [APC] fn ExfReleasePushLockExclusive(lock: *mut u64) { release("ExfReleasePushLockExclusive", lock, true) }

    /// Gives a lock back that was taken with others.
    [APC] fn ExfReleasePushLockShared(lock: *mut u64) { release("ExfReleasePushLockShared", lock, false) }
}
