//! Counts of what a guest has marked: how long its service routines, deferred procedure calls and `PutMessage` take.

use std::collections::BTreeMap;

use card_trace::{Act, GuestAct, Record};
use serde::Serialize;

/// Counts of a guest's marks.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GuestStats {
    /// Marks that are in the file.
    pub marks: u64,
    /// Marks that later ones have overwritten in the guest.
    pub overwritten: u64,
    /// How often the guest's ticks were paired with the host's.
    pub samples: u32,
    /// Most nanoseconds by which the time of a mark can be wrong against the card's records.
    pub error_ns: u64,
    /// Most bytes of pool that the driver held.
    pub pool_peak_bytes: u64,
    /// Changes of the IRQL.
    pub irql_changes: u64,
    /// Events that were handed to `PutMessage`.
    pub events_put: u64,
    /// Interrupts that no routine of the driver has claimed.
    pub not_claimed: u64,
    /// Calls of service routines, by processor.
    pub isr_by_processor: BTreeMap<u8, u64>,
    /// Times of the service routines, by routine.
    pub isr: BTreeMap<String, Times>,
    /// Times of deferred procedure calls, by routine.
    pub dpc: BTreeMap<String, Times>,
    /// Times of the calls of `PutMessage`.
    pub put_message: Times,
}

/// Times of a routine, in nanoseconds. What interrupts it counts as its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Times {
    /// How often it ran to its end.
    pub count: u64,
    /// Mean.
    pub mean_ns: f64,
    /// Longest.
    pub worst_ns: i64,
    #[serde(skip)]
    sum_ns: i64,
}

impl Times {
    fn add(&mut self, nanoseconds: i64) {
        self.count = self.count.saturating_add(1);
        self.sum_ns = self.sum_ns.saturating_add(nanoseconds);
        self.worst_ns = self.worst_ns.max(nanoseconds);
        self.mean_ns = self.sum_ns as f64 / self.count as f64;
    }
}

/// What runs on a processor.
#[derive(Default)]
struct Running {
    isr: Option<i64>,
    dpc: Option<i64>,
    put: Option<i64>,
}

/// Counts the marks among records; `None` where there are none.
pub(super) fn guest_stats(records: &[Record]) -> Option<GuestStats> {
    let mut stats: Option<GuestStats> = None;
    let mut processors = BTreeMap::<u8, Running>::new();
    for record in records {
        let Act::Guest(act) = record.act() else { continue };
        let stats = stats.get_or_insert_default();
        if let GuestAct::Marks(summary) = act {
            stats.samples = summary.samples;
            stats.error_ns = summary.error_ns;
            stats.overwritten = summary.overwritten;
            continue;
        }
        stats.marks = stats.marks.saturating_add(1);
        let running = processors.entry(act.processor().unwrap_or_default()).or_default();
        let now = record.time;
        let took = |since: i64| now.saturating_sub(since);
        match act {
            GuestAct::Marks(_) => {}
            GuestAct::Irql { .. } => stats.irql_changes += 1,
            GuestAct::PoolPeak { bytes, .. } => stats.pool_peak_bytes = stats.pool_peak_bytes.max(bytes),
            GuestAct::Isr { begins: true, processor, .. } => {
                *stats.isr_by_processor.entry(processor).or_default() += 1;
                running.isr = Some(now);
            }
            GuestAct::Isr { begins: false, level, routine, .. } => {
                stats.not_claimed += u64::from(level == 0);
                if let Some(since) = running.isr.take() {
                    stats.isr.entry(routine.to_string()).or_default().add(took(since));
                }
            }
            GuestAct::Dpc { begins: true, .. } => running.dpc = Some(now),
            GuestAct::Dpc { begins: false, routine, .. } => {
                if let Some(since) = running.dpc.take() {
                    stats.dpc.entry(routine.to_string()).or_default().add(took(since));
                }
            }
            GuestAct::PutMessage { .. } => {
                stats.events_put += 1;
                running.put = Some(now);
            }
            GuestAct::PutEnd { .. } => {
                if let Some(since) = running.put.take() {
                    stats.put_message.add(took(since));
                }
            }
        }
    }
    stats
}

#[cfg(test)]
mod tests {
    use card_trace::{MarksSummary, Routine};

    use super::*;

    fn record(time: i64, act: GuestAct) -> Record {
        let mut record = Record::of_guest(0, &act);
        record.time = time;
        record
    }

    #[test]
    fn times_are_of_each_routine_and_processor() {
        let routine = Routine { place: 0x10, in_driver: true };
        let isr =
            |processor, begins| GuestAct::Isr { processor, begins, vector: 0x91, level: u8::from(!begins), routine };
        let dpc = |processor, begins| GuestAct::Dpc { processor, begins, routine };
        let records = [
            record(
                0,
                GuestAct::Marks(MarksSummary { samples: 2, error_ns: 900, overwritten: 3, ..MarksSummary::default() }),
            ),
            record(10, isr(0, true)),
            record(11, isr(1, true)),
            record(15, isr(0, false)),
            record(31, isr(1, false)),
            record(40, dpc(0, false)),
            record(50, dpc(0, true)),
            record(55, GuestAct::PutMessage { processor: 0, first: 0x90, time: 1 }),
            record(55, GuestAct::PutMessage { processor: 0, first: 0x80, time: 1 }),
            record(58, GuestAct::PutEnd { processor: 0, events: 2, status: 0 }),
            record(70, dpc(0, false)),
            record(80, GuestAct::PoolPeak { processor: 0, bytes: 4096 }),
        ];
        let stats = guest_stats(&records).unwrap();
        assert_eq!((stats.marks, stats.samples, stats.error_ns, stats.overwritten), (11, 2, 900, 3));
        let isr = stats.isr["driver+0x10"];
        assert_eq!((isr.count, isr.mean_ns, isr.worst_ns), (2, 12.5, 20));
        // The end whose begin was overwritten has no time.
        let dpc = stats.dpc["driver+0x10"];
        assert_eq!((dpc.count, dpc.worst_ns), (1, 20));
        assert_eq!((stats.events_put, stats.put_message.count, stats.put_message.worst_ns), (2, 1, 3));
        assert_eq!(stats.isr_by_processor, BTreeMap::from([(0, 1), (1, 1)]));
        assert_eq!((stats.pool_peak_bytes, stats.not_claimed), (4096, 0));
        assert_eq!(guest_stats(&[]), None);
    }
}
