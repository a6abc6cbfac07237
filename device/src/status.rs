//! What the card says about itself on the control socket.

use std::collections::BTreeMap;

use card_spec::control::Statistics;
use serde::Serialize;
use sha2::Digest;

use crate::card::Card;
use crate::clock::Mode;
use crate::diagnosis::{Counter, Dated, Registers};
use crate::hexadecimal;
use crate::session::Session;

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// `realtime` or `lockstep`.
    pub clock: &'static str,
    /// Now, in 100 ns units since the process started.
    pub card_time: u64,
    /// The session, if the driver has opened one.
    pub session: Option<SessionStatus>,
    /// Since the session began.
    pub counters: Counters,
    /// Since the session began.
    pub diagnosis: DiagnosisStatus,
}

impl Status {
    /// Of a card as it is now.
    #[must_use]
    pub fn of(card: &Card) -> Self {
        let registers = &card.registers;
        Self {
            clock: match card.options.clock {
                Mode::Realtime => "realtime",
                Mode::Lockstep => "lockstep",
            },
            card_time: registers.card_time(),
            session: card.session().map(SessionStatus::of),
            counters: Counters::of(registers),
            diagnosis: DiagnosisStatus::of(registers),
        }
    }
}

/// A session.
#[derive(Clone, Debug, Serialize)]
pub struct SessionStatus {
    /// The driver's number for it.
    pub id: u64,
    /// Frames a second.
    pub sample_rate: u32,
    /// Voices in force.
    pub voices: u16,
    /// Channel groups in force.
    pub channel_groups: u16,
    /// Whether the reverb is heard.
    pub reverb: bool,
    /// Whether the chorus is heard.
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
    /// Batches wait in the ring for want of room.
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

impl SessionStatus {
    fn of(session: &Session) -> Self {
        let parameters = session.parameters;
        Self {
            id: session.id,
            sample_rate: parameters.sample_rate,
            voices: parameters.voices,
            channel_groups: parameters.channel_groups,
            reverb: parameters.reverb,
            chorus: parameters.chorus,
            streams: session
                .streams
                .iter()
                .map(|(id, stream)| StreamStatus { id, kind: stream.kind.to_string(), state: stream.state.to_string() })
                .collect(),
            position: session.timeline.position(),
            master_time: session.master_time(),
            clock_running: session.clock.is_running(),
            pending_events: session.timeline.pending(),
            back_pressure: session.backlog,
            fifo_frames: session.output.len(),
            active_voices: session.synth.active_voices(),
            downloads: session.synth.downloads(),
            free_download_memory: session.synth.free_download_memory(),
            pcm_sha256: hexadecimal::write(&session.hash.clone().finalize()),
        }
    }
}

/// A stream.
#[derive(Clone, Debug, Serialize)]
pub struct StreamStatus {
    /// Its number.
    pub id: u32,
    /// `RENDER`, `CAPTURE` or `WAVE`.
    pub kind: String,
    /// `STOP`, `ACQUIRE`, `PAUSE` or `RUN`.
    pub state: String,
}

/// The counters of the identity block.
#[derive(Clone, Copy, Debug, Serialize)]
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
    /// Overflows of the output FIFO.
    pub underruns: u64,
    /// Wave buffers filled.
    pub wave_buffers: u64,
}

impl Counters {
    /// As they are now.
    #[must_use]
    pub fn of(registers: &Registers) -> Self {
        Self {
            kicks: registers.get(Counter::Kicks),
            interrupts: registers.get(Counter::Interrupts),
            frames_rendered: registers.get(Counter::FramesRendered),
            events: registers.get(Counter::Events),
            events_late: registers.get(Counter::EventsLate),
            notes_lost: registers.get(Counter::NotesLost),
            underruns: registers.get(Counter::Underruns),
            wave_buffers: registers.get(Counter::WaveBuffers),
        }
    }
}

/// What was found wrong.
#[derive(Clone, Debug, Serialize)]
pub struct DiagnosisStatus {
    /// How many things.
    pub count: u64,
    /// The first.
    pub first: Option<FaultStatus>,
    /// How many of each code, by name.
    pub by_code: BTreeMap<String, u64>,
    /// The latest, oldest first.
    pub recent: Vec<FaultStatus>,
}

impl DiagnosisStatus {
    fn of(registers: &Registers) -> Self {
        let history = registers.history();
        Self {
            count: history.count,
            first: history.first.map(FaultStatus::of),
            by_code: history.by_code.iter().map(|(code, count)| (code.to_string(), *count)).collect(),
            recent: history.recent.into_iter().map(FaultStatus::of).collect(),
        }
    }
}

/// One thing found wrong.
#[derive(Clone, Debug, Serialize)]
pub struct FaultStatus {
    /// Its name in the datasheet.
    pub code: String,
    /// The queue's name, if it was on one.
    pub queue: Option<String>,
    /// The place, as the datasheet says for the code.
    pub descriptor: u32,
    /// What was expected.
    pub expected: u32,
    /// What was found.
    pub got: u32,
    /// When, in 100 ns units since the process started.
    pub card_time: u64,
    /// The sentence that the log has.
    pub text: String,
}

impl FaultStatus {
    fn of(Dated { fault, card_time }: Dated) -> Self {
        Self {
            code: fault.code.to_string(),
            queue: fault.queue.map(|queue| queue.to_string()),
            descriptor: fault.descriptor,
            expected: fault.expected,
            got: fault.got,
            card_time,
            text: fault.to_string(),
        }
    }
}

/// DirectMusic's running statistics.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RunningNumbers {
    /// Average voices.
    pub voices: u32,
    /// Percent of one core, times 100.
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

impl RunningNumbers {
    /// Of a session, as a driver would read them.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        let read: Statistics =
            session.statistics.read(session.parameters.sample_rate, session.synth.free_download_memory());
        Self {
            voices: read.voices.get(),
            total_cpu: read.total_cpu.get(),
            cpu_per_voice: read.cpu_per_voice.get(),
            lost_notes: read.lost_notes.get(),
            free_memory: read.free_memory.get(),
            peak_volume: read.peak_volume.get(),
        }
    }
}
