//! Delays between what runs at the same time, so that races show: before interrupt service routines, before deferred
//! procedure calls, around locks and calls into the driver.
//!
//! With option `seed=HEX` each processor draws its delays from a sequence of its own that begins with the seed. The
//! same seed gives the same delays in the same order on each processor; which instruction of the other processor they
//! meet is the machine's choice.

use core::sync::atomic::{AtomicU64, Ordering};

use super::delays;
use crate::arch::clock;
use crate::arch::cpu::{self, PROCESSORS_MAX};

static STATE: [AtomicU64; PROCESSORS_MAX] = [const { AtomicU64::new(0) }; PROCESSORS_MAX];

/// Begins with a seed; without one there are no delays.
pub(crate) fn init(seed: Option<u64>) {
    for (number, state) in STATE.iter().enumerate() {
        state.store(seed.map_or(0, |seed| delays::begin(seed, number)), Ordering::Relaxed);
    }
}

/// Lets time pass, as the seed says. At any IRQL.
#[inline]
pub fn point() {
    let state = &STATE[cpu::number()];
    let now = state.load(Ordering::Relaxed);
    if now != 0 {
        pass(state, now);
    }
}

#[cold]
fn pass(state: &AtomicU64, now: u64) {
    let (next, delay) = delays::next(now);
    state.store(next, Ordering::Relaxed);
    if delay == 0 {
        return;
    }
    let until = clock::nanoseconds() + delay;
    while clock::nanoseconds() < until {
        core::hint::spin_loop();
    }
}
