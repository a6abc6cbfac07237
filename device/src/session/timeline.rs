//! Keeps the sample clock, its anchor to master time, and the events that wait for their frame.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use card_spec::limits::{BATCH_BYTES_MAX, PENDING_BYTES_MAX, PENDING_EVENTS_MAX};
use card_spec::{event_frame, frame_time};

/// Most events that one batch can hold: each has a header and at least one byte, padded.
const BATCH_EVENTS_MAX: usize =
    (BATCH_BYTES_MAX as usize - size_of::<card_spec::event::BatchHeader>()) / card_spec::event::record_bytes(1);

/// Master time `master_time` is frame `frame`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anchor {
    /// The time in 100 ns units.
    pub master_time: i64,
    /// The frame that begins then.
    pub frame: i64,
}

/// A MIDI message; the common short ones without an allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Up to three bytes.
    Short([u8; 3], u8),
    /// More.
    Long(Box<[u8]>),
}

impl Message {
    /// Returns a message of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut short = [0; 3];
        match short.get_mut(..bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                Self::Short(short, bytes.len() as u8)
            }
            None => Self::Long(bytes.into()),
        }
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes, length) => &bytes[..usize::from(*length)],
            Self::Long(bytes) => bytes,
        }
    }

    fn heap_bytes(&self) -> usize {
        if let Self::Long(bytes) = self { bytes.len() } else { 0 }
    }
}

/// The channel groups that an event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// All of them.
    Every,
    /// One, from 0.
    One(u16),
}

/// An event that waits for its frame.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Its frame.
    pub frame: i64,
    /// Its place in the order of arrival, which decides among events of one frame.
    arrival: u64,
    /// The render stream that it came on.
    pub stream: u32,
    /// The groups that it is for.
    pub group: Group,
    /// The MIDI message.
    pub message: Message,
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Pending {}
impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Pending {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.frame, self.arrival).cmp(&(other.frame, other.arrival))
    }
}

/// The sample clock, its anchor to master time, and the events ahead of it.
#[derive(Debug)]
pub struct Timeline {
    sample_rate: u32,
    anchor: Anchor,
    position: i64,
    pending: BinaryHeap<Reverse<Pending>>,
    /// Events whose frame came while their stream did not run.
    held: Vec<Pending>,
    arrivals: u64,
    heap_bytes: usize,
}

impl Timeline {
    /// Returns a timeline at frame 0, anchored to master time 0, without events.
    #[must_use]
    pub fn new(sample_rate: u32) -> Self {
        Self {
            sample_rate,
            anchor: Anchor::default(),
            position: 0,
            pending: BinaryHeap::new(),
            held: Vec::new(),
            arrivals: 0,
            heap_bytes: 0,
        }
    }

    /// Returns the sample rate in Hz.
    #[must_use]
    pub const fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Changes the rate. Events that wait keep their frames.
    pub const fn set_sample_rate(&mut self, sample_rate: u32) {
        self.sample_rate = sample_rate;
    }

    /// Returns the next frame to render.
    #[must_use]
    pub const fn position(&self) -> i64 {
        self.position
    }

    /// Sets the sample clock.
    pub const fn set_position(&mut self, frame: i64) {
        self.position = frame;
    }

    /// Advances the sample clock by frames that have been rendered.
    pub const fn advance(&mut self, frames: i64) {
        self.position = self.position.saturating_add(frames);
    }

    /// Replaces the anchor, for events that arrive from now on.
    pub const fn set_anchor(&mut self, anchor: Anchor) {
        self.anchor = anchor;
    }

    /// Returns the master time of a frame, by the anchor in force.
    #[must_use]
    pub const fn master_time(&self, frame: i64) -> i64 {
        frame_time(frame, self.anchor.master_time, self.anchor.frame, self.sample_rate)
    }

    /// Returns the frame of a master time, by the anchor in force.
    #[must_use]
    pub const fn frame_of(&self, time: i64) -> i64 {
        event_frame(time, self.anchor.master_time, self.anchor.frame, self.sample_rate)
    }

    /// Returns the number of events that wait.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len().saturating_add(self.held.len())
    }

    /// Returns whether one more batch is sure to fit.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.pending().saturating_add(BATCH_EVENTS_MAX) <= PENDING_EVENTS_MAX as usize
            && self.heap_bytes.saturating_add(BATCH_BYTES_MAX as usize) <= PENDING_BYTES_MAX
    }

    /// Takes an event stamped `time`. True when it is late: its frame has been rendered, and it plays at the next.
    pub fn schedule(&mut self, time: i64, stream: u32, group: Group, message: Message) -> bool {
        let due = self.frame_of(time);
        let late = due < self.position;
        self.heap_bytes = self.heap_bytes.saturating_add(message.heap_bytes());
        let arrival = self.arrivals;
        self.arrivals = self.arrivals.saturating_add(1);
        self.pending.push(Reverse(Pending { frame: due.max(self.position), arrival, stream, group, message }));
        late
    }

    /// Returns the frame of the next event, if there is one.
    #[must_use]
    pub fn next_frame(&self) -> Option<i64> {
        self.pending.peek().map(|Reverse(event)| event.frame)
    }

    /// Returns whether an event is due at the frame to be rendered.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.next_frame().is_some_and(|frame| frame <= self.position)
    }

    /// Returns the next event, if it is due at the frame to be rendered.
    pub fn take_due(&mut self) -> Option<Pending> {
        if !self.is_due() {
            return None;
        }
        let Reverse(event) = self.pending.pop()?;
        self.heap_bytes = self.heap_bytes.saturating_sub(event.message.heap_bytes());
        Some(event)
    }

    /// Keeps an event that is due, because its stream does not run.
    pub fn hold(&mut self, event: Pending) {
        self.heap_bytes = self.heap_bytes.saturating_add(event.message.heap_bytes());
        self.held.push(event);
    }

    /// Makes the held events of a stream due, in their old order, because the stream runs again.
    pub fn release(&mut self, stream: u32) {
        self.pending.extend(self.held.extract_if(.., |event| event.stream == stream).map(Reverse));
    }

    /// Drops the events that one stream has sent.
    pub fn discard(&mut self, stream: u32) {
        self.pending.retain(|Reverse(event)| event.stream != stream);
        self.held.retain(|event| event.stream != stream);
        let pending = self.pending.iter().map(|Reverse(event)| event);
        self.heap_bytes = pending.chain(&self.held).map(|event| event.message.heap_bytes()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(key: u8) -> Message {
        Message::new(&[0x90, key, 100])
    }

    fn drain(timeline: &mut Timeline) -> Vec<u8> {
        std::iter::from_fn(|| timeline.take_due()).map(|event| event.message.bytes()[1]).collect()
    }

    #[test]
    fn events_of_one_frame_play_in_order_of_arrival() {
        let mut timeline = Timeline::new(48_000);
        for key in [5, 3, 9, 1] {
            assert!(!timeline.schedule(0, 0, Group::Every, note(key)));
        }
        assert_eq!(drain(&mut timeline), [5, 3, 9, 1]);
    }

    #[test]
    fn an_event_waits_for_exactly_its_frame() {
        let mut timeline = Timeline::new(48_000);
        timeline.set_anchor(Anchor { master_time: 1_000_000, frame: 100 });
        timeline.schedule(1_000_000 + 209, 0, Group::Every, note(1));
        assert_eq!(timeline.next_frame(), Some(101));
        timeline.set_position(100);
        assert!(timeline.take_due().is_none());
        timeline.set_position(101);
        assert_eq!(drain(&mut timeline), [1]);
    }

    #[test]
    fn a_late_event_plays_at_the_next_frame_after_those_already_due_there() {
        let mut timeline = Timeline::new(48_000);
        timeline.set_position(1000);
        timeline.schedule(timeline.master_time(1000), 0, Group::Every, note(1));
        assert!(timeline.schedule(0, 0, Group::Every, note(2)));
        assert_eq!(drain(&mut timeline), [1, 2]);
    }

    #[test]
    fn a_new_anchor_does_not_move_waiting_events() {
        let mut timeline = Timeline::new(48_000);
        timeline.schedule(10_000_000, 0, Group::Every, note(1));
        timeline.set_anchor(Anchor { master_time: 0, frame: 7 });
        assert_eq!(timeline.next_frame(), Some(48_000));
    }

    #[test]
    fn held_events_are_due_in_their_old_order_when_their_stream_runs_again() {
        let mut timeline = Timeline::new(48_000);
        for key in [1, 2, 3] {
            timeline.schedule(i64::from(key) * 1000, 4, Group::Every, note(key));
        }
        timeline.set_position(1000);
        while let Some(event) = timeline.take_due() {
            timeline.hold(event);
        }
        assert_eq!(timeline.pending(), 3);
        timeline.release(5);
        assert!(timeline.take_due().is_none());
        timeline.release(4);
        assert_eq!(drain(&mut timeline), [1, 2, 3]);
    }

    #[test]
    fn refuses_events_beyond_the_bound_until_others_have_played() {
        let mut timeline = Timeline::new(48_000);
        while timeline.has_room() {
            timeline.schedule(i64::MAX, 7, Group::One(1), note(1));
        }
        assert!(timeline.pending() <= PENDING_EVENTS_MAX as usize);
        timeline.discard(7);
        assert!(timeline.has_room());
        while timeline.has_room() {
            timeline.schedule(i64::MAX, 7, Group::One(1), Message::new(&[0xF0; 4000]));
        }
        assert!(timeline.heap_bytes <= PENDING_BYTES_MAX);
    }
}
