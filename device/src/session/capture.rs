//! Captured events that wait for the driver: fed by the control socket, taken by the midi-in queue.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::collections::VecDeque;

use card_control::limits::CAPTURED_MESSAGE_BYTES_MAX;
use card_spec::event::{BatchHeader, EventHeader, RECORD_ALIGNMENT, record_bytes};
use card_spec::limits::{BATCH_BYTES_MAX, CAPTURED_EVENTS_MAX};
use zerocopy::IntoBytes;

/// Why a message was not captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// No capture stream is open and running.
    #[error("no capture stream is open and running")]
    NotRunning,
    /// The data is not one MIDI message, or the channel group does not exist.
    #[error("the data is not one MIDI message, or the channel group is not between 1 and the number of groups")]
    Malformed,
    /// The driver posts no buffers, and no more messages are kept.
    #[error("the driver posts no midi-in buffers, and no more events fit: the event is lost")]
    Full,
}

/// One captured message.
#[derive(Clone, Debug)]
struct Captured {
    time: i64,
    group: u16,
    data: Vec<u8>,
}

/// Captured events that no buffer has taken.
#[derive(Debug, Default)]
pub struct Capture {
    waiting: VecDeque<Captured>,
    sequence: u32,
}

impl Capture {
    /// Captures a message at master time `time` for a group numbered from 1. False when there is no room: it is lost.
    pub fn push(&mut self, time: i64, group: u16, data: &[u8]) -> bool {
        if self.waiting.len() >= CAPTURED_EVENTS_MAX || data.is_empty() || data.len() > CAPTURED_MESSAGE_BYTES_MAX {
            return false;
        }
        self.waiting.push_back(Captured { time, group, data: data.to_vec() });
        true
    }

    /// Returns whether no event waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns the length in bytes of the smallest batch with an event in it; 0 when none waits.
    #[must_use]
    pub fn least_bytes(&self) -> usize {
        self.waiting.front().map_or(0, |event| size_of::<BatchHeader>().saturating_add(record_bytes(event.data.len())))
    }

    /// Returns as many events as fit `room` bytes, as a batch.
    pub fn batch(&mut self, stream: u32, room: usize) -> Vec<u8> {
        let room = room.min(BATCH_BYTES_MAX as usize);
        let mut bytes = vec![0; size_of::<BatchHeader>()];
        let mut count = 0_u32;
        while let Some(event) = self.waiting.front() {
            if bytes.len().saturating_add(record_bytes(event.data.len())) > room {
                break;
            }
            let header = EventHeader {
                time: event.time.into(),
                channel_group: event.group.into(),
                flags: 0.into(),
                length: (event.data.len() as u16).into(),
                reserved: 0.into(),
            };
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(&event.data);
            bytes.resize(bytes.len().next_multiple_of(RECORD_ALIGNMENT), 0);
            count = count.saturating_add(1);
            self.waiting.pop_front();
        }
        let header = BatchHeader {
            stream: stream.into(),
            count: count.into(),
            length: (bytes.len() as u32).into(),
            sequence: self.sequence.into(),
        };
        bytes[..size_of::<BatchHeader>()].copy_from_slice(header.as_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        bytes
    }

    /// Drops all events.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromBytes;

    #[test]
    fn a_batch_takes_what_fits_and_leaves_the_rest() {
        let mut capture = Capture::default();
        for key in 0..10 {
            assert!(capture.push(i64::from(key), 1, &[0x90, key, 1]));
        }
        let batch = capture.batch(3, 16 + 4 * 24 + 8);
        let (header, _) = BatchHeader::read_from_prefix(&batch).unwrap();
        assert_eq!((header.stream.get(), header.count.get(), header.length.get()), (3, 4, batch.len() as u32));
        assert_eq!(capture.waiting.len(), 6);
    }

    #[test]
    fn drops_the_newest_events_beyond_the_bound() {
        let mut capture = Capture::default();
        let kept = (0..CAPTURED_EVENTS_MAX + 5).filter(|_| capture.push(0, 1, &[0xF8])).count();
        assert_eq!(kept, CAPTURED_EVENTS_MAX);
        assert!(!capture.push(0, 1, &[0; 5000]));
    }
}
