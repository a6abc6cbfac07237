//! Systematic allocation faults: each distinct call stack of the driver on which something is allocated can be made to
//! fail once.
//!
//! A function that can fail for want of resources calls [`fails`] first. The stack is the driver's own part of it, as
//! offsets in its image, so that it is the same in every boot. The harness boots once to learn the stacks
//! (`allocations=report`), then once for each with that one made to fail (`fail-allocation=HASH`), and again for each
//! stack that only a failure leads to, until none is new.

pub(crate) mod entry_points;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use guest_protocol::{Event, StackFrame};

use crate::arch::uninterrupted::Uninterrupted;
use crate::bugcheck::stack::{self, Context};
use crate::harness::link;

struct State {
    failing: Option<u64>,
    seen: BTreeSet<u64>,
}

static STATE: Uninterrupted<State> = Uninterrupted::new(State { failing: None, seen: BTreeSet::new() });
/// Whether allocations are reported or made to fail: looked at first, since in most runs they are not.
static ON: AtomicBool = AtomicBool::new(false);

/// Allocations of the driver until one fails; 0: none does.
static COUNTDOWN: AtomicU32 = AtomicU32::new(0);
/// Whether the countdown has made an allocation fail.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Makes the `number`-th allocation of the driver's from now fail, counted from 1; 0 for none.
pub(crate) fn fail_allocation(number: u32) {
    FAILED.store(false, Ordering::Relaxed);
    COUNTDOWN.store(number, Ordering::Relaxed);
}

/// Returns whether an allocation was made to fail since [`fail_allocation`].
pub(crate) fn allocation_failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// Turns reporting on, and makes the allocation of one stack fail, if one is named.
pub(crate) fn init(report: bool, failing: Option<u64>) {
    STATE.with(|state| state.failing = failing);
    ON.store(report || failing.is_some(), Ordering::Relaxed);
}

/// Returns whether allocations are reported or made to fail.
#[must_use]
pub(crate) fn on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Returns whether `function` must fail now, because it is the allocation that a probe has chosen, or because the driver's
/// stack that calls it is the one that is to fail. Reports each stack that is seen for the first time. At any IRQL.
#[inline]
#[must_use]
pub fn fails(function: &str) -> bool {
    (COUNTDOWN.load(Ordering::Relaxed) > 0 && count_down()) || (ON.load(Ordering::Relaxed) && report(function))
}

/// Returns the driver's part of the stack; none for the host's own calls.
fn driver_frames() -> Vec<StackFrame> {
    let frames = stack::walk(Context::here()).into_iter();
    frames.filter(|frame| crate::bugcheck::modules::in_driver(frame.address)).collect()
}

#[cold]
fn count_down() -> bool {
    if driver_frames().is_empty() {
        return false;
    }
    let counted = COUNTDOWN.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    let fails = counted == Ok(1);
    if fails {
        FAILED.store(true, Ordering::Relaxed);
    }
    fails
}

#[cold]
fn report(function: &str) -> bool {
    let frames = driver_frames();
    if frames.is_empty() {
        // The host's own.
        return false;
    }
    let hash = hash(function, frames.iter().map(|frame| frame.offset));
    let failed = STATE.with(|state| {
        if !state.seen.insert(hash) {
            return None;
        }
        Some(state.failing.take_if(|wanted| *wanted == hash).is_some())
    });
    let Some(failed) = failed else { return false };
    link::send_event(Event::Allocation { hash, function: function.into(), stack: frames, failed });
    failed
}

/// Returns FNV-1a over the function's name and the offsets.
fn hash(function: &str, offsets: impl Iterator<Item = u64>) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x100_0000_01b3;
    let bytes = function.bytes().chain(offsets.flat_map(u64::to_le_bytes));
    bytes.fold(BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}
