//! Events on their way from the sequencer to a stream: singly and in chains.
//!
//! A chain handed to `PutMessage` shares one presentation time. Every other group of events with one time goes as a
//! chain and the rest singly, so that a miniport meets both.

#![allow(unsafe_code, reason = "events are linked by address")]

use crate::portcls::com::abi::KernelEvent;

/// Most events of one chain.
const CHAIN_MAX: usize = 16;

/// Events that are ready to be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// The first; the others hang on it.
    pub(crate) first: *mut KernelEvent,
    /// How many.
    pub(crate) count: usize,
}

/// Links events of one presentation time.
#[derive(Debug)]
pub(crate) struct Chain {
    first: *mut KernelEvent,
    last: *mut KernelEvent,
    count: usize,
    time: i64,
    singly: bool,
}

// SAFETY: the events are in the stream's allocator, out of the pool, and known to no stream until they are put.
unsafe impl Send for Chain {}

impl Chain {
    /// Makes an empty one.
    pub(crate) const fn new() -> Self {
        Self { first: core::ptr::null_mut(), last: core::ptr::null_mut(), count: 0, time: 0, singly: false }
    }

    /// Adds an event. Returns what must be put before it.
    pub(crate) fn add(&mut self, event: *mut KernelEvent, time: i64) -> Option<Batch> {
        let ready = if self.count > 0 && (time != self.time || self.singly || self.count == CHAIN_MAX) {
            if time != self.time {
                self.singly = !self.singly;
            }
            self.take()
        } else {
            None
        };
        if self.count == 0 {
            self.first = event;
        } else {
            // SAFETY: `last` is an event of this chain, which no stream knows.
            unsafe { (*self.last).next = event };
        }
        self.last = event;
        self.count += 1;
        self.time = time;
        ready
    }

    /// Returns what has arrived.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        let batch = Batch { first: self.first, count: self.count };
        self.count = 0;
        (batch.count > 0).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn events_of_one_time_go_as_a_chain_and_those_of_the_next_singly() {
        // SAFETY: all zero is a valid value of a plain C structure.
        let mut events: Vec<KernelEvent> = (0..7).map(|_| unsafe { core::mem::zeroed() }).collect();
        let addresses: Vec<*mut KernelEvent> = events.iter_mut().map(core::ptr::from_mut).collect();
        let mut chain = Chain::new();
        let mut batches: Vec<Batch> =
            addresses.iter().zip([5, 5, 5, 8, 8, 9, 9]).filter_map(|(&event, time)| chain.add(event, time)).collect();
        batches.extend(chain.take());
        let counts: Vec<usize> = batches.iter().map(|batch| batch.count).collect();
        assert_eq!(counts, [3, 1, 1, 2]);
        // SAFETY: the events of the first chain.
        unsafe {
            assert_eq!((*addresses[0]).next, addresses[1]);
            assert_eq!((*addresses[1]).next, addresses[2]);
            assert!((*addresses[2]).next.is_null());
        }
        assert_eq!(chain.take(), None);
    }
}
