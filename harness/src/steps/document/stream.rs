//! Streams: open, state, format, play, send, capture.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::midi::{Bytes, InlineEvent};

/// The kind of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamKind {
    /// A render pin for music, and the pin of the same filter that gives its PCM, if there is one; DirectMusic where the driver has it.
    #[default]
    Song,
    /// The same, with a DirectMusic pin.
    DirectMusic,
    /// The same, with a pin of the legacy MIDI format.
    Midi,
    /// A pin out of which captured music comes.
    Capture,
    /// A pin that gives PCM, alone.
    Wave,
}

impl StreamKind {
    /// Returns whether music goes into a stream of this kind.
    #[must_use]
    pub const fn takes_music(self) -> bool {
        match self {
            Self::Song | Self::DirectMusic | Self::Midi => true,
            Self::Capture | Self::Wave => false,
        }
    }
}

/// A stream to open.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OpenStep {
    /// Its name in later steps.
    #[serde(rename = "as")]
    pub name: Option<String>,
    /// Its kind.
    pub kind: StreamKind,
    /// The subdevice (the name given to `PcRegisterSubdevice`); without, the first one that has what is needed.
    pub filter: Option<String>,
    /// Frames a second; without, the pin's data ranges decide.
    #[schemars(range(min = 4_000, max = 192_000))]
    pub sample_rate: Option<u32>,
    /// Channel groups that are requested.
    #[schemars(range(min = 1, max = 1_000))]
    pub channel_groups: Option<u32>,
    /// The state to bring it to.
    pub state: Option<StreamState>,
}

/// A state of a stream (`KSSTATE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamState {
    /// `KSSTATE_STOP`.
    Stop,
    /// `KSSTATE_ACQUIRE`.
    Acquire,
    /// `KSSTATE_PAUSE`.
    Pause,
    /// `KSSTATE_RUN`.
    Run,
}

/// A pin of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PinName {
    /// The pin that takes or gives music.
    Music,
    /// The pin that gives PCM.
    Wave,
}

/// A state to set.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateStep {
    /// The stream; the only one where it is absent.
    #[schemars(with = "Option<String>")]
    pub stream: Option<Spanned<String>>,
    /// The state, reached through all states between.
    pub to: StreamState,
    /// The pin; all of the stream where it is absent.
    pub pin: Option<PinName>,
}

/// A format to connect the pins of a stream in. They are closed and opened again: a pin has one format from its creation on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FormatStep {
    /// The stream; the only one where it is absent.
    #[schemars(with = "Option<String>")]
    pub stream: Option<Spanned<String>>,
    /// Frames a second.
    #[schemars(range(min = 4_000, max = 192_000))]
    pub sample_rate: u32,
}

/// The order in which events are handed to the driver. The PCM must not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryOrder {
    /// In order of time.
    #[default]
    InOrder,
    /// Later events first, within each group that is handed over at once.
    Reversed,
    /// Wrapped in packages, each with the events of one time.
    Packages,
}

/// Music to play.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlayStep {
    /// The stream; where it is absent the only one, or the only one that takes music. Without any stream one is opened for this step.
    #[schemars(with = "Option<String>")]
    pub stream: Option<Spanned<String>>,
    /// A song of the project, or a file beside the scenario; the scenario's song where there are no events either.
    #[schemars(with = "Option<String>")]
    pub song: Option<Spanned<String>>,
    /// Events, in the place of a song.
    pub events: Vec<InlineEvent>,
    /// The part of the song that begins here, in milliseconds of the song. What was set before is set at once.
    pub from_ms: Option<u64>,
    /// The part of the song that ends here, in milliseconds of the song; notes that still sound end here.
    #[schemars(with = "Option<u64>")]
    pub to_ms: Option<Spanned<u64>>,
    /// The speed in percent.
    #[schemars(with = "Option<u32>", range(min = 10, max = 1_000))]
    pub tempo_percent: Option<Spanned<u32>>,
    /// The channel group, from 1, of a song that has one.
    #[schemars(range(min = 1, max = 1_000))]
    pub group: Option<u32>,
    /// The order of delivery.
    pub delivery: DeliveryOrder,
    /// Longest piece of a message in one event, in bytes.
    pub piece_bytes: Option<u16>,
    /// Frames of a request to the wave stream; the scenario's where it is absent.
    #[schemars(range(min = 1, max = 65_536))]
    pub quantum: Option<u32>,
    /// Silence after the song, in milliseconds; the scenario's where it is absent.
    #[schemars(range(max = 600_000))]
    pub tail_ms: Option<u32>,
    /// Leave the pins in `RUN`.
    pub keep_running: bool,
}

/// Messages that come in at the device.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SendStep {
    /// Messages in hexadecimal, such as `"90 3c 64"`.
    pub messages: Vec<Bytes>,
    /// The messages of a song of the project, or of a file beside the scenario.
    #[schemars(with = "Option<String>")]
    pub song: Option<Spanned<String>>,
    /// The channel group, from 1.
    #[schemars(range(min = 1, max = 1_000))]
    pub group: Option<u16>,
}

/// What must have come out of a capture stream since the step before.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CaptureStep {
    /// The stream; where it is absent the only one, or the only one that captures.
    #[schemars(with = "Option<String>")]
    pub stream: Option<Spanned<String>>,
    /// Exactly these messages, in this order.
    pub messages: Option<Vec<Bytes>>,
    /// Exactly the messages of this song.
    #[schemars(with = "Option<String>")]
    pub song: Option<Spanned<String>>,
    /// How many events may have been dropped.
    pub discarded_max: u64,
}
