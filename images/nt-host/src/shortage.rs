//! Systematic shortage: each distinct call stack of the driver on which something is allocated can be made to fail once.
//!
//! A function that can fail for want of resources asks [`refuse`] first. The stack is the driver's own part of it, as
//! offsets in its image, so that it is the same in every boot. The harness boots once to learn the stacks
//! (`allocations=report`), then once for each with that one refused (`fail-allocation=HASH`), and again for each stack that only
//! a refusal leads to, until none is new.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use guest_protocol::{Event, StackFrame};

use crate::ke::stack::{self, Context};
use crate::line;
use crate::sync::Uninterrupted;

struct State {
    refused: Option<u64>,
    seen: BTreeSet<u64>,
}

static STATE: Uninterrupted<State> = Uninterrupted::new(State { refused: None, seen: BTreeSet::new() });
/// Whether anybody wants to know: looked at first, since most runs do not.
static ON: AtomicBool = AtomicBool::new(false);

/// Turns reporting on, and perhaps the refusal of one stack.
pub(crate) fn init(report: bool, refused: Option<u64>) {
    STATE.with(|state| state.refused = refused);
    ON.store(report || refused.is_some(), Ordering::Relaxed);
}

/// Whether anybody wants to know.
#[must_use]
pub(crate) fn on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Whether `function` must fail now, because the driver's stack that calls it is the one to be refused. Reports each
/// stack that is seen for the first time. At any IRQL.
#[inline]
#[must_use]
pub fn refuse(function: &str) -> bool {
    ON.load(Ordering::Relaxed) && look(function)
}

#[cold]
fn look(function: &str) -> bool {
    let frames: Vec<StackFrame> =
        stack::walk(Context::here()).into_iter().filter(|frame| crate::image::in_driver(frame.address)).collect();
    if frames.is_empty() {
        // The host's own.
        return false;
    }
    let hash = hash(function, frames.iter().map(|frame| frame.offset));
    let refused = STATE.with(|state| {
        if !state.seen.insert(hash) {
            return None;
        }
        Some(state.refused.take_if(|wanted| *wanted == hash).is_some())
    });
    let Some(refused) = refused else { return false };
    line::send_event(Event::Allocation { hash, function: function.into(), stack: frames, failed: refused });
    refused
}

/// FNV-1a over the function's name and the offsets.
fn hash(function: &str, offsets: impl Iterator<Item = u64>) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x100_0000_01b3;
    let bytes = function.bytes().chain(offsets.flat_map(u64::to_le_bytes));
    bytes.fold(BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}
