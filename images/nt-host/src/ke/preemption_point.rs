//! Preemption points: where a queued deferred procedure call can run between two instructions of code at
//! `PASSIVE_LEVEL`, because that code lets it. They are where a spin lock is given back, and where a wait begins.
//!
//! A timer meets such a point at random, and on a busy machine never. A probe of what may run at the same time has a
//! DPC queued at each of them instead: what a driver does there in two steps is then interrupted between the two, on
//! every machine, each time.

#![allow(unsafe_code, reason = "deferred procedure calls are queued by address")]

use core::sync::atomic::{AtomicPtr, Ordering};

use super::dpc;
use crate::arch::cpu;
use crate::nt::KDPC;
use crate::nt::irql::DISPATCH_LEVEL;

/// The DPC that is queued at every preemption point.
static QUEUED: AtomicPtr<KDPC> = AtomicPtr::new(core::ptr::null_mut());

/// Queues `dpc` at every preemption point while `body` runs.
///
/// # Safety
/// `dpc` is an initialised DPC, which lives until it was removed from the queue after this returned.
pub(crate) unsafe fn with_dpc_at_each<R>(dpc: *mut KDPC, body: impl FnOnce() -> R) -> R {
    QUEUED.store(dpc, Ordering::Release);
    let result = body();
    QUEUED.store(core::ptr::null_mut(), Ordering::Release);
    result
}

/// Queues the DPC of [`with_dpc_at_each`], so that it runs as soon as the IRQL allows. What runs at `DISPATCH_LEVEL` by
/// itself, in a DPC or a service routine, is no preemption point.
#[inline]
pub(super) fn pass() {
    let dpc = QUEUED.load(Ordering::Acquire);
    if !dpc.is_null() && cpu::irql() <= DISPATCH_LEVEL && !dpc::active() {
        // SAFETY: promised by the caller of `with_dpc_at_each`.
        unsafe { dpc::queue(dpc, core::ptr::null_mut(), core::ptr::null_mut()) };
    }
}
