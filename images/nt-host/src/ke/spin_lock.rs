//! Spin locks. A lock names the processor that holds it: one that takes it again waits for itself, on every machine,
//! and that is reported.
#![allow(unsafe_code, reason = "locks of the Windows ABI")]

use core::sync::atomic::{AtomicUsize, Ordering};

use super::level;
use super::lock_order::{self, Holder};
use crate::arch::{clock, cpu, smp};
use crate::contract::{delay, verifier};
use crate::export_functions;
use crate::nt::irql::*;
use crate::nt::{KIRQL, KSPIN_LOCK};

const SPIN_LOCK_ALREADY_OWNED: u32 = 0x0f;
const SPIN_LOCK_NOT_OWNED: u32 = 0x10;
const NO_SPIN_LOCK_AVAILABLE: u32 = 0x1d;

/// How long a processor waits for the other to give a lock back: far longer than any code may hold one.
const WAIT_LIMIT_NS: u64 = 10_000_000_000;
/// Looks at a lock between two looks at the clock.
const LOOKS: u32 = 100_000;

/// Returns what a lock holds that this processor has.
fn mine() -> usize {
    cpu::number() + 1
}

unsafe fn word<'a>(lock: *mut KSPIN_LOCK) -> &'a AtomicUsize {
    // SAFETY: the caller gives a valid lock.
    unsafe { AtomicUsize::from_ptr(lock) }
}

/// Takes a lock at the current IRQL.
///
/// # Safety
/// `lock` is valid.
pub unsafe fn acquire(function: &'static str, lock: *mut KSPIN_LOCK) {
    lock_order::acquiring(function, lock as u64);
    delay::point();
    // SAFETY: the caller's promise.
    let word = unsafe { word(lock) };
    let mut looks = 0;
    let mut since = 0;
    while let Err(holder) = word.compare_exchange(0, mine(), Ordering::Acquire, Ordering::Relaxed) {
        let mut waited = 0;
        if looks % LOOKS == LOOKS - 1 {
            let now = clock::ran();
            since = if since == 0 { now } else { since };
            waited = now - since;
        }
        looks = looks.wrapping_add(1);
        if holder == mine() || holder > smp::online() || waited > WAIT_LIMIT_NS {
            held(function, lock, holder);
        }
        smp::while_spinning();
    }
    lock_order::acquired(Holder::Processor, lock as u64);
}

fn held(function: &'static str, lock: *mut KSPIN_LOCK, holder: usize) -> ! {
    let (code, text) = if holder == mine() {
        (
            SPIN_LOCK_ALREADY_OWNED,
            "held by this processor: a deadlock. It was acquired twice on this path, or by code that this call interrupted",
        )
    } else if holder > smp::online() {
        (SPIN_LOCK_ALREADY_OWNED, "no lock: it was never initialised, or overwritten")
    } else {
        (
            NO_SPIN_LOCK_AVAILABLE,
            "held by the other processor and not given back: a deadlock, or code that holds a lock for ever",
        )
    };
    verifier::stop(
        code,
        function,
        [lock as u64, holder as u64, 0, 0],
        format_args!("the spin lock at {lock:p} (its value is {holder:#x}) is {text}"),
    );
}

/// Gives a lock back.
///
/// # Safety
/// `lock` is valid.
pub unsafe fn release(function: &'static str, lock: *mut KSPIN_LOCK) {
    lock_order::released(Holder::Processor, lock as u64);
    // SAFETY: the caller's promise.
    let holder = unsafe { word(lock) }.swap(0, Ordering::Release);
    if holder != mine() {
        let text = if holder == 0 { "is not held" } else { "is held by another processor" };
        verifier::stop(
            SPIN_LOCK_NOT_OWNED,
            function,
            [lock as u64, holder as u64, 0, 0],
            format_args!("the spin lock at {lock:p} is released and {text} (its value is {holder:#x})"),
        );
    }
    super::preemption_point::pass();
    delay::point();
}

/// `KLOCK_QUEUE_HANDLE`.
#[repr(C)]
pub struct LockQueueHandle {
    next: *mut LockQueueHandle,
    lock: *mut KSPIN_LOCK,
    old_irql: KIRQL,
}

export_functions! {
    /// Spin locks.
    pub static EXPORTS;

    /// Initialises a lock.
    [ANY] fn KeInitializeSpinLock(lock: *mut KSPIN_LOCK) {
        lock_order::forget(&(lock as u64..lock as u64 + 1));
        lock.write(0)
    }

    /// Raises to `DISPATCH_LEVEL` and takes the lock.
    [DISPATCH] fn KeAcquireSpinLockRaiseToDpc(lock: *mut KSPIN_LOCK) -> KIRQL {
        let old = level::raise(DISPATCH_LEVEL);
        acquire("KeAcquireSpinLockRaiseToDpc", lock);
        old
    }

    /// Gives the lock back and restores the IRQL.
    [AT_DISPATCH] fn KeReleaseSpinLock(lock: *mut KSPIN_LOCK, old: KIRQL) {
        release("KeReleaseSpinLock", lock);
        if old > DISPATCH_LEVEL {
            verifier::stop(0x0a, "KeReleaseSpinLock", [lock as u64, u64::from(old), 0, 0],
                format_args!("the old IRQL given is {old}; the lock was acquired at DISPATCH_LEVEL or below"));
        }
        level::lower("KeReleaseSpinLock", old);
    }

    /// Takes the lock; the IRQL is `DISPATCH_LEVEL` or above already.
    [FROM_DISPATCH] fn KeAcquireSpinLockAtDpcLevel(lock: *mut KSPIN_LOCK) {
        acquire("KeAcquireSpinLockAtDpcLevel", lock);
    }

    /// Gives the lock back; the IRQL stays.
    [FROM_DISPATCH] fn KeReleaseSpinLockFromDpcLevel(lock: *mut KSPIN_LOCK) {
        release("KeReleaseSpinLockFromDpcLevel", lock);
    }

    /// Takes the lock if it is free.
    [FROM_DISPATCH] fn KeTryToAcquireSpinLockAtDpcLevel(lock: *mut KSPIN_LOCK) -> u8 {
        let free = word(lock).compare_exchange(0, mine(), Ordering::Acquire, Ordering::Relaxed).is_ok();
        if free { lock_order::acquired(Holder::Processor, lock as u64) }
        u8::from(free)
    }

    /// Returns whether the lock is free.
    [ANY] fn KeTestSpinLock(lock: *mut KSPIN_LOCK) -> u8 { u8::from(lock.read_volatile() == 0) }

    /// Takes the lock at whatever IRQL is higher, this one or `DISPATCH_LEVEL`.
    [ANY] fn KeAcquireSpinLockForDpc(lock: *mut KSPIN_LOCK) -> KIRQL {
        let old = cpu::irql();
        if old < DISPATCH_LEVEL { level::raise(DISPATCH_LEVEL); }
        acquire("KeAcquireSpinLockForDpc", lock);
        old
    }

    /// Gives the lock back.
    [FROM_DISPATCH] fn KeReleaseSpinLockForDpc(lock: *mut KSPIN_LOCK, old: KIRQL) {
        release("KeReleaseSpinLockForDpc", lock);
        level::lower("KeReleaseSpinLockForDpc", old);
    }

    /// Takes a queued lock.
    [DISPATCH] fn KeAcquireInStackQueuedSpinLock(lock: *mut KSPIN_LOCK, handle: *mut LockQueueHandle) {
        let old_irql = level::raise(DISPATCH_LEVEL);
        {
            acquire("KeAcquireInStackQueuedSpinLock", lock);
            handle.write(LockQueueHandle { next: core::ptr::null_mut(), lock, old_irql });
        }
    }

    /// Gives a queued lock back.
    [AT_DISPATCH] fn KeReleaseInStackQueuedSpinLock(handle: *mut LockQueueHandle) {
        {
            release("KeReleaseInStackQueuedSpinLock", (*handle).lock);
            level::lower("KeReleaseInStackQueuedSpinLock", (*handle).old_irql);
        }
    }

    /// Takes a queued lock at `DISPATCH_LEVEL`.
    [FROM_DISPATCH] fn KeAcquireInStackQueuedSpinLockAtDpcLevel(lock: *mut KSPIN_LOCK, handle: *mut LockQueueHandle) {
        {
            acquire("KeAcquireInStackQueuedSpinLockAtDpcLevel", lock);
            handle.write(LockQueueHandle { next: core::ptr::null_mut(), lock, old_irql: cpu::irql() });
        }
    }

    /// Gives a queued lock back and stays at the level.
    [FROM_DISPATCH] fn KeReleaseInStackQueuedSpinLockFromDpcLevel(handle: *mut LockQueueHandle) {
        release("KeReleaseInStackQueuedSpinLockFromDpcLevel", (*handle).lock);
    }

    /// Takes a queued lock as a threaded or an ordinary DPC must.
    [ANY] fn KeAcquireInStackQueuedSpinLockForDpc(lock: *mut KSPIN_LOCK, handle: *mut LockQueueHandle) {
        if cpu::irql() < DISPATCH_LEVEL {
            KeAcquireInStackQueuedSpinLock(lock, handle);
        } else {
            KeAcquireInStackQueuedSpinLockAtDpcLevel(lock, handle);
            (*handle).old_irql = cpu::irql();
        }
    }

    /// Gives it back.
    [FROM_DISPATCH] fn KeReleaseInStackQueuedSpinLockForDpc(handle: *mut LockQueueHandle) {
        if (*handle).old_irql < DISPATCH_LEVEL {
            KeReleaseInStackQueuedSpinLock(handle);
        } else {
            KeReleaseInStackQueuedSpinLockFromDpcLevel(handle);
        }
    }
}
