//! Delays between what runs at the same time, so that races show: before interrupt service routines, before deferred
//! procedure calls, around locks and calls into the driver.
//!
//! With option `seed=HEX` each processor draws its delays from a generator of its own that begins with the seed. Most are
//! none; some are as long as an interrupt takes, a few as long as a DPC does. The same seed gives the same delays in the
//! same order on each processor; which instruction of the other processor they meet is the machine's choice.

use core::sync::atomic::{AtomicU64, Ordering};

use super::time;
use crate::arch::cpu::{self, PROCESSORS_MAX};

/// One delay in this many, on average, takes any time.
const ONE_IN: u64 = 4;
/// ... and of these, one in this many is long.
const LONG_ONE_IN: u64 = 16;
/// Longest short delay, in nanoseconds.
const SHORT_NS: u64 = 5_000;
/// Longest long delay: twice what a DPC of an audio driver takes.
const LONG_NS: u64 = 100_000;

static STATE: [AtomicU64; PROCESSORS_MAX] = [const { AtomicU64::new(0) }; PROCESSORS_MAX];

/// Begins with a seed; without one there are no delays.
pub(crate) fn init(seed: Option<u64>) {
    for (number, state) in STATE.iter().enumerate() {
        // A state of zero stays zero; the multiplication keeps the processors' sequences apart.
        let begin = seed.map_or(0, |seed| (seed ^ number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        state.store(begin, Ordering::Relaxed);
    }
}

/// A place where time may pass. At any IRQL.
#[inline]
pub fn point() {
    let state = &STATE[cpu::number()];
    let now = state.load(Ordering::Relaxed);
    if now != 0 {
        pass(state, now);
    }
}

#[cold]
fn pass(state: &AtomicU64, mut now: u64) {
    // xorshift64.
    now ^= now << 13;
    now ^= now >> 7;
    now ^= now << 17;
    state.store(now, Ordering::Relaxed);
    if !now.is_multiple_of(ONE_IN) {
        return;
    }
    let most = if (now / ONE_IN).is_multiple_of(LONG_ONE_IN) { LONG_NS } else { SHORT_NS };
    let until = time::nanoseconds() + (now >> 32) % most;
    while time::nanoseconds() < until {
        core::hint::spin_loop();
    }
}
