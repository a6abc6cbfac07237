//! The order in which locks are taken, spin locks and what threads wait for: two orders for the same locks are a
//! deadlock that only waits for two processors, or two threads, to meet. And so is a spin lock that is held at two
//! IRQLs, one of them above `DISPATCH_LEVEL`.
//!
//! Each lock that is taken while another is held is remembered with the driver's stack of the first time. A lock is
//! forgotten when it is initialised again or its memory is freed.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::thread;
use crate::arch::cpu::{self, PROCESSORS_MAX};
use crate::arch::uninterrupted::Uninterrupted;
use crate::bugcheck::modules::{self, Place};
use crate::bugcheck::stack::{self, Context};
use crate::contract::lock_graph::{Edge, LockGraph};
use crate::contract::{checks, verifier, watch};
use crate::nt::KIRQL;
use crate::nt::irql::DISPATCH_LEVEL;

/// Driver Verifier's parameter for a potential deadlock.
const POTENTIAL_DEADLOCK: u64 = 0x1001;
/// Locks held at once that are watched; a driver that holds more has other worries.
pub(super) const HELD_MAX: usize = 8;
/// Return addresses kept of a stack.
const FRAMES: usize = 6;

type Stack = [u64; FRAMES];
/// What a holder has; 0 is nothing.
type Held = [u64; HELD_MAX];

struct Order {
    graph: LockGraph<Stack>,
    /// The IRQL at which a spin lock is held, and where it was taken.
    levels: BTreeMap<u64, (KIRQL, Stack)>,
    /// What threads wait for, by thread.
    threads: BTreeMap<u64, Held>,
    /// Locks that are held with others, by how many times over. They have no order: one who holds keeps only those away who
    /// want to be alone.
    shared: BTreeMap<u64, usize>,
}

static ORDER: Uninterrupted<Order> = Uninterrupted::new(Order {
    graph: LockGraph::new(),
    levels: BTreeMap::new(),
    threads: BTreeMap::new(),
    shared: BTreeMap::new(),
});

/// Spin locks, by processor. Only that processor looks and writes, at `DISPATCH_LEVEL` or above: what interrupts it gives
/// back what it takes before it returns, so that nothing need keep it away.
static SPIN_LOCKS: [[AtomicU64; HELD_MAX]; PROCESSORS_MAX] =
    [const { [const { AtomicU64::new(0) }; HELD_MAX] }; PROCESSORS_MAX];

/// How many spin locks a processor holds: looked at first, since most of the time it is none.
static COUNT: [AtomicUsize; PROCESSORS_MAX] = [const { AtomicUsize::new(0) }; PROCESSORS_MAX];

/// How many threads hold a lock that others wait for: looked at first, as above.
static HOLDING_THREADS: AtomicUsize = AtomicUsize::new(0);

/// Spin locks with the IRQL at which they are held ([`seen_key`]), each at the place of its address: most locks are taken
/// where they always are, which is seen here without a look at [`Order::levels`].
static SEEN: [AtomicU64; SEEN_MAX] = [const { AtomicU64::new(0) }; SEEN_MAX];

/// Places in [`SEEN`]: a driver has tens of locks.
const SEEN_MAX: usize = 64;

/// Returns a lock's place in [`SEEN`].
fn seen(lock: u64) -> &'static AtomicU64 {
    &SEEN[(lock >> 3) as usize % SEEN_MAX]
}

/// Returns a number for a lock and a level. The topmost bits of an address are all alike: four of them need not be kept.
const fn seen_key(lock: u64, level: KIRQL) -> u64 {
    lock << 4 | level as u64
}

fn of_this_processor() -> &'static [AtomicU64; HELD_MAX] {
    &SPIN_LOCKS[cpu::number()]
}

fn is_nothing(held: &Held) -> bool {
    held.iter().fold(0, |all, lock| all | lock) == 0
}

/// What holds a lock: a thread or a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// This processor: a spin lock.
    Processor,
    /// A thread: a lock that others wait for.
    Thread(u64),
}

impl Holder {
    /// Returns the thread that runs.
    #[must_use]
    pub fn this_thread() -> Self {
        Self::Thread(thread::current() as u64)
    }
}

impl Order {
    fn held(&self, holder: Holder) -> Held {
        match holder {
            Holder::Processor => of_this_processor().each_ref().map(|lock| lock.load(Ordering::Relaxed)),
            Holder::Thread(thread) => self.threads.get(&thread).copied().unwrap_or_default(),
        }
    }

    /// Returns what is held alone, if `lock` was never taken before while all of it was. Nothing of a lock that the holder has
    /// already, for which it does not wait.
    fn unordered(&self, holder: Holder, lock: u64) -> Option<Held> {
        let held = self.held(holder);
        if is_nothing(&held) || held.contains(&lock) {
            return None;
        }
        let held = held.map(|held| if self.shared.contains_key(&held) { 0 } else { held });
        others(&held, lock).any(|other| !self.graph.knows(other, lock)).then_some(held)
    }
}

/// Returns what a holder has.
pub(super) fn held_by(holder: Holder) -> [u64; HELD_MAX] {
    let none = match holder {
        Holder::Processor => COUNT[cpu::number()].load(Ordering::Relaxed) == 0,
        Holder::Thread(_) => HOLDING_THREADS.load(Ordering::Relaxed) == 0,
    };
    if none {
        return Held::default();
    }
    ORDER.with(|order| order.held(holder))
}

fn others(held: &Held, lock: u64) -> impl Iterator<Item = u64> {
    held.iter().copied().filter(move |&other| other != 0 && other != lock)
}

fn stack_here() -> Stack {
    let mut stack = [0; FRAMES];
    let frames = stack::walk(Context::here());
    let of_driver = frames.iter().filter(|frame| modules::in_driver(frame.address));
    for (slot, frame) in stack.iter_mut().zip(of_driver) {
        *slot = frame.address;
    }
    stack
}

fn show(stack: &Stack) -> String {
    let places: Vec<String> = stack.iter().take_while(|&&at| at != 0).map(|&at| format!("{}", Place(at))).collect();
    if places.is_empty() { "the system".into() } else { places.join(" < ") }
}

fn show_chain(chain: &[Edge<Stack>]) -> String {
    let one = |edge: &Edge<Stack>| {
        format!("{:#x} was acquired while {:#x} was held, at {}", edge.taken, edge.held, show(&edge.place))
    };
    chain.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Checks a spin lock that is about to be taken; the IRQL is that at which it will be held.
pub(super) fn acquiring(function: &'static str, lock: u64) {
    if !watch::is_on() {
        return;
    }
    let level = cpu::irql();
    let is_seen = seen(lock).load(Ordering::Relaxed) == seen_key(lock, level);
    if is_seen && COUNT[cpu::number()].load(Ordering::Relaxed) == 0 {
        return;
    }
    let (known, unordered) = ORDER.with(|order| {
        let known = order.levels.get(&lock).copied();
        if known.is_some_and(|(at, _)| at == level) {
            seen(lock).store(seen_key(lock, level), Ordering::Relaxed);
        }
        (known, order.unordered(Holder::Processor, lock))
    });
    // Walking a stack takes long: only for what is new.
    let (at, first) = known.unwrap_or_else(|| {
        let stack = stack_here();
        ORDER.with(|order| *order.levels.entry(lock).or_insert((level, stack)))
    });
    if at != level && at.max(level) > DISPATCH_LEVEL {
        verifier::failed(
            checks::LOCK_LEVEL,
            verifier::DRIVER_VERIFIER_DETECTED_VIOLATION,
            function,
            [POTENTIAL_DEADLOCK, lock, level.into(), at.into()],
            format_args!(
                "the spin lock {lock:#x} is held at IRQL {level}; before, it was held at IRQL {at}, taken at {}. An \
                 interrupt at the higher level that comes while the lock is held at the lower waits for itself: share data \
                 with an interrupt service routine by KeSynchronizeExecution or the interrupt's own lock",
                show(&first)
            ),
        );
    }
    if let Some(held) = unordered {
        order(function, Holder::Processor, lock, &held);
    }
}

/// Checks the order of a lock that `holder` is about to wait for: every lock that it holds comes before.
pub fn ordered(function: &'static str, holder: Holder, lock: u64) {
    if !watch::is_on() {
        return;
    }
    if let Some(held) = ORDER.with(|order| order.unordered(holder, lock)) {
        order(function, holder, lock, &held);
    }
}

/// Notes that `lock` comes behind everything that is held.
fn order(function: &'static str, holder: Holder, lock: u64, held: &Held) {
    let stack = stack_here();
    let circle = ORDER.with(|order| {
        others(held, lock).find_map(|other| order.graph.add(other, lock, stack).err().map(|chain| (other, chain)))
    });
    if let Some((other, chain)) = circle {
        let meet = if holder == Holder::Processor { "processors" } else { "threads" };
        verifier::failed(
            checks::LOCK_ORDER,
            verifier::DRIVER_VERIFIER_DETECTED_VIOLATION,
            function,
            [POTENTIAL_DEADLOCK, lock, other, 0],
            format_args!(
                "the lock {lock:#x} is acquired while {other:#x} is held; before, {}. When two {meet} do both at once, each \
                 waits for the other for ever: take the locks in one order everywhere",
                show_chain(&chain)
            ),
        );
    }
}

/// Notes that a lock has been taken.
pub fn acquired(holder: Holder, lock: u64) {
    if !watch::is_on() {
        return;
    }
    match holder {
        Holder::Processor => {
            if let Some(slot) = of_this_processor().iter().find(|slot| slot.load(Ordering::Relaxed) == 0) {
                slot.store(lock, Ordering::Relaxed);
                COUNT[cpu::number()].fetch_add(1, Ordering::Relaxed);
            }
        }
        Holder::Thread(thread) => ORDER.with(|order| {
            if let Some(slot) = order.threads.entry(thread).or_default().iter_mut().find(|slot| **slot == 0) {
                *slot = lock;
            }
            HOLDING_THREADS.store(order.threads.len(), Ordering::Relaxed);
        }),
    }
}

/// Notes that a lock has been taken with others.
pub fn acquired_shared(holder: Holder, lock: u64) {
    if !watch::is_on() {
        return;
    }
    ORDER.with(|order| *order.shared.entry(lock).or_insert(0) += 1);
    acquired(holder, lock);
}

/// Notes that a lock is given back.
pub fn released(holder: Holder, lock: u64) {
    if !watch::is_on() {
        return;
    }
    let Holder::Thread(thread) = holder else {
        let held = of_this_processor();
        if let Some(slot) = held.iter().find(|slot| slot.load(Ordering::Relaxed) == lock) {
            slot.store(0, Ordering::Relaxed);
            COUNT[cpu::number()].fetch_sub(1, Ordering::Relaxed);
        }
        return;
    };
    ORDER.with(|order| {
        if let Some(count) = order.shared.get_mut(&lock) {
            *count -= 1;
            if *count == 0 {
                order.shared.remove(&lock);
            }
        }
        let held = order.threads.entry(thread).or_default();
        if let Some(slot) = held.iter_mut().rev().find(|slot| **slot == lock) {
            *slot = 0;
        }
        if is_nothing(held) {
            order.threads.remove(&thread);
        }
        HOLDING_THREADS.store(order.threads.len(), Ordering::Relaxed);
    });
}

/// Locks in a range are no more what they were.
pub fn forget(range: &Range<u64>) {
    ORDER.with(|order| {
        order.graph.forget(range);
        while let Some((&lock, _)) = order.levels.range(range.clone()).next() {
            order.levels.remove(&lock);
            seen(lock).store(0, Ordering::Relaxed);
        }
        order.shared.retain(|lock, _| !range.contains(lock));
    });
}

/// Returns a spin lock that this processor holds.
#[must_use]
pub fn held_here() -> Option<u64> {
    if COUNT[cpu::number()].load(Ordering::Relaxed) == 0 {
        return None;
    }
    of_this_processor().iter().map(|lock| lock.load(Ordering::Relaxed)).find(|&lock| lock != 0)
}
