//! The events that the card has taken from the driver, kept for a client of the control socket to compare with what was played.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::collections::VecDeque;

use card_control::answer::{TakenEvent, TakenEvents};
use card_control::limits::{EVENT_BYTES_KEPT_MAX, EVENTS_AN_ANSWER_MAX, EVENTS_KEPT_MAX};

/// What is kept of an event beside its bytes.
#[derive(Clone, Copy, Debug)]
struct Record {
    time: i64,
    stream: u32,
    group: u16,
    bytes: u16,
}

/// The events that no client has taken, in the order in which the card took them: the youngest, where they are too many.
#[derive(Debug, Default)]
pub(crate) struct EventLog {
    records: VecDeque<Record>,
    /// The bytes of all records, one after another: no event costs an allocation of its own.
    bytes: VecDeque<u8>,
    lost: u64,
}

impl EventLog {
    /// Keeps an event.
    pub(crate) fn push(&mut self, time: i64, stream: u32, group: u16, data: &[u8]) {
        // A record's length has 16 bits on the wire.
        let bytes = data.len() as u16;
        while self.records.len() >= EVENTS_KEPT_MAX
            || self.bytes.len().saturating_add(data.len()) > EVENT_BYTES_KEPT_MAX
        {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes.drain(..usize::from(oldest.bytes));
            self.lost = self.lost.saturating_add(oldest.bytes.into());
        }
        self.records.push_back(Record { time, stream, group, bytes });
        self.bytes.extend(data);
    }

    /// Takes the oldest events, as many as an answer holds.
    pub(crate) fn take(&mut self) -> TakenEvents {
        let count = self.records.len().min(EVENTS_AN_ANSWER_MAX);
        let events = self.records.drain(..count).map(|record| {
            let data: Vec<u8> = self.bytes.drain(..usize::from(record.bytes)).collect();
            TakenEvent { time: record.time, stream: record.stream, group: record.group, data: hex::encode(data) }
        });
        TakenEvents { events: events.collect(), lost: std::mem::take(&mut self.lost), more: !self.records.is_empty() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_every_event_once_and_in_order() {
        let mut log = EventLog::default();
        log.push(5, 1, 2, &[0x90, 60, 100]);
        log.push(7, 3, 0, &[0xF0, 0xF7]);
        let taken = log.take();
        let event = |time, stream, group, data: &str| TakenEvent { time, stream, group, data: data.into() };
        assert_eq!(taken.events, [event(5, 1, 2, "903c64"), event(7, 3, 0, "f0f7")]);
        assert_eq!((taken.lost, taken.more), (0, false));
        assert_eq!(log.take(), TakenEvents::default());
    }

    #[test]
    fn answers_in_parts() {
        let mut log = EventLog::default();
        for time in 0..=EVENTS_AN_ANSWER_MAX as i64 {
            log.push(time, 1, 1, &[0xF8]);
        }
        let (first, second) = (log.take(), log.take());
        assert_eq!((first.events.len(), first.more), (EVENTS_AN_ANSWER_MAX, true));
        assert_eq!((second.events.len(), second.more), (1, false));
        assert_eq!(second.events[0].time, EVENTS_AN_ANSWER_MAX as i64);
    }

    #[test]
    fn drops_the_oldest_and_counts_their_bytes() {
        let mut log = EventLog::default();
        for time in 0..EVENTS_KEPT_MAX as i64 + 2 {
            log.push(time, 1, 1, &[0xC0, 1]);
        }
        let taken = log.take();
        assert_eq!((taken.lost, taken.events[0].time), (4, 2));
        let mut log = EventLog::default();
        let long = vec![0; usize::from(u16::MAX)];
        for time in 0..=(EVENT_BYTES_KEPT_MAX / long.len()) as i64 {
            log.push(time, 1, 1, &long);
        }
        let taken = log.take();
        assert_eq!((taken.lost, taken.events[0].time), (u64::from(u16::MAX), 1));
        assert!(log.bytes.is_empty());
    }
}
