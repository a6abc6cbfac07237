//! Drives the card as a conforming driver does, except where a row of the table has it do otherwise.

use card_control::Command;
use card_control::answer::{Advanced, Done};
use card_spec::control::{
    ClockSync, Open, RequestCode, RequestHeader, ResponseHeader, Status, StreamId, StreamKind, StreamOpen, StreamState,
    StreamStateChange, clock_sync,
};
use card_spec::event::{BatchHeader, EventHeader, RECORD_ALIGNMENT};
use card_spec::limits::{BATCH_BYTES_MAX, QUEUE_SIZE_MAX, REQUEST_BYTES_MAX, WAVE_BUFFER_BYTES_MAX};
use card_spec::notice::Notice;
use card_spec::queue::Queue;
use card_spec::wave::{WaveHeader, WaveRequest};
use card_spec::{ABI_MAJOR, ABI_MINOR};
use serde_json::json;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::failure::{Failure, Result, expect};
use crate::machine::Machine;
use crate::ring::Piece;

/// The render stream that [`Driver::play`] opens.
pub const RENDER: u32 = 0;

/// The wave stream that [`Driver::play`] opens.
pub const WAVE: u32 = 1;

/// The capture stream that [`Driver::play`] opens.
pub const CAPTURE: u32 = 2;

/// The sample rate in Hz that [`Driver::play`] sets.
pub const SAMPLE_RATE: u32 = 48_000;

/// A message that the card captures.
pub const NOTE_ON: [u8; 3] = [0x90, 60, 64];

/// Bytes of a notice.
pub const NOTICE_BYTES: u32 = size_of::<Notice>() as u32;

/// Bytes of a response's header.
pub const RESPONSE_HEADER: u32 = size_of::<ResponseHeader>() as u32;

/// Room for the payload of a response.
const RESPONSE_BYTES: u32 = 256;

/// A page.
const PAGE: u64 = 4096;

/// The state of device and driver when an act begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverState {
    /// The device is reset.
    Reset,
    /// It is set up: `DRIVER_OK`.
    Started,
    /// There is a session.
    Open,
    /// A render stream, a wave stream and a capture stream run.
    Playing,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// How it ended.
    pub status: Status,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Response {
    /// Reads the payload as a structure.
    ///
    /// # Errors
    /// [`Failure::Unexpected`], when it is too short.
    pub fn read<T: FromBytes + KnownLayout + Immutable>(&self) -> Result<T> {
        T::read_from_prefix(&self.payload).map(|(value, _)| value).map_err(|_| Failure::Unexpected {
            what: "the payload of a response".into(),
            expected: format!("{} bytes", size_of::<T>()),
            found: format!("{} bytes", self.payload.len()),
        })
    }

    /// Checks the status of the answer.
    ///
    /// # Errors
    /// [`Failure::Unexpected`], when the request ended with another status.
    pub fn ended(self, status: Status) -> Result<Self> {
        expect("a request's status", &status, &self.status)?;
        Ok(self)
    }
}

/// A wave buffer that the card has returned.
#[derive(Clone, Debug)]
pub struct Wave {
    /// Its header.
    pub header: WaveHeader,
    /// Stereo frames.
    pub pcm: Vec<[i16; 2]>,
}

/// Guest-physical addresses of a driver's buffers.
#[derive(Clone, Copy, Debug, Default)]
struct Areas {
    request: u64,
    response: u64,
    batches: u64,
    wave: u64,
}

/// A driver on a machine.
#[derive(Debug)]
pub struct Driver {
    /// The machine.
    pub machine: Machine,
    areas: Areas,
    tag: u64,
    sequence: u32,
}

impl Driver {
    /// Returns a driver on a machine.
    #[must_use]
    pub fn new(machine: Machine) -> Self {
        Self { machine, areas: Areas::default(), tag: 0, sequence: 0 }
    }

    /// Resets the device, whatever was before, and brings it to `state`.
    ///
    /// # Errors
    /// As for [`request`](Self::request); [`Failure::Unexpected`] when a request of the set-up is refused.
    pub fn begin(&mut self, state: DriverState) -> Result {
        if self.machine.qemu.qmp("query-status", &json!({}))?["running"] != true {
            self.machine.qemu.qmp("cont", &json!({}))?;
        }
        self.machine.enumerate()?;
        self.machine.reset()?;
        self.take_areas()?;
        if state == DriverState::Reset {
            return Ok(());
        }
        self.start()?;
        if state == DriverState::Started {
            return Ok(());
        }
        self.open()?.ended(Status::OK)?;
        if state == DriverState::Playing {
            self.play()?;
        }
        Ok(())
    }

    /// Sets the device up as a conforming driver does.
    ///
    /// # Errors
    /// As for [`Machine::start_as`], with the rings of a conforming driver.
    pub fn start(&mut self) -> Result {
        let set_up = self.machine.set_up();
        self.machine.start_as(&set_up)
    }

    /// Resets the device and sets it up again with fresh rings.
    ///
    /// # Errors
    /// As for [`Machine::start_as`], with the rings of a conforming driver.
    pub fn restart(&mut self) -> Result {
        self.machine.reset()?;
        self.take_areas()?;
        self.start()
    }

    fn take_areas(&mut self) -> Result {
        let ram = &self.machine.ram;
        self.areas = Areas {
            request: ram.allocate(u64::from(REQUEST_BYTES_MAX) + PAGE)?,
            response: ram.allocate(PAGE)?,
            batches: ram.allocate(u64::from(BATCH_BYTES_MAX) * u64::from(QUEUE_SIZE_MAX))?,
            wave: ram.allocate(u64::from(WAVE_BUFFER_BYTES_MAX) + PAGE)?,
        };
        self.sequence = 0;
        Ok(())
    }

    /// Returns a request as it is in memory.
    pub fn request_bytes(&mut self, code: RequestCode, payload: &[u8]) -> Vec<u8> {
        self.tag += 1;
        let header = RequestHeader { code: code.0.into(), length: (payload.len() as u32).into(), tag: self.tag.into() };
        [header.as_bytes(), payload].concat()
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// [`Failure::NotReturned`] when the card does not return the chain, [`Failure::Unexpected`] when the answer is not one
    /// to this request, [`Failure::Ended`], [`Failure::Silent`] or [`Failure::Answer`] when card or QEMU end, do not answer,
    /// or break their protocol.
    pub fn request(&mut self, code: RequestCode, payload: &[u8]) -> Result<Response> {
        let bytes = self.request_bytes(code, payload);
        let answer = self.request_raw(&bytes, RESPONSE_HEADER + RESPONSE_BYTES)?;
        self.read_response(&answer)
    }

    fn read_response(&self, answer: &[u8]) -> Result<Response> {
        let short = || Failure::Unexpected {
            what: "an answer on the control queue".into(),
            expected: "a header and as much payload as it says".into(),
            found: format!("{} bytes", answer.len()),
        };
        let (header, rest) = ResponseHeader::read_from_prefix(answer).map_err(|_| short())?;
        expect("the tag of an answer", &self.tag, &header.tag.get())?;
        let payload = rest.get(..header.length.get() as usize).ok_or_else(short)?.to_vec();
        Ok(Response { status: Status(header.status.get()), payload })
    }

    /// Sends these bytes as a request with room for `room` bytes of answer, and returns as many as came.
    ///
    /// # Errors
    /// [`Failure::NotReturned`] when the card does not return the chain, and as for [`post_batch`](Self::post_batch).
    pub fn request_raw(&mut self, bytes: &[u8], room: u32) -> Result<Vec<u8>> {
        self.post_request(bytes, room)?;
        self.wait_response()
    }

    /// Sends these bytes as a request, and does not wait.
    ///
    /// # Errors
    /// [`Failure::NoMemory`] when a buffer is outside of memory; as for [`Machine::kick`] when QEMU does not answer.
    pub fn post_request(&mut self, bytes: &[u8], room: u32) -> Result {
        self.machine.ram.write(self.areas.request, bytes)?;
        let mut pieces = vec![Piece::readable(self.areas.request, bytes.len() as u32)];
        if room > 0 {
            pieces.push(Piece::writable(self.areas.response, room));
        }
        self.machine.ring(Queue::CONTROL).offer(&pieces)?;
        self.machine.kick(Queue::CONTROL)
    }

    /// Waits for the answer to the request that was posted last, and returns as many bytes as came.
    ///
    /// # Errors
    /// [`Failure::NotReturned`] when the card does not return the chain, and as for [`post_batch`](Self::post_batch).
    pub fn wait_response(&mut self) -> Result<Vec<u8>> {
        let (_, written) = self.machine.wait(Queue::CONTROL)?;
        self.machine.ram.read(self.areas.response, written as usize)
    }

    /// Sends a request whose payload is a structure, and waits for its answer.
    ///
    /// # Errors
    /// As for [`request`](Self::request), for the requests that this sends.
    pub fn request_with(&mut self, code: RequestCode, payload: &(impl IntoBytes + Immutable)) -> Result<Response> {
        self.request(code, payload.as_bytes())
    }

    /// Returns the `OPEN` of a conforming driver.
    pub fn open_request(&mut self) -> Open {
        let queue_sizes = Queue::ALL.map(|queue| self.machine.ring(queue).size().into());
        Open {
            abi_major: ABI_MAJOR.into(),
            abi_minor: ABI_MINOR.into(),
            queue_sizes,
            reserved: 0.into(),
            session: (0x5e55_1000 + self.tag).into(),
        }
    }

    /// Opens a session.
    ///
    /// # Errors
    /// As for [`request`](Self::request), for the requests that this sends.
    pub fn open(&mut self) -> Result<Response> {
        let open = self.open_request();
        self.request_with(RequestCode::OPEN, &open)
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// As for [`request`](Self::request), for the requests that this sends.
    pub fn open_stream(&mut self, stream: u32, kind: StreamKind) -> Result<Response> {
        self.request_with(RequestCode::STREAM_OPEN, &stream_open(stream, kind))
    }

    /// Closes a stream.
    ///
    /// # Errors
    /// As for [`request`](Self::request), for the requests that this sends.
    pub fn close_stream(&mut self, stream: u32) -> Result<Response> {
        self.request_with(RequestCode::STREAM_CLOSE, &StreamId { stream: stream.into(), reserved: 0.into() })
    }

    /// Changes the state of a stream.
    ///
    /// # Errors
    /// As for [`request`](Self::request), for the requests that this sends.
    pub fn state(&mut self, stream: u32, state: StreamState) -> Result<Response> {
        self.request_with(
            RequestCode::STREAM_STATE,
            &StreamStateChange { stream: stream.into(), state: state.0.into() },
        )
    }

    /// Anchors master time to the sample clock.
    ///
    /// # Errors
    /// As for [`request`](Self::request), for the requests that this sends.
    pub fn synchronise(&mut self, flags: u32, master_time: i64, frame: i64) -> Result<Response> {
        let sync = ClockSync {
            stream: WAVE.into(),
            flags: flags.into(),
            master_time: master_time.into(),
            frame: frame.into(),
        };
        self.request_with(RequestCode::CLOCK_SYNC, &sync)
    }

    /// Opens a render stream, a wave stream and a capture stream, starts the clock at master time 0, and runs them.
    ///
    /// # Errors
    /// As for [`request`](Self::request), for the requests that this sends.
    pub fn play(&mut self) -> Result {
        self.open_stream(RENDER, StreamKind::RENDER)?.ended(Status::OK)?;
        self.open_stream(WAVE, StreamKind::WAVE)?.ended(Status::OK)?;
        self.open_stream(CAPTURE, StreamKind::CAPTURE)?.ended(Status::OK)?;
        self.synchronise(clock_sync::START, 0, 0)?.ended(Status::OK)?;
        for stream in [RENDER, CAPTURE, WAVE] {
            self.state(stream, StreamState::RUN)?.ended(Status::OK)?;
        }
        Ok(())
    }

    /// Returns a batch of events, each of a time, a group and data, as it is in memory.
    pub fn batch(&mut self, stream: u32, events: &[(i64, u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; size_of::<BatchHeader>()];
        for (time, group, data) in events {
            bytes.extend_from_slice(event_header(*time, *group, 0, data.len() as u16).as_bytes());
            bytes.extend_from_slice(data);
            bytes.resize(bytes.len().next_multiple_of(RECORD_ALIGNMENT), 0);
        }
        let header = BatchHeader {
            stream: stream.into(),
            count: (events.len() as u32).into(),
            length: (bytes.len() as u32).into(),
            sequence: self.sequence.into(),
        };
        bytes[..size_of::<BatchHeader>()].copy_from_slice(header.as_bytes());
        bytes
    }

    /// Sends a batch and waits until the card has taken it.
    ///
    /// # Errors
    /// [`Failure::NotReturned`] when the card does not return the chain, and as for [`post_batch`](Self::post_batch).
    pub fn send(&mut self, stream: u32, events: &[(i64, u16, &[u8])]) -> Result {
        let bytes = self.batch(stream, events);
        self.send_bytes(&bytes)
    }

    /// Puts these bytes on the midi-out queue and waits until the card has taken them.
    ///
    /// # Errors
    /// [`Failure::NotReturned`] when the card does not return the chain, and as for [`post_batch`](Self::post_batch).
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result {
        self.post_batch(bytes)?;
        self.machine.wait(Queue::MIDI_OUT).map(|_| ())
    }

    /// Puts these bytes on the midi-out queue, and does not wait.
    ///
    /// # Errors
    /// [`Failure::NoMemory`] when a buffer is outside of memory; as for [`Machine::kick`] when QEMU does not answer.
    pub fn post_batch(&mut self, bytes: &[u8]) -> Result {
        let slot = u64::from(self.sequence % u32::from(QUEUE_SIZE_MAX));
        let address = self.areas.batches + slot * u64::from(BATCH_BYTES_MAX);
        self.sequence = self.sequence.wrapping_add(1);
        self.machine.ram.write(address, bytes)?;
        self.machine.ring(Queue::MIDI_OUT).offer(&[Piece::readable(address, bytes.len() as u32)])?;
        self.machine.kick(Queue::MIDI_OUT)
    }

    /// Posts a wave buffer with room for `bytes` of PCM, and does not wait.
    ///
    /// # Errors
    /// [`Failure::NoMemory`] when a buffer is outside of memory; as for [`Machine::kick`] when QEMU does not answer.
    pub fn post_wave(&mut self, stream: u32, frames: u32, bytes: u32) -> Result {
        let pieces = self.wave_pieces(stream, frames, bytes)?;
        self.machine.ring(Queue::WAVE).offer(&pieces)?;
        self.machine.kick(Queue::WAVE)
    }

    /// Returns the pieces of a wave buffer, with its request in memory.
    ///
    /// # Errors
    /// [`Failure::NoMemory`] when a buffer is outside of memory; as for [`Machine::kick`] when QEMU does not answer.
    pub fn wave_pieces(&self, stream: u32, frames: u32, bytes: u32) -> Result<[Piece; 3]> {
        let request = WaveRequest { stream: stream.into(), frames: frames.into() };
        let wave = self.areas.wave;
        self.machine.ram.write(wave, request.as_bytes())?;
        Ok([
            Piece::readable(wave, size_of::<WaveRequest>() as u32),
            Piece::writable(wave + 64, size_of::<WaveHeader>() as u32),
            Piece::writable(wave + PAGE, bytes),
        ])
    }

    /// Waits for the wave buffer that was posted last.
    ///
    /// # Errors
    /// [`Failure::NotReturned`] when the card does not return the chain, and as for [`post_batch`](Self::post_batch).
    pub fn wait_wave(&mut self) -> Result<Wave> {
        self.machine.wait(Queue::WAVE)?;
        let ram = &self.machine.ram;
        let header = ram.read(self.areas.wave + 64, size_of::<WaveHeader>())?;
        let header =
            WaveHeader::read_from_bytes(&header).map_err(|_| Failure::NoMemory { bytes: header.len() as u64 })?;
        let frames = header.frames.get().min(WAVE_BUFFER_BYTES_MAX / 4) as usize;
        let bytes = ram.read(self.areas.wave + PAGE, frames * 4)?;
        let sample = |low: u8, high: u8| i16::from_le_bytes([low, high]);
        let pcm = bytes.as_chunks::<4>().0.iter().map(|&[a, b, c, d]| [sample(a, b), sample(c, d)]).collect();
        Ok(Wave { header, pcm })
    }

    /// Posts a wave buffer for stereo frames, and waits for it.
    ///
    /// # Errors
    /// [`Failure::NotReturned`] when the card does not return the chain, and as for [`post_batch`](Self::post_batch).
    pub fn record(&mut self, frames: u32) -> Result<Wave> {
        self.post_wave(WAVE, frames, frames * 4)?;
        self.wait_wave()
    }

    /// Has the card capture a MIDI message, so that it fills a buffer of the midi-in queue.
    ///
    /// # Errors
    /// As for [`Card::order`](crate::card::Card::order), for this command.
    pub fn capture(&mut self, message: &[u8]) -> Result {
        self.machine.card.order::<Done>(&Command::midi_in(message, 1)).map(|_| ())
    }

    /// Advances the card's time without a wave buffer, so that it has a notice for the event queue: an underrun.
    ///
    /// # Errors
    /// As for [`Card::order`](crate::card::Card::order), for this command.
    pub fn underrun(&mut self) -> Result {
        self.machine.card.order::<Advanced>(&Command::Advance { frames: SAMPLE_RATE.into() }).map(|_| ())
    }

    /// Has the card look at a queue: by a kick, and for the queues that it fills, by data for a buffer.
    ///
    /// # Errors
    /// As for [`Machine::kick`] and [`Card::order`](crate::card::Card::order).
    pub fn provoke(&mut self, queue: Queue) -> Result {
        self.machine.kick(queue)?;
        match queue {
            Queue::MIDI_IN => self.capture(&NOTE_ON),
            Queue::EVENT => self.underrun(),
            _ => Ok(()),
        }
    }
}

/// Returns the request with which a conforming driver opens a stream.
#[must_use]
pub fn stream_open(stream: u32, kind: StreamKind) -> StreamOpen {
    StreamOpen {
        stream: stream.into(),
        kind: kind.0.into(),
        sample_rate: SAMPLE_RATE.into(),
        channels: 2.into(),
        bits: 16.into(),
    }
}

/// Returns the header of an event record.
#[must_use]
pub fn event_header(time: i64, group: u16, flags: u16, length: u16) -> EventHeader {
    EventHeader {
        time: time.into(),
        channel_group: group.into(),
        flags: flags.into(),
        length: length.into(),
        reserved: 0.into(),
    }
}
