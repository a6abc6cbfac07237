//! The options of a playback test.

use std::path::PathBuf;
use std::time::Duration;

use guest_protocol::Delivery;
use schemars::JsonSchema;
use serde::Deserialize;

use super::judge::Judge;
use super::live::LiveMidi;
use crate::event::Step;
use crate::machine::conditions::Conditions;
use crate::machine::{CardOptions, Part};
use crate::sound::midi::{CHANNEL_GROUP, Song};
use crate::testbed::stall::Stall;
use crate::testbed::violations::ViolationPolicy;
use crate::testbed::{MusicFormat, QUANTUM_DEFAULT, TIMEOUT_DEFAULT};

/// Silence after the song, in milliseconds, in which its last notes end.
pub const TAIL_MS_DEFAULT: u32 = 2000;

/// The lead of an event's delivery over its time in real time, in milliseconds: more than a busy host's scheduler
/// takes away at a time.
pub const LEAD_MS_DEFAULT: u32 = 500;

/// Leads by which the song begins later in real time, which begins when the streams run: its first events have as much
/// time to reach the card as all others, and as much again.
pub(super) const LEADS_BEFORE_SONG: u32 = 2;

/// The kill of a process, which tests that the right one is blamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// The process.
    pub kill: Part,
    /// The step at whose beginning it is killed.
    pub at: Step,
}

/// A song to play, and the options of playing it.
#[derive(Clone, Debug)]
pub struct PlaybackTest {
    /// The song.
    pub song: Song,
    /// The card's options.
    pub card: CardOptions,
    /// Frames a second; without, the pin's data ranges decide.
    pub sample_rate: Option<u32>,
    /// Brings the song in at the device's MIDI input instead of playing it: what comes out of the capture pin must be its
    /// messages, whatever the judge.
    pub capture: bool,
    /// Brings live MIDI in at the device's MIDI input in place of the song, which is captured. Under the realtime clock only.
    pub live: Option<LiveMidi>,
    /// What decides whether the song was played right; without, what fits the device.
    pub judge: Option<Judge>,
    /// Frames of a request to the wave stream.
    pub quantum_frames: u32,
    /// Silence after the song, in milliseconds.
    pub tail_ms: u32,
    /// In real time: how long before its time an event is delivered, in milliseconds.
    pub lead_ms: u32,
    /// The longest time for a step without progress.
    pub timeout: Duration,
    /// The level of the guest's log, `error` to `trace`.
    pub guest_log: String,
    /// A file that also takes the WAV, besides the run folder.
    pub out: Option<PathBuf>,
    /// The process to kill, and when.
    pub kill: Option<Kill>,
    /// The stalls while the song streams, in their order.
    pub stalls: Vec<Stall>,
    /// The delivery of events to the driver.
    pub stream: StreamOptions,
    /// The conditions that the guest runs under.
    pub conditions: Conditions,
    /// Which violations do not stop the guest.
    pub policy: ViolationPolicy,
    /// The number of restarts of the device, with other resources each time, before the song.
    pub restarts: u8,
}

/// The delivery of events to the driver. The PCM must not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// Their order and wrapping.
    pub delivery: Delivery,
    /// Longest piece of a message in one event, in bytes; 0 leaves it to the guest.
    pub piece_bytes: u16,
    /// The channel group that the song plays on, from 1.
    pub channel_group: u32,
    /// The only format in which a pin may take the song; without, DirectMusic where a pin carries it, else MIDI.
    pub music: Option<MusicFormat>,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self { delivery: Delivery::InOrder, piece_bytes: 0, channel_group: CHANNEL_GROUP, music: None }
    }
}

impl PlaybackTest {
    /// Creates a test of a song with the default options.
    #[must_use]
    pub fn of(song: Song) -> Self {
        Self {
            song,
            card: CardOptions::default(),
            sample_rate: None,
            capture: false,
            live: None,
            judge: None,
            quantum_frames: QUANTUM_DEFAULT,
            tail_ms: TAIL_MS_DEFAULT,
            lead_ms: LEAD_MS_DEFAULT,
            timeout: TIMEOUT_DEFAULT,
            guest_log: "info".into(),
            out: None,
            kill: None,
            stalls: Vec::new(),
            stream: StreamOptions::default(),
            conditions: Conditions::default(),
            policy: ViolationPolicy::default(),
            restarts: 0,
        }
    }
}
