//! Fast mutexes: exclusive ownership by a thread, at `APC_LEVEL` while it is held.
#![allow(unsafe_code, reason = "mutexes of the Windows ABI")]

use crate::arch::cpu;
use crate::contract::verifier;
use crate::export_functions;
use crate::ke::lock_order::{self, Holder};
use crate::ke::{event, level, resident, thread, wait};
use crate::nt::irql::APC_LEVEL;
use crate::nt::{FAST_MUTEX, object_type};

unsafe fn acquire(function: &'static str, mutex: *mut FAST_MUTEX) {
    // SAFETY: an export's argument.
    unsafe {
        let me = thread::KeGetCurrentThread();
        if (*mutex).Owner == me {
            verifier::stop(
                0xc4,
                function,
                [mutex as u64, 0, 0, 0],
                format_args!(
                    "the fast mutex at {mutex:p} is acquired twice by the same thread: a deadlock. Fast mutexes are not recursive"
                ),
            );
        }
        lock_order::ordered(function, Holder::Thread(me as u64), mutex as u64);
        let free = cpu::exclusively(|| {
            (*mutex).Count -= 1;
            (*mutex).Count >= 0
        });
        if !free {
            (*mutex).Contention += 1;
            wait::wait_one(function, (&raw mut (*mutex).Event).cast());
        }
        owned(mutex);
    }
}

/// Notes that the running thread has the mutex.
unsafe fn owned(mutex: *mut FAST_MUTEX) {
    // SAFETY: an export's argument.
    unsafe {
        let me = thread::KeGetCurrentThread();
        (*mutex).Owner = me;
        lock_order::acquired(Holder::Thread(me as u64), mutex as u64);
    }
}

unsafe fn release(function: &'static str, mutex: *mut FAST_MUTEX) {
    // SAFETY: an export's argument.
    unsafe {
        if (*mutex).Owner != thread::KeGetCurrentThread() {
            verifier::stop(
                0xc4,
                function,
                [mutex as u64, (*mutex).Owner as u64, 0, 0],
                format_args!("the fast mutex at {mutex:p} is released by a thread that does not own it"),
            );
        }
        (*mutex).Owner = core::ptr::null_mut();
        lock_order::released(Holder::this_thread(), mutex as u64);
        let awaited = cpu::exclusively(|| {
            (*mutex).Count += 1;
            (*mutex).Count <= 0
        });
        if awaited {
            event::KeSetEvent(&raw mut (*mutex).Event, 0, 0);
        }
    }
}

export_functions! {
    /// Fast mutexes.
    pub static EXPORTS;

    /// Acquires and raises to `APC_LEVEL`.
    [APC] fn ExAcquireFastMutex(mutex: *mut FAST_MUTEX) {
        let old = cpu::irql();
        level::set(old, APC_LEVEL);
        {
            acquire("ExAcquireFastMutex", mutex);
            (*mutex).OldIrql = u32::from(old);
        }
    }

    /// Releases and restores the IRQL.
    [APC] fn ExReleaseFastMutex(mutex: *mut FAST_MUTEX) {
        {
            let old = (*mutex).OldIrql as u8;
            release("ExReleaseFastMutex", mutex);
            level::set(cpu::irql(), old);
        }
    }

    /// Acquires if it is free.
    [APC] fn ExTryToAcquireFastMutex(mutex: *mut FAST_MUTEX) -> u8 {
        {
            let old = cpu::irql();
            let free = cpu::exclusively(|| (*mutex).Count == 1 && { (*mutex).Count = 0; true });
            if free {
                level::set(old, APC_LEVEL);
                owned(mutex);
                (*mutex).OldIrql = u32::from(old);
            }
            u8::from(free)
        }
    }

    /// Initialises a guarded mutex, which has the same shape.
    [APC] fn KeInitializeGuardedMutex(mutex: *mut FAST_MUTEX) {
        resident::expect("KeInitializeGuardedMutex", "a guarded mutex", mutex);
        lock_order::forget(&(mutex as u64..mutex as u64 + 1));
        mutex.write(FAST_MUTEX {
            Count: 1,
            Owner: core::ptr::null_mut(),
            Contention: 0,
            Event: crate::nt::KEVENT { Header: event::header(object_type::SYNCHRONIZATION_EVENT, 0) },
            OldIrql: 0,
        });
    }

    /// Acquires a guarded mutex: all asynchronous procedure calls stay away, the IRQL stays.
    [APC] fn KeAcquireGuardedMutex(mutex: *mut FAST_MUTEX) { acquire("KeAcquireGuardedMutex", mutex) }

    /// Releases a guarded mutex.
    [APC] fn KeReleaseGuardedMutex(mutex: *mut FAST_MUTEX) { release("KeReleaseGuardedMutex", mutex) }

    /// Acquires a guarded mutex if it is free.
    [APC] fn KeTryToAcquireGuardedMutex(mutex: *mut FAST_MUTEX) -> u8 {
        let free = cpu::exclusively(|| (*mutex).Count == 1 && { (*mutex).Count = 0; true });
        if free {
            owned(mutex);
        }
        u8::from(free)
    }

    /// Keeps all asynchronous procedure calls away; none are delivered here.
    [APC] fn KeEnterGuardedRegion() { thread::KeEnterCriticalRegion() }

    /// Lets them in again.
    [APC] fn KeLeaveGuardedRegion() { thread::KeLeaveCriticalRegion() }

    /// Acquires a fast mutex; asynchronous procedure calls are disabled already.
    [APC] fn ExAcquireFastMutexUnsafe(mutex: *mut FAST_MUTEX) { acquire("ExAcquireFastMutexUnsafe", mutex) }

    /// Releases a fast mutex.
    [APC] fn ExReleaseFastMutexUnsafe(mutex: *mut FAST_MUTEX) { release("ExReleaseFastMutexUnsafe", mutex) }

    /// Acquires a guarded mutex; the caller keeps asynchronous procedure calls away.
    [APC] fn KeAcquireGuardedMutexUnsafe(mutex: *mut FAST_MUTEX) { acquire("KeAcquireGuardedMutexUnsafe", mutex) }

    /// Releases a guarded mutex.
    [APC] fn KeReleaseGuardedMutexUnsafe(mutex: *mut FAST_MUTEX) { release("KeReleaseGuardedMutexUnsafe", mutex) }
}
