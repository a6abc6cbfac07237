//! The midi-in queue: batches that the card has captured, turned into the port's events.
//!
//! Buffers are always lent; the card fills them while its capture stream runs. The port requests service from its
//! deferred procedure call, and the first caller drains: it alone reads the current batch, without the lock, because it
//! calls the port's allocator and sink, which must not be called with a lock held. A message for which there is no
//! event is dropped whole and counted: kept, it could wait for ever, for with every buffer kept no interrupt comes.
#![allow(unsafe_code, reason = "events are the port's, linked by raw pointers")]

use core::ptr;

use card_spec::event::{BatchHeader, EventHeader, event_flag, record_bytes};
use card_spec::limits::BATCH_BYTES_MAX;
use portcls::ReferenceTime;
use portcls::event::{self, BYTE_POSITION_NONE, DmusKernelEvent, INLINE_BYTES};
use portcls::ks::KsState;
use zerocopy::FromZeros;

use crate::dma::Window;
use crate::doorbell::Doorbell;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::Kernel;
use crate::lock::Spin;
use crate::ring::{Ring, RingAddresses, RingFault, Segment};

/// Descriptors of a chain: a batch.
pub const SHAPE: u16 = 1;

/// The queue's number.
pub const QUEUE: u16 = card_spec::queue::Queue::MIDI_IN.0;

/// Bytes of a batch: room for the longest message that the card captures.
const BATCH_BYTES: usize = BATCH_BYTES_MAX as usize;

/// Batches lent to the card. It keeps messages that find no room, up to its own limit.
const BATCHES: u16 = 8;

/// Bytes of common buffer for the batches.
pub const BUFFER_BYTES: usize = BATCH_BYTES * BATCHES as usize;

/// How old a message may be when the driver first reads it, in 100 ns units, for the card's time to be plausible.
const PLAUSIBLE: ReferenceTime = 1_000_000;

/// The time of the last message before there is one.
const LONG_AGO: ReferenceTime = ReferenceTime::MIN;

/// The allocator that captured events come from, and the sink that they go to. Called at `DISPATCH_LEVEL` or below,
/// without a lock.
pub trait Outlet {
    /// Takes an event from the allocator, zeroed but for its size. Null: there is none.
    fn event(&self, level: AtMostDispatch) -> *mut DmusKernelEvent;
    /// Takes a buffer for long data from the allocator. Null: there is none.
    fn buffer(&self, level: AtMostDispatch) -> *mut u8;
    /// Returns how many bytes every buffer has.
    fn buffer_bytes(&self) -> usize;
    /// Returns master time, if there is a clock. The card's times are then checked against it.
    fn now(&self) -> Option<ReferenceTime> {
        None
    }
    /// Passes a single event on to the sink, or back to the allocator when there is none.
    ///
    /// # Safety
    /// The event is of this outlet, and no other code uses it.
    unsafe fn pass_on(&self, event: *mut DmusKernelEvent, level: AtMostDispatch);
    /// Gives a single event back to the allocator.
    ///
    /// # Safety
    /// As for [`pass_on`](Self::pass_on).
    unsafe fn give_back(&self, event: *mut DmusKernelEvent, level: AtMostDispatch);
}

/// The type of an outlet that does not exist: without one, captured messages are discarded.
#[derive(Clone, Copy, Debug)]
pub enum NoOutlet {}

impl Outlet for NoOutlet {
    fn event(&self, _: AtMostDispatch) -> *mut DmusKernelEvent {
        match *self {}
    }
    fn buffer(&self, _: AtMostDispatch) -> *mut u8 {
        match *self {}
    }
    fn buffer_bytes(&self) -> usize {
        match *self {}
    }
    unsafe fn pass_on(&self, _: *mut DmusKernelEvent, _: AtMostDispatch) {
        match *self {}
    }
    unsafe fn give_back(&self, _: *mut DmusKernelEvent, _: AtMostDispatch) {
        match *self {}
    }
}

/// The batch that is being read.
#[derive(Clone, Copy)]
struct Batch {
    slot: u16,
    /// Where the next record begins.
    at: usize,
    /// Bytes that the card has written.
    end: usize,
    /// Records left.
    left: u32,
}

struct State {
    ring: Ring,
    buffer: Window,
    /// The stream's state; `None`: there is no stream.
    stream: Option<KsState>,
    batch: Option<Batch>,
    /// The sequence number that the next batch should have, once one is known.
    sequence: Option<u32>,
    /// A caller drains.
    draining: bool,
    /// Another caller requested it meanwhile.
    again: bool,
    lost: u64,
    /// When the last message came in; at first when the stream was opened, or [`LONG_AGO`] without a clock.
    last_time: ReferenceTime,
}

/// A record of a batch.
struct Record {
    header: EventHeader,
    data: Window,
}

/// What the draining caller does next.
enum Step {
    /// Deliver the message.
    Deliver(Record),
    /// Take the next step.
    Next,
    /// Stop.
    Done,
}

impl State {
    fn place(&self, slot: u16) -> Window {
        self.buffer.part(BATCH_BYTES * usize::from(slot), BATCH_BYTES)
    }

    fn lend(&mut self, slot: u16) {
        let batch = self.place(slot);
        // What a card leaves there that writes elsewhere is a batch without records.
        batch.write(0, &BatchHeader::new_zeroed());
        self.ring.submit(slot, &[Segment::writable(&batch, BATCH_BYTES)]);
    }

    fn lend_all(&mut self) {
        for slot in 0..BATCHES.min(self.ring.slots()) {
            self.lend(slot);
        }
        self.ring.want_interrupts(true);
    }

    /// Takes the next record off the current batch, or the next batch off the ring.
    fn step(&mut self) -> Step {
        if let Some(batch) = self.batch {
            let record = self.record(batch);
            if record.is_none() {
                self.batch = None;
                self.lend(batch.slot);
            }
            return match record {
                Some(record) if self.stream >= Some(KsState::PAUSE) => Step::Deliver(record),
                _ => Step::Next,
            };
        }
        let Some(returned) = self.ring.reap() else {
            if self.ring.want_interrupts(true) || core::mem::take(&mut self.again) {
                return Step::Next;
            }
            self.draining = false;
            return Step::Done;
        };
        let end = returned.written as usize;
        if end < size_of::<BatchHeader>() {
            // The card could not use the buffer.
            self.lend(returned.slot);
            return Step::Next;
        }
        let header: BatchHeader = self.place(returned.slot).read(0);
        let sequence = header.sequence.get();
        if let Some(expected) = self.sequence.replace(sequence.wrapping_add(1)) {
            self.lost += u64::from(sequence != expected);
        }
        self.batch = Some(Batch { slot: returned.slot, at: size_of::<BatchHeader>(), end, left: header.count.get() });
        Step::Next
    }

    /// Returns when a message came in: the card's time if it is plausible, else now. A card without an anchor to master
    /// time counts from an origin of its own.
    fn time_of(&mut self, record: &Record, now: ReferenceTime) -> ReferenceTime {
        let time = record.header.time.get();
        let earliest = if self.last_time == LONG_AGO { now.saturating_sub(PLAUSIBLE) } else { self.last_time };
        self.last_time = if (earliest..=now).contains(&time) { time } else { now.max(self.last_time) };
        self.last_time
    }

    /// Reads the next record of a batch. `None`: there is no more, or it exceeds the bytes that the card has written.
    fn record(&mut self, batch: Batch) -> Option<Record> {
        let left = batch.left.checked_sub(1)?;
        let place = self.place(batch.slot);
        let data = batch.at + size_of::<EventHeader>();
        let header: EventHeader = if data <= batch.end { place.read(batch.at) } else { EventHeader::new_zeroed() };
        let length = usize::from(header.length.get());
        if length == 0 || data + length > batch.end {
            self.lost += 1;
            return None;
        }
        self.batch = Some(Batch { at: batch.at + record_bytes(length), left, ..batch });
        Some(Record { header, data: place.part(data, length) })
    }
}

/// The midi-in queue.
pub struct MidiIn<K: Kernel> {
    state: Spin<K, State>,
}

impl<K: Kernel> MidiIn<K> {
    /// Makes the queue on a ring and [`BUFFER_BYTES`] of memory.
    pub fn new(kernel: &K, ring: Ring, buffer: Window) -> Self {
        let mut state = State {
            ring,
            buffer,
            stream: None,
            batch: None,
            sequence: None,
            draining: false,
            again: false,
            lost: 0,
            last_time: LONG_AGO,
        };
        state.lend_all();
        Self { state: Spin::new(kernel, state) }
    }

    /// Empties the ring after the device has been reset, and lends the buffers again. Returns the ring's addresses.
    pub fn restart(&self, kernel: &K, level: Passive) -> RingAddresses {
        self.when_idle(kernel, level, |state| {
            (state.batch, state.sequence) = (None, None);
            state.ring.restart();
            state.lend_all();
            state.ring.addresses()
        })
    }

    /// Returns whether the card has returned a chain that the driver has not taken.
    pub fn has_returned(&self, level: AtMostDispatch) -> bool {
        self.state.with(level, |state| state.ring.has_returned())
    }

    /// Returns how the card broke the ring, if it did.
    pub fn fault(&self, level: AtMostDispatch) -> Option<RingFault> {
        self.state.with(level, |state| state.ring.fault())
    }

    /// Rings the doorbell for the batches lent at the start.
    pub fn start(&self, level: AtMostDispatch, doorbell: &impl Doorbell) {
        if self.state.with(level, |state| state.ring.needs_kick()) {
            doorbell.ring(QUEUE);
        }
    }

    /// Adds the stream in state `STOP`, at this master time, if there is a clock: what it captures came in later. False: it is
    /// open already.
    pub fn open(&self, level: AtMostDispatch, now: Option<ReferenceTime>) -> bool {
        self.state.with(level, |state| {
            let free = state.stream.is_none();
            if free {
                (state.stream, state.lost, state.last_time) = (Some(KsState::STOP), 0, now.unwrap_or(LONG_AGO));
            }
            free
        })
    }

    /// Removes the stream. When this returns its outlet is not used any more.
    pub fn close(&self, kernel: &K, level: Passive) {
        self.state.with(level.into(), |state| state.stream = None);
        self.wait_until_idle(kernel, level);
    }

    /// Sets the stream's state: below `PAUSE` captured messages are discarded.
    pub fn set_state(&self, level: AtMostDispatch, state: KsState) {
        self.state.with(level, |own| own.stream = own.stream.and(Some(state)));
    }

    /// Returns the stream's state. `None`: it is not open.
    pub fn state(&self, level: AtMostDispatch) -> Option<KsState> {
        self.state.with(level, |state| state.stream)
    }

    /// Returns how many messages and batches were lost since the stream was opened.
    pub fn lost(&self, level: AtMostDispatch) -> u64 {
        self.state.with(level, |state| state.lost)
    }

    /// Waits until no caller drains. A later one sees what the caller has changed before.
    pub fn wait_until_idle(&self, kernel: &K, level: Passive) {
        self.when_idle(kernel, level, |_| ());
    }

    /// Turns the batches that the card has returned into events for the outlet. Without an outlet they are discarded.
    pub fn drain(&self, level: AtMostDispatch, doorbell: &impl Doorbell, outlet: Option<&impl Outlet>) {
        let alone = self.state.with(level, |state| {
            state.again |= state.draining;
            !core::mem::replace(&mut state.draining, true)
        });
        if !alone {
            return;
        }
        loop {
            match self.state.with(level, State::step) {
                Step::Deliver(mut record) => {
                    if let Some(now) = outlet.and_then(Outlet::now) {
                        // No other caller drains, so times are taken in the order of the messages.
                        record.header.time = self.state.with(level, |state| state.time_of(&record, now)).into();
                    }
                    if !outlet.is_some_and(|outlet| deliver(&record, level, outlet)) {
                        self.state.with(level, |state| state.lost += 1);
                    }
                }
                Step::Next => {}
                Step::Done => break,
            }
        }
        self.start(level, doorbell);
    }

    fn when_idle<R>(&self, kernel: &K, level: Passive, work: impl FnOnce(&mut State) -> R) -> R {
        let mut work = Some(work);
        loop {
            let result = self
                .state
                .with(level.into(), |state| if state.draining { None } else { work.take().map(|work| work(state)) });
            if let Some(result) = result {
                return result;
            }
            kernel.pause(level, 1);
        }
    }
}

/// Makes the events of a message, and passes them on only when all of them are there. False: one could not be made.
fn deliver(record: &Record, level: AtMostDispatch, outlet: &impl Outlet) -> bool {
    let length = record.data.len();
    let most = outlet.buffer_bytes().clamp(INLINE_BYTES, usize::from(u16::MAX));
    // Only a message that one event holds is complete. The port joins the others, up to the byte that ends them.
    let is_one = length <= most && record.header.flags.get() & event_flag::INCOMPLETE == 0;
    let (mut first, mut last) = (ptr::null_mut::<DmusKernelEvent>(), ptr::null_mut::<DmusKernelEvent>());
    let mut at = 0;
    while at < length {
        let bytes = most.min(length - at);
        let event = fragment(&record.data.part(at, bytes), level, outlet);
        // SAFETY: null, or an event of the outlet's that is ours alone.
        let Some(fields) = (unsafe { event.as_mut() }) else { break };
        at += bytes;
        fields.flags = if is_one { event::event_flag::COMPLETE } else { event::event_flag::INCOMPLETE };
        fields.channel_group = record.header.channel_group.get();
        fields.presentation_time = record.header.time.get();
        fields.byte_position = BYTE_POSITION_NONE;
        fields.next_event = ptr::null_mut();
        if last.is_null() {
            first = event;
        } else {
            // SAFETY: the fragment before, still ours alone.
            unsafe { (*last).next_event = event };
        }
        last = event;
    }
    let whole = at == length;
    while !first.is_null() {
        let event = first;
        // SAFETY: a chain of events that are ours alone, each taken off before it is passed on.
        unsafe {
            first = (*event).next_event;
            (*event).next_event = ptr::null_mut();
            if whole {
                outlet.pass_on(event, level);
            } else {
                outlet.give_back(event, level);
            }
        }
    }
    whole
}

/// Makes an event with some data, inside or in a buffer as the length requires. Null: there is no event or no buffer.
fn fragment(data: &Window, level: AtMostDispatch, outlet: &impl Outlet) -> *mut DmusKernelEvent {
    let event = outlet.event(level);
    // SAFETY: null, or an event of the outlet's that is ours alone.
    let Some(fields) = (unsafe { event.as_mut() }) else { return ptr::null_mut() };
    if data.len() <= INLINE_BYTES {
        let mut inline = [0; INLINE_BYTES];
        data.read_bytes(0, inline.get_mut(..data.len()).unwrap_or_default());
        fields.data = event::EventData { inline };
    } else {
        let buffer = outlet.buffer(level);
        if buffer.is_null() {
            // SAFETY: it is as it came.
            unsafe { outlet.give_back(event, level) };
            return ptr::null_mut();
        }
        // SAFETY: a buffer of at least that many bytes, ours alone.
        data.read_bytes(0, unsafe { core::slice::from_raw_parts_mut(buffer, data.len()) });
        fields.data = event::EventData { buffer };
    }
    fields.cb_event = data.len() as u16;
    event
}
