//! What a recording tells of the driver's wishes: for which returned chains it wanted an interrupt, and which kicks found a ring empty.

use std::collections::{BTreeSet, VecDeque};

use card_spec::diagnosis::Diagnosis;
use card_spec::queue::Queue;
use card_trace::{Act, Record};

use super::ring::Taken;

/// The window in which a recorded card counts kicks of an empty ring, in nanoseconds.
const STORM_WINDOW_NS: i64 = 1_000_000_000;

/// The wishes of a driver about one queue.
pub(super) struct Wishes {
    /// For each time that its ring started: the chains, counted from 0, for which it wanted an interrupt.
    pub(super) lives: VecDeque<BTreeSet<u64>>,
    /// For each interrupt, whether the driver takes it.
    pub(super) taken: Taken,
    /// The records of kicks that were a part of a storm.
    pub(super) storms: BTreeSet<u64>,
    /// The records of interrupts that a fault raised by itself.
    pub(super) late: BTreeSet<u64>,
}

impl Wishes {
    /// Returns those of a recording about a queue.
    pub(super) fn of(records: &[Record], queue: Queue) -> Self {
        let mut lives = VecDeque::new();
        let (mut returned, mut wanted) = (0_u64, BTreeSet::new());
        let (mut taken, mut storms, mut late) = (VecDeque::new(), BTreeSet::new(), BTreeSet::new());
        let mut started = false;
        for (index, record) in records.iter().enumerate() {
            match record.act() {
                Act::QueueStarted { queue: of, .. } if of == queue => {
                    if std::mem::replace(&mut started, true) {
                        lives.push_back(std::mem::take(&mut wanted));
                    }
                    returned = 0;
                }
                Act::ChainReturned { queue: of, .. } | Act::WaveReturned { queue: of, .. } if of == queue => {
                    if is_wanted(records, index, queue) {
                        wanted.insert(returned);
                    }
                    returned = returned.saturating_add(1);
                }
                Act::Interrupt { queue: of, raised } if of == queue => {
                    taken.push_back(raised);
                    if !follows_its_cause(records, index, queue) {
                        late.insert(record.number);
                    }
                }
                Act::DriverError { code, queue: Some(of), .. } if of == queue && code == Diagnosis::KICK_STORM.0 => {
                    let kicks = records.get(..index).unwrap_or_default().iter().rev();
                    let recent = kicks.take_while(|kick| record.time.saturating_sub(kick.time) <= STORM_WINDOW_NS);
                    storms.extend(recent.filter(|kick| is_kick(kick, queue)).map(|kick| kick.number));
                }
                _ => {}
            }
        }
        lives.push_back(wanted);
        Self { lives, taken: Taken::new(taken.into()), storms, late }
    }
}

fn is_kick(record: &Record, queue: Queue) -> bool {
    matches!(record.act(), Act::Kicked { queue: of, .. } if of == queue)
}

/// Returns whether a record is of something that happens beside the card's work, between any two records of it.
pub(super) fn is_aside(record: &Record) -> bool {
    matches!(
        record.act(),
        Act::Clock { .. }
            | Act::Mark { .. }
            | Act::IdentityRead { .. }
            | Act::RegisterRead { .. }
            | Act::RegisterWrite { .. }
            | Act::ConfigRead { .. }
            | Act::ConfigWrite { .. }
    )
}

/// Returns whether the driver wanted an interrupt for the chain that record `index` returns: it was raised at once, or a fault kept it.
fn is_wanted(records: &[Record], index: usize, queue: Queue) -> bool {
    let next = records.iter().skip(index).skip(1).find(|record| !is_aside(record));
    match next.map(Record::act) {
        Some(Act::Interrupt { queue: of, .. }) => of == queue,
        Some(Act::FaultStruck { text }) => is_kept(text),
        _ => false,
    }
}

/// Returns whether a fault that has struck keeps an interrupt.
fn is_kept(fault: &str) -> bool {
    fault.starts_with("lost-interrupt") || fault.starts_with("late-interrupt")
}

/// Returns whether the interrupt of record `index` was raised for the chain, or by the fault, in the record before it.
fn follows_its_cause(records: &[Record], index: usize, queue: Queue) -> bool {
    let before = records.get(..index).unwrap_or_default().iter().rev().find(|record| !is_aside(record));
    match before.map(Record::act) {
        Some(Act::ChainReturned { queue: of, .. } | Act::WaveReturned { queue: of, .. }) => of == queue,
        Some(Act::FaultStruck { text }) => text.starts_with("spurious-interrupt"),
        _ => false,
    }
}
