//! Values that steps save, wait for and expect.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bounds, both inclusive and both optional.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// The least value.
    pub min: Option<u64>,
    /// The greatest value.
    pub max: Option<u64>,
}

impl Bounds {
    /// Returns what is wrong with a value, where it is out of the bounds.
    #[must_use]
    pub fn violation(self, what: &str, value: i128) -> Option<String> {
        match self {
            Self { min: Some(min), .. } if value < i128::from(min) => {
                Some(format!("{what} is {value}, expected at least {min}"))
            }
            Self { max: Some(max), .. } if value > i128::from(max) => {
                Some(format!("{what} is {value}, expected at most {max}"))
            }
            _ => None,
        }
    }
}

/// A value of card, guest or the last playback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ValueName {
    /// Milliseconds of card time: the frames that the card has rendered since the first step, by their rate.
    #[serde(rename = "card.time_ms")]
    CardTimeMs,
    /// The number that the driver gave its session; 0 without one.
    #[serde(rename = "card.session")]
    CardSession,
    /// Streams that are open on the card.
    #[serde(rename = "card.streams")]
    CardStreams,
    /// Kicks that the card has received in this session.
    #[serde(rename = "card.kicks")]
    CardKicks,
    /// Interrupts that the card has raised in this session.
    #[serde(rename = "card.interrupts")]
    CardInterrupts,
    /// Frames that the card has rendered in this session.
    #[serde(rename = "card.frames_rendered")]
    CardFramesRendered,
    /// Events that the card has taken in this session.
    #[serde(rename = "card.events")]
    CardEvents,
    /// Events that reached the card after their frame.
    #[serde(rename = "card.events_late")]
    CardEventsLate,
    /// Notes for which the card had no voice.
    #[serde(rename = "card.notes_lost")]
    CardNotesLost,
    /// Times that the card had no wave buffer and lost frames.
    #[serde(rename = "card.underruns")]
    CardUnderruns,
    /// Wave buffers that the card has filled.
    #[serde(rename = "card.wave_buffers")]
    CardWaveBuffers,
    /// Errors of the driver that the card has found in this session.
    #[serde(rename = "card.diagnoses")]
    CardDiagnoses,
    /// Voices that sound.
    #[serde(rename = "card.active_voices")]
    CardActiveVoices,
    /// Downloads that the card holds.
    #[serde(rename = "card.downloads")]
    CardDownloads,
    /// Faults that are armed and have not struck.
    #[serde(rename = "card.faults_armed")]
    CardFaultsArmed,
    /// Faults that have struck since the card's process began.
    #[serde(rename = "card.faults_struck")]
    CardFaultsStruck,
    /// Interrupts that the device has raised since the guest booted.
    #[serde(rename = "guest.interrupts")]
    GuestInterrupts,
    /// Of those, interrupts that the driver did not claim.
    #[serde(rename = "guest.interrupts_not_claimed")]
    GuestInterruptsNotClaimed,
    /// Deferred procedure calls since the guest booted.
    #[serde(rename = "guest.dpcs")]
    GuestDpcs,
    /// Calls of `IPortDMus::Notify`.
    #[serde(rename = "guest.notifications")]
    GuestNotifications,
    /// Events given to render streams.
    #[serde(rename = "guest.events_put")]
    GuestEventsPut,
    /// Events returned to their allocator.
    #[serde(rename = "guest.events_returned")]
    GuestEventsReturned,
    /// Pool allocations that are outstanding.
    #[serde(rename = "guest.pool_allocations")]
    GuestPoolAllocations,
    /// Bytes of pool that are outstanding.
    #[serde(rename = "guest.pool_bytes")]
    GuestPoolBytes,
    /// Violations and notes that did not stop the guest.
    #[serde(rename = "guest.findings")]
    GuestFindings,
    /// Frames of the last playback.
    #[serde(rename = "play.frames")]
    PlayFrames,
    /// Events of the last playback.
    #[serde(rename = "play.events")]
    PlayEvents,
    /// Largest magnitude of a sample of the last playback, 0 to 32768.
    #[serde(rename = "play.peak")]
    PlayPeak,
    /// Milliseconds of card time of the last playback.
    #[serde(rename = "play.card_ms")]
    PlayCardMs,
    /// Messages that the last `capture` took.
    #[serde(rename = "capture.messages")]
    CaptureMessages,
}

impl ValueName {
    /// Returns whether only the guest knows it.
    #[must_use]
    pub const fn is_of_guest(self) -> bool {
        matches!(
            self,
            Self::GuestInterrupts
                | Self::GuestInterruptsNotClaimed
                | Self::GuestDpcs
                | Self::GuestNotifications
                | Self::GuestEventsPut
                | Self::GuestEventsReturned
                | Self::GuestPoolAllocations
                | Self::GuestPoolBytes
                | Self::GuestFindings
        )
    }

    /// Returns whether the project's card knows it.
    #[must_use]
    pub fn is_of_card(self) -> bool {
        self < Self::GuestInterrupts
    }

    /// Returns the name that files use.
    #[must_use]
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|value| Some(value.as_str()?.to_owned())).unwrap_or_default()
    }
}
