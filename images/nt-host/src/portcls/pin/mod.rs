//! A pin: the port's side of one stream, from `NewStream` through the state ladder to the last release.

#![allow(unsafe_code, reason = "streams are called by slot number")]

pub(crate) mod allocator;
pub(crate) mod capture;
pub(crate) mod clock;
pub(crate) mod delivery;
mod event_pool;
pub(crate) mod new_stream;
mod probe;
mod sequencer;
pub(crate) mod unpack;

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering};

use self::allocator::Allocator;
use self::allocator::starve::NOTHING;
use self::capture::{CaptureSink, Captured};
use self::clock::MasterClock;
use self::delivery::{Batch, Chain};
use self::new_stream::{NewStream, new_stream};
use self::probe::probe;
use self::sequencer::{Sequencer, Verdict};
use self::unpack::{DirectMusicRecords, Message, MidiRecords, Records, fragments};
use crate::contract::rules::{self, Rule};
use crate::contract::violation::{Violation, violation};
use crate::harness::stopwatch::{self, Mark};
use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::status::{
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_NO_MATCH,
    STATUS_NOT_IMPLEMENTED, STATUS_NOT_SUPPORTED, STATUS_SUCCESS, success,
};
use crate::nt::{KDPC, KTIMER, NTSTATUS, PVOID};
use crate::portcls::com::abi::{KernelEvent, KsState, StreamType, data_flow};
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::com::object::{Class, Com, Object, Slot, object, unknown};
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::kernel::lock::Lock;
use crate::portcls::kernel::patience::Patience;
use crate::portcls::kernel::{self, irql};
use crate::portcls::ks::descriptor::{Filter, Pin as Factory};
use crate::portcls::ks::{event_list, formats, pending};
use crate::portcls::port::Port;
use crate::portcls::services::statistics;

/// What the last frame is filled with before `Render`: if it is not written, that is noticed. No silence, and no sample
/// that a synthesizer gives by chance in a whole frame.
const FRAME_POISON: u8 = 0xA9;

/// Bytes behind a render buffer that `Render` may not touch.
pub(crate) const RENDER_GUARD_BYTES: usize = 64;

/// Longest that `PutMessage` may keep the processor, in clock ticks that it runs itself. The demand is 100 microseconds; a
/// second of running is far beyond what a busy host can make of them (ticks do not come while a processor stands still, and
/// of the one that holds a lock meanwhile the host takes no second), and a driver that waits for its device exceeds it all
/// the same. Well below the clock's own watchdog.
const PUT_TICKS_MAX: u64 = 1_000;

/// How long a capture stream may take to notice that there are no events, 100 ns units: a driver may have nothing to
/// capture, and an interrupt of a busy host's device comes late.
const NOTICE_PATIENCE: i64 = 100_000_000;

/// Most messages of one package: a chord has fewer.
const PACKAGE_MESSAGES_MAX: usize = 16;

/// `SynchronizationTimer`.
const SYNCHRONIZATION_TIMER: i32 = 1;

/// The port's timer resolution (the latency-clock page): 1 ms, as a period and in 100 ns units.
const TIMER_PERIOD_MS: i32 = 1;
const TIMER_FIRST: i64 = -10_000;

/// An event in the sequencer.
#[derive(Debug)]
struct Event(*mut KernelEvent);

// SAFETY: the event is out of its pool and known to the sequencer alone.
unsafe impl Send for Event {}

/// The port's sink in a stream's own service group: service is `PutMessage(NULL)`.
struct ServiceSink {
    stream: usize,
}

impl Class for ServiceSink {
    const NAME: &'static str = "IServiceSink";
    const INTERFACES: &'static [GUID] = &[guids::IID_ISERVICESINK];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<ServiceSink>();
        static VTABLE: [Slot; 4] = [UNKNOWN[0], UNKNOWN[1], UNKNOWN[2], Slot(request_service as *const ())];
        &VTABLE
    }
}

unsafe extern "win64" fn request_service(this: *mut Object<ServiceSink>) {
    stopwatch::mark(Mark::Served, kernel::nanoseconds);
    irql::at_most(DISPATCH_LEVEL, "IServiceSink", "RequestService");
    // SAFETY: the sink leaves the group before the stream is released, and both happen at passive level.
    unsafe { slots::put_message_at_dispatch(object(this).stream as PVOID, core::ptr::null_mut()) };
}

/// A stream's own service group, with the port's sink in it.
struct Group {
    group: Foreign,
    sink: Com<ServiceSink>,
    place: Option<usize>,
}

/// What a music pin sends events with.
struct Render {
    sequencer: Lock<Sequencer<Event>>,
    chain: Lock<Chain>,
    /// Up to when the DPC delivers; [`FOLLOW_CLOCK`]: up to now.
    until: AtomicI64,
    /// The first failure that `PutMessage` returned.
    refused: AtomicI32,
    dpc: UnsafeCell<KDPC>,
    timer: UnsafeCell<KTIMER>,
}

/// Value of [`Render::until`] for delivery by the master clock.
const FOLLOW_CLOCK: i64 = i64::MIN;

/// What a wave pin renders with.
struct Wave {
    sink: Foreign,
    block_align: u32,
    sample_rate: u32,
    position: i64,
}

/// A pin.
pub(crate) struct Pin {
    port: Com<Port>,
    id: u32,
    state: KsState,
    stream: Option<Foreign>,
    group: Option<Group>,
    allocator: Com<Allocator>,
    clock: Com<MasterClock>,
    prefetch: u64,
    /// References to the miniport that the stream took.
    taken: u32,
    /// The format is MIDI, not DirectMusic.
    midi: bool,
    render: Option<Render>,
    wave: Option<Wave>,
    capture: Option<Com<CaptureSink>>,
    longest_put: AtomicU64,
}

// SAFETY: timer and DPC are the kernel's to synchronise; everything else is `Send` by itself.
unsafe impl Send for Pin {}

impl Pin {
    /// Opens a pin with a connection format.
    ///
    /// # Errors
    /// `STATUS_INVALID_PARAMETER` for a pin that does not exist or a format that is none, `STATUS_NO_MATCH` for one that
    /// does not fit, `STATUS_INSUFFICIENT_RESOURCES` when all instances are open, `STATUS_NOT_SUPPORTED` for wave into the
    /// filter, or what `NewStream` returned.
    pub(crate) fn open(port: &Com<Port>, id: u32, format: &[u8]) -> Result<Box<Self>, NTSTATUS> {
        port.check_description();
        let filter = port.filter().ok_or(STATUS_INVALID_DEVICE_REQUEST)?;
        let factory = filter.pins.get(id as usize).ok_or(STATUS_INVALID_PARAMETER)?;
        formats::fit(factory, format).map_err(|unfit| match unfit {
            formats::Unfit::Length { .. } => STATUS_INVALID_PARAMETER,
            formats::Unfit::NoMatch => Self::expect_refusal(port, id, &filter, format),
        })?;
        let kind = stream_type(factory, format)?;
        let instances = port.instances(id).ok_or(STATUS_INVALID_PARAMETER)?;
        if instances.current >= instances.possible || instances.global_current >= instances.global_possible {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        let pin = Self::create(port, id, kind, format)?;
        port.count_instance(id, 1);
        Ok(pin)
    }

    fn create(port: &Com<Port>, id: u32, kind: StreamType, format: &[u8]) -> Result<Box<Self>, NTSTATUS> {
        let (allocator, clock) = (Allocator::create(), MasterClock::create());
        let NewStream { stream, group, prefetch, taken, synth_sink } =
            new_stream(port, id, kind, format, &allocator, &clock)?;
        port.add_stream(stream.as_raw());
        let room = allocator.capacity();
        let mut pin = Box::new(Self {
            port: port.clone(),
            id,
            state: KsState::Stop,
            group: None,
            prefetch,
            taken,
            midi: formats::is_midi(format),
            render: (kind == StreamType::MidiRender).then(|| Render::new(prefetch, room)),
            wave: synth_sink.map(|sink| Wave {
                sink,
                block_align: formats::block_align(format).unwrap_or(1),
                sample_rate: formats::sample_rate(format).unwrap_or(1),
                position: 0,
            }),
            capture: (kind == StreamType::MidiCapture).then(|| CaptureSink::create(allocator.clone())),
            allocator,
            clock,
            stream: Some(stream),
            longest_put: AtomicU64::new(0),
        });
        pin.join_group(group);
        pin.start_render();
        pin.connect_capture(true);
        probe(&mut pin);
        Ok(pin)
    }

    /// Connects the port's sink to a capture stream, or disconnects it, if it is not so already.
    pub(crate) fn connect_capture(&self, connect: bool) {
        let Some(sink) = self.capture.as_ref().filter(|sink| sink.is_connected() != connect) else { return };
        if connect {
            sink.set_connected(true);
        }
        // SAFETY: the pin holds both.
        let (method, status) = unsafe {
            if connect {
                ("IMXF::ConnectOutput", slots::mxf::connect_output(self.minor_target(), sink.as_raw()))
            } else {
                ("IMXF::DisconnectOutput", slots::mxf::disconnect_output(self.minor_target(), sink.as_raw()))
            }
        };
        if !connect {
            sink.set_connected(false);
        }
        if !success(status) {
            violation(
                method,
                Violation::new(
                    rules::CAPTURE_OUTPUT,
                    format!("a capture stream answers {method} with {status:#010x}"),
                    "accept one sink at a time, and give the one that is connected up when asked to",
                ),
            )
        }
    }

    /// What a capture stream has brought since the last time. `None` for other streams.
    pub(crate) fn take_captured(&self) -> Option<Vec<Captured>> {
        self.capture.as_ref().map(|sink| sink.take())
    }

    /// Captured events that found no room with the client.
    pub(crate) fn captured_dropped(&self) -> u64 {
        self.capture.as_ref().map_or(0, |sink| sink.dropped())
    }

    /// Passes a format that no data range of the pin has on to the miniport, which must refuse it too, and refuse a pin
    /// that does not exist (rule 33).
    fn expect_refusal(port: &Com<Port>, id: u32, filter: &Filter, format: &[u8]) -> NTSTATUS {
        let kind = match (filter.pins[id as usize].data_flow, formats::block_align(format).is_some()) {
            (data_flow::IN, _) => StreamType::MidiRender,
            (_, true) => StreamType::WaveSink,
            (_, false) => StreamType::MidiCapture,
        };
        let nowhere = filter.pins.len() as u32;
        for (pin, kind) in [(id, kind), (nowhere, StreamType::MidiRender)] {
            if new_stream(port, pin, kind, format, &Allocator::create(), &MasterClock::create()).is_ok() {
                violation(
                    "IMiniportDMus::NewStream",
                    Violation::new(
                        rules::NEW_STREAM_FAILURE,
                        format!(
                            "it makes a {kind:?} stream on pin {pin} for a format that no data range of the pin has"
                        ),
                        "check pin, stream type and format against the data ranges, and fail with NULL outputs",
                    ),
                )
            }
        }
        STATUS_NO_MATCH
    }

    fn join_group(&mut self, group: Option<Foreign>) {
        let (Some(group), Some(stream)) = (group, &self.stream) else { return };
        let sink = Com::new(ServiceSink { stream: stream.as_raw() as usize });
        // SAFETY: both live; the sink leaves the group in `close`.
        unsafe { slots::service_group::add_member(group.as_raw(), sink.as_raw()) };
        let place = self.port.add_group(&group);
        self.group = Some(Group { group, sink, place });
    }

    fn start_render(&mut self) {
        let this: *mut Self = self;
        if let Some(render) = &self.render {
            // SAFETY: the pin is boxed and takes both back in `close`, before it goes.
            unsafe {
                kernel::KeInitializeDpc(render.dpc.get(), Some(deliver), this.cast());
                kernel::KeInitializeTimerEx(render.timer.get(), SYNCHRONIZATION_TIMER);
            }
        }
    }

    /// The factory.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// The port.
    pub(crate) fn port(&self) -> &Com<Port> {
        &self.port
    }

    /// The state.
    pub(crate) fn state(&self) -> KsState {
        self.state
    }

    /// The `SchedulePreFetch` that the miniport asked for.
    pub(crate) fn prefetch(&self) -> u64 {
        self.prefetch
    }

    /// The stream: the minor target of property requests.
    pub(crate) fn minor_target(&self) -> PVOID {
        self.stream.as_ref().map_or(core::ptr::null_mut(), Foreign::as_raw)
    }

    /// Whether events can be sent.
    pub(crate) fn is_render(&self) -> bool {
        self.render.is_some()
    }

    /// The records in a client's stream data, in the format that the pin was opened with.
    pub(crate) fn records<'a>(&self, data: &'a [u8]) -> Records<'a> {
        if self.midi {
            Records::Midi(MidiRecords::new(data))
        } else {
            Records::DirectMusic(DirectMusicRecords::new(data))
        }
    }

    /// Sample rate and bytes of a frame, of a wave pin.
    pub(crate) fn wave_format(&self) -> Option<(u32, u32)> {
        self.wave.as_ref().map(|wave| (wave.sample_rate, wave.block_align))
    }

    /// Moves to a state through those between.
    ///
    /// # Errors
    /// What `SetState(RUN)` returned; the pin stays in the last state that was reached.
    pub(crate) fn set_state(&mut self, target: KsState) -> Result<(), NTSTATUS> {
        while self.state != target {
            let next = neighbour(self.state, target);
            let stream = self.minor_target();
            // Captured data may come from the moment that the stream is told to let it flow, until it has been told not to.
            let flows = next >= KsState::Pause;
            if let Some(sink) = self.capture.as_ref().filter(|_| flows) {
                sink.set_flows(true);
            }
            // SAFETY: the pin holds the stream.
            let status = unsafe { slots::mxf::set_state(stream, next) };
            if let Some(sink) = self.capture.as_ref().filter(|_| !flows) {
                sink.set_flows(false);
            }
            if !success(status) && next == KsState::Run {
                return Err(status);
            }
            if !success(status) {
                violation(
                    "IMXF::SetState",
                    Violation::new(
                        rules::STREAM_STATES,
                        format!("it answers {next:?} with {status:#010x}"),
                        "accept STOP, ACQUIRE and PAUSE from any state; only RUN may fail, when the hardware is not ready",
                    ),
                )
            }
            rules::STREAM_STATES.held();
            if next == KsState::Stop {
                self.discard_held();
                if let Some(wave) = &mut self.wave {
                    wave.position = 0;
                }
            }
            self.state = next;
        }
        Ok(())
    }

    /// Anchors the wave stream's sample clock: the first call after RUN.
    ///
    /// # Errors
    /// What `SyncToMaster` returned.
    pub(crate) fn sync_to_master(&mut self, time: i64) -> Result<(), NTSTATUS> {
        let Some(wave) = &mut self.wave else { return Err(STATUS_INVALID_DEVICE_REQUEST) };
        wave.position = 0;
        // SAFETY: the pin holds the sink.
        let status = unsafe { slots::synth_sink::sync_to_master(wave.sink.as_raw(), time, 1) };
        if matches!(status, STATUS_NOT_IMPLEMENTED | STATUS_NOT_SUPPORTED) {
            violation(
                "ISynthSinkDMus::SyncToMaster",
                Violation::new(
                    rules::RENDER,
                    format!("it is not implemented ({status:#010x})"),
                    "anchor frame 0 to the master time that it is given, and succeed",
                ),
            )
        }
        if !success(status) {
            return Err(status);
        }
        wave.check_conversions();
        Ok(())
    }

    /// Renders the next frames to the beginning of a buffer, which is [`RENDER_GUARD_BYTES`] longer than they are.
    ///
    /// # Panics
    /// When it is not.
    pub(crate) fn render(&mut self, buffer: &mut [u8], frames: u32) {
        let Some(wave) = &mut self.wave else { return };
        let (frame_bytes, position) = (wave.block_align as usize, wave.position);
        let (pcm, behind) = buffer.split_at_mut(frames as usize * frame_bytes);
        let last = pcm.len().saturating_sub(frame_bytes);
        pcm[last..].fill(FRAME_POISON);
        let mut guard = [0; RENDER_GUARD_BYTES];
        guard.copy_from_slice(&behind[..RENDER_GUARD_BYTES]);
        // SAFETY: the pin holds the sink; the buffer is as long as the frames take.
        unsafe { slots::synth_sink::render(wave.sink.as_raw(), buffer.as_mut_ptr(), frames, position) };
        let (pcm, behind) = buffer.split_at(frames as usize * frame_bytes);
        let past = behind[..RENDER_GUARD_BYTES] != guard;
        let short = !pcm.is_empty() && pcm[last..].iter().all(|&byte| byte == FRAME_POISON);
        if past || short {
            violation(
                "ISynthSinkDMus::Render",
                Violation::new(
                    rules::RENDER,
                    format!(
                        "{frames} frames of {frame_bytes} bytes were asked for at frame {position}, and {}",
                        if past { "bytes behind them were written" } else { "the last one was not written" }
                    ),
                    "length and position are frames: write length times the frame size, no more and no less",
                ),
            )
        }
        wave.position += i64::from(frames);
        rules::RENDER.held();
    }

    /// Sends a message that plays at `start` plus its own time. `wait` is called when the pool is empty, and says
    /// whether to try again.
    ///
    /// # Errors
    /// How many events are out, when `wait` gave up. Fragments that were sent before stay sent.
    pub(crate) fn send(&self, message: &Message<'_>, start: i64, mut wait: impl FnMut() -> bool) -> Result<u32, usize> {
        let Some(render) = &self.render else { return Err(0) };
        let time = start.saturating_add(message.delta);
        let mut sent = 0;
        for fragment in fragments(message, self.allocator.piece_bytes()) {
            let event = loop {
                if let Some(event) = self.allocator.fill(&fragment, time, message.channel_group) {
                    break event;
                }
                self.flush();
                if !wait() {
                    return Err(self.allocator.events_out());
                }
            };
            if let Verdict::Pass(Event(event)) = render.sequencer.with(|sequencer| sequencer.put(time, Event(event))) {
                self.put_all(render.chain.with(|chain| chain.add(event, time)));
            }
            sent += 1;
        }
        if sent > 1 && !message.raw {
            rules::FRAGMENTS.held();
        }
        if message.channel_group > 1 {
            rules::CHANNEL_GROUPS.held();
        }
        Ok(sent)
    }

    /// Sends messages of one time as a package, or, where they are more than a package's worth, as several.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(crate) fn send_package(
        &self,
        messages: &[Message<'_>],
        start: i64,
        mut wait: impl FnMut() -> bool,
    ) -> Result<(), usize> {
        let Some(render) = &self.render else { return Err(0) };
        for some in messages.chunks(PACKAGE_MESSAGES_MAX) {
            let (time, group) = (start.saturating_add(some[0].delta), some[0].channel_group);
            let package = loop {
                if let Some(package) = self.wrap(some, time, group) {
                    break package;
                }
                self.flush();
                if !wait() {
                    return Err(self.allocator.events_out());
                }
            };
            if let Verdict::Pass(Event(event)) = render.sequencer.with(|sequencer| sequencer.put(time, Event(package)))
            {
                self.put_all(render.chain.with(|chain| chain.add(event, time)));
            }
        }
        rules::CHAINS_AND_PACKAGES.held();
        Ok(())
    }

    /// A package of these messages' fragments. `None` when the pool has not enough left; then nothing is taken.
    fn wrap(&self, messages: &[Message<'_>], time: i64, group: u16) -> Option<*mut KernelEvent> {
        let mut children: Vec<*mut KernelEvent> = Vec::new();
        let parts = messages.iter().flat_map(|message| fragments(message, self.allocator.piece_bytes()));
        for fragment in parts {
            match self.allocator.fill(&fragment, time, group) {
                Some(event) => children.push(event),
                None => {
                    children.into_iter().for_each(|event| self.allocator.discard(event));
                    return None;
                }
            }
        }
        for pair in children.windows(2) {
            // SAFETY: just filled, and known to nobody else.
            unsafe { (*pair[0]).next = pair[1] };
        }
        let first = *children.first()?;
        let package = self.allocator.wrap(first, time, group);
        if package.is_none() {
            self.allocator.discard(first);
        }
        package
    }

    /// Whether events go to the stream as soon as they are sent, whatever their time.
    pub(crate) fn passes_at_once(&self) -> bool {
        self.render.as_ref().is_some_and(|render| render.sequencer.with(|sequencer| sequencer.passes_at_once()))
    }

    /// Puts what waits for more of its time.
    pub(crate) fn flush(&self) {
        if let Some(render) = &self.render {
            self.put_all(render.chain.with(Chain::take));
        }
    }

    /// Has the DPC deliver what the sequencer holds and what is due at `until`.
    pub(crate) fn deliver_until(&self, until: i64) {
        self.flush();
        if let Some(render) = &self.render
            && render.sequencer.with(|sequencer| sequencer.next_due()).is_some_and(|due| due <= until)
        {
            render.until.store(until, Ordering::Relaxed);
            // SAFETY: initialised when the pin was opened.
            unsafe { kernel::KeInsertQueueDpc(render.dpc.get(), core::ptr::null_mut(), core::ptr::null_mut()) };
        }
    }

    /// Lets the port's timer deliver by the master clock what the sequencer holds, or stops it.
    pub(crate) fn follow_clock(&self, follow: bool) {
        let Some(render) = &self.render else { return };
        // SAFETY: initialised when the pin was opened.
        unsafe {
            if !follow {
                kernel::KeCancelTimer(render.timer.get());
                kernel::KeRemoveQueueDpc(render.dpc.get());
            } else if !render.sequencer.with(|sequencer| sequencer.passes_at_once()) {
                render.until.store(FOLLOW_CLOCK, Ordering::Relaxed);
                kernel::KeSetTimerEx(render.timer.get(), TIMER_FIRST, TIMER_PERIOD_MS, render.dpc.get());
            }
        }
    }

    /// Has the allocator refuse events or buffers, or neither: bits of [`starve`](super::allocator::starve).
    ///
    /// A fault of a capture stream that is starved breaks rule 58. It is fed again when it has noticed, however slow the
    /// machine: or else it was never put to the test.
    pub(crate) fn starve(&self, what: u8) {
        if self.capture.is_some() {
            let patience = Patience::of(NOTICE_PATIENCE);
            while what == NOTHING && self.allocator.refusals() == 0 && !patience.has_ended() {
                kernel::pause();
            }
            rules::blame((what != NOTHING).then_some(rules::CAPTURE_EMPTY_POOL));
        }
        self.allocator.starve(what);
    }

    /// Where the stream's events come from.
    pub(crate) fn allocator(&self) -> &Com<Allocator> {
        &self.allocator
    }

    /// In STOP, waits until the stream has given every event back, or else `rule` is broken. `patience` in 100 ns units.
    pub(crate) fn expect_returned(&self, rule: &'static Rule, patience: i64, mut wait: impl FnMut()) {
        let patience = Patience::of(patience);
        while self.allocator.events_out() > 0 {
            if patience.has_ended() {
                patience.was_in_vain();
                violation(
                    "IMXF::SetState",
                    Violation::new(
                        rule,
                        format!("the stream is in STOP, and {} events did not come back", self.allocator.events_out()),
                        "give every event to the allocator exactly once: when it has been sent, or in SetState(STOP)",
                    ),
                )
            }
            wait();
        }
    }

    /// The first failure that `PutMessage` returned.
    pub(crate) fn refused(&self) -> Option<NTSTATUS> {
        let status = self.render.as_ref()?.refused.load(Ordering::Relaxed);
        (!success(status)).then_some(status)
    }

    fn put_all(&self, batch: Option<Batch>) {
        if let Some(batch) = batch {
            self.put(batch);
        }
    }

    /// The longest time that `PutMessage` took, in 100 ns units.
    pub(crate) fn longest_put(&self) -> u64 {
        self.longest_put.load(Ordering::Relaxed)
    }

    /// Hands a batch to the stream.
    pub(crate) fn put(&self, Batch { first, count }: Batch) {
        statistics::EVENTS_PUT.add(count as u64);
        let (begun, ticks) = (clock::now(), kernel::ticks());
        // SAFETY: the pin holds the stream; the events are the stream's from here on, whatever it returns.
        let status = unsafe { slots::put_message_at_dispatch(self.minor_target(), first) };
        let took = clock::now() - begun;
        self.longest_put.fetch_max(took.cast_unsigned(), Ordering::Relaxed);
        if kernel::ticks() - ticks > PUT_TICKS_MAX {
            violation(
                "IMXF::PutMessage",
                Violation::new(
                    rules::BACK_PRESSURE,
                    format!("it kept the processor at DISPATCH_LEVEL for {} ms", took / 10_000),
                    "hold what the device has no room for, and go on from its interrupt or a timer; never wait in PutMessage",
                ),
            )
        }
        if !success(status)
            && let Some(render) = &self.render
        {
            let _ = render.refused.compare_exchange(STATUS_SUCCESS, status, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Gives what was not sent back to the pool.
    fn discard_held(&self) {
        let Some(render) = &self.render else { return };
        self.follow_clock(false);
        while let Some(Event(event)) = render.sequencer.with(Sequencer::take_any) {
            self.allocator.discard(event);
        }
        if let Some(batch) = render.chain.with(Chain::take) {
            self.allocator.discard(batch.first);
        }
    }

    /// Stops and closes the stream, and checks that everything came back.
    pub(crate) fn close(mut self: Box<Self>) {
        // A stream that refuses to stop is destroyed all the same, and must then flush by itself.
        let _ = self.set_state(KsState::Stop);
        self.discard_held();
        self.finish_closing();
    }

    /// Closes the stream without a word to it: it must then give back by itself what it holds (rule 53).
    pub(crate) fn abandon(mut self: Box<Self>) {
        self.discard_held();
        rules::must_survive(rules::UNSTOPPED_STREAM, || self.finish_closing_as(rules::UNSTOPPED_STREAM));
    }

    fn finish_closing(&mut self) {
        self.finish_closing_as(rules::CONSERVATION);
    }

    /// The rest of closing. `kept` is the rule that a stream breaks that keeps events.
    fn finish_closing_as(&mut self, kept: &'static Rule) {
        if let Some(major) = self.port.major_target() {
            event_list::end_all(self.minor_target() as usize, major.as_raw(), self.minor_target());
        }
        self.connect_capture(false);
        if let Some(Group { group, sink, place }) = self.group.take() {
            if let Some(place) = place {
                self.port.remove_group(place);
            }
            // SAFETY: the pin holds both.
            unsafe { slots::service_group::remove_member(group.as_raw(), sink.as_raw()) };
            let references = sink.references();
            if references != 1 {
                violation(
                    "IServiceGroup::RemoveMember",
                    Violation::new(
                        rules::REFERENCES_RETURNED,
                        format!("the sink has left the group, and {} references to it are left", references - 1),
                        "release a sink when it is removed",
                    ),
                )
            }
        }
        self.wave = None;
        self.port.count_instance(self.id, -1);
        if let Some(stream) = self.stream.take() {
            self.release_stream(stream, kept);
            self.port.finish_departure();
        }
    }

    fn release_stream(&self, stream: Foreign, kept: &'static Rule) {
        // A miniport may serve two pins with one object; it goes with the second.
        let shared = self.port.remove_stream(stream.as_raw());
        let miniport = self.port.miniport();
        let references = || miniport.as_ref().map_or(0, |miniport| miniport.references());
        let before = references();
        let (address, waiting) = (stream.as_raw(), pending::kept_of(stream.as_raw()));
        let left = stream.release();
        if shared {
            return;
        }
        if waiting > 0 {
            Self::check_answered(address);
        }
        let given = before.wrapping_sub(references());
        let broken = if left != 0 {
            Some((
                rules::REFERENCES_RETURNED,
                format!("{left} references to the stream are left when its pin is closed"),
            ))
        } else if given != self.taken {
            let rule = if given > self.taken { rules::REFERENCE_COUNTS } else { rules::REFERENCES_RETURNED };
            Some((rule, format!("the stream took {} references to its miniport and released {given}", self.taken)))
        } else {
            None
        };
        if let Some((rule, what)) = broken {
            violation(
                "IMXF::Release",
                Violation::new(
                    rule,
                    what,
                    "give a new stream out with one reference, and release once what the stream AddRefed",
                ),
            )
        }
        self.check_returned(kept);
    }

    /// What waited on the stream has been answered when it is gone (rule 76).
    fn check_answered(stream: PVOID) {
        let kept = pending::kept_of(stream);
        if kept > 0 {
            violation(
                "IMXF::Release",
                Violation::new(
                    rules::UNLOAD_AT_CLOSE,
                    format!("the stream is destroyed, and {kept} requests that came on it are still pending"),
                    "complete every request that waits on a stream with PcCompletePendingPropertyRequest, at the latest in its destructor",
                ),
            )
        }
        rules::UNLOAD_AT_CLOSE.held();
    }

    fn check_returned(&self, kept: &'static Rule) {
        self.allocator.check();
        let (events, buffers) = (self.allocator.events_out(), self.allocator.buffers_out());
        if events != 0 || buffers != 0 {
            violation(
                "IMXF::Release",
                Violation::new(
                    kept,
                    format!("the stream is destroyed, and {events} events and {buffers} buffers did not come back"),
                    "give every event to the allocator's PutMessage, at the latest in SetState(STOP) and in the destructor",
                ),
            )
        }
        kept.held();
        let own = 1 + u32::from(self.capture.is_some());
        let (allocator, clock) = (self.allocator.references() - own, self.clock.references() - 1);
        if let Some(sink) = self.capture.as_ref().filter(|sink| sink.references() != 1) {
            violation(
                "IMXF::Release",
                Violation::new(
                    rules::REFERENCES_RETURNED,
                    format!("the stream is destroyed, and keeps {} references to the sink", sink.references() - 1),
                    "release in DisconnectOutput what ConnectOutput AddRefed",
                ),
            )
        }
        if allocator != 0 || clock != 0 {
            violation(
                "IMXF::Release",
                Violation::new(
                    rules::REFERENCES_RETURNED,
                    format!(
                        "the stream is destroyed, and it keeps {allocator} references to its allocator and {clock} to its clock"
                    ),
                    "release both in the stream's destructor",
                ),
            )
        }
        [rules::REFERENCES_RETURNED, rules::DESTROYED_STREAM, rules::REFERENCE_COUNTS]
            .iter()
            .for_each(|rule| rule.held());
    }
}

impl Wave {
    /// Sample to time and back is the same sample, within one (rule 83).
    fn check_conversions(&self) {
        let rate = i64::from(self.sample_rate);
        for sample in [0, 1, rate - 1, rate, 3600 * rate] {
            let (mut time, mut back) = (0, 0);
            // SAFETY: the pin holds the sink; the out parameters are ours.
            let (there, here) = unsafe {
                (
                    slots::synth_sink::sample_to_ref_time(self.sink.as_raw(), sample, &raw mut time),
                    slots::synth_sink::ref_time_to_sample(self.sink.as_raw(), time, &raw mut back),
                )
            };
            if !success(there) || !success(here) || back.abs_diff(sample) > 1 {
                violation(
                    "ISynthSinkDMus::RefTimeToSample",
                    Violation::new(
                        rules::RENDER,
                        format!(
                            "sample {sample} is at time {time} (status {there:#010x}), and that time at sample {back} (status {here:#010x})"
                        ),
                        "convert with the anchor of SyncToMaster, exactly: the two are inverse within one sample",
                    ),
                )
            }
        }
    }
}

impl Render {
    fn new(prefetch: u64, room: usize) -> Self {
        Self {
            sequencer: Lock::new(Sequencer::new(prefetch, room)),
            chain: Lock::new(Chain::new()),
            until: AtomicI64::new(FOLLOW_CLOCK),
            refused: AtomicI32::new(STATUS_SUCCESS),
            // SAFETY: all zero is a valid value of plain C structures; `start_render` initialises them.
            dpc: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            // SAFETY: as above.
            timer: UnsafeCell::new(unsafe { core::mem::zeroed() }),
        }
    }
}

/// The sequencer's DPC.
unsafe extern "win64" fn deliver(_dpc: *mut KDPC, context: PVOID, _first: PVOID, _second: PVOID) {
    // SAFETY: the pin takes its DPC back before it goes.
    let pin = unsafe { &*context.cast::<Pin>() };
    let Some(render) = &pin.render else { return };
    let until = match render.until.load(Ordering::Relaxed) {
        FOLLOW_CLOCK => clock::now(),
        until => until,
    };
    while let Some((time, Event(event))) = render.sequencer.with(|sequencer| sequencer.take_due(until)) {
        pin.put_all(render.chain.with(|chain| chain.add(event, time)));
    }
    pin.flush();
}

/// The next state on the way.
fn neighbour(from: KsState, to: KsState) -> KsState {
    match (from, to) {
        (KsState::Stop, KsState::Stop) | (KsState::Acquire, KsState::Stop) => KsState::Stop,
        (KsState::Stop, _) | (KsState::Acquire, KsState::Acquire) => KsState::Acquire,
        (KsState::Acquire, _) => KsState::Pause,
        (KsState::Pause, KsState::Run) | (KsState::Run, KsState::Run) => KsState::Run,
        (KsState::Pause, KsState::Pause) | (KsState::Run, _) => KsState::Pause,
        (KsState::Pause, _) => KsState::Acquire,
    }
}

/// The stream type that the port chooses for a pin.
fn stream_type(factory: &Factory, format: &[u8]) -> Result<StreamType, NTSTATUS> {
    let wave = formats::block_align(format).is_some();
    match (factory.data_flow, wave) {
        (data_flow::IN, false) => Ok(StreamType::MidiRender),
        (data_flow::OUT, true) => Ok(StreamType::WaveSink),
        (data_flow::OUT, false) => Ok(StreamType::MidiCapture),
        // Wave into the filter.
        _ => Err(STATUS_NOT_SUPPORTED),
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn states_are_reached_through_their_neighbours() {
        let path = |from, to| {
            let mut path = vec![];
            let mut state = from;
            while state != to {
                state = neighbour(state, to);
                path.push(state);
            }
            path
        };
        assert_eq!(path(KsState::Stop, KsState::Run), [KsState::Acquire, KsState::Pause, KsState::Run]);
        assert_eq!(path(KsState::Run, KsState::Stop), [KsState::Pause, KsState::Acquire, KsState::Stop]);
        assert_eq!(path(KsState::Pause, KsState::Run), [KsState::Run]);
        assert_eq!(path(KsState::Acquire, KsState::Acquire), Vec::new());
    }
}
