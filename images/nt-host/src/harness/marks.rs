//! Lends the ring of marks to the harness, and has the harness pair its ticks with the guest's at known points.

use core::sync::atomic::{AtomicU64, Ordering};

use guest_protocol::{Bulk, Event};

use super::link;
use crate::arch::uninterrupted::Uninterrupted;
use crate::arch::{clock, marks};

/// How long the last pair is good for, while requests come: counters of one processor do not drift, so that only a machine that was stopped needs
/// another.
const PAIR_AGAIN_NS: u64 = 500_000_000;

/// How long a harness that has not answered is not asked again: its host is too busy to run both.
const ASK_AGAIN_NS: u64 = 5_000_000_000;

static RANGE: Uninterrupted<Option<Bulk>> = Uninterrupted::new(None);
/// When the next pair is due.
static DUE: AtomicU64 = AtomicU64::new(0);

/// Begins to mark, and lends the ring.
pub fn lend() {
    match marks::allocate() {
        Some(range) => {
            RANGE.with(|slot| *slot = Some(range));
            pair();
        }
        None => crate::warn!("there is no memory for marks: start the guest with more"),
    }
}

/// Pairs the ticks with the harness's, if anything is marked and the last pair is old, or if it is the last chance.
pub fn pair_if_due(last_chance: bool) {
    if marks::are_on() && (last_chance || clock::ran() > DUE.load(Ordering::Relaxed)) {
        pair();
    }
}

fn pair() {
    let Some(range) = RANGE.with(|range| *range) else { return };
    link::send_event(Event::Marks(range));
    let wait = if marks::sample() { PAIR_AGAIN_NS } else { ASK_AGAIN_NS };
    DUE.store(clock::ran() + wait, Ordering::Relaxed);
}
