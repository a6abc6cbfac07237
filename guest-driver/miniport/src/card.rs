//! The card as the driver sees it: brought to life, its queues, its streams.

use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use card_spec::control::{
    ClockSync, DownloadHandle, DownloadResponse, Latency, Open, OpenResponse, PortParameters, RequestCode, Statistics,
    Status, StatusPageLoan, StreamId, StreamKind, StreamOpen, StreamStateChange, Volume, clock_sync,
};
use card_spec::diagnosis::Diagnosis;
use card_spec::identity::IdentityBlock;
use card_spec::limits::STREAMS_MAX;
use card_spec::news::NewsKind;
use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::status_page::StatusPage;
use card_spec::{ABI_MAJOR, ABI_MINOR};
use portcls::NtStatus;
use portcls::event::DmusKernelEvent;
use portcls::ks::KsState;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::clock::Anchor;
use crate::control::{self, Control, ControlError};
use crate::dma::Window;
use crate::downloads::Downloads;
use crate::format::PcmFormat;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::{DmaBuffer, Kernel};
use crate::lock::Spin;
use crate::midi_out::{self, Groups, MidiOut};
use crate::news::{self, News};
use crate::ring::{RING_BYTES, Ring, RingAddresses};
use crate::transport::{Mapped, Transport, TransportError};
use crate::wave::{self, Rendered, Wave};

/// The wave stream's number on the card; render streams have those below.
pub const WAVE_STREAM: u32 = STREAMS_MAX as u32 - 1;

const _: () = assert!(WAVE_STREAM as usize >= midi_out::STREAMS);

/// Chains of each queue, in descriptors. midi-in is set up and left empty: the driver does not capture.
const SHAPES: [u16; QUEUE_COUNT] = [control::SHAPE, midi_out::SHAPE, 1, wave::SHAPE, news::SHAPE];

/// How long events may wait for the card to take them before a wave buffer is asked for all the same. It refuses them
/// only when it holds [`PENDING_EVENTS_MAX`](card_spec::limits::PENDING_EVENTS_MAX), and then only rendering helps.
const EVENTS_FIRST_MILLISECONDS: u32 = 50;

/// How long batches may take to be taken before a stream leaves `RUN` all the same.
const DRAIN_MILLISECONDS: u32 = 50;

/// Why the card does not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardError {
    /// It did not come to life.
    Transport(TransportError),
    /// It did not answer as it should.
    Control(ControlError),
    /// There is no memory.
    NoMemory,
    /// All streams of the kind are open.
    NoStream,
    /// The stream's state does not allow it.
    State,
}

impl From<TransportError> for CardError {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl From<ControlError> for CardError {
    fn from(error: ControlError) -> Self {
        Self::Control(error)
    }
}

impl From<CardError> for NtStatus {
    fn from(error: CardError) -> Self {
        match error {
            CardError::NoMemory | CardError::Control(ControlError::NoMemory) => Self::INSUFFICIENT_RESOURCES,
            CardError::NoStream => Self::INVALID_DEVICE_REQUEST,
            CardError::State => Self::INVALID_DEVICE_STATE,
            CardError::Transport(TransportError::Absent) => Self::DEVICE_REMOVED,
            CardError::Transport(TransportError::Magic) => Self::NO_SUCH_DEVICE,
            CardError::Transport(TransportError::Abi(_)) => Self::REVISION_MISMATCH,
            CardError::Transport(TransportError::ResetTimeout) => Self::IO_TIMEOUT,
            CardError::Transport(_) => Self::DEVICE_CONFIGURATION_ERROR,
            CardError::Control(ControlError::Timeout) => Self::IO_TIMEOUT,
            CardError::Control(ControlError::Off) => Self::DEVICE_NOT_READY,
            CardError::Control(ControlError::Ring(_) | ControlError::BadAnswer) => Self::DEVICE_PROTOCOL_ERROR,
            CardError::Control(ControlError::Unreadable) => Self::ACCESS_VIOLATION,
            CardError::Control(ControlError::TooLarge) => Self::INVALID_BUFFER_SIZE,
            CardError::Control(ControlError::Refused(status)) => match status {
                Status::INVALID_PARAMETER | Status::MALFORMED | Status::NOT_FOUND => Self::INVALID_PARAMETER,
                Status::INVALID_STATE | Status::NO_SESSION => Self::INVALID_DEVICE_STATE,
                Status::NO_RESOURCES => Self::INSUFFICIENT_RESOURCES,
                Status::UNSUPPORTED => Self::NOT_SUPPORTED,
                Status::ABI_MISMATCH => Self::REVISION_MISMATCH,
                _ => Self::IO_DEVICE_ERROR,
            },
        }
    }
}

/// The wave stream.
#[derive(Clone, Copy)]
struct WaveStream {
    format: PcmFormat,
    state: KsState,
    anchor: Option<Anchor>,
    /// The frame after the last one rendered.
    next_frame: i64,
    /// Frames of the last request: how far the sample clock moves at a time.
    quantum: u32,
}

/// The card.
pub struct Card<K: Kernel> {
    transport: Transport<K>,
    control: Control<K>,
    midi_out: MidiOut<K>,
    wave: Wave<K>,
    news: News<K>,
    wave_stream: Spin<K, Option<WaveStream>>,
    status_page: Window,
    volume: [AtomicI32; 2],
    downloads: Downloads<K>,
    /// The midi-in ring, which is set up and left empty.
    midi_in: RingAddresses,
    /// The port parameters in force, once somebody has asked for some.
    parameters: Spin<K, Option<PortParameters>>,
    /// The card has no power: its registers are not touched.
    off: AtomicBool,
    queue_sizes: [u16; QUEUE_COUNT],
    /// What everything above works in; freed after the reset.
    _memory: K::Dma,
    /// Dropped last, for the memory came from it.
    kernel: K,
}

/// Which volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeItem {
    /// The port's volume.
    Volume = 0,
    /// The boost, which is added.
    Boost = 1,
}

/// The range of volume and boost in 1/100 dB, as the datasheet gives it.
pub const VOLUME_RANGE: core::ops::RangeInclusive<i32> = -20_000..=2_000;

impl<K: Kernel> Card<K> {
    /// Brings the card to life: from here on it may interrupt. [`open`](Self::open) comes next.
    ///
    /// # Errors
    /// [`CardError`]; the card is left reset.
    pub fn start(kernel: K, level: Passive, mapped: Mapped<K::Registers>) -> Result<Self, CardError> {
        let transport = Transport::negotiate(&kernel, level, mapped)?;
        let downloads = Downloads::new(&kernel, level).ok_or(CardError::NoMemory)?;
        let card = Self::set_up(&kernel, level, &transport);
        let (control, midi_out, midi_in, wave, news, status_page, memory, queue_sizes) = match card {
            Ok(parts) => parts,
            Err(error) => {
                _ = transport.reset(&kernel, level);
                return Err(error);
            }
        };
        let wave_stream = Spin::new(&kernel, None);
        let parameters = Spin::new(&kernel, None);
        transport.driver_ok();
        Ok(Self {
            transport,
            control,
            midi_out,
            wave,
            news,
            wave_stream,
            status_page,
            volume: [const { AtomicI32::new(0) }; 2],
            downloads,
            midi_in,
            parameters,
            off: AtomicBool::new(false),
            queue_sizes,
            _memory: memory,
            kernel,
        })
    }

    #[expect(clippy::type_complexity, reason = "the parts of a card, named where they are taken apart")]
    fn set_up(
        kernel: &K,
        level: Passive,
        transport: &Transport<K>,
    ) -> Result<(Control<K>, MidiOut<K>, RingAddresses, Wave<K>, News<K>, Window, K::Dma, [u16; QUEUE_COUNT]), CardError>
    {
        let mut sizes = [0; QUEUE_COUNT];
        for queue in Queue::ALL {
            sizes[queue.index()] = transport.queue_size(queue.0, SHAPES[queue.index()])?;
        }
        let batches = midi_out::BATCH_BYTES * usize::from(sizes[Queue::MIDI_OUT.index()]);
        let parts = [
            RING_BYTES * QUEUE_COUNT,
            control::BUFFER_BYTES,
            batches.next_multiple_of(4096),
            wave::BUFFER_BYTES,
            news::BUFFER_BYTES,
            4096,
        ];
        let memory = kernel.allocate_dma(level, parts.iter().sum()).ok_or(CardError::NoMemory)?;
        if memory.len() < parts.iter().sum() {
            return Err(CardError::NoMemory);
        }
        #[allow(unsafe_code, reason = "the one place where the card's memory is divided")]
        // SAFETY: the card keeps the memory until it is dropped, and every window with it.
        let whole = unsafe { Window::new(&memory) };
        let mut at = 0;
        let [rings, control_buffer, batch_buffer, wave_buffer, news_buffer, status_page] = parts.map(|bytes| {
            at += bytes;
            whole.part(at - bytes, bytes)
        });

        let event_idx = transport.event_idx();
        let make = |queue: Queue| {
            let index = queue.index();
            let memory = rings.part(RING_BYTES * index, RING_BYTES);
            let ring = Ring::new(memory, sizes[index], SHAPES[index], event_idx);
            transport.enable_queue(queue.0, sizes[index], ring.addresses());
            ring
        };
        let control = make(Queue::CONTROL);
        let midi_out = make(Queue::MIDI_OUT);
        let midi_in = make(Queue::MIDI_IN).addresses();
        let wave = make(Queue::WAVE);
        let news = make(Queue::NEWS);
        Ok((
            Control::new(kernel, level, control, control_buffer).ok_or(CardError::NoMemory)?,
            MidiOut::new(kernel, level, midi_out, batch_buffer).ok_or(CardError::NoMemory)?,
            midi_in,
            Wave::new(kernel, level, wave, wave_buffer).ok_or(CardError::NoMemory)?,
            News::new(kernel, news, news_buffer),
            status_page,
            memory,
            sizes,
        ))
    }

    /// Opens a session: whatever an earlier one left behind is gone.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn open(&self, level: Passive) -> Result<(), CardError> {
        let session = self.kernel.time();
        let request = Open {
            abi_major: ABI_MAJOR.into(),
            abi_minor: ABI_MINOR.into(),
            queue_sizes: self.queue_sizes.map(Into::into),
            reserved: 0.into(),
            session: session.into(),
        };
        let (_, answer): (_, OpenResponse) = self.query(level, RequestCode::OPEN, &request)?;
        if answer.session.get() != session {
            return Err(ControlError::BadAnswer.into());
        }
        self.news.start(level.into(), &|| self.kick(news::QUEUE));
        self.status_page.write(0, &StatusPage::default());
        let loan = StatusPageLoan { address: self.status_page.address().into() };
        self.command(level, RequestCode::STATUS_PAGE, &loan)?;
        Ok(())
    }

    /// Ends the session and resets the card: afterwards it touches no memory.
    pub fn stop(&self, level: Passive) {
        if self.off.load(Ordering::Acquire) {
            return;
        }
        _ = self.command(level, RequestCode::CLOSE, &());
        if let Err(error) = self.transport.reset(&self.kernel, level) {
            self.kernel.log(format_args!("the card does not reset: {error:?}"));
        }
    }

    /// What the card says of itself.
    pub const fn identity(&self) -> &IdentityBlock {
        self.transport.identity()
    }

    /// The kernel that the card was started with.
    pub const fn kernel(&self) -> &K {
        &self.kernel
    }

    /// The interrupt service routine: whether the interrupt is the card's. Any IRQL.
    pub fn interrupt(&self) -> bool {
        !self.off.load(Ordering::Acquire) && self.transport.acknowledge_interrupt()
    }

    /// The card is about to lose power: it is stopped, and its registers are not touched any more. Events are held;
    /// what the card had of them is lost, and so are the downloads. Without effect on a card that is off.
    pub fn power_down(&self, level: Passive) {
        if self.off.load(Ordering::Acquire) {
            return;
        }
        self.midi_out.suspend(level.into());
        self.stop(level);
        self.off.store(true, Ordering::Release);
        let lost = self.downloads.clear(level);
        if lost != 0 {
            self.kernel.log(format_args!("{lost} downloads go with the power: their owners have to send them again"));
        }
    }

    /// The card has power again: it is brought back to life, with its parameters, its streams and their states. Without
    /// effect on a card that is on.
    ///
    /// # Errors
    /// [`CardError`]; the card stays off.
    pub fn power_up(&self, level: Passive) -> Result<(), CardError> {
        if !self.off.load(Ordering::Acquire) {
            return Ok(());
        }
        self.transport.renegotiate(&self.kernel, level)?;
        let rings = [
            self.control.restart(level),
            self.midi_out.restart(level.into()),
            self.midi_in,
            self.wave.restart(level),
            self.news.restart(level.into()),
        ];
        for ((queue, size), ring) in Queue::ALL.into_iter().zip(self.queue_sizes).zip(rings) {
            self.transport.enable_queue(queue.0, size, ring);
        }
        self.transport.driver_ok();
        self.off.store(false, Ordering::Release);
        self.restore(level).inspect_err(|_| {
            _ = self.transport.reset(&self.kernel, level);
            self.off.store(true, Ordering::Release);
        })?;
        self.midi_out.resume(level.into(), &|| self.kick(midi_out::QUEUE));
        Ok(())
    }

    /// Tells a new session what the old one knew.
    fn restore(&self, level: Passive) -> Result<(), CardError> {
        self.open(level)?;
        let parameters = self.parameters.with(level.into(), |parameters| *parameters);
        if let Some(parameters) = parameters {
            self.set_parameters(level, &parameters)?;
        }
        for item in [VolumeItem::Volume, VolumeItem::Boost] {
            if self.volume(item) != 0 {
                self.set_volume(level, item, self.volume(item))?;
            }
        }
        if let Ok(stream) = self.with_wave(level.into(), |stream| *stream) {
            self.open_wave_on_card(level, stream.format)?;
            if let Some(anchor) = stream.anchor {
                let time = anchor.time_of(stream.next_frame, stream.format.sample_rate);
                self.anchor_on_card(level, Anchor { time, frame: stream.next_frame }, clock_sync::START)?;
            }
            self.set_stream_state(level, WAVE_STREAM, stream.state)?;
        }
        for id in 0..midi_out::STREAMS as u32 {
            if let Some(state) = self.midi_out.state_of(level.into(), id) {
                self.open_render_on_card(level, id)?;
                self.set_stream_state(level, id, state)?;
            }
        }
        Ok(())
    }

    /// The deferred procedure call: looks at every ring, for they share one interrupt.
    pub fn service(&self, level: AtMostDispatch) {
        self.control.service(level);
        self.wave.service(level);
        self.midi_out.service(level, &|| self.kick(midi_out::QUEUE));
        while let Some(record) = self.news.next(level, &|| self.kick(news::QUEUE)) {
            match NewsKind(record.kind.get()) {
                NewsKind::DIAGNOSED => self.kernel.log(format_args!(
                    "the card found a fault: {} on {}, expected {:#x}, got {:#x}",
                    Diagnosis(record.code.get()),
                    record.stream,
                    record.expected,
                    record.got
                )),
                kind => self.kernel.log(format_args!("news: {kind} on stream {}: {}", record.stream, record.value)),
            }
        }
    }

    /// Opens a render stream, in state `STOP`; its number.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn open_render(&self, level: Passive, groups: Groups, home: K::Home) -> Result<u32, CardError> {
        let id = self.midi_out.add(level.into(), groups, home).ok_or(CardError::NoStream)?;
        match self.open_render_on_card(level, id) {
            Ok(()) => Ok(id),
            Err(error) => {
                self.midi_out.remove(&self.kernel, level, id);
                Err(error)
            }
        }
    }

    fn open_render_on_card(&self, level: Passive, id: u32) -> Result<(), CardError> {
        let request = StreamOpen {
            stream: id.into(),
            kind: StreamKind::RENDER.0.into(),
            sample_rate: 0.into(),
            channels: 0.into(),
            bits: 0.into(),
        };
        self.command(level, RequestCode::STREAM_OPEN, &request)?;
        Ok(())
    }

    /// Closes a render stream: its events go home, and when this returns nobody uses the home any more.
    pub fn close_render(&self, level: Passive, id: u32) {
        self.midi_out.set_state(level.into(), id, KsState::STOP, &|| {});
        self.close_stream(level, id);
        self.midi_out.remove(&self.kernel, level, id);
    }

    /// Sets a render stream's state.
    ///
    /// # Errors
    /// The card does not follow. On the way down the driver does so all the same.
    pub fn set_render_state(&self, level: Passive, id: u32, state: KsState) -> Result<(), CardError> {
        let kick = || self.kick(midi_out::QUEUE);
        if state < KsState::RUN {
            // First nothing more goes out, then the card learns of it, after the batches that were there before.
            self.midi_out.set_state(level.into(), id, state, &kick);
            self.midi_out.wait_until_taken(level, DRAIN_MILLISECONDS, &kick);
        }
        match self.set_stream_state(level, id, state) {
            // The state is remembered, and the card learns it when it is on again.
            Ok(()) | Err(CardError::Control(ControlError::Off)) => {}
            Err(error) => return Err(error),
        }
        if state >= KsState::RUN {
            self.midi_out.set_state(level.into(), id, KsState::RUN, &kick);
        }
        Ok(())
    }

    /// Takes events for a render stream. They are the driver's from here on, whatever happens.
    ///
    /// # Safety
    /// `events` is null, or a chain that came from the stream's home and that nobody else uses.
    #[allow(unsafe_code, reason = "passes the caller's promise on")]
    pub unsafe fn put(&self, level: AtMostDispatch, id: u32, events: *mut DmusKernelEvent) {
        // SAFETY: the caller's promise.
        unsafe { self.midi_out.put(level, id, events, &|| self.kick(midi_out::QUEUE)) };
    }

    /// Opens the wave stream, in state `STOP`.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn open_wave(&self, level: Passive, format: PcmFormat) -> Result<(), CardError> {
        let stream = WaveStream { format, state: KsState::STOP, anchor: None, next_frame: 0, quantum: 0 };
        self.wave_stream.with(level.into(), |place| match place {
            Some(_) => Err(CardError::NoStream),
            None => {
                *place = Some(stream);
                Ok(())
            }
        })?;
        self.open_wave_on_card(level, format).inspect_err(|_| {
            self.wave_stream.with(level.into(), |place| *place = None);
        })
    }

    fn open_wave_on_card(&self, level: Passive, format: PcmFormat) -> Result<(), CardError> {
        let request = StreamOpen {
            stream: WAVE_STREAM.into(),
            kind: StreamKind::WAVE.0.into(),
            sample_rate: format.sample_rate.into(),
            channels: format.channels.into(),
            bits: crate::format::BITS.into(),
        };
        self.command(level, RequestCode::STREAM_OPEN, &request)?;
        Ok(())
    }

    fn anchor_on_card(&self, level: Passive, anchor: Anchor, flags: u32) -> Result<(), CardError> {
        let request = ClockSync {
            stream: WAVE_STREAM.into(),
            flags: flags.into(),
            master_time: anchor.time.into(),
            frame: anchor.frame.into(),
        };
        self.command(level, RequestCode::CLOCK_SYNC, &request)?;
        Ok(())
    }

    /// Closes the wave stream.
    pub fn close_wave(&self, level: Passive) {
        self.close_stream(level, WAVE_STREAM);
        self.wave_stream.with(level.into(), |place| *place = None);
    }

    /// Sets the wave stream's state.
    ///
    /// # Errors
    /// The card does not follow.
    pub fn set_wave_state(&self, level: Passive, state: KsState) -> Result<(), CardError> {
        self.with_wave(level.into(), |stream| {
            stream.state = state;
            if state == KsState::STOP {
                stream.anchor = None;
                stream.next_frame = 0;
            }
        })?;
        match self.set_stream_state(level, WAVE_STREAM, state) {
            // The state is remembered, and the card learns it when it is on again.
            Err(CardError::Control(ControlError::Off)) => Ok(()),
            result => result,
        }
    }

    /// Renders whole frames into `pcm`, all of them: frames that the card does not give are silence. Gives the first
    /// thing that went wrong.
    ///
    /// # Errors
    /// The wave stream is not open.
    pub fn render(&self, level: Passive, pcm: &mut [u8]) -> Result<Option<Rendered>, CardError> {
        let WaveStream { format, state, .. } =
            self.with_wave(level.into(), |stream| *stream).inspect_err(|_| pcm.fill(0))?;
        if state != KsState::RUN || self.check_power().is_err() {
            pcm.fill(0);
            return Ok(Some(Rendered::Flushed));
        }
        let mut wrong = None;
        let frame_bytes = format.frame_bytes();
        for chunk in pcm.chunks_mut(wave::PCM_BYTES) {
            // The card plays an event that it has before the request for its frame on time, whatever else happens.
            let kick_events = || self.kick(midi_out::QUEUE);
            self.midi_out.wait_until_sent(level, EVENTS_FIRST_MILLISECONDS, &kick_events);
            let frames = (chunk.len() / frame_bytes) as u32;
            let kick = || self.kick(wave::QUEUE);
            let rendered = self.wave.render(level, &kick, WAVE_STREAM, frame_bytes, format.sample_rate, chunk);
            if let Rendered::Frames { position, after_underrun } = rendered {
                _ = self.with_wave(level.into(), |stream| {
                    stream.next_frame = (position as i64).saturating_add(frames.into());
                    stream.quantum = frames;
                });
                if after_underrun {
                    wrong = wrong.or(Some(rendered));
                }
            } else {
                wrong = wrong.or(Some(rendered));
            }
        }
        Ok(wrong)
    }

    /// Bytes of a frame of the wave stream.
    ///
    /// # Errors
    /// It is not open.
    pub fn frame_bytes(&self, level: AtMostDispatch) -> Result<usize, CardError> {
        self.with_wave(level, |stream| stream.format.frame_bytes())
    }

    /// Anchors the sample clock. With `start`, frame 0 is at `master_time`. Without, drift between what was rendered
    /// and what master time says is corrected.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn sync(&self, level: Passive, master_time: i64, start: bool) -> Result<(), CardError> {
        let stream = self.with_wave(level.into(), |stream| *stream)?;
        let rate = stream.format.sample_rate;
        let (anchor, flags) = match stream.anchor {
            Some(anchor) if !start => match anchor.corrected(master_time, stream.next_frame, rate, stream.quantum) {
                Some(anchor) => (anchor, 0),
                None => return Ok(()),
            },
            _ => (Anchor { time: master_time, frame: 0 }, clock_sync::START),
        };
        self.anchor_on_card(level, anchor, flags)?;
        self.with_wave(level.into(), |stream| {
            stream.anchor = Some(anchor);
            if flags & clock_sync::START != 0 {
                stream.next_frame = anchor.frame;
            }
        })
    }

    /// The anchor in force and the sample rate.
    ///
    /// # Errors
    /// The wave stream is not open, or has not been synchronised.
    pub fn anchor(&self, level: AtMostDispatch) -> Result<(Anchor, u32), CardError> {
        let (anchor, rate) = self.with_wave(level, |stream| (stream.anchor, stream.format.sample_rate))?;
        Ok((anchor.ok_or(CardError::State)?, rate))
    }

    /// Asks for port parameters. Gives what is in force, and whether something that was asked for was altered.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn set_parameters(&self, level: Passive, wanted: &PortParameters) -> Result<(PortParameters, bool), CardError> {
        let (status, parameters): (_, PortParameters) = self.query(level, RequestCode::PARAMETERS, wanted)?;
        if wanted.valid.get() != 0 {
            self.parameters.with(level.into(), |kept| *kept = Some(parameters));
        }
        Ok((parameters, status == Status::ALTERED))
    }

    /// The running statistics.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn statistics(&self, level: Passive) -> Result<Statistics, CardError> {
        Ok(self.query(level, RequestCode::STATISTICS, &())?.1)
    }

    /// Reads or sets a channel's priority.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn voice_priority(
        &self,
        level: Passive,
        request: &card_spec::control::VoicePriority,
    ) -> Result<card_spec::control::VoicePriority, CardError> {
        Ok(self.query(level, RequestCode::VOICE_PRIORITY, request)?.1)
    }

    /// Downloads DLS data for a stream: `bytes` bytes, which `fill` puts into the card's sight. The handle.
    ///
    /// # Errors
    /// [`CardError`]. What is wrong with the data is logged.
    pub fn download(
        &self,
        level: Passive,
        stream: u32,
        bytes: usize,
        fill: impl FnOnce(&Window) -> bool,
    ) -> Result<u32, CardError> {
        self.check_power()?;
        if !self.downloads.reserve(level) {
            return Err(CardError::NoMemory);
        }
        let kick = || self.kick(control::QUEUE);
        let (status, answer): (_, DownloadResponse) =
            self.control.transfer(&self.kernel, level, &kick, RequestCode::DLS_DOWNLOAD, bytes, fill)?;
        let handle = answer.handle.get();
        if status != Status::OK {
            self.kernel.log(format_args!(
                "download refused: {status}, reason {} at byte {}",
                answer.reason.get(),
                answer.offset.get()
            ));
            return Err(ControlError::Refused(status).into());
        }
        if handle == 0 {
            return Err(ControlError::BadAnswer.into());
        }
        self.downloads.add(level, stream, handle);
        Ok(handle)
    }

    /// Unloads. What still sounds from it goes on to its end; the card's memory is free after that.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn unload(&self, level: Passive, handle: u32) -> Result<(), CardError> {
        let request = DownloadHandle { handle: handle.into(), reserved: 0.into() };
        self.command(level, RequestCode::DLS_UNLOAD, &request)?;
        self.downloads.remove(level, handle);
        Ok(())
    }

    /// Packs download memory.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn compact(&self, level: Passive) -> Result<(), CardError> {
        self.command(level, RequestCode::DLS_COMPACT, &())?;
        Ok(())
    }

    /// The volume or boost that was set last, in 1/100 dB.
    pub fn volume(&self, item: VolumeItem) -> i32 {
        self.volume[item as usize].load(Ordering::Relaxed)
    }

    /// Sets volume or boost, clamped to [`VOLUME_RANGE`].
    ///
    /// # Errors
    /// [`CardError`].
    pub fn set_volume(&self, level: Passive, item: VolumeItem, hundredths_db: i32) -> Result<(), CardError> {
        let value = hundredths_db.clamp(*VOLUME_RANGE.start(), *VOLUME_RANGE.end());
        let request = Volume { item: (item as u32).into(), hundredths_db: value.into() };
        self.command(level, RequestCode::VOLUME, &request)?;
        self.volume[item as usize].store(value, Ordering::Relaxed);
        Ok(())
    }

    /// The earliest master time at which an event is not late, at master time `now`. While the wave stream runs the
    /// status page says so, without asking.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn latency_time(&self, level: Passive, now: i64) -> Result<i64, CardError> {
        let running = self.with_wave(level.into(), |stream| stream.state == KsState::RUN && stream.anchor.is_some());
        if running == Ok(true)
            && let Some(page) = self.status_page()
        {
            return Ok(page.latency_time.get().max(now));
        }
        let (_, latency): (_, Latency) = self.query(level, RequestCode::LATENCY, &())?;
        Ok(now.saturating_add(latency.minimum.get().max(0)))
    }

    /// A consistent picture of the status page, once the card has written it.
    pub fn status_page(&self) -> Option<StatusPage> {
        /// The card holds the sequence lock for a few stores; more tries than this mean that it keeps it.
        const TRIES: usize = 16;
        for _ in 0..TRIES {
            let before: u32 = self.status_page.read(0);
            core::sync::atomic::fence(Ordering::Acquire);
            let page: StatusPage = self.status_page.read(0);
            core::sync::atomic::fence(Ordering::Acquire);
            let after: u32 = self.status_page.read(0);
            if before == after && before.is_multiple_of(2) {
                return (before != 0).then_some(page);
            }
        }
        None
    }

    fn close_stream(&self, level: Passive, id: u32) {
        while let Some(handle) = self.downloads.pop_of(level, id) {
            if let Err(error) = self.unload(level, handle) {
                self.kernel.log(format_args!("the card does not unload {handle}: {error:?}"));
            }
        }
        let request = StreamId { stream: id.into(), reserved: 0.into() };
        if let Err(error) = self.command(level, RequestCode::STREAM_CLOSE, &request) {
            self.kernel.log(format_args!("the card does not close stream {id}: {error:?}"));
        }
    }

    fn set_stream_state(&self, level: Passive, id: u32, state: KsState) -> Result<(), CardError> {
        let request = StreamStateChange { stream: id.into(), state: state.0.into() };
        self.command(level, RequestCode::STREAM_STATE, &request)?;
        Ok(())
    }

    fn with_wave<R>(&self, level: AtMostDispatch, work: impl FnOnce(&mut WaveStream) -> R) -> Result<R, CardError> {
        self.wave_stream.with(level, |stream| stream.as_mut().map(work)).ok_or(CardError::State)
    }

    fn command<Q: IntoBytes + Immutable>(
        &self,
        level: Passive,
        code: RequestCode,
        request: &Q,
    ) -> Result<Status, ControlError> {
        self.check_power()?;
        self.control.command(level, &|| self.kick(control::QUEUE), code, request)
    }

    fn query<Q: IntoBytes + Immutable, A: FromBytes + IntoBytes>(
        &self,
        level: Passive,
        code: RequestCode,
        request: &Q,
    ) -> Result<(Status, A), ControlError> {
        self.check_power()?;
        self.control.query(level, &|| self.kick(control::QUEUE), code, request)
    }

    fn check_power(&self) -> Result<(), ControlError> {
        if self.off.load(Ordering::Acquire) { Err(ControlError::Off) } else { Ok(()) }
    }

    fn kick(&self, queue: u16) {
        if !self.off.load(Ordering::Acquire) {
            self.transport.kick(queue);
        }
    }
}
