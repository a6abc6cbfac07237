//! Carries out the requests that need a session.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use card_control::{Clock, InjectedFault};
use card_spec::control::{
    ClockSync, DownloadHandle, DownloadResponse, Latency, PortParameters, RequestCode, Status, StatusPageLoan as Loan,
    StreamId, StreamKind, StreamOpen, StreamState, StreamStateChange, VoicePriority, Volume, clock_sync,
};
use card_spec::diagnosis::Diagnosis;
use card_spec::limits::{DOWNLOAD_BYTES_MAX, DOWNLOADS_MAX, FRAME_MAX, SAMPLE_RATE_MAX, SAMPLE_RATE_MIN, STREAMS_MAX};
use card_spec::queue::Queue;
use card_spec::status_page::StatusPage;
use dls_synth::{Unload, VolumeItem};
use sha2::Digest;
use zerocopy::IntoBytes;

use super::outcome::{Answer, Outcome, Refusal, Request};
use crate::bus::SharedBus;
use crate::diagnosis::DriverError;
use crate::log_limited;
use crate::options::Options;
use crate::queues::wave::Wave;
use crate::session::clock::QUANTUM;
use crate::session::state::StatusPageLoan;
use crate::session::streams::Stream;
use crate::session::timeline::Anchor;
use crate::session::{Parameters, Session};

/// Volumes in 1/100 dB are clamped to this (`GUID_DMUS_PROP_Volume`).
const VOLUME_MIN: i32 = -20_000;
/// As for [`VOLUME_MIN`].
const VOLUME_MAX: i32 = 2_000;

/// Highest number of a stream.
const STREAM_ID_MAX: u32 = STREAMS_MAX as u32 - 1;

/// A page, as the status page must be aligned.
const PAGE: u64 = 4096;

/// Carries out the requests of a session.
pub(super) struct Requests<'a> {
    /// The session.
    pub(super) session: &'a mut Session,
    /// Memory and rings.
    pub(super) bus: &'a SharedBus,
    /// Returns wave buffers when their stream stops.
    pub(super) wave: &'a Wave,
    /// The card's fixed configuration.
    pub(super) options: Options,
}

impl Requests<'_> {
    /// Carries out one request.
    pub(super) fn carry_out(&mut self, code: RequestCode, request: &Request<'_>) -> Outcome {
        match code {
            RequestCode::STATISTICS => self.statistics(),
            RequestCode::STATUS_PAGE => self.lend_status_page(&request.read()?),
            RequestCode::PARAMETERS => self.parameters(&request.read()?),
            RequestCode::LATENCY => self.latency(),
            RequestCode::ALL_SOUND_OFF => {
                self.session.synth.synth().all_sound_off();
                Ok(Answer::DONE)
            }
            RequestCode::STREAM_OPEN => self.open_stream(&request.read()?),
            RequestCode::STREAM_CLOSE => self.close_stream(request.read::<StreamId>()?.stream.get()),
            RequestCode::STREAM_STATE => self.change_state(&request.read()?),
            RequestCode::CLOCK_SYNC => self.synchronise(&request.read()?),
            RequestCode::VOLUME => self.volume(&request.read()?),
            RequestCode::VOICE_PRIORITY => self.voice_priority(&request.read()?),
            RequestCode::DLS_DOWNLOAD => self.download(request),
            RequestCode::DLS_UNLOAD => self.unload(request.read::<DownloadHandle>()?.handle.get()),
            // Downloads are in the host's memory, which does not fragment.
            RequestCode::DLS_COMPACT => Ok(Answer::DONE),
            _ => {
                let error = request.chain.diagnose(Diagnosis::UNKNOWN_REQUEST).got(code.0);
                Err(Refusal::new(Status::UNSUPPORTED, error))
            }
        }
    }

    fn statistics(&mut self) -> Outcome {
        let session = &mut *self.session;
        let free = session.synth.free_download_memory();
        let statistics = session.statistics.read(session.parameters.sample_rate, free);
        Ok(Answer::with(Status::OK, &statistics))
    }

    fn lend_status_page(&mut self, loan: &Loan) -> Outcome {
        let address = loan.address.get();
        let session = &mut *self.session;
        if address == 0 {
            session.status_page = None;
            return Ok(Answer::DONE);
        }
        if !address.is_multiple_of(PAGE) {
            return Err(Refusal::parameter(0, PAGE as u32, address as u32));
        }
        if !self.bus.lock().is_writable(address, size_of::<StatusPage>()) {
            let error = DriverError::new(Diagnosis::BUFFER_OUTSIDE_MEMORY).got((address >> 12) as u32);
            return Err(Refusal::new(Status::INVALID_PARAMETER, error));
        }
        self.session.status_page = Some(StatusPageLoan { address, sequence: 0 });
        Ok(Answer::DONE)
    }

    fn parameters(&mut self, requested: &PortParameters) -> Outcome {
        let voices_max = self.options.voices;
        let session = &mut *self.session;
        let (parameters, granted) = session.parameters.adjusted(requested, voices_max);
        if parameters.sample_rate != session.parameters.sample_rate
            && let Some(state) = session.streams.wave_state()
        {
            let error = DriverError::new(Diagnosis::STREAM_STATE).got(state.0);
            return Err(Refusal::new(Status::INVALID_STATE, error));
        }
        put_in_force(session, parameters)?;
        let status = if granted { Status::OK } else { Status::ALTERED };
        Ok(Answer::with(status, &parameters.to_spec()))
    }

    fn latency(&self) -> Outcome {
        // In lockstep nothing moves between a batch and the buffer that follows it. In real time frames are rendered
        // when they fall due, so an event is on time if the card's thread sees it before: one quantum is ample.
        let minimum = match self.options.clock {
            Clock::Lockstep => 0,
            Clock::Realtime => i64::try_from(QUANTUM.as_nanos() / 100).unwrap_or(i64::MAX),
        };
        Ok(Answer::with(Status::OK, &Latency { minimum: minimum.into() }))
    }

    fn open_stream(&mut self, open: &StreamOpen) -> Outcome {
        let id = open.stream.get();
        let kind = StreamKind(open.kind.get());
        let session = &mut *self.session;
        if id as usize >= STREAMS_MAX {
            return Err(Refusal::parameter(0, STREAM_ID_MAX, id));
        }
        if session.streams.get(id).is_some() {
            return Err(Refusal::stream(Status::INVALID_STATE, id));
        }
        if kind.name().is_none() {
            return Err(Refusal::parameter(4, StreamKind::WAVE.0, kind.0));
        }
        let mut channels = 2;
        if kind == StreamKind::WAVE {
            if session.streams.first(StreamKind::WAVE).is_some() {
                return Err(Refusal::stream(Status::NO_RESOURCES, id));
            }
            let rate = open.sample_rate.get();
            if !(SAMPLE_RATE_MIN..=SAMPLE_RATE_MAX).contains(&rate) {
                let bound = if rate < SAMPLE_RATE_MIN { SAMPLE_RATE_MIN } else { SAMPLE_RATE_MAX };
                return Err(Refusal::parameter(8, bound, rate));
            }
            channels = open.channels.get();
            if !(1..=2).contains(&channels) {
                return Err(Refusal::parameter(12, 2, channels.into()));
            }
            if open.bits.get() != 16 {
                return Err(Refusal::parameter(14, 16, open.bits.get().into()));
            }
            let parameters = Parameters { sample_rate: rate, audio_channels: channels, ..session.parameters };
            put_in_force(session, parameters)?;
        }
        session.streams.insert(id, Stream::new(kind, channels));
        Ok(Answer::DONE)
    }

    fn close_stream(&mut self, id: u32) -> Outcome {
        let session = &mut *self.session;
        let kind = session.streams.get(id).ok_or_else(|| Refusal::stream(Status::NOT_FOUND, id))?.kind;
        self.set_state(id, StreamState::STOP);
        if kind == StreamKind::WAVE {
            self.wave.flush_buffers(Some(self.session));
        }
        self.session.streams.remove(id);
        Ok(Answer::DONE)
    }

    fn change_state(&mut self, change: &StreamStateChange) -> Outcome {
        let id = change.stream.get();
        let state = StreamState(change.state.get());
        if state.name().is_none() {
            return Err(Refusal::parameter(4, StreamState::RUN.0, state.0));
        }
        if self.session.streams.get(id).is_none() {
            return Err(Refusal::stream(Status::NOT_FOUND, id));
        }
        self.set_state(id, state);
        Ok(Answer::DONE)
    }

    fn set_state(&mut self, id: u32, state: StreamState) {
        let session = &mut *self.session;
        let Some(stream) = session.streams.get_mut(id) else { return };
        let before = std::mem::replace(&mut stream.state, state);
        match stream.kind {
            StreamKind::RENDER if state == StreamState::STOP => {
                session.discard(id);
            }
            StreamKind::RENDER if state == StreamState::RUN => session.timeline.release(id),
            StreamKind::CAPTURE if state == StreamState::STOP => session.capture.clear(),
            StreamKind::WAVE => self.set_wave_state(before, state),
            _ => {}
        }
    }

    fn set_wave_state(&mut self, before: StreamState, state: StreamState) {
        let session = &mut *self.session;
        if state == StreamState::STOP && before != StreamState::STOP {
            session.set_clock(0);
            session.timeline.set_anchor(Anchor::default());
            session.clock_started = false;
            session.synth.synth().restart_frames();
        }
        if before == StreamState::STOP && state != StreamState::STOP {
            session.hash.reset();
        }
        if state == StreamState::RUN && before != StreamState::RUN {
            session.statistics.restart(session.synth.notes_lost());
        }
        if before == StreamState::RUN && state != StreamState::RUN {
            self.wave.flush_buffers(Some(self.session));
        }
        self.session.run_clock(self.options.clock);
    }

    fn synchronise(&mut self, sync: &ClockSync) -> Outcome {
        let (id, flags, frame) = (sync.stream.get(), sync.flags.get(), sync.frame.get());
        let session = &mut *self.session;
        if session.streams.get(id).is_none_or(|stream| stream.kind != StreamKind::WAVE) {
            return Err(Refusal::stream(Status::NOT_FOUND, id));
        }
        if flags & !clock_sync::START != 0 {
            return Err(Refusal::parameter(4, clock_sync::START, flags));
        }
        let start = flags & clock_sync::START != 0;
        if start && !(0..=FRAME_MAX).contains(&frame) {
            let bound = frame.clamp(0, FRAME_MAX);
            return Err(Refusal::parameter(16, bound as u32, frame as u32));
        }
        session.timeline.set_anchor(Anchor { master_time: sync.master_time.get(), frame });
        if start {
            session.set_clock(frame);
            session.clock_started = true;
            self.session.run_clock(self.options.clock);
        }
        Ok(Answer::DONE)
    }

    fn volume(&mut self, volume: &Volume) -> Outcome {
        let item = match volume.item.get() {
            0 => VolumeItem::Volume,
            1 => VolumeItem::Boost,
            other => return Err(Refusal::parameter(0, 1, other)),
        };
        let requested = volume.hundredths_db.get();
        let given = requested.clamp(VOLUME_MIN, VOLUME_MAX);
        self.session.synth.set_volume(item, given);
        Ok(Answer { status: if given == requested { Status::OK } else { Status::ALTERED }, payload: Vec::new() })
    }

    fn voice_priority(&mut self, request: &VoicePriority) -> Outcome {
        let (group, channel, set) = (request.channel_group.get(), request.channel.get(), request.set.get());
        let session = &mut *self.session;
        let groups = u32::from(session.parameters.channel_groups);
        if group >= groups {
            return Err(Refusal::parameter(0, groups.saturating_sub(1), group));
        }
        if channel >= 16 {
            return Err(Refusal::parameter(4, 15, channel));
        }
        if set > 1 {
            return Err(Refusal::parameter(12, 1, set));
        }
        let (group, channel) = (group as u16, channel as u8);
        let synth = session.synth.synth();
        if set == 1 {
            let _ = synth.set_voice_priority(group, channel, request.priority.get());
        }
        let priority = synth.voice_priority(group, channel).unwrap_or(0);
        Ok(Answer::with(Status::OK, &VoicePriority { priority: priority.into(), ..*request }))
    }

    fn download(&mut self, request: &Request<'_>) -> Outcome {
        let buffer = request.payload;
        if buffer.len() > DOWNLOAD_BYTES_MAX as usize {
            let error = request.chain.diagnose(Diagnosis::LENGTH);
            return Err(Refusal::new(Status::MALFORMED, error.expected(DOWNLOAD_BYTES_MAX, buffer.len() as u32)));
        }
        let session = &mut *self.session;
        if session.synth.downloads() >= DOWNLOADS_MAX {
            return Err(Refusal::no_resources());
        }
        let response = |handle: u32, reason: u32, offset: u32| DownloadResponse {
            handle: handle.into(),
            reason: reason.into(),
            offset: offset.into(),
            reserved: 0.into(),
        };
        let refused = |fault: &InjectedFault| matches!(fault, InjectedFault::RefusedDownload {}).then_some(());
        if self.bus.lock().strike(refused).is_some() {
            let payload = response(0, dls_synth::DownloadErrorReason::Memory as u32, 0).as_bytes().to_vec();
            return Err(Refusal { status: Status::NO_RESOURCES, error: None, payload });
        }
        match session.synth.download(buffer) {
            Ok(handle) => Ok(Answer::with(Status::OK, &response(handle, 0, 0))),
            Err(error) => {
                let reason = error.reason as u32;
                let memory = error.reason == dls_synth::DownloadErrorReason::Memory;
                let found = DriverError::new(Diagnosis::DOWNLOAD).on(Queue::CONTROL).at(error.offset).got(reason);
                Err(Refusal {
                    status: if memory { Status::NO_RESOURCES } else { Status::MALFORMED },
                    error: (!memory).then_some(found),
                    payload: response(0, reason, error.offset).as_bytes().to_vec(),
                })
            }
        }
    }

    fn unload(&mut self, handle: u32) -> Outcome {
        match self.session.synth.unload(handle) {
            Ok(Unload::Done) => Ok(Answer::DONE),
            Ok(Unload::Pending) => Ok(Answer { status: Status::PENDING, payload: Vec::new() }),
            Err(_) => Err(Refusal::new(Status::NOT_FOUND, DriverError::new(Diagnosis::HANDLE).got(handle))),
        }
    }
}

/// Puts other parameters in force.
fn put_in_force(session: &mut Session, parameters: Parameters) -> Result<(), Refusal> {
    session.set_parameters(parameters).map_err(|error| {
        log_limited!(
            log::Level::Error,
            "the synthesizer refuses {parameters:?}: {error}; this is a defect of the card"
        );
        Refusal { status: Status::CARD_FAILED, error: None, payload: Vec::new() }
    })
}
