//! The card as the driver sees it: its life, its queues, its interrupt.

mod capture;
mod error;
mod line;
mod power;
mod render;
mod repair;
mod synthesizer;
mod wave_stream;

use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use card_spec::control::{
    Open, OpenResponse, PortParameters, RequestCode, Status, StatusPageLoan, StreamId, StreamOpen, StreamStateChange,
};
use card_spec::diagnosis::Diagnosis;
use card_spec::identity::IdentityBlock;
use card_spec::limits::STREAMS_MAX;
use card_spec::notice::{Notice, NoticeKind};
use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::status_page::StatusPage;
use card_spec::{ABI_MAJOR, ABI_MINOR};
use portcls::NtStatus;
use portcls::ks::KsState;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::control::{self, Control, ControlError};
use crate::dma::Window;
use crate::downloads::{self, Downloads};
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::{DmaBuffer, Kernel};
use crate::lock::Spin;
use crate::log::Part;
use crate::midi_in::{self, MidiIn};
use crate::midi_out::{self, MidiOut};
use crate::news::{self, News};
use crate::pending::Pending;
use crate::presence::Presence;
use crate::ring::{RING_BYTES, Ring};
use crate::transport::{Mapped, Transport};
use crate::unloads::Unloads;
use crate::wave::{self, Wave};

pub use error::CardError;
use repair::Repairs;
pub use synthesizer::{VOLUME_RANGE, VolumeItem};
use wave_stream::WaveStream;

/// The wave stream's number on the card; render streams have those below.
pub const WAVE_STREAM: u32 = STREAMS_MAX as u32 - 1;

/// The capture stream's number on the card.
pub const CAPTURE_STREAM: u32 = WAVE_STREAM - 1;

const _: () = assert!(CAPTURE_STREAM as usize >= midi_out::STREAMS);

/// Chains of each queue, in descriptors.
const SHAPES: [u16; QUEUE_COUNT] = [control::SHAPE, midi_out::SHAPE, midi_in::SHAPE, wave::SHAPE, news::SHAPE];

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
    unloads: Unloads<K>,
    /// The state of each stream that the card was told last.
    told: [AtomicU32; STREAMS_MAX],
    midi_in: MidiIn<K>,
    /// The port parameters in force, once somebody has asked for some.
    parameters: Spin<K, Option<PortParameters>>,
    /// The card has no power: it is asked for nothing.
    off: AtomicBool,
    /// The card was torn out.
    gone: AtomicBool,
    /// The device has been told to do without power: nobody repairs it until it is told otherwise.
    asleep: AtomicBool,
    /// The card needs a reset: it says so, has lost its session, or has broken a ring.
    needs_reset: AtomicBool,
    /// How often it got one lately.
    repairs: Spin<K, Repairs>,
    /// The guard of the card's registers.
    presence: Presence,
    /// What the service routine has seen.
    pending: Pending,
    /// The number that the next news should have.
    next_news: AtomicU32,
    queue_sizes: [u16; QUEUE_COUNT],
    /// What everything above works in; freed after the reset.
    _memory: K::Dma,
    /// Dropped last, for the memory came from it.
    kernel: K,
}

impl<K: Kernel> Card<K> {
    /// Brings the card to life: from here on it may interrupt. [`open`](Self::open) comes next.
    ///
    /// # Errors
    /// [`CardError`]; the card is left reset.
    pub fn start(kernel: K, level: Passive, mapped: Mapped<K::Registers>) -> Result<Self, CardError> {
        let downloads = downloads::none_yet(&kernel, level).ok_or(CardError::NoMemory)?;
        let unloads = Unloads::new(&kernel).ok_or(CardError::NoMemory)?;
        let transport = Transport::negotiate(&kernel, level, mapped)?;
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
        let repairs = Spin::new(&kernel, Repairs::default());
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
            unloads,
            told: [const { AtomicU32::new(0) }; STREAMS_MAX],
            midi_in,
            parameters,
            off: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            needs_reset: AtomicBool::new(false),
            repairs,
            presence: Presence::new(),
            pending: Pending::new(),
            next_news: AtomicU32::new(0),
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
    ) -> Result<(Control<K>, MidiOut<K>, MidiIn<K>, Wave<K>, News<K>, Window, K::Dma, [u16; QUEUE_COUNT]), CardError>
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
            midi_in::BUFFER_BYTES,
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
        let [rings, control_buffer, batch_buffer, capture_buffer, wave_buffer, news_buffer, status_page] =
            parts.map(|bytes| {
                at += bytes;
                whole.part(at - bytes, bytes)
            });

        let event_idx = transport.event_idx();
        let make = |queue: Queue| {
            let index = queue.index();
            let memory = rings.part(RING_BYTES * index, RING_BYTES);
            let ring = Ring::new(memory, sizes[index], SHAPES[index], event_idx).ok_or(CardError::NoMemory)?;
            transport.enable_queue(queue.0, sizes[index], ring.addresses())?;
            Ok::<_, CardError>(ring)
        };
        let control = make(Queue::CONTROL)?;
        let midi_out = make(Queue::MIDI_OUT)?;
        let midi_in = make(Queue::MIDI_IN)?;
        let wave = make(Queue::WAVE)?;
        let news = make(Queue::EVENT)?;
        Ok((
            Control::new(kernel, level, control, control_buffer).ok_or(CardError::NoMemory)?,
            MidiOut::new(kernel, level, midi_out, batch_buffer).ok_or(CardError::NoMemory)?,
            MidiIn::new(kernel, midi_in, capture_buffer),
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
        self.next_news.store(0, Ordering::Relaxed);
        self.midi_in.start(level.into(), &self.line(midi_in::QUEUE));
        self.news.start(level.into(), &self.line(news::QUEUE));
        self.status_page.write(0, &StatusPage::default());
        let loan = StatusPageLoan { address: self.status_page.address().into() };
        self.command(level, RequestCode::STATUS_PAGE, &loan)?;
        Ok(())
    }

    /// Ends the session and resets the card: afterwards it touches no memory.
    fn stop(&self, level: Passive) {
        if self.check_power().is_ok() {
            _ = self.control.command(level, &self.line(control::QUEUE), RequestCode::CLOSE, &());
        }
        if let Err(error) = self.transport.reset(&self.kernel, level) {
            self.kernel.log(&[Part::Text("the card does not reset: "), Part::Reason(error.into())]);
        }
    }

    /// What the card says of itself.
    pub const fn identity(&self) -> &IdentityBlock {
        self.transport.identity()
    }

    /// The card has all capabilities of a set ([`card_spec::identity::capability`]).
    pub fn has(&self, capabilities: u32) -> bool {
        self.identity().capabilities.get() & capabilities == capabilities
    }

    /// The kernel that the card was started with.
    pub const fn kernel(&self) -> &K {
        &self.kernel
    }

    /// The deferred procedure call: looks at every ring, for they share one interrupt. True: the card is in trouble, and
    /// [`repair`](Self::repair) is wanted as soon as somebody may wait for it.
    pub fn service(&self, level: AtMostDispatch) -> bool {
        self.look_at_causes(level);
        self.control.service(level);
        self.wave.service(level);
        self.midi_out.service(level, &self.line(midi_out::QUEUE));
        while let Some(record) = self.news.next(level, &self.line(news::QUEUE)) {
            self.hear(level, &record);
        }
        let faults = [
            self.control.fault(level),
            self.wave.fault(level),
            self.midi_out.fault(level),
            self.midi_in.fault(level),
            self.news.fault(level),
        ];
        if let Some(fault) = faults.into_iter().flatten().next() {
            self.is_in_trouble(level, Part::Reason(fault.into()));
        }
        self.needs_reset.load(Ordering::Acquire)
    }

    fn hear(&self, level: AtMostDispatch, record: &Notice) {
        let number = record.sequence.get();
        if self.next_news.swap(number.wrapping_add(1), Ordering::Relaxed) != number {
            // What somebody waits for may have been among it.
            self.kernel.log(&[Part::Text("news was lost before number "), Part::Number(number.into())]);
            self.unloads.end_all(level, NtStatus::SUCCESS);
        }
        let kind = NoticeKind(record.kind.get());
        if kind == NoticeKind::UNLOADED {
            self.unloads.over(level, record.value.get() as u32);
        } else if kind == NoticeKind::DIAGNOSED {
            self.kernel.log(&[
                Part::Text("the card found a fault: "),
                Part::Text(Diagnosis(record.code.get()).name().unwrap_or("unknown")),
                Part::Text(" on "),
                Part::Number(record.stream.get().into()),
                Part::Text(", expected "),
                Part::Hex(record.expected.get().into()),
                Part::Text(", got "),
                Part::Hex(record.got.get().into()),
            ]);
        } else {
            self.kernel.log(&[
                Part::Text("news: "),
                Part::Text(kind.name().unwrap_or("unknown")),
                Part::Text(" on stream "),
                Part::Number(record.stream.get().into()),
                Part::Text(": "),
                Part::Number(record.value.get()),
            ]);
            if kind == NoticeKind::STATE_CHANGED {
                self.is_in_trouble(level, Part::Text("it has stopped a stream by itself"));
            }
        }
    }

    fn close_stream(&self, level: Passive, id: u32) {
        self.unloads.end_stream(&self.kernel, level, id, NtStatus::CANCELLED);
        self.unload_all_of(level, id);
        let request = StreamId { stream: id.into(), reserved: 0.into() };
        if let Err(error) = self.command(level, RequestCode::STREAM_CLOSE, &request) {
            self.kernel.log(&[
                Part::Text("the card does not close stream "),
                Part::Number(id.into()),
                Part::Text(": "),
                Part::Reason(error.into()),
            ]);
        }
    }

    /// Tells the card of a stream's state, if it makes a difference there: below `RUN` nothing moves, and only what ran
    /// has left anything to discard. A stream is on its way to `RUN` or from there by steps, and each question takes time.
    fn set_stream_state(&self, level: Passive, id: u32, state: KsState) -> Result<(), CardError> {
        let Some(told) = self.told.get(id as usize) else { return Err(CardError::NoStream) };
        let before = KsState(told.load(Ordering::Relaxed));
        let matters = before == KsState::RUN || state == KsState::RUN || (state == KsState::STOP && before != state);
        if matters || self.check_power().is_err() {
            let request = StreamStateChange { stream: id.into(), state: state.0.into() };
            self.command(level, RequestCode::STREAM_STATE, &request)?;
            told.store(state.0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Opens a stream on the card, in state `STOP`.
    fn open_on_card(&self, level: Passive, request: &StreamOpen) -> Result<(), CardError> {
        self.command(level, RequestCode::STREAM_OPEN, request)?;
        if let Some(told) = self.told.get(request.stream.get() as usize) {
            told.store(KsState::STOP.0, Ordering::Relaxed);
        }
        Ok(())
    }

    fn command<Q: IntoBytes + Immutable>(
        &self,
        level: Passive,
        code: RequestCode,
        request: &Q,
    ) -> Result<Status, ControlError> {
        self.check_power()?;
        let answer = self.control.command(level, &self.line(control::QUEUE), code, request);
        answer.inspect_err(|error| self.look_at_failure(level, *error))
    }

    fn query<Q: IntoBytes + Immutable, A: FromBytes + IntoBytes>(
        &self,
        level: Passive,
        code: RequestCode,
        request: &Q,
    ) -> Result<(Status, A), ControlError> {
        self.check_power()?;
        let answer = self.control.query(level, &self.line(control::QUEUE), code, request);
        answer.inspect_err(|error| self.look_at_failure(level, *error))
    }

    fn check_power(&self) -> Result<(), ControlError> {
        if self.gone.load(Ordering::Acquire) {
            Err(ControlError::Gone)
        } else if self.off.load(Ordering::Acquire) {
            Err(ControlError::Off)
        } else {
            Ok(())
        }
    }
}
