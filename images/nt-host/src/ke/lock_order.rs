//! The order in which spin locks are taken: two orders for the same two locks are a deadlock that only waits for two
//! processors to meet, and so is a lock that is held at two IRQLs, one of them above `DISPATCH_LEVEL`.
//!
//! Each pair "taken while the other was held" is remembered with the driver's stack of the first time. A lock is
//! forgotten when it is initialised again or its memory is freed.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::stack::{self, Context};
use crate::arch::cpu::{self, PROCESSORS_MAX};
use crate::image::{self, Place};
use crate::nt::KIRQL;
use crate::nt::irql::DISPATCH_LEVEL;
use crate::sync::Uninterrupted;
use crate::verifier;

/// Driver Verifier's parameter for a potential deadlock.
const POTENTIAL_DEADLOCK: u64 = 0x1001;
/// Locks held at once that are watched; a driver that holds more has other worries.
const HELD_MAX: usize = 8;
/// Return addresses kept of a stack.
const FRAMES: usize = 6;
/// Pairs remembered; locks that come and go stay below it.
const PAIRS_MAX: usize = 4096;

type Stack = [u64; FRAMES];

struct Order {
    /// (held, taken) and where.
    pairs: BTreeMap<(u64, u64), Stack>,
    /// The IRQL at which a lock is held, and where it was taken.
    levels: BTreeMap<u64, (KIRQL, Stack)>,
    held: [[u64; HELD_MAX]; PROCESSORS_MAX],
}

static ORDER: Uninterrupted<Order> = Uninterrupted::new(Order {
    pairs: BTreeMap::new(),
    levels: BTreeMap::new(),
    held: [[0; HELD_MAX]; PROCESSORS_MAX],
});

fn stack_here() -> Stack {
    let mut stack = [0; FRAMES];
    let frames = stack::walk(Context::here());
    let of_driver = frames.iter().filter(|frame| image::in_driver(frame.address));
    for (slot, frame) in stack.iter_mut().zip(of_driver) {
        *slot = frame.address;
    }
    stack
}

fn show(stack: &Stack) -> String {
    let places: Vec<String> = stack.iter().take_while(|&&at| at != 0).map(|&at| format!("{}", Place(at))).collect();
    if places.is_empty() { "the system".into() } else { places.join(" < ") }
}

enum Wrong {
    /// Taken in the other order: while which lock is held, and where.
    Order(u64, Stack),
    /// Held at another IRQL, and where.
    Level(KIRQL, Stack),
}

/// A lock is about to be taken; the IRQL is that at which it will be held.
pub(super) fn taking(function: &'static str, lock: u64) {
    let level = cpu::irql();
    let known = ORDER.with(|order| {
        let held = order.held[cpu::number()];
        let new_pair =
            held.iter().any(|&other| other != 0 && other != lock && !order.pairs.contains_key(&(other, lock)));
        new_pair || !order.levels.contains_key(&lock)
    });
    // Walking a stack takes long: only for what is new.
    let stack = if known { stack_here() } else { Stack::default() };
    let wrong = ORDER.with(|order| {
        let (at, first) = *order.levels.entry(lock).or_insert((level, stack));
        if at != level && at.max(level) > DISPATCH_LEVEL {
            return Some(Wrong::Level(at, first));
        }
        if order.pairs.len() > PAIRS_MAX {
            order.pairs.clear();
        }
        for other in order.held[cpu::number()].into_iter().filter(|&other| other != 0 && other != lock) {
            if let Some(first) = order.pairs.get(&(lock, other)) {
                return Some(Wrong::Order(other, *first));
            }
            order.pairs.entry((other, lock)).or_insert(stack);
        }
        None
    });
    match wrong {
        None => {}
        Some(Wrong::Order(other, first)) => verifier::stop(
            verifier::DRIVER_VERIFIER_DETECTED_VIOLATION,
            function,
            [POTENTIAL_DEADLOCK, lock, other, 0],
            format_args!(
                "the spin lock {lock:#x} is acquired while {other:#x} is held; before, {other:#x} was acquired while \
                 {lock:#x} was held, at {}. On two processors this is a deadlock: take them in one order everywhere",
                show(&first)
            ),
        ),
        Some(Wrong::Level(at, first)) => verifier::stop(
            verifier::DRIVER_VERIFIER_DETECTED_VIOLATION,
            function,
            [POTENTIAL_DEADLOCK, lock, level.into(), at.into()],
            format_args!(
                "the spin lock {lock:#x} is held at IRQL {level}; before, it was held at IRQL {at}, taken at {}. An \
                 interrupt at the higher level that comes while the lock is held at the lower waits for itself: share data \
                 with an interrupt service routine by KeSynchronizeExecution or the interrupt's own lock",
                show(&first)
            ),
        ),
    }
}

/// A lock has been taken.
pub(super) fn taken(lock: u64) {
    ORDER.with(|order| {
        if let Some(slot) = order.held[cpu::number()].iter_mut().find(|slot| **slot == 0) {
            *slot = lock;
        }
    });
}

/// A lock is given back.
pub(super) fn given(lock: u64) {
    ORDER.with(|order| {
        if let Some(slot) = order.held[cpu::number()].iter_mut().rev().find(|slot| **slot == lock) {
            *slot = 0;
        }
    });
}

/// Locks in a range are no more what they were.
pub fn forget(range: &Range<u64>) {
    ORDER.with(|order| {
        order.pairs.retain(|(held, taken), _| !range.contains(held) && !range.contains(taken));
        order.levels.retain(|lock, _| !range.contains(lock));
    });
}

/// A lock in a range that this processor holds.
#[must_use]
pub fn held_in(range: &Range<u64>) -> Option<u64> {
    ORDER.with(|order| order.held.iter().flatten().copied().find(|lock| range.contains(lock)))
}
