//! What a call into the driver must leave as it was of the thread that made it: critical and guarded regions, and locks
//! that belong to the thread.
#![allow(unsafe_code, reason = "reads the thread that runs")]

use super::lock_order::{self, Holder};
use super::thread;
use crate::arch::cpu;
use crate::contract::{checks, verifier, watch};
use crate::nt::irql::DISPATCH_LEVEL;

/// `APC_INDEX_MISMATCH`.
const APC_INDEX_MISMATCH: u32 = 0x01;
/// `DRIVER_VERIFIER_DETECTED_VIOLATION`.
const DRIVER_VERIFIER_DETECTED_VIOLATION: u32 = 0xc4;

/// The state of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadState {
    regions: i32,
    locks: [u64; lock_order::HELD_MAX],
}

/// Returns the state of the thread that runs. `None` where there is none: at `DISPATCH_LEVEL` and above, code belongs to a
/// processor.
#[must_use]
pub fn now() -> Option<ThreadState> {
    if !watch::is_on() || cpu::irql() >= DISPATCH_LEVEL {
        return None;
    }
    Some(ThreadState { regions: thread::critical_regions(), locks: lock_order::held_by(Holder::this_thread()) })
}

/// Checks that the thread is as it was before `what` was called; where the host goes on, it is so again.
pub fn check(what: &str, before: Option<ThreadState>) {
    let (Some(before), Some(after)) = (before, now()) else { return };
    if after.regions != before.regions {
        verifier::failed(
            checks::CRITICAL_REGION,
            APC_INDEX_MISMATCH,
            what,
            [0, u64::from(before.regions.cast_unsigned()), u64::from(after.regions.cast_unsigned()), 0],
            format_args!(
                "{what} was called in {} critical or guarded regions and returned in {}: pair each KeEnterCriticalRegion and \
                 KeEnterGuardedRegion with its leave on every path out",
                before.regions, after.regions
            ),
        );
        thread::set_critical_regions(before.regions);
    }
    if let Some(kept) = after.locks.iter().find(|&&lock| lock != 0 && !before.locks.contains(&lock)) {
        verifier::failed(
            checks::LOCK_KEPT_OVER_CALL,
            DRIVER_VERIFIER_DETECTED_VIOLATION,
            what,
            [*kept, 0, 0, 0],
            format_args!(
                "{what} returned while its thread holds the lock at {kept:#x}, which it did not hold before: only this thread can \
                 release it, and what it does next is the system's affair"
            ),
        );
    }
}
