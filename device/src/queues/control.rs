//! Control: requests and their answers ([`card_spec::control`]).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use card_control::Clock;
use card_spec::control::{
    ClockSync, DownloadHandle, DownloadResponse, Latency, Open, OpenResponse, PortParameters, RequestCode,
    RequestHeader, ResponseHeader, Statistics, Status, StatusPageLoan as Loan, StreamId, StreamKind, StreamOpen,
    StreamState, StreamStateChange, VoicePriority, Volume, clock_sync,
};
use card_spec::diagnosis::Diagnosis;
use card_spec::limits::{
    DOWNLOAD_BYTES_MAX, DOWNLOADS_MAX, FRAME_MAX, QUEUE_SIZE_MAX, REQUEST_BYTES_MAX, SAMPLE_RATE_MAX, SAMPLE_RATE_MIN,
    STREAMS_MAX,
};
use card_spec::queue::Queue;
use card_spec::status_page::StatusPage;
use card_spec::{ABI_MAJOR, ABI_MINOR};
use dls_synth::{Unload, VolumeItem};
use sha2::Digest;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::bus::Chain;
use crate::card::Card;
use crate::clock::QUANTUM;
use crate::diagnosis::DriverError;
use crate::log_limited;
use crate::session::{Parameters, Session, StatusPageLoan};
use crate::slice::Slice;
use crate::stream::Stream;
use crate::timeline::Anchor;

const HEADER_BYTES: usize = size_of::<ResponseHeader>();

/// Volumes in 1/100 dB are clamped to this (`GUID_DMUS_PROP_Volume`).
const VOLUME_MIN: i32 = -20_000;
/// Likewise.
const VOLUME_MAX: i32 = 2_000;

/// Highest number of a stream.
const STREAM_ID_MAX: u32 = STREAMS_MAX as u32 - 1;

/// A page, as the status page must be aligned.
const PAGE: u64 = 4096;

/// What a request that was carried out is answered.
struct Answer {
    status: Status,
    payload: Vec<u8>,
}

impl Answer {
    const DONE: Self = Self { status: Status::OK, payload: Vec::new() };

    fn with(status: Status, payload: &(impl IntoBytes + Immutable)) -> Self {
        Self { status, payload: payload.as_bytes().to_vec() }
    }
}

/// Why a request was not carried out.
struct Refusal {
    status: Status,
    error: Option<DriverError>,
    payload: Vec<u8>,
}

impl Refusal {
    fn new(status: Status, error: DriverError) -> Self {
        Self { status, error: Some(error.on(Queue::CONTROL)), payload: Vec::new() }
    }

    fn parameter(offset: usize, bound: u32, got: u32) -> Self {
        let error = DriverError::new(Diagnosis::PARAMETER).at(offset as u32).expected(bound, got);
        Self::new(Status::INVALID_PARAMETER, error)
    }

    /// A limit is reached: nobody's mistake.
    const fn no_resources() -> Self {
        Self { status: Status::NO_RESOURCES, error: None, payload: Vec::new() }
    }

    fn stream(status: Status, stream: u32) -> Self {
        Self::new(status, DriverError::new(Diagnosis::STREAM).got(stream))
    }
}

type Outcome = Result<Answer, Refusal>;

impl Card {
    /// Answers the requests that are there: no more than a ring holds, and none after `slice` is over. True when there was
    /// one.
    pub(crate) fn serve_control(&mut self, slice: &Slice) -> bool {
        let mut any = false;
        for _ in 0..QUEUE_SIZE_MAX {
            // In lockstep, requests take effect between wave buffers, as long as time passes within one.
            if (any && slice.is_over()) || self.is_filling() {
                break;
            }
            let Some(chain) = self.bus.lock().take(Queue::CONTROL, REQUEST_BYTES_MAX) else { break };
            any = true;
            // Batches that were available when the request was kicked come first.
            self.serve_midi_out();
            // Not under the lock: what a request costs is for its driver to wait for, and not for the transport.
            self.answer(chain);
        }
        any
    }

    fn answer(&mut self, chain: Chain) {
        let room = usize::try_from(chain.writable_bytes()).unwrap_or(usize::MAX);
        if room < HEADER_BYTES {
            if chain.error().is_none() {
                let error = chain.diagnose(Diagnosis::WRITABLE_TOO_SHORT);
                self.registers.report(error.expected(HEADER_BYTES as u32, room as u32));
            }
            self.bus.lock().complete(chain, &[]);
            return;
        }
        let tag = RequestHeader::read_from_prefix(chain.request()).map_or(0, |(header, _)| header.tag.get());
        let outcome = catch_unwind(AssertUnwindSafe(|| self.carry_out(&chain, room)));
        let (status, payload) = match outcome {
            Ok(Ok(answer)) => (answer.status, answer.payload),
            Ok(Err(refusal)) => {
                if let Some(error) = refusal.error {
                    self.registers.report(error);
                }
                (refusal.status, refusal.payload)
            }
            Err(_) => {
                log_limited!(
                    log::Level::Error,
                    "the card failed at a request and drops the session; this is a defect of the card"
                );
                self.reset();
                (Status::CARD_FAILED, Vec::new())
            }
        };
        let header = ResponseHeader { status: status.0.into(), length: (payload.len() as u32).into(), tag: tag.into() };
        self.bus.lock().complete(chain, &[header.as_bytes(), &payload]);
    }

    fn carry_out(&mut self, chain: &Chain, room: usize) -> Outcome {
        if chain.error().is_some() {
            // It has been reported.
            return Err(Refusal { status: Status::MALFORMED, error: None, payload: Vec::new() });
        }
        let malformed = |error: DriverError| Refusal::new(Status::MALFORMED, error);
        let bytes = chain.request();
        let (header, payload) = RequestHeader::read_from_prefix(bytes).map_err(|_| {
            let error = chain.diagnose(Diagnosis::READABLE_TOO_SHORT);
            malformed(error.expected(size_of::<RequestHeader>() as u32, bytes.len() as u32))
        })?;
        let payload = payload.get(..header.length.get() as usize).ok_or_else(|| {
            malformed(chain.diagnose(Diagnosis::LENGTH).expected(payload.len() as u32, header.length.get()))
        })?;
        let code = RequestCode(header.code.get());
        let needed = HEADER_BYTES.saturating_add(response_bytes(code));
        if room < needed {
            let error = chain.diagnose(Diagnosis::WRITABLE_TOO_SHORT);
            return Err(malformed(error.expected(needed as u32, room as u32)));
        }
        log::trace!("request {code}, {} bytes of payload", payload.len());
        let request = Request { chain, payload };
        match code {
            RequestCode::OPEN => self.open(&request.read()?),
            _ if code.name().is_none() => {
                let error = chain.diagnose(Diagnosis::UNKNOWN_REQUEST).got(code.0);
                Err(Refusal::new(Status::UNSUPPORTED, error))
            }
            _ if self.session.is_none() => Err(Refusal::new(Status::NO_SESSION, chain.diagnose(Diagnosis::NO_SESSION))),
            RequestCode::CLOSE => {
                self.flush_wave_buffers();
                log_limited!(log::Level::Info, "the driver closed its session");
                self.session = None;
                Ok(Answer::DONE)
            }
            _ => self.carry_out_in_session(code, &request),
        }
    }

    fn open(&mut self, open: &Open) -> Outcome {
        let major = open.abi_major.get();
        if major != ABI_MAJOR {
            let error = DriverError::new(Diagnosis::ABI_MISMATCH).expected(ABI_MAJOR.into(), major.into());
            return Err(Refusal::new(Status::ABI_MISMATCH, error));
        }
        self.flush_wave_buffers();
        self.reset();
        self.registers.clear();
        let sizes = {
            let bus = self.bus.lock();
            bus.report_standing();
            Queue::ALL.map(|queue| bus.ring_size(queue))
        };
        for ((queue, declared), working) in Queue::ALL.into_iter().zip(open.queue_sizes).zip(sizes) {
            let declared = declared.get();
            if working != declared {
                let error = DriverError::new(Diagnosis::QUEUE_SIZE_DECLARED).on(Queue::CONTROL).at(queue.0.into());
                self.registers.report(error.expected(working.into(), declared.into()));
            }
        }
        let id = open.session.get();
        let minor = open.abi_minor.get();
        log_limited!(
            log::Level::Info,
            "session {id:#x} opened by a driver of ABI {major}.{minor} (the card's is {ABI_MAJOR}.{ABI_MINOR})"
        );
        let parameters = Parameters::defaults(self.options.voices);
        let session = Session::new(id, parameters, Arc::clone(&self.bank)).map_err(|error| {
            log_limited!(log::Level::Error, "no synthesizer with the default settings: {error}");
            Refusal { status: Status::CARD_FAILED, error: None, payload: Vec::new() }
        })?;
        self.session = Some(session);
        let response = OpenResponse { session: id.into(), parameters: parameters.to_spec(), reserved: 0.into() };
        Ok(Answer::with(Status::OK, &response))
    }

    fn carry_out_in_session(&mut self, code: RequestCode, request: &Request<'_>) -> Outcome {
        match code {
            RequestCode::STATISTICS => self.statistics(),
            RequestCode::STATUS_PAGE => self.lend_status_page(&request.read()?),
            RequestCode::PARAMETERS => self.parameters(&request.read()?),
            RequestCode::LATENCY => self.latency(),
            RequestCode::ALL_SOUND_OFF => {
                self.in_session()?.synth.synth().all_sound_off();
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
            // Downloads are held in memory of the host's, which does not fragment.
            RequestCode::DLS_COMPACT => Ok(Answer::DONE),
            _ => {
                let error = request.chain.diagnose(Diagnosis::UNKNOWN_REQUEST).got(code.0);
                Err(Refusal::new(Status::UNSUPPORTED, error))
            }
        }
    }

    fn in_session(&mut self) -> Result<&mut Session, Refusal> {
        self.session.as_mut().ok_or_else(|| Refusal::new(Status::NO_SESSION, DriverError::new(Diagnosis::NO_SESSION)))
    }

    fn statistics(&mut self) -> Outcome {
        let session = self.in_session()?;
        let free = session.synth.free_download_memory();
        let statistics = session.statistics.read(session.parameters.sample_rate, free);
        Ok(Answer::with(Status::OK, &statistics))
    }

    fn lend_status_page(&mut self, loan: &Loan) -> Outcome {
        let address = loan.address.get();
        let session = self.in_session()?;
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
        self.in_session()?.status_page = Some(StatusPageLoan { address, sequence: 0 });
        Ok(Answer::DONE)
    }

    fn parameters(&mut self, wish: &PortParameters) -> Outcome {
        let voices_max = self.options.voices;
        let session = self.in_session()?;
        let (parameters, granted) = session.parameters.adjusted(wish, voices_max);
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

    fn latency(&mut self) -> Outcome {
        self.in_session()?;
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
        let session = self.in_session()?;
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
        let session = self.in_session()?;
        let kind = session.streams.get(id).ok_or_else(|| Refusal::stream(Status::NOT_FOUND, id))?.kind;
        self.set_state(id, StreamState::STOP);
        if kind == StreamKind::WAVE {
            self.flush_wave_buffers();
        }
        self.in_session()?.streams.remove(id);
        Ok(Answer::DONE)
    }

    fn change_state(&mut self, change: &StreamStateChange) -> Outcome {
        let id = change.stream.get();
        let state = StreamState(change.state.get());
        if state.name().is_none() {
            return Err(Refusal::parameter(4, StreamState::RUN.0, state.0));
        }
        if self.in_session()?.streams.get(id).is_none() {
            return Err(Refusal::stream(Status::NOT_FOUND, id));
        }
        self.set_state(id, state);
        Ok(Answer::DONE)
    }

    fn set_state(&mut self, id: u32, state: StreamState) {
        let Some(session) = &mut self.session else { return };
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
        let Some(session) = &mut self.session else { return };
        if state == StreamState::STOP && before != StreamState::STOP {
            session.set_clock(0);
            session.timeline.set_anchor(Anchor::default());
            session.clock_started = false;
            session.synth.synth().all_sound_off();
        }
        if before == StreamState::STOP && state != StreamState::STOP {
            session.hash.reset();
        }
        if state == StreamState::RUN && before != StreamState::RUN {
            session.statistics.restart(session.synth.notes_lost());
        }
        if before == StreamState::RUN && state != StreamState::RUN {
            self.flush_wave_buffers();
        }
        self.run_clock();
    }

    fn synchronise(&mut self, sync: &ClockSync) -> Outcome {
        let (id, flags, frame) = (sync.stream.get(), sync.flags.get(), sync.frame.get());
        let session = self.in_session()?;
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
            self.run_clock();
        }
        Ok(Answer::DONE)
    }

    fn volume(&mut self, volume: &Volume) -> Outcome {
        let item = match volume.item.get() {
            0 => VolumeItem::Volume,
            1 => VolumeItem::Boost,
            other => return Err(Refusal::parameter(0, 1, other)),
        };
        let wished = volume.hundredths_db.get();
        let given = wished.clamp(VOLUME_MIN, VOLUME_MAX);
        self.in_session()?.synth.set_volume(item, given);
        Ok(Answer { status: if given == wished { Status::OK } else { Status::ALTERED }, payload: Vec::new() })
    }

    fn voice_priority(&mut self, wish: &VoicePriority) -> Outcome {
        let (group, channel, set) = (wish.channel_group.get(), wish.channel.get(), wish.set.get());
        let session = self.in_session()?;
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
            let _ = synth.set_voice_priority(group, channel, wish.priority.get());
        }
        let priority = synth.voice_priority(group, channel).unwrap_or(0);
        Ok(Answer::with(Status::OK, &VoicePriority { priority: priority.into(), ..*wish }))
    }

    fn download(&mut self, request: &Request<'_>) -> Outcome {
        let buffer = request.payload;
        if buffer.len() > DOWNLOAD_BYTES_MAX as usize {
            let error = request.chain.diagnose(Diagnosis::LENGTH);
            return Err(Refusal::new(Status::MALFORMED, error.expected(DOWNLOAD_BYTES_MAX, buffer.len() as u32)));
        }
        let session = self.in_session()?;
        if session.synth.downloads() >= DOWNLOADS_MAX {
            return Err(Refusal::no_resources());
        }
        let response = |handle: u32, reason: u32, offset: u32| DownloadResponse {
            handle: handle.into(),
            reason: reason.into(),
            offset: offset.into(),
            reserved: 0.into(),
        };
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
        match self.in_session()?.synth.unload(handle) {
            Ok(Unload::Done) => Ok(Answer::DONE),
            Ok(Unload::Pending) => Ok(Answer { status: Status::PENDING, payload: Vec::new() }),
            Err(_) => Err(Refusal::new(Status::NOT_FOUND, DriverError::new(Diagnosis::HANDLE).got(handle))),
        }
    }
}

struct Request<'a> {
    chain: &'a Chain,
    payload: &'a [u8],
}

impl Request<'_> {
    /// The payload as a structure. It may be longer: a driver of a later minor version says more.
    fn read<T: FromBytes + KnownLayout + Immutable + Unaligned>(&self) -> Result<T, Refusal> {
        T::read_from_prefix(self.payload).map(|(value, _)| value).map_err(|_| {
            let error = self.chain.diagnose(Diagnosis::READABLE_TOO_SHORT);
            let needed = const { size_of::<RequestHeader>() + size_of::<T>() };
            let got = size_of::<RequestHeader>().saturating_add(self.payload.len());
            Refusal::new(Status::MALFORMED, error.expected(needed as u32, got as u32))
        })
    }
}

fn put_in_force(session: &mut Session, parameters: Parameters) -> Result<(), Refusal> {
    session.set_parameters(parameters).map_err(|error| {
        log_limited!(log::Level::Error, "the synthesizer refuses {parameters:?}: {error}");
        Refusal { status: Status::CARD_FAILED, error: None, payload: Vec::new() }
    })
}

/// Most bytes of payload that a request is answered with.
const fn response_bytes(code: RequestCode) -> usize {
    match code {
        RequestCode::OPEN => size_of::<OpenResponse>(),
        RequestCode::STATISTICS => size_of::<Statistics>(),
        RequestCode::PARAMETERS => size_of::<PortParameters>(),
        RequestCode::LATENCY => size_of::<Latency>(),
        RequestCode::VOICE_PRIORITY => size_of::<VoicePriority>(),
        RequestCode::DLS_DOWNLOAD => size_of::<DownloadResponse>(),
        _ => 0,
    }
}
