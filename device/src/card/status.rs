//! Reads the card's status for the control socket ([`card_control::status`]).

use card_control::answer::{Voice, Voices};
use card_control::status::{
    Counters, DiagnosisStatus, DriverErrorStatus, RunningStatistics, SessionStatus, Status, StreamStatus, TraceStatus,
};
use card_spec::control::Statistics;
use sha2::Digest;

use super::device::Card;
use crate::diagnosis::{Counter, Dated, Registers};
use crate::session::Session;
use crate::session::voices::first_frame;

/// Reads the status of a card as it is now.
#[must_use]
pub fn status(card: &Card) -> Status {
    let registers = card.registers();
    Status {
        clock: card.options().clock,
        card_time: registers.card_time(),
        session: card.session().map(session_status),
        counters: counters(registers),
        diagnosis: diagnosis(registers),
        faults: card.faults(),
        trace: registers.trace().written().map(|written| TraceStatus {
            records: written.records,
            lost: written.overwritten,
            bytes: written.bytes,
            ring_bytes: written.ring_bytes,
        }),
    }
}

/// Reads the voices of a card that sound.
#[must_use]
pub fn voices(card: &Card) -> Voices {
    let Some(session) = card.session() else { return Voices::default() };
    let position = session.timeline.position();
    let voices = session.synth.voices().map(|voice| Voice {
        lane: voice.lane,
        group: voice.group,
        channel: voice.channel,
        note: voice.note,
        velocity: voice.velocity,
        program: voice.patch.program,
        bank: (voice.patch.bank_msb, voice.patch.bank_lsb),
        drums: voice.patch.drums,
        held: voice.held,
        frame: first_frame(&voice, position),
    });
    Voices { position: Some(position), voices: voices.collect() }
}

fn session_status(session: &Session) -> SessionStatus {
    let parameters = session.parameters;
    SessionStatus {
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
        pcm_sha256: hex::encode(session.hash.clone().finalize()),
    }
}

/// Reads the counters of the identity block.
#[must_use]
pub fn counters(registers: &Registers) -> Counters {
    Counters {
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

fn diagnosis(registers: &Registers) -> DiagnosisStatus {
    let history = registers.history();
    DiagnosisStatus {
        count: history.count,
        first: history.first.map(driver_error),
        by_code: history.by_code.iter().map(|(code, count)| (code.to_string(), *count)).collect(),
        recent: history.recent.into_iter().map(driver_error).collect(),
    }
}

fn driver_error(Dated { error, card_time }: Dated) -> DriverErrorStatus {
    DriverErrorStatus {
        code: error.code.to_string(),
        queue: error.queue.map(|queue| queue.to_string()),
        descriptor: error.descriptor,
        expected: error.expected,
        got: error.got,
        card_time,
        text: error.to_string(),
    }
}

/// Reads a session's running statistics, as a driver would.
#[must_use]
pub fn running_statistics(session: &Session) -> RunningStatistics {
    let read: Statistics =
        session.statistics.read(session.parameters.sample_rate, session.synth.free_download_memory());
    RunningStatistics {
        voices: read.voices.get(),
        total_cpu: read.total_cpu.get(),
        cpu_per_voice: read.cpu_per_voice.get(),
        lost_notes: read.lost_notes.get(),
        free_memory: read.free_memory.get(),
        peak_volume: read.peak_volume.get(),
    }
}
