//! Rundown protection: an object is used while it is protected, and goes when no guard of it is left.
#![allow(unsafe_code, reason = "objects of the Windows ABI")]

use super::wait_on_address;
use crate::arch::cpu::exclusively;
use crate::contract::verifier;
use crate::export_functions;
use crate::mm::pool::{self, Owner};
use crate::nt::POOL_TYPE;

/// The rundown has begun.
const ACTIVE: u64 = 1;
/// One user.
const USER: u64 = 2;

unsafe fn acquire(reference: *mut u64, count: u32) -> u8 {
    // SAFETY: an export's argument.
    exclusively(|| unsafe {
        if *reference & ACTIVE != 0 {
            return 0;
        }
        *reference += USER * u64::from(count);
        1
    })
}

unsafe fn release(function: &'static str, reference: *mut u64, count: u32) {
    // SAFETY: an export's argument.
    let held = exclusively(|| unsafe {
        let enough = *reference / USER >= u64::from(count);
        if enough {
            *reference -= USER * u64::from(count);
        }
        enough
    });
    if !held {
        verifier::stop(
            verifier::DRIVER_VERIFIER_DETECTED_VIOLATION,
            function,
            [reference as u64, count.into(), 0, 0],
            format_args!(
                "the rundown protection at {reference:p} is released more often than it was acquired; release it once for each acquisition that succeeded"
            ),
        );
    }
    wait_on_address::changed(reference as u64);
}

unsafe fn wait(function: &'static str, reference: *mut u64) {
    // SAFETY: an export's argument.
    unsafe {
        exclusively(|| *reference |= ACTIVE);
        wait_on_address::wait_until(function, reference as u64, || *reference / USER == 0);
    }
}

export_functions! {
    /// Run-down protection.
    pub static EXPORTS;

    /// Begins to protect.
    [DISPATCH] fn ExInitializeRundownProtection(reference: *mut u64) { reference.write(0) }

    /// Begins to protect again, after a rundown.
    [APC] fn ExReInitializeRundownProtection(reference: *mut u64) { reference.write(0) }

    /// Uses what is protected, if it is not going.
    [DISPATCH] fn ExAcquireRundownProtection(reference: *mut u64) -> u8 { acquire(reference, 1) }

    /// Uses it so many times over.
    [DISPATCH] fn ExAcquireRundownProtectionEx(reference: *mut u64, count: u32) -> u8 { acquire(reference, count) }

    /// Ends the use.
    [DISPATCH] fn ExReleaseRundownProtection(reference: *mut u64) { release("ExReleaseRundownProtection", reference, 1) }

    /// Ends so many uses.
    [DISPATCH] fn ExReleaseRundownProtectionEx(reference: *mut u64, count: u32) { release("ExReleaseRundownProtectionEx", reference, count) }

    /// Refuses protection from now on, and waits until all that was given is released.
    [APC] fn ExWaitForRundownProtectionRelease(reference: *mut u64) { wait("ExWaitForRundownProtectionRelease", reference) }

    /// Marks the rundown as complete.
    [APC] fn ExRundownCompleted(reference: *mut u64) { reference.write(ACTIVE) }

    /// Returns a protection for many processors, which is as any other here.
    [DISPATCH] fn ExAllocateCacheAwareRundownProtection(_kind: POOL_TYPE, tag: u32) -> *mut u64 {
        let memory = pool::allocate(8, tag, false, Owner::Driver).unwrap_or(0) as *mut u64;
        if !memory.is_null() { memory.write(0) }
        memory
    }

    /// Frees such a protection.
    [DISPATCH] fn ExFreeCacheAwareRundownProtection(reference: *mut u64) {
        pool::free("ExFreeCacheAwareRundownProtection", reference as u64, None);
    }

    /// Returns the bytes of such a protection in the driver's own memory.
    [ANY] fn ExSizeOfRundownProtectionCacheAware() -> u64 { 8 }

    /// Begins to protect, in the driver's own memory.
    [DISPATCH] fn ExInitializeRundownProtectionCacheAware(reference: *mut u64, _bytes: u64) { reference.write(0) }

    /// Begins to protect again.
    [APC] fn ExReInitializeRundownProtectionCacheAware(reference: *mut u64) { reference.write(0) }

    /// Uses what is protected.
    [DISPATCH] fn ExAcquireRundownProtectionCacheAware(reference: *mut u64) -> u8 { acquire(reference, 1) }

    /// Uses it so many times over.
    [DISPATCH] fn ExAcquireRundownProtectionCacheAwareEx(reference: *mut u64, count: u32) -> u8 { acquire(reference, count) }

    /// Ends the use.
    [DISPATCH] fn ExReleaseRundownProtectionCacheAware(reference: *mut u64) { release("ExReleaseRundownProtectionCacheAware", reference, 1) }

    /// Ends so many uses.
    [DISPATCH] fn ExReleaseRundownProtectionCacheAwareEx(reference: *mut u64, count: u32) {
        release("ExReleaseRundownProtectionCacheAwareEx", reference, count);
    }

    /// Waits until every guard is released.
    [APC] fn ExWaitForRundownProtectionReleaseCacheAware(reference: *mut u64) { wait("ExWaitForRundownProtectionReleaseCacheAware", reference) }

    /// Marks the rundown as complete.
    [APC] fn ExRundownCompletedCacheAware(reference: *mut u64) { reference.write(ACTIVE) }
}
