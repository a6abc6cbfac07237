//! A music pin: messages on their way through the sequencer to the stream.

#![allow(unsafe_code, reason = "streams are called by slot number, events are linked by address")]

use alloc::format;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicI32, AtomicI64, Ordering};

use guest_protocol::MarkKind;

use super::delivery::{Batch, Chain};
use super::sequencer::{Sequencer, Verdict};
use super::unpack::{Message, fragments};
use super::{Pin, clock};
use crate::contract::rules;
use crate::contract::violation::{Violation, violation};
use crate::nt::status::{STATUS_SUCCESS, success};
use crate::nt::{KDPC, KTIMER, NTSTATUS, PVOID};
use crate::portcls::com::abi::{EVENT_PACKAGE, INLINE_BYTES, KernelEvent};
use crate::portcls::com::slots;
use crate::portcls::kernel;
use crate::portcls::kernel::lock::Lock;
use crate::portcls::services::statistics;

/// Longest that `PutMessage` may keep the processor, in clock ticks that it runs itself. The demand is 100
/// microseconds; a second of running is far beyond what a busy host can make of them (ticks do not come while a
/// processor stands still, and of the one that holds a lock meanwhile the host takes no second), and a driver that
/// waits for its device exceeds it all the same. Well below the clock's own watchdog.
const PUT_TICKS_MAX: u64 = 1_000;

/// Most messages of one package: a chord has fewer.
const PACKAGE_MESSAGES_MAX: usize = 16;

/// `SynchronizationTimer`.
const SYNCHRONIZATION_TIMER: i32 = 1;

/// The port's timer resolution (the latency-clock page): 1 ms, as a period and in 100 ns units.
const TIMER_PERIOD_MS: i32 = 1;
const TIMER_FIRST: i64 = -10_000;

/// An event in the sequencer.
#[derive(Debug)]
pub(super) struct Event(*mut KernelEvent);

// SAFETY: the event is out of its pool and known to the sequencer alone.
unsafe impl Send for Event {}

/// What a music pin sends events with.
pub(super) struct Render {
    pub(super) sequencer: Lock<Sequencer<Event>>,
    pub(super) chain: Lock<Chain>,
    /// Up to when the DPC delivers; [`FOLLOW_CLOCK`]: up to now.
    pub(super) until: AtomicI64,
    /// The first failure that `PutMessage` returned.
    pub(super) refused: AtomicI32,
    pub(super) dpc: UnsafeCell<KDPC>,
    pub(super) timer: UnsafeCell<KTIMER>,
}

/// Value of [`Render::until`] for delivery by the master clock.
const FOLLOW_CLOCK: i64 = i64::MIN;

impl Render {
    /// Makes a sequencer for a stream that requested this `SchedulePreFetch`, with room for so many events.
    pub(super) fn new(prefetch: u64, room: usize) -> Self {
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

impl Pin {
    /// Initialises DPC and timer of the sequencer.
    pub(super) fn start_render(&mut self) {
        let this: *mut Self = self;
        if let Some(render) = &self.render {
            // SAFETY: the pin is boxed and takes both back in `close`, before it goes.
            unsafe {
                kernel::KeInitializeDpc(render.dpc.get(), Some(deliver), this.cast());
                kernel::KeInitializeTimerEx(render.timer.get(), SYNCHRONIZATION_TIMER);
            }
        }
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
    /// How many events are out, when `wait` gave up. Packages that were sent before stay sent.
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

    /// Returns a package of these messages' fragments. `None` when the pool has not enough left; then nothing is
    /// taken.
    pub(super) fn wrap(&self, messages: &[Message<'_>], time: i64, group: u16) -> Option<*mut KernelEvent> {
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
            // SAFETY: just filled, and known to no stream.
            unsafe { (*pair[0]).next = pair[1] };
        }
        let first = *children.first()?;
        let package = self.allocator.wrap(first, time, group);
        if package.is_none() {
            self.allocator.discard(first);
        }
        package
    }

    /// Returns whether events go to the stream as soon as they are sent, whatever their time.
    pub(crate) fn passes_at_once(&self) -> bool {
        self.render.as_ref().is_some_and(|render| render.sequencer.with(|sequencer| sequencer.passes_at_once()))
    }

    /// Puts what waits for more of its time.
    pub(crate) fn flush(&self) {
        if let Some(render) = &self.render {
            self.put_all(render.chain.with(Chain::take));
        }
    }

    /// Queues the DPC to deliver what the sequencer holds and what is due at `until`.
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

    /// Returns the first failure that `PutMessage` returned.
    pub(crate) fn refused(&self) -> Option<NTSTATUS> {
        let status = self.render.as_ref()?.refused.load(Ordering::Relaxed);
        (!success(status)).then_some(status).or_else(|| self.bytes.as_ref()?.refused())
    }

    /// Hands a batch to the stream, if there is one.
    pub(super) fn put_all(&self, batch: Option<Batch>) {
        if let Some(batch) = batch {
            self.put(batch);
        }
    }

    /// Returns the longest time that `PutMessage` took, in 100 ns units.
    pub(crate) fn longest_put(&self) -> u64 {
        self.longest_put.load(Ordering::Relaxed)
    }

    /// Hands a batch to the stream.
    pub(crate) fn put(&self, Batch { first, count }: Batch) {
        statistics::EVENTS_PUT.add(count as u64);
        let (begun, ticks) = (clock::now(), kernel::ticks());
        let status = match &self.bytes {
            Some(bytes) => bytes.put(&self.allocator, first),
            None => {
                // SAFETY: the batch's events, which are not the stream's yet.
                unsafe { mark_events(first) };
                // SAFETY: the pin holds the stream; the events are the stream's from here on, whatever it returns.
                let status = unsafe { slots::put_message_at_dispatch(self.minor_target(), first) };
                kernel::mark(MarkKind::PutEnd, u16::try_from(count).unwrap_or(u16::MAX), status.cast_unsigned().into());
                status
            }
        };
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
            );
        }
        if !success(status)
            && let Some(render) = &self.render
        {
            let _ = render.refused.compare_exchange(STATUS_SUCCESS, status, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Gives what was not sent back to the pool.
    pub(super) fn discard_held(&self) {
        let Some(render) = &self.render else { return };
        self.follow_clock(false);
        while let Some(Event(event)) = render.sequencer.with(Sequencer::take_any) {
            self.allocator.discard(event);
        }
        if let Some(batch) = render.chain.with(Chain::take) {
            self.allocator.discard(batch.first);
        }
        if let Some(bytes) = &self.bytes {
            bytes.discard();
        }
    }
}

/// Marks the events of a batch, and instead of a package those in it.
///
/// # Safety
/// `first` is the first of a chain of valid events, whose last one has no successor.
unsafe fn mark_events(first: *const KernelEvent) {
    if !kernel::marks_are_on() {
        return;
    }
    let mut event = first;
    while !event.is_null() {
        // SAFETY: by the caller.
        let (bytes, flags, time, next) =
            unsafe { ((*event).event_bytes, (*event).flags, (*event).time, (*event).next) };
        if flags & EVENT_PACKAGE == 0 {
            let length = u8::try_from(bytes).unwrap_or(u8::MAX);
            // SAFETY: by the caller; no package.
            let data = unsafe { first_byte(event) };
            kernel::mark(MarkKind::PutMessage, u16::from_le_bytes([data, length]), time.cast_unsigned());
        } else {
            // SAFETY: by the caller; the data of a package is a chain of events.
            unsafe { mark_events((*event).data.package) };
        }
        event = next;
    }
}

/// Returns the first byte of an event's data; 0 for no data.
///
/// # Safety
/// The event is valid, and no package.
unsafe fn first_byte(event: *const KernelEvent) -> u8 {
    // SAFETY: by the caller; a short event has its data in it, a longer one points to it.
    unsafe {
        match usize::from((*event).event_bytes) {
            0 => 0,
            1..=INLINE_BYTES => (*event).data.inline[0],
            _ => (*event).data.buffer.read(),
        }
    }
}

/// Delivers what is due: the sequencer's DPC.
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
