//! Keeps the streams of a session.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use card_spec::control::{StreamKind, StreamState};
use card_spec::limits::STREAMS_MAX;

/// A stream.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// The kind of its data.
    pub kind: StreamKind,
    /// Its state.
    pub state: StreamState,
    /// Wave only: 1 or 2.
    pub channels: u16,
    /// Events of it that were dropped and that no notice has counted yet.
    pub lost: u64,
}

impl Stream {
    /// Returns a stream as it is opened.
    #[must_use]
    pub const fn new(kind: StreamKind, channels: u16) -> Self {
        Self { kind, state: StreamState::STOP, channels, lost: 0 }
    }
}

/// All streams, by number.
#[derive(Clone, Debug, Default)]
pub struct Streams([Option<Stream>; STREAMS_MAX]);

impl Streams {
    /// Returns the stream of this number, if it is open.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<&Stream> {
        self.0.get(id as usize)?.as_ref()
    }

    /// Returns the same, to change it.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Stream> {
        self.0.get_mut(id as usize)?.as_mut()
    }

    /// Adds a stream under a number. False when the number is out of range.
    pub fn insert(&mut self, id: u32, stream: Stream) -> bool {
        self.0.get_mut(id as usize).map(|place| *place = Some(stream)).is_some()
    }

    /// Removes a stream.
    pub fn remove(&mut self, id: u32) {
        if let Some(place) = self.0.get_mut(id as usize) {
            *place = None;
        }
    }

    /// Returns those that are open, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Stream)> {
        (0..).zip(&self.0).filter_map(|(id, stream)| Some((id, stream.as_ref()?)))
    }

    /// Returns the same, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Stream)> {
        (0..).zip(&mut self.0).filter_map(|(id, stream)| Some((id, stream.as_mut()?)))
    }

    /// Returns the first stream of a kind: the wave stream, of which there is one at most, or a capture stream.
    #[must_use]
    pub fn first(&self, kind: StreamKind) -> Option<(u32, &Stream)> {
        self.iter().find(|(_, stream)| stream.kind == kind)
    }

    /// Returns the state of the wave stream; `None` when none is open.
    #[must_use]
    pub fn wave_state(&self) -> Option<StreamState> {
        self.first(StreamKind::WAVE).map(|(_, stream)| stream.state)
    }
}
