//! A driver for the card, which speaks [`card_spec`].

use card_spec::control::{
    ClockSync, Open, PortParameters, RequestCode, RequestHeader, ResponseHeader, Status, StatusPageLoan, StreamId,
    StreamKind, StreamOpen, StreamState, StreamStateChange, clock_sync,
};
use card_spec::event::{BatchHeader, EventHeader, RECORD_ALIGNMENT};
use card_spec::notice::Notice;
use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::wave::{WaveHeader, WaveRequest};
use card_spec::{ABI_MAJOR, ABI_MINOR};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use super::board::Board;
use super::machine::Machine;
use super::ring::Piece;

/// The render stream that [`Driver::play`] opens.
pub const STREAM_RENDER: u32 = 0;

/// The wave stream that it opens.
pub const STREAM_WAVE: u32 = 1;

/// Bytes of a buffer for a notice.
pub const NOTICE_BYTES: usize = size_of::<Notice>();

/// Room for the payload of a response.
const RESPONSE_BYTES: usize = 256;

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status of the request.
    pub status: Status,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Response {
    /// Returns the payload as a structure.
    ///
    /// # Panics
    /// When it is too short.
    #[must_use]
    pub fn read<T: FromBytes + KnownLayout + Immutable>(&self) -> T {
        T::read_from_prefix(&self.payload).map(|(value, _)| value).expect("a payload of the right length")
    }
}

/// A filled wave buffer.
#[derive(Clone, Debug)]
pub struct Wave {
    /// Its header.
    pub header: WaveHeader,
    /// Stereo frames.
    pub pcm: Vec<[i16; 2]>,
}

/// A driver on a machine.
pub struct Driver<B = Machine> {
    /// The machine.
    pub machine: B,
    tag: u64,
    sequence: u32,
    request: u64,
    response: u64,
    batches: u64,
    wave: u64,
}

/// Bytes reserved for requests: the largest download and its header.
const REQUEST_ROOM: usize = card_spec::limits::REQUEST_BYTES_MAX as usize + 64;

/// Bytes reserved for a wave buffer.
const WAVE_ROOM: usize = card_spec::limits::WAVE_BUFFER_BYTES_MAX as usize + 4096;

impl<B: Board> Driver<B> {
    /// Starts the driver's side of a machine that has not been started.
    #[must_use]
    pub fn new(mut machine: B) -> Self {
        machine.start();
        Self::on(machine)
    }

    /// Returns a driver on a machine whose rings have been started.
    #[must_use]
    pub fn on(machine: B) -> Self {
        let ram = machine.ram();
        let (request, response) = (ram.allocate(REQUEST_ROOM), ram.allocate(4096));
        let (batches, wave) = (ram.allocate(4096 * 128), ram.allocate(WAVE_ROOM));
        Self { machine, tag: 0, sequence: 0, request, response, batches, wave }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Panics
    /// When it is not answered.
    pub fn request(&mut self, code: RequestCode, payload: &[u8]) -> Response {
        let bytes = self.begin(code, payload);
        let response = self.request_raw(&bytes, size_of::<ResponseHeader>() + RESPONSE_BYTES);
        let (header, rest) = ResponseHeader::read_from_prefix(&response).expect("an answer");
        assert_eq!(header.tag.get(), self.tag, "the answer is not to this request");
        let payload = rest[..header.length.get() as usize].to_vec();
        Response { status: Status(header.status.get()), payload }
    }

    /// Sends a request to open a render stream, and does not wait.
    pub fn send_open_stream(&mut self, stream: u32) {
        let open = StreamOpen {
            stream: stream.into(),
            kind: StreamKind::RENDER.0.into(),
            sample_rate: 0.into(),
            channels: 0.into(),
            bits: 0.into(),
        };
        let bytes = self.begin(RequestCode::STREAM_OPEN, open.as_bytes());
        self.send_request(&bytes, size_of::<ResponseHeader>());
    }

    /// Sends a request for port parameters, and does not wait.
    pub fn send_parameters(&mut self, requested: PortParameters) {
        let bytes = self.begin(RequestCode::PARAMETERS, requested.as_bytes());
        self.send_request(&bytes, size_of::<ResponseHeader>() + RESPONSE_BYTES);
    }

    fn begin(&mut self, code: RequestCode, payload: &[u8]) -> Vec<u8> {
        self.tag += 1;
        let header = RequestHeader { code: code.0.into(), length: (payload.len() as u32).into(), tag: self.tag.into() };
        [header.as_bytes(), payload].concat()
    }

    /// Waits for the answer to the request that was sent last, and returns its status.
    ///
    /// # Panics
    /// When it is not answered.
    pub fn wait_status(&mut self) -> Status {
        let (_, written) = self.machine.wait(Queue::CONTROL);
        let response = self.machine.ram().read(self.response, written as usize);
        let (header, _) = ResponseHeader::read_from_prefix(&response).expect("an answer");
        assert_eq!(header.tag.get(), self.tag, "the answer is not to this request");
        Status(header.status.get())
    }

    fn send_request(&mut self, bytes: &[u8], room: usize) {
        let ram = self.machine.ram();
        ram.write(self.request, bytes);
        let mut pieces = vec![Piece::readable(self.request, bytes.len())];
        if room > 0 {
            pieces.push(Piece::writable(self.response, room));
        }
        self.machine.ring(Queue::CONTROL).offer(&pieces);
        self.machine.kick(Queue::CONTROL);
    }

    /// Sends these bytes as a request with room for `room` bytes of answer, and returns as many as came.
    ///
    /// # Panics
    /// When it is not returned.
    pub fn request_raw(&mut self, bytes: &[u8], room: usize) -> Vec<u8> {
        self.send_request(bytes, room);
        let (_, written) = self.machine.wait(Queue::CONTROL);
        self.machine.ram().read(self.response, written as usize)
    }

    /// Sends a request whose payload is a structure, and waits for its answer.
    pub fn request_with(&mut self, code: RequestCode, payload: &(impl IntoBytes + Immutable)) -> Response {
        self.request(code, payload.as_bytes())
    }

    /// Sends `OPEN`, and waits for its answer.
    pub fn open(&mut self) -> Response {
        let sizes = Queue::ALL.map(|queue| self.machine.ring(queue).size());
        self.open_declaring(sizes)
    }

    /// Sends an `OPEN` that declares these queue sizes, and waits for its answer.
    pub fn open_declaring(&mut self, sizes: [u16; QUEUE_COUNT]) -> Response {
        let open = Open {
            abi_major: ABI_MAJOR.into(),
            abi_minor: ABI_MINOR.into(),
            queue_sizes: sizes.map(Into::into),
            reserved: 0.into(),
            session: (0x5e55_1000 + self.tag).into(),
        };
        self.request_with(RequestCode::OPEN, &open)
    }

    /// Opens a stream.
    pub fn open_stream(&mut self, stream: u32, kind: StreamKind, sample_rate: u32, channels: u16) -> Response {
        let open = StreamOpen {
            stream: stream.into(),
            kind: kind.0.into(),
            sample_rate: sample_rate.into(),
            channels: channels.into(),
            bits: 16.into(),
        };
        self.request_with(RequestCode::STREAM_OPEN, &open)
    }

    /// Closes a stream.
    pub fn close_stream(&mut self, stream: u32) -> Response {
        self.request_with(RequestCode::STREAM_CLOSE, &StreamId { stream: stream.into(), reserved: 0.into() })
    }

    /// Changes the state of a stream.
    pub fn state(&mut self, stream: u32, state: StreamState) -> Response {
        self.request_with(
            RequestCode::STREAM_STATE,
            &StreamStateChange { stream: stream.into(), state: state.0.into() },
        )
    }

    /// Sets the sample clock: frame 0 is `master_time`.
    pub fn start_clock(&mut self, master_time: i64) -> Response {
        self.synchronise(clock_sync::START, master_time, 0)
    }

    /// Sends `CLOCK_SYNC` with these flags: `frame` is `master_time`.
    pub fn synchronise(&mut self, flags: u32, master_time: i64, frame: i64) -> Response {
        let sync = ClockSync {
            stream: STREAM_WAVE.into(),
            flags: flags.into(),
            master_time: master_time.into(),
            frame: frame.into(),
        };
        self.request_with(RequestCode::CLOCK_SYNC, &sync)
    }

    /// Requests port parameters.
    pub fn parameters(&mut self, requested: PortParameters) -> Response {
        self.request_with(RequestCode::PARAMETERS, &requested)
    }

    /// Opens a render stream and a stereo wave stream, starts the clock at master time 0, and runs both.
    ///
    /// # Panics
    /// When one of these requests fails.
    pub fn play(&mut self, sample_rate: u32) {
        let done = |response: Response| assert_eq!(response.status, Status::OK);
        done(self.open_stream(STREAM_RENDER, StreamKind::RENDER, 0, 0));
        done(self.open_stream(STREAM_WAVE, StreamKind::WAVE, sample_rate, 2));
        done(self.start_clock(0));
        done(self.state(STREAM_RENDER, StreamState::RUN));
        done(self.state(STREAM_WAVE, StreamState::RUN));
    }

    /// Returns a batch of events, each of a time, a group and data, as it is in memory.
    pub fn batch(&mut self, stream: u32, events: &[(i64, u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; size_of::<BatchHeader>()];
        for (time, group, data) in events {
            let header = EventHeader {
                time: (*time).into(),
                channel_group: (*group).into(),
                flags: 0.into(),
                length: (data.len() as u16).into(),
                reserved: 0.into(),
            };
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(data);
            bytes.resize(bytes.len().next_multiple_of(RECORD_ALIGNMENT), 0);
        }
        let header = BatchHeader {
            stream: stream.into(),
            count: (events.len() as u32).into(),
            length: (bytes.len() as u32).into(),
            sequence: self.sequence.into(),
        };
        self.sequence += 1;
        bytes[..size_of::<BatchHeader>()].copy_from_slice(header.as_bytes());
        bytes
    }

    /// Sends a batch and waits until the card has taken it.
    pub fn send(&mut self, stream: u32, events: &[(i64, u16, &[u8])]) {
        let bytes = self.batch(stream, events);
        self.send_raw(&bytes);
        self.machine.wait(Queue::MIDI_OUT);
    }

    /// Puts these bytes on the midi-out queue, and does not wait.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        let address = self.batches + u64::from(self.sequence % 128) * 4096;
        self.machine.ram().write(address, bytes);
        self.machine.ring(Queue::MIDI_OUT).offer(&[Piece::readable(address, bytes.len())]);
        self.machine.kick(Queue::MIDI_OUT);
    }

    /// Posts a wave buffer, and does not wait.
    pub fn post_wave(&mut self, stream: u32, frames: u32, bytes: usize) {
        let request = WaveRequest { stream: stream.into(), frames: frames.into() };
        let header = self.wave + 64;
        self.machine.ram().write(self.wave, request.as_bytes());
        self.machine.ring(Queue::WAVE).offer(&[
            Piece::readable(self.wave, size_of::<WaveRequest>()),
            Piece::writable(header, size_of::<WaveHeader>()),
            Piece::writable(self.wave + 4096, bytes),
        ]);
        self.machine.kick(Queue::WAVE);
    }

    /// Waits for the wave buffer that was posted last.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn wait_wave(&mut self) -> Wave {
        self.machine.wait(Queue::WAVE);
        let ram = self.machine.ram();
        let header = ram.read(self.wave + 64, size_of::<WaveHeader>());
        let header = WaveHeader::read_from_bytes(&header).expect("a header's length");
        let bytes = ram.read(self.wave + 4096, header.frames.get() as usize * 4);
        let sample = |bytes: &[u8]| i16::from_le_bytes([bytes[0], bytes[1]]);
        let pcm = bytes.as_chunks::<4>().0.iter().map(|frame| [sample(&frame[..2]), sample(&frame[2..])]);
        Wave { header, pcm: pcm.collect() }
    }

    /// Posts a wave buffer for stereo frames, and waits for it.
    pub fn record(&mut self, frames: u32) -> Wave {
        self.post_wave(STREAM_WAVE, frames, frames as usize * 4);
        self.wait_wave()
    }

    /// Posts a buffer on the event queue, and waits for a notice.
    ///
    /// # Panics
    /// When none comes.
    pub fn notice(&mut self) -> Notice {
        let address = self.machine.ram().allocate(NOTICE_BYTES);
        self.machine.ring(Queue::EVENT).offer(&[Piece::writable(address, NOTICE_BYTES)]);
        self.machine.kick(Queue::EVENT);
        self.machine.wait(Queue::EVENT);
        Notice::read_from_bytes(&self.machine.ram().read(address, NOTICE_BYTES)).expect("a record's length")
    }

    /// Lends a page for the status page, and returns its address.
    ///
    /// # Panics
    /// When the card refuses it.
    pub fn lend_status_page(&mut self) -> u64 {
        let address = self.machine.ram().allocate(4096);
        let response = self.request_with(RequestCode::STATUS_PAGE, &StatusPageLoan { address: address.into() });
        assert_eq!(response.status, Status::OK);
        address
    }
}

/// Returns port parameters of which none is valid.
#[must_use]
pub fn no_parameters() -> PortParameters {
    PortParameters::new_zeroed()
}
