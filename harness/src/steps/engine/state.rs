//! What there is while steps are carried out: the test bed, streams that are open, recordings, downloads.

use std::collections::BTreeMap;

use guest_protocol::{Bulk, Caller, Handle};

use super::side::Side;
use super::test::StepsTest;
use crate::machine::Received;
use crate::playback::PlaybackError;
use crate::sound::midi::Song;
use crate::sound::pcm::{Pcm, PcmFormat};
use crate::steps::document::{OpenStep, PinName};
use crate::steps::plan::PlannedStep;
use crate::testbed::{SongPins, StreamMemory, TestBed};

/// Carries out steps.
pub(super) struct Engine<'e, 'o> {
    pub(super) bed: &'e mut TestBed<'o>,
    pub(super) test: &'e StepsTest<'e>,
    pub(super) side: &'e Side<'e>,
    pub(super) streams: BTreeMap<String, Stream>,
    pub(super) downloads: BTreeMap<String, Downloaded>,
    /// The last playback of each stream, and the name of the one that played last.
    pub(super) recordings: BTreeMap<String, Recording>,
    pub(super) last: Option<String>,
    /// The MIDI bytes that card or device received since the last expectation of all of them, as far as they were taken.
    pub(super) received: Received,
    pub(super) captured_messages: u64,
    pub(super) loaded: bool,
    pub(super) started: bool,
    pub(super) removed: bool,
    pub(super) warnings: Vec<String>,
    /// The steps that did what they say, as far as a prompt may need them.
    pub(super) done: Vec<PlannedStep>,
    /// Status and value that the driver returned for the last property request.
    pub(super) answered: Option<(u32, Vec<u8>)>,
    /// Why the guest no longer answers, found while a prompt was open.
    pub(super) lost: Option<PlaybackError>,
    /// Whether the steps are those of the clean-up.
    pub(super) cleans_up: bool,
}

/// A stream that is open.
pub(super) struct Stream {
    /// How it was opened.
    pub(super) open: OpenStep,
    /// Its pins.
    pub(super) pins: StreamPins,
    /// Guest memory that a playback has left in use, because its pins run on.
    pub(super) memory: Option<StreamMemory>,
}

/// The pins of a stream.
#[derive(Clone, Copy)]
pub(super) enum StreamPins {
    /// Those of a song.
    Song(SongPins),
    /// A pin that captures.
    Capture { filter: Handle, pin: Handle },
    /// A pin that gives PCM.
    Wave { filter: Handle, pin: Handle, format: PcmFormat },
}

impl StreamPins {
    /// Returns the filter.
    pub(super) const fn filter(&self) -> Handle {
        match self {
            Self::Song(pins) => pins.filter,
            Self::Capture { filter, .. } | Self::Wave { filter, .. } => *filter,
        }
    }

    /// Returns the pins, or the one that is named.
    pub(super) fn pins(&self, named: Option<PinName>) -> Vec<Handle> {
        let (music, wave) = match self {
            Self::Song(pins) => (Some(pins.render), pins.wave.map(|(wave, _)| wave)),
            Self::Capture { pin, .. } => (Some(*pin), None),
            Self::Wave { pin, .. } => (None, Some(*pin)),
        };
        // The wave pin first: it owns the sample clock.
        match named {
            Some(PinName::Music) => music.into_iter().collect(),
            Some(PinName::Wave) => wave.into_iter().collect(),
            None => wave.into_iter().chain(music).collect(),
        }
    }
}

/// What came of a playback.
#[derive(Clone, Debug)]
pub(super) struct Recording {
    /// What was played, with the times that the pin's format carries.
    pub(super) song: Song,
    /// The PCM; nothing of a filter that gives none.
    pub(super) pcm: Option<Pcm>,
    /// The MIDI bytes that card or device received from the driver from it, as far as they were taken.
    pub(super) received: Received,
    /// Silence behind the song, in milliseconds.
    pub(super) tail_ms: u32,
    pub(super) events: u64,
    pub(super) card_ms: Option<u64>,
}

/// What was downloaded under a name: its parts, in the order in which they were.
pub(super) struct Downloaded {
    pub(super) pin: Handle,
    pub(super) node: u32,
    pub(super) caller: Caller,
    pub(super) handles: Vec<u64>,
    pub(super) memory: Vec<Bulk>,
}
