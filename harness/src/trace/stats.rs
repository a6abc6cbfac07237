//! Counts of a trace.

use std::collections::BTreeMap;

use card_trace::{Act, Record, queue_name};
use serde::Serialize;

use super::guest_stats::{GuestStats, guest_stats};
use super::read::Trace;

/// Counts of a trace.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stats {
    /// The program that recorded.
    pub program: String,
    /// Records that are in the file.
    pub records: u64,
    /// Records since the start.
    pub recorded: u64,
    /// Records that were overwritten.
    pub overwritten: u64,
    /// Slots of records that are not whole.
    pub gap_slots: u64,
    /// Nanoseconds from the first record to the last.
    pub span_ns: i64,
    /// Bytes of the ring that a record takes on average.
    pub bytes_per_record: f64,
    /// Records of each kind.
    pub kinds: BTreeMap<String, u64>,
    /// What each queue did.
    pub queues: BTreeMap<String, QueueStats>,
    /// What the guest has marked; `None` without marks.
    pub guest: Option<GuestStats>,
}

/// Counts of a queue.
#[derive(Clone, Debug, Default, Serialize)]
pub struct QueueStats {
    /// Notifications.
    pub kicks: u64,
    /// Chains that the card took.
    pub taken: u64,
    /// Chains that it returned.
    pub returned: u64,
    /// Interrupts.
    pub interrupts: u64,
    /// Median of the nanoseconds from taking a chain to returning it.
    pub held_ns_median: Option<i64>,
    /// Longest of them.
    pub held_ns_max: Option<i64>,
}

/// Counts the records of a trace.
#[must_use]
pub fn stats(trace: &Trace) -> Stats {
    let time = |record: Option<&Record>| record.map_or(0, |record| record.time);
    let header = &trace.header;
    let mut stats = Stats {
        program: header.program.clone(),
        records: trace.records.len() as u64,
        recorded: header.records(),
        overwritten: header.overwritten,
        gap_slots: trace.gap_slots,
        span_ns: time(trace.records.last()).saturating_sub(time(trace.records.first())),
        bytes_per_record: header.taken as f64 * card_trace::SLOT_BYTES as f64 / header.records().max(1) as f64,
        guest: guest_stats(&trace.records),
        ..Stats::default()
    };
    let mut taken: BTreeMap<(u16, u16), i64> = BTreeMap::new();
    let mut held: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for record in &trace.records {
        let kind = record.kind.name().map_or_else(|| format!("{:#04x}", record.kind.0), str::to_owned);
        *stats.kinds.entry(kind).or_default() += 1;
        let act = record.act();
        let Some(queue) = act.queue() else { continue };
        let name = queue_name(queue);
        let of = stats.queues.entry(name.clone()).or_default();
        match act {
            Act::Kicked { kicks, .. } => of.kicks += u64::from(kicks),
            Act::Interrupt { raised: true, .. } => of.interrupts += 1,
            Act::ChainTaken { head, .. } => {
                of.taken += 1;
                taken.insert((queue.0, head), record.time);
            }
            Act::ChainReturned { head, .. } | Act::WaveReturned { head, .. } => {
                of.returned += 1;
                if let Some(since) = taken.remove(&(queue.0, head)) {
                    held.entry(name).or_default().push(record.time.saturating_sub(since));
                }
            }
            _ => {}
        }
    }
    for (name, mut times) in held {
        times.sort_unstable();
        if let Some(of) = stats.queues.get_mut(&name) {
            (of.held_ns_median, of.held_ns_max) = (times.get(times.len() / 2).copied(), times.last().copied());
        }
    }
    stats
}
