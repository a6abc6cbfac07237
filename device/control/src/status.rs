//! What the card says about itself on the control socket.
//!
//! A client passes over members that it does not know, and takes those that it misses for their defaults.

use std::collections::BTreeMap;

use card_spec::identity::ClockMode;
use serde::{Deserialize, Serialize};

use crate::fault::FaultStatus;

/// What moves the card's time, as `--clock` names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Frames follow the host's monotonic clock.
    Realtime,
    /// Frames move only when a wave buffer is filled, or when the control socket says so.
    #[default]
    Lockstep,
}

impl Clock {
    /// Returns the name that command line and JSON use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Realtime => "realtime",
            Self::Lockstep => "lockstep",
        }
    }
}

impl From<Clock> for ClockMode {
    fn from(clock: Clock) -> Self {
        match clock {
            Clock::Realtime => Self::REALTIME,
            Clock::Lockstep => Self::LOCKSTEP,
        }
    }
}

/// The state of the card, as `status` answers it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// What moves time.
    pub clock: Clock,
    /// Now, in 100 ns units since the process started.
    pub card_time: u64,
    /// The session, if the driver has opened one.
    pub session: Option<SessionStatus>,
    /// Counted since the session began.
    pub counters: Counters,
    /// What was found wrong with the driver since the session began.
    pub diagnosis: DiagnosisStatus,
    /// The injected faults since the process started.
    pub faults: FaultStatus,
    /// The trace, if the card records one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceStatus>,
}

/// The trace that the card records (`--trace`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceStatus {
    /// Records written since the process started.
    pub records: u64,
    /// Records among them that are lost: later ones have overwritten them.
    pub lost: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Bytes of the ring.
    pub ring_bytes: u64,
}

/// The numbers that `stats` answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Statistics {
    /// Counted since the session began.
    pub counters: Counters,
    /// The session's running statistics, if there is a session.
    pub statistics: Option<RunningStatistics>,
}

/// A session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionStatus {
    /// The driver's number for it.
    pub id: u64,
    /// Sample rate in Hz.
    pub sample_rate: u32,
    /// Voices in force.
    pub voices: u16,
    /// Channel groups in force.
    pub channel_groups: u16,
    /// Whether the reverb is on.
    pub reverb: bool,
    /// Whether the chorus is on.
    pub chorus: bool,
    /// The open streams.
    pub streams: Vec<StreamStatus>,
    /// The next frame to render.
    pub position: i64,
    /// Its master time, in 100 ns units.
    pub master_time: i64,
    /// Whether the real-time clock runs.
    pub clock_running: bool,
    /// Events that wait for their frame.
    pub pending_events: usize,
    /// Whether batches wait in the ring because the card holds as many events as it may.
    pub back_pressure: bool,
    /// Frames rendered that no buffer has taken.
    pub fifo_frames: usize,
    /// Voices that sound.
    pub active_voices: u32,
    /// Downloads held.
    pub downloads: usize,
    /// Bytes free for more.
    pub free_download_memory: u32,
    /// SHA-256 of all frames rendered since the sample clock was last set (`OPEN`, the wave stream leaving `STOP`,
    /// `CLOCK_SYNC` with `START`): 16-bit, little-endian, interleaved stereo.
    pub pcm_sha256: String,
}

/// A stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamStatus {
    /// Its number.
    pub id: u32,
    /// `RENDER`, `CAPTURE` or `WAVE`.
    pub kind: String,
    /// `STOP`, `ACQUIRE`, `PAUSE` or `RUN`.
    pub state: String,
}

/// The counters of the identity block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Kicks received.
    pub kicks: u64,
    /// Interrupts raised.
    pub interrupts: u64,
    /// Frames rendered.
    pub frames_rendered: u64,
    /// Events taken.
    pub events: u64,
    /// Events that came after their frame.
    pub events_late: u64,
    /// Notes that found no voice.
    pub notes_lost: u64,
    /// Overflows of the output FIFO: frames were lost because no wave buffer was posted.
    pub underruns: u64,
    /// Wave buffers filled.
    pub wave_buffers: u64,
}

/// What was found wrong with the driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiagnosisStatus {
    /// How many errors.
    pub count: u64,
    /// The first.
    pub first: Option<DriverErrorStatus>,
    /// How many of each code, by name.
    pub by_code: BTreeMap<String, u64>,
    /// The latest, oldest first.
    pub recent: Vec<DriverErrorStatus>,
}

/// One error of the driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DriverErrorStatus {
    /// Its name in the datasheet ([`Diagnosis`](card_spec::diagnosis::Diagnosis)).
    pub code: String,
    /// The queue's name, if it was on one.
    pub queue: Option<String>,
    /// The place, as the datasheet defines it for the code.
    pub descriptor: u32,
    /// What was expected.
    pub expected: u32,
    /// What was found.
    pub got: u32,
    /// When, in 100 ns units since the process started.
    pub card_time: u64,
    /// The sentence in the log.
    pub text: String,
}

/// DirectMusic's running statistics (`SYNTH_STATS`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunningStatistics {
    /// Average number of voices.
    pub voices: u32,
    /// Processor time, in percent of one core times 100.
    pub total_cpu: u32,
    /// The same for each voice.
    pub cpu_per_voice: u32,
    /// Notes lost in the last second.
    pub lost_notes: u32,
    /// Free download memory in bytes.
    pub free_memory: u32,
    /// Peak in 1/100 dB below full scale.
    pub peak_volume: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_with_members_added_or_left_out_is_read() {
        let text = r#"{"ok":true,"counters":{"kicks":7},"diagnosis":{"count":1},"new":[]}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!((status.counters.kicks, status.diagnosis.count, status.session), (7, 1, None));
    }
}
