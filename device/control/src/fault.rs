//! The faults that the card injects on command, once each, so that a test sees how a driver recovers.
//!
//! A fault is armed by a command, becomes live at its [`Trigger`], and strikes at the next occasion: the next interrupt,
//! chain or request of its kind, or at once where it needs none. [`FaultStatus`] tells which are armed and which have
//! struck. Faults outlast sessions and resets of the device, because they are the card's and not the driver's.
//!
//! Surprise removal is not among them: the machine takes a device away, not the device itself.

use std::fmt;

use card_spec::control::{RequestCode, Status};
use serde::{Deserialize, Serialize};

/// How the used ring is corrupted for the next chain that is returned on it (virtio 1.2, section 2.7.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum UsedRingCorruption {
    /// The used element names a head descriptor beyond every ring.
    UsedId,
    /// The used element's length is more than the chain has room for.
    UsedLength,
    /// The used index runs ahead by more chains than the ring has.
    UsedIndex,
}

/// A request of the control queue, by the datasheet's name ([`RequestCode`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RequestName {
    /// [`RequestCode::OPEN`].
    Open,
    /// [`RequestCode::CLOSE`].
    Close,
    /// [`RequestCode::STATISTICS`].
    Statistics,
    /// [`RequestCode::STATUS_PAGE`].
    StatusPage,
    /// [`RequestCode::PARAMETERS`].
    Parameters,
    /// [`RequestCode::LATENCY`].
    Latency,
    /// [`RequestCode::ALL_SOUND_OFF`].
    AllSoundOff,
    /// [`RequestCode::STREAM_OPEN`].
    StreamOpen,
    /// [`RequestCode::STREAM_CLOSE`].
    StreamClose,
    /// [`RequestCode::STREAM_STATE`].
    StreamState,
    /// [`RequestCode::CLOCK_SYNC`].
    ClockSync,
    /// [`RequestCode::VOLUME`].
    Volume,
    /// [`RequestCode::VOICE_PRIORITY`].
    VoicePriority,
    /// [`RequestCode::DLS_DOWNLOAD`].
    DlsDownload,
    /// [`RequestCode::DLS_UNLOAD`].
    DlsUnload,
    /// [`RequestCode::DLS_COMPACT`].
    DlsCompact,
}

impl RequestName {
    /// Returns the code of the request.
    #[must_use]
    pub const fn code(self) -> RequestCode {
        match self {
            Self::Open => RequestCode::OPEN,
            Self::Close => RequestCode::CLOSE,
            Self::Statistics => RequestCode::STATISTICS,
            Self::StatusPage => RequestCode::STATUS_PAGE,
            Self::Parameters => RequestCode::PARAMETERS,
            Self::Latency => RequestCode::LATENCY,
            Self::AllSoundOff => RequestCode::ALL_SOUND_OFF,
            Self::StreamOpen => RequestCode::STREAM_OPEN,
            Self::StreamClose => RequestCode::STREAM_CLOSE,
            Self::StreamState => RequestCode::STREAM_STATE,
            Self::ClockSync => RequestCode::CLOCK_SYNC,
            Self::Volume => RequestCode::VOLUME,
            Self::VoicePriority => RequestCode::VOICE_PRIORITY,
            Self::DlsDownload => RequestCode::DLS_DOWNLOAD,
            Self::DlsUnload => RequestCode::DLS_UNLOAD,
            Self::DlsCompact => RequestCode::DLS_COMPACT,
        }
    }
}

/// The status that a failing request is answered with, by the datasheet's name ([`Status`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FailureStatus {
    /// [`Status::UNSUPPORTED`].
    Unsupported,
    /// [`Status::MALFORMED`].
    Malformed,
    /// [`Status::INVALID_PARAMETER`].
    InvalidParameter,
    /// [`Status::NO_SESSION`].
    NoSession,
    /// [`Status::INVALID_STATE`].
    InvalidState,
    /// [`Status::NO_RESOURCES`].
    NoResources,
    /// [`Status::NOT_FOUND`].
    NotFound,
    /// [`Status::ABI_MISMATCH`].
    AbiMismatch,
    /// [`Status::CARD_FAILED`].
    #[default]
    CardFailed,
}

impl FailureStatus {
    /// Returns the status of the answer.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Unsupported => Status::UNSUPPORTED,
            Self::Malformed => Status::MALFORMED,
            Self::InvalidParameter => Status::INVALID_PARAMETER,
            Self::NoSession => Status::NO_SESSION,
            Self::InvalidState => Status::INVALID_STATE,
            Self::NoResources => Status::NO_RESOURCES,
            Self::NotFound => Status::NOT_FOUND,
            Self::AbiMismatch => Status::ABI_MISMATCH,
            Self::CardFailed => Status::CARD_FAILED,
        }
    }
}

/// A fault of the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum InjectedFault {
    /// Drops the session, as when the card fails outside a request: streams stop, and a notice says so.
    LoseSession {},
    /// Corrupts the used ring with the next chain that is returned on a queue.
    CorruptUsedRing {
        /// How.
        corruption: UsedRingCorruption,
        /// The queue, by number.
        queue: u16,
    },
    /// Does not raise the next interrupt of a queue. The chain is in the used ring.
    LostInterrupt {
        /// The queue, by number.
        queue: u16,
    },
    /// Raises the next interrupt of a queue later than its chain is returned.
    LateInterrupt {
        /// The queue, by number.
        queue: u16,
        /// How much later, in milliseconds of the host's time: 1 to
        /// [`LATE_MILLISECONDS_MAX`](crate::limits::LATE_MILLISECONDS_MAX).
        milliseconds: u32,
    },
    /// Raises the interrupt of a queue on which no chain is returned.
    SpuriousInterrupt {
        /// The queue, by number.
        queue: u16,
    },
    /// Raises the interrupt of a queue many times, one every 200 µs (`limits::STORM_PERIOD`), without a chain.
    InterruptStorm {
        /// The queue, by number.
        queue: u16,
        /// How often: 1 to [`STORM_INTERRUPTS_MAX`](crate::limits::STORM_INTERRUPTS_MAX).
        interrupts: u32,
    },
    /// Writes only the first half of what the next chain of a queue gets; its length in the used ring says so.
    ShortDma {
        /// The queue, by number.
        queue: u16,
    },
    /// Writes nothing of what the next chain of a queue gets; its length in the used ring is 0.
    FailedDma {
        /// The queue, by number.
        queue: u16,
    },
    /// Writes what the next chain of a queue gets 8 bytes (`limits::MISPLACED_BYTES`) too far on in the driver's own buffer, never beyond its end; its length in the used ring is that of a chain that is right.
    MisplacedDma {
        /// The queue, by number.
        queue: u16,
    },
    /// Takes the next control request, and never returns it.
    StuckCommand {
        /// The next request of this name; any, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<RequestName>,
    },
    /// Answers the next control request with a failure, and does not carry it out.
    FailingCommand {
        /// The status of the answer.
        #[serde(default)]
        status: FailureStatus,
        /// The next request of this name; any, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<RequestName>,
    },
    /// Moves the sample clock between two frames.
    ClockJump {
        /// By how many frames, backwards if negative: at most
        /// [`CLOCK_JUMP_FRAMES_MAX`](crate::limits::CLOCK_JUMP_FRAMES_MAX) either way, not 0, and never to before frame 0.
        frames: i64,
    },
    /// Answers the next DLS download as if there were no memory left for it.
    RefusedDownload {},
    /// Sets `DEVICE_NEEDS_RESET` in the device status, interrupts for the configuration, and serves no queue until the
    /// driver has reset the device (virtio 1.2, section 2.1.2). Refused on transport vhost-user, whose protocol has no
    /// message by which a back-end sets it.
    NeedsReset {},
}

impl InjectedFault {
    /// The name of every kind of fault, as JSON has it.
    pub const KINDS: [&'static str; 14] = [
        "lose-session",
        "corrupt-used-ring",
        "lost-interrupt",
        "late-interrupt",
        "spurious-interrupt",
        "interrupt-storm",
        "short-dma",
        "failed-dma",
        "misplaced-dma",
        "stuck-command",
        "failing-command",
        "clock-jump",
        "refused-download",
        "needs-reset",
    ];

    /// Returns the name of the kind, as JSON has it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        let [
            session,
            used_ring,
            lost,
            late,
            spurious,
            storm,
            short,
            failed,
            misplaced,
            stuck,
            failing,
            jump,
            download,
            reset,
        ] = Self::KINDS;
        match self {
            Self::LoseSession {} => session,
            Self::CorruptUsedRing { .. } => used_ring,
            Self::LostInterrupt { .. } => lost,
            Self::LateInterrupt { .. } => late,
            Self::SpuriousInterrupt { .. } => spurious,
            Self::InterruptStorm { .. } => storm,
            Self::ShortDma { .. } => short,
            Self::FailedDma { .. } => failed,
            Self::MisplacedDma { .. } => misplaced,
            Self::StuckCommand { .. } => stuck,
            Self::FailingCommand { .. } => failing,
            Self::ClockJump { .. } => jump,
            Self::RefusedDownload {} => download,
            Self::NeedsReset {} => reset,
        }
    }

    /// Returns the number of the queue that it is for, if it is for one that is chosen.
    #[must_use]
    pub const fn queue(&self) -> Option<u16> {
        match self {
            Self::CorruptUsedRing { queue, .. }
            | Self::LostInterrupt { queue }
            | Self::LateInterrupt { queue, .. }
            | Self::SpuriousInterrupt { queue }
            | Self::InterruptStorm { queue, .. }
            | Self::ShortDma { queue }
            | Self::FailedDma { queue }
            | Self::MisplacedDma { queue } => Some(*queue),
            Self::LoseSession {}
            | Self::StuckCommand { .. }
            | Self::FailingCommand { .. }
            | Self::ClockJump { .. }
            | Self::RefusedDownload {}
            | Self::NeedsReset {} => None,
        }
    }

    /// Returns whether it strikes when it becomes live, without waiting for an interrupt, a chain or a request.
    #[must_use]
    pub const fn needs_no_occasion(&self) -> bool {
        matches!(
            self,
            Self::LoseSession {}
                | Self::SpuriousInterrupt { .. }
                | Self::InterruptStorm { .. }
                | Self::ClockJump { .. }
                | Self::NeedsReset {}
        )
    }
}

impl fmt::Display for InjectedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self.queue() {
            Some(queue) => write!(f, " on queue {queue}"),
            None => Ok(()),
        }
    }
}

/// When a fault becomes live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Trigger {
    /// With the Nth event that the card takes after the fault was armed, from 1: when the batch that holds it has been
    /// taken.
    Event(u64),
    /// Before this frame of the sample clock is rendered, whatever the block size.
    Frame(i64),
    /// Before the first frame is rendered whose master time, by the anchor in force, is this one or later; in 100 ns
    /// units. It waits for a `CLOCK_SYNC` with `START`.
    Time(i64),
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => write!(f, "event {event}"),
            Self::Frame(frame) => write!(f, "frame {frame}"),
            Self::Time(time) => write!(f, "time {time}"),
        }
    }
}

/// A fault that has not struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmedFault {
    /// The fault.
    pub fault: InjectedFault,
    /// When it becomes live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Trigger>,
    /// Whether it is live, and waits for its occasion.
    #[serde(default)]
    pub live: bool,
}

/// A fault that has struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StruckFault {
    /// The fault.
    pub fault: InjectedFault,
    /// Events that the session had taken by then.
    #[serde(default)]
    pub event: u64,
    /// The frame that was to be rendered next.
    #[serde(default)]
    pub frame: i64,
    /// When, in 100 ns units since the card's process started.
    #[serde(default)]
    pub card_time: u64,
}

/// The faults of a card, as `status` answers them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FaultStatus {
    /// Those that have not struck, in the order in which they were armed.
    pub armed: Vec<ArmedFault>,
    /// Those that have, the latest [`STRUCK_FAULTS_KEPT`](crate::limits::STRUCK_FAULTS_KEPT), oldest first.
    pub struck: Vec<StruckFault>,
    /// How many have struck since the card's process started.
    pub struck_count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_name_that_json_has() {
        let queue = 3;
        let faults = [
            InjectedFault::LoseSession {},
            InjectedFault::CorruptUsedRing { corruption: UsedRingCorruption::UsedId, queue },
            InjectedFault::LostInterrupt { queue },
            InjectedFault::LateInterrupt { queue, milliseconds: 20 },
            InjectedFault::SpuriousInterrupt { queue },
            InjectedFault::InterruptStorm { queue, interrupts: 1000 },
            InjectedFault::ShortDma { queue },
            InjectedFault::FailedDma { queue },
            InjectedFault::MisplacedDma { queue },
            InjectedFault::StuckCommand { request: None },
            InjectedFault::FailingCommand {
                status: FailureStatus::NoResources,
                request: Some(RequestName::StreamOpen),
            },
            InjectedFault::ClockJump { frames: -480 },
            InjectedFault::RefusedDownload {},
            InjectedFault::NeedsReset {},
        ];
        for (fault, kind) in faults.iter().zip(InjectedFault::KINDS) {
            let value = serde_json::to_value(fault).unwrap();
            assert_eq!((value["kind"].as_str(), fault.kind()), (Some(kind), kind));
            assert_eq!(value["queue"].as_u64(), fault.queue().map(u64::from));
            assert_eq!(serde_json::from_value::<InjectedFault>(value).unwrap(), *fault);
        }
        assert_eq!(faults.len(), InjectedFault::KINDS.len());
    }

    #[test]
    fn members_that_may_be_left_out_have_their_defaults_and_others_are_refused() {
        let read = |text: &str| serde_json::from_str::<InjectedFault>(text);
        assert_eq!(
            read(r#"{"kind":"failing-command"}"#).unwrap(),
            InjectedFault::FailingCommand { status: FailureStatus::CardFailed, request: None }
        );
        assert_eq!(
            read(r#"{"kind":"stuck-command","request":"dls-download"}"#).unwrap(),
            InjectedFault::StuckCommand { request: Some(RequestName::DlsDownload) }
        );
        for text in [
            r#"{"kind":"lost-interrupt"}"#,
            r#"{"kind":"needs-reset","queue":1}"#,
            r#"{"kind":"stuck-command","request":"dance"}"#,
            r#"{"kind":"surprise-removal"}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_trigger_is_an_object_with_one_member() {
        for (trigger, text) in [
            (Trigger::Event(7), r#"{"event":7}"#),
            (Trigger::Frame(4800), r#"{"frame":4800}"#),
            (Trigger::Time(-1), r#"{"time":-1}"#),
        ] {
            assert_eq!(serde_json::to_string(&trigger).unwrap(), text);
            assert_eq!(serde_json::from_str::<Trigger>(text).unwrap(), trigger);
        }
        for text in [r#"{"event":7,"frame":1}"#, r#"{"event":-1}"#, "7", r#"{"byte":1}"#] {
            assert!(serde_json::from_str::<Trigger>(text).is_err(), "{text}");
        }
    }
}
