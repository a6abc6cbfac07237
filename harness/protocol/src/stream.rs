//! Streams: data formats, states, and playback of events into PCM.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::handle::Handle;
use crate::memory::Bulk;

/// The data format of a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamFormat {
    /// `KSDATAFORMAT_TYPE_MUSIC`, `KSDATAFORMAT_SUBTYPE_DIRECTMUSIC`.
    DirectMusic,
    /// `KSDATAFORMAT_TYPE_MUSIC`, `KSDATAFORMAT_SUBTYPE_MIDI`.
    Midi,
    /// `KSDATAFORMAT_TYPE_AUDIO`, PCM, `WAVEFORMATEX`.
    Pcm {
        /// Sample rate in Hz.
        sample_rate: u32,
        /// Number of channels.
        channels: u16,
        /// Bits per sample.
        bits: u16,
    },
}

/// `KSSTATE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KsState {
    /// `KSSTATE_STOP`.
    Stop,
    /// `KSSTATE_ACQUIRE`.
    Acquire,
    /// `KSSTATE_PAUSE`.
    Pause,
    /// `KSSTATE_RUN`.
    Run,
}

/// What [`Request::Play`](crate::Request::Play) plays, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Play {
    /// The DirectMusic render pin.
    pub render: Handle,
    /// The wave pin.
    pub wave: Handle,
    /// DirectMusic buffer records (`DMUS_EVENTHEADER` and data, padded to 8 bytes), ascending in time; `rtDelta` counts
    /// from the moment when both pins run.
    pub events: Bulk,
    /// Number of records in `events`.
    pub event_count: u32,
    /// The range that receives the PCM.
    pub pcm: Bulk,
    /// Frames to render.
    pub frames: u64,
    /// Frames that are requested from the wave stream at a time.
    pub quantum_frames: u32,
    /// Speed of playback.
    pub pace: Pace,
    /// Order and wrapping of the events.
    pub delivery: Delivery,
}

/// What [`Request::PlayMidi`](crate::Request::PlayMidi) plays, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlayMidi {
    /// The render pin.
    pub render: Handle,
    /// Records as in [`Play::events`].
    pub events: Bulk,
    /// Number of records in `events`.
    pub event_count: u32,
    /// The time until the end, in 100 ns units from the moment when the pin runs.
    pub duration: u64,
    /// Speed of playback. In lockstep, events are delivered as fast as the driver takes them.
    pub pace: Pace,
    /// Order and wrapping of the events.
    pub delivery: Delivery,
}

/// How fast [`Play`] proceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pace {
    /// As fast as card and driver allow: the wave stream is read whenever the events before the next quantum's end have
    /// been delivered.
    Lockstep,
    /// By the master clock: events are delivered ahead of their time, the wave stream is read as frames fall due.
    Realtime {
        /// How long before its time an event is delivered, in milliseconds.
        lead_ms: u32,
    },
}

/// Order and wrapping in which [`Play`] hands events to the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// In order of time.
    #[default]
    InOrder,
    /// Within each group that is handed over at once, later events first; events of one time keep their order.
    Reversed,
    /// Wrapped in packages, each with the events of one time.
    Packages,
}

/// An event that a capture stream delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturedEvent {
    /// Master time, in 100 ns units.
    pub time: i64,
    /// `usChannelGroup`.
    pub channel_group: u16,
    /// `usFlags`.
    pub flags: u16,
    /// The event's bytes.
    pub data: Vec<u8>,
}
