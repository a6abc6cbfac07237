//! Spin locks. With one processor a lock that is taken can never be waited for: taking it again is a deadlock on every
//! machine, and is reported as one.
#![allow(unsafe_code, reason = "locks of the Windows ABI")]

use crate::arch::cpu;
use crate::exports;
use crate::nt::irql::*;
use crate::nt::{KIRQL, KSPIN_LOCK};
use crate::verifier;

const SPIN_LOCK_ALREADY_OWNED: u32 = 0x0f;
const SPIN_LOCK_NOT_OWNED: u32 = 0x10;

/// Takes a lock at the current IRQL.
///
/// # Safety
/// `lock` is valid.
pub unsafe fn take(function: &'static str, lock: *mut KSPIN_LOCK) {
    // SAFETY: the caller's promise.
    let was = cpu::without_interrupts(|| unsafe { lock.replace(1) });
    if was != 0 {
        verifier::stop(
            SPIN_LOCK_ALREADY_OWNED,
            function,
            [lock as u64, was as u64, 0, 0],
            format_args!(
                "the spin lock at {lock:p} is already held (its value is {was:#x}): a deadlock. It was acquired twice \
                 on this path, or by code that this call interrupted, or it was never initialised"
            ),
        );
    }
}

/// Gives a lock back.
///
/// # Safety
/// `lock` is valid.
pub unsafe fn give(function: &'static str, lock: *mut KSPIN_LOCK) {
    // SAFETY: the caller's promise.
    let was = cpu::without_interrupts(|| unsafe { lock.replace(0) });
    if was == 0 {
        verifier::stop(
            SPIN_LOCK_NOT_OWNED,
            function,
            [lock as u64, 0, 0, 0],
            format_args!("the spin lock at {lock:p} is released and is not held"),
        );
    }
}

/// `KLOCK_QUEUE_HANDLE`.
#[repr(C)]
pub struct LockQueueHandle {
    next: *mut LockQueueHandle,
    lock: *mut KSPIN_LOCK,
    old_irql: KIRQL,
}

exports! {
    /// Spin locks.
    pub static EXPORTS;

    /// Initialises a lock.
    [ANY] fn KeInitializeSpinLock(lock: *mut KSPIN_LOCK) { lock.write(0) }

    /// Raises to `DISPATCH_LEVEL` and takes the lock.
    [DISPATCH] fn KeAcquireSpinLockRaiseToDpc(lock: *mut KSPIN_LOCK) -> KIRQL {
        let old = super::level::raise(DISPATCH_LEVEL);
        take("KeAcquireSpinLockRaiseToDpc", lock);
        old
    }

    /// Gives the lock back and restores the IRQL.
    [AT_DISPATCH] fn KeReleaseSpinLock(lock: *mut KSPIN_LOCK, old: KIRQL) {
        give("KeReleaseSpinLock", lock);
        if old > DISPATCH_LEVEL {
            verifier::stop(0x0a, "KeReleaseSpinLock", [lock as u64, u64::from(old), 0, 0],
                format_args!("the old IRQL given is {old}; the lock was acquired at DISPATCH_LEVEL or below"));
        }
        cpu::set_irql(old);
    }

    /// Takes the lock; the IRQL is `DISPATCH_LEVEL` or above already.
    [FROM_DISPATCH] fn KeAcquireSpinLockAtDpcLevel(lock: *mut KSPIN_LOCK) {
        take("KeAcquireSpinLockAtDpcLevel", lock);
    }

    /// Gives the lock back; the IRQL stays.
    [FROM_DISPATCH] fn KeReleaseSpinLockFromDpcLevel(lock: *mut KSPIN_LOCK) {
        give("KeReleaseSpinLockFromDpcLevel", lock);
    }

    /// Takes the lock if it is free.
    [FROM_DISPATCH] fn KeTryToAcquireSpinLockAtDpcLevel(lock: *mut KSPIN_LOCK) -> u8 {
        cpu::without_interrupts(|| { u8::from(lock.read() == 0 && { lock.write(1); true }) })
    }

    /// Whether the lock is free.
    [ANY] fn KeTestSpinLock(lock: *mut KSPIN_LOCK) -> u8 { u8::from(lock.read_volatile() == 0) }

    /// Takes the lock at whatever IRQL is higher, this one or `DISPATCH_LEVEL`.
    [ANY] fn KeAcquireSpinLockForDpc(lock: *mut KSPIN_LOCK) -> KIRQL {
        let old = cpu::irql();
        if old < DISPATCH_LEVEL { cpu::set_irql(DISPATCH_LEVEL) }
        take("KeAcquireSpinLockForDpc", lock);
        old
    }

    /// Gives the lock back.
    [FROM_DISPATCH] fn KeReleaseSpinLockForDpc(lock: *mut KSPIN_LOCK, old: KIRQL) {
        give("KeReleaseSpinLockForDpc", lock);
        cpu::set_irql(old);
    }

    /// Takes a queued lock.
    [DISPATCH] fn KeAcquireInStackQueuedSpinLock(lock: *mut KSPIN_LOCK, handle: *mut LockQueueHandle) {
        let old_irql = super::level::raise(DISPATCH_LEVEL);
        {
            take("KeAcquireInStackQueuedSpinLock", lock);
            handle.write(LockQueueHandle { next: core::ptr::null_mut(), lock, old_irql });
        }
    }

    /// Gives a queued lock back.
    [AT_DISPATCH] fn KeReleaseInStackQueuedSpinLock(handle: *mut LockQueueHandle) {
        {
            give("KeReleaseInStackQueuedSpinLock", (*handle).lock);
            cpu::set_irql((*handle).old_irql);
        }
    }

    /// Takes a queued lock at `DISPATCH_LEVEL`.
    [FROM_DISPATCH] fn KeAcquireInStackQueuedSpinLockAtDpcLevel(lock: *mut KSPIN_LOCK, handle: *mut LockQueueHandle) {
        {
            take("KeAcquireInStackQueuedSpinLockAtDpcLevel", lock);
            handle.write(LockQueueHandle { next: core::ptr::null_mut(), lock, old_irql: cpu::irql() });
        }
    }

    /// Gives a queued lock back and stays at the level.
    [FROM_DISPATCH] fn KeReleaseInStackQueuedSpinLockFromDpcLevel(handle: *mut LockQueueHandle) {
        give("KeReleaseInStackQueuedSpinLockFromDpcLevel", (*handle).lock);
    }
}
