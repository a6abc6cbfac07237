//! The sequencer: holds events until the miniport wants them, and hands them on in order of time.
//!
//! A miniport says in `SchedulePreFetch` how long before its presentation time it wants an event; with
//! `DONT_HOLD_FOR_SEQUENCING` it gets each at once and orders them itself.

use alloc::collections::BinaryHeap;
use core::cmp::{Ordering, Reverse};

use crate::portcls::com::abi::DONT_HOLD_FOR_SEQUENCING;

/// Something with a time, and its place in the order of arrival.
#[derive(Debug)]
struct Held<T> {
    time: i64,
    arrival: u64,
    item: T,
}

impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl<T> Eq for Held<T> {}
impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Held<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.time, self.arrival).cmp(&(other.time, other.arrival))
    }
}

/// What to do with an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<T> {
    /// Hand it on now.
    Pass(T),
    /// It is held.
    Held,
}

/// Holds things of a presentation time.
#[derive(Debug)]
pub(crate) struct Sequencer<T> {
    prefetch: u64,
    held: BinaryHeap<Reverse<Held<T>>>,
    arrivals: u64,
}

impl<T> Sequencer<T> {
    /// Makes a sequencer for a miniport that wants its events `prefetch` (100 ns units) early. `room` is the most
    /// that it ever has to hold, so that holding never allocates.
    pub(crate) fn new(prefetch: u64, room: usize) -> Self {
        Self { prefetch, held: BinaryHeap::with_capacity(room), arrivals: 0 }
    }

    /// Returns whether events pass without being held.
    pub(crate) fn passes_at_once(&self) -> bool {
        self.prefetch == DONT_HOLD_FOR_SEQUENCING
    }

    /// Takes an item of a presentation time.
    pub(crate) fn put(&mut self, time: i64, item: T) -> Verdict<T> {
        if self.passes_at_once() {
            return Verdict::Pass(item);
        }
        self.held.push(Reverse(Held { time, arrival: self.arrivals, item }));
        self.arrivals += 1;
        Verdict::Held
    }

    /// Returns when the next item is due, if there is one.
    pub(crate) fn next_due(&self) -> Option<i64> {
        self.held.peek().map(|Reverse(held)| self.due(held.time))
    }

    /// Returns the next item that is due at `now`, with its presentation time. Items of one time come in order of
    /// arrival.
    pub(crate) fn take_due(&mut self, now: i64) -> Option<(i64, T)> {
        if self.next_due()? > now {
            return None;
        }
        self.held.pop().map(|Reverse(held)| (held.time, held.item))
    }

    /// Takes an item, due or not.
    pub(crate) fn take_any(&mut self) -> Option<T> {
        self.held.pop().map(|Reverse(held)| held.item)
    }

    fn due(&self, time: i64) -> i64 {
        time.saturating_sub(i64::try_from(self.prefetch).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_out_by_time_and_then_by_arrival() {
        let mut sequencer = Sequencer::new(0, 8);
        for (time, item) in [(20, 'c'), (10, 'a'), (20, 'd'), (10, 'b')] {
            assert_eq!(sequencer.put(time, item), Verdict::Held);
        }
        let order: std::string::String = core::iter::from_fn(|| sequencer.take_due(20)).map(|(_, item)| item).collect();
        assert_eq!(order, "abcd");
    }

    #[test]
    fn an_item_is_due_its_prefetch_early_and_not_before() {
        let mut sequencer = Sequencer::new(30, 8);
        sequencer.put(100, ());
        assert_eq!(sequencer.next_due(), Some(70));
        assert_eq!(sequencer.take_due(69), None);
        assert_eq!(sequencer.take_due(70), Some((100, ())));
    }

    #[test]
    fn holds_no_events_for_a_miniport_that_orders_them_itself() {
        let mut sequencer = Sequencer::new(DONT_HOLD_FOR_SEQUENCING, 8);
        assert_eq!(sequencer.put(i64::MAX, 'x'), Verdict::Pass('x'));
    }

    #[test]
    fn a_very_large_prefetch_delivers_at_once() {
        let mut sequencer = Sequencer::new(u64::MAX >> 1, 8);
        sequencer.put(5_000_000_000, ());
        assert!(sequencer.take_due(0).is_some());
    }
}
