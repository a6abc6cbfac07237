//! The midi-out queue: events of the render streams, sent in batches.
//!
//! Events are copied into a batch as soon as their stream runs and a slot of the ring is free, and go back to their
//! allocator right after. What does not fit waits in the stream's list; the deferred procedure call that takes returned
//! batches off the ring goes on with it. No function spins until a slot is free, and nothing is allocated.
//!
//! One lock round-trip takes a chain of events. Events that are done, and the doorbell, are left for after it; rundown
//! protection keeps the stream's allocator until they are given back.

use alloc::vec::Vec;

use card_spec::event::{BatchHeader, EventHeader, event_flag, record_bytes};
use card_spec::limits::BATCH_BYTES_MAX;
use portcls::event::DmusKernelEvent;
use portcls::ks::KsState;

use crate::dma::Window;
use crate::doorbell::Doorbell;
use crate::event_list::EventList;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::{EventAllocator, Kernel, Signal};
use crate::lock::Spin;
use crate::midi::{Parser, Piece, is_message};
use crate::ring::{Ring, RingAddresses, Segment, Served};
use crate::rundown::Rundown;

/// Descriptors of a chain: a batch.
pub const SHAPE: u16 = 1;

/// The queue's number.
pub const QUEUE: u16 = card_spec::queue::Queue::MIDI_OUT.0;

/// Bytes of a batch. Smaller than the card's limit: a batch seldom holds more than a chord, and a ring of 128 of them
/// then takes 128 KiB.
pub const BATCH_BYTES: usize = 1024;

const _: () = assert!(BATCH_BYTES <= BATCH_BYTES_MAX as usize);

/// Most render streams at once, of both render pins together.
pub const STREAMS: usize = 8;

// Sets of streams are numbers of 32 bits.
const _: () = assert!(STREAMS <= u32::BITS as usize);

/// A batch is closed when less than this is left: room for a short message, or for a worthwhile piece of a long one.
const RECORD_ROOM_MIN: usize = 32;

const _: () = assert!(RECORD_ROOM_MIN >= record_bytes(3) && RECORD_ROOM_MIN > size_of::<EventHeader>());

/// How long one wait for the card to take batches is, in milliseconds, before the ring is read without an interrupt.
const SLICE_MILLISECONDS: u32 = 5;

/// Which channel group a stream's events are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Groups {
    /// The groups that the events name: 0 is every group, `g` above 0 the group `g - 1`, as on the card.
    AsGiven,
    /// The first group. Raw MIDI names none.
    First,
}

impl Groups {
    const fn of(self, channel_group: u16) -> u16 {
        match self {
            Self::AsGiven => channel_group,
            Self::First => 1,
        }
    }
}

struct Stream<A> {
    id: u32,
    state: KsState,
    groups: Groups,
    /// The allocator. Its one counted reference is that of the port's stream, which outlives this stream.
    allocator: A,
    held: EventList,
    /// Bytes of the first held event that are in batches already.
    taken: usize,
    parser: Parser,
    batches: u32,
}

struct State<A> {
    ring: Ring,
    batches: Window,
    /// [`STREAMS`] places, in memory of their own: the state is moved on a small stack.
    streams: Vec<Option<Stream<A>>>,
    /// The card has no power: every event is held.
    suspended: bool,
    /// The card will never take a batch again: no event is held.
    abandoned: bool,
    /// The stream that is served first next time, so that each has its turn.
    first: u32,
}

/// The midi-out queue and the streams that feed it.
pub struct MidiOut<K: Kernel> {
    state: Spin<K, State<K::Allocator>>,
    /// Held while events of a stream are given back: its allocator must not go away meanwhile.
    give_back: [Rundown; STREAMS],
    /// Set when the card has returned a batch.
    progress: K::Signal,
}

impl<K: Kernel> MidiOut<K> {
    /// Returns how many bytes of memory the batches of a ring take.
    #[must_use]
    pub fn buffer_bytes(ring: &Ring) -> usize {
        BATCH_BYTES * usize::from(ring.slots())
    }

    /// Makes the queue on a ring and [`buffer_bytes`](Self::buffer_bytes) of memory. `None`: no memory.
    pub fn new(kernel: &K, level: Passive, mut ring: Ring, batches: Window) -> Option<Self> {
        ring.want_interrupts(false);
        let mut streams = Vec::new();
        streams.try_reserve_exact(STREAMS).ok()?;
        streams.resize_with(STREAMS, || None);
        let state = State { ring, batches, streams, suspended: false, abandoned: false, first: 0 };
        let give_back = core::array::from_fn(|_| Rundown::new());
        Some(Self { state: Spin::new(kernel, state), give_back, progress: kernel.signal(level)? })
    }

    /// Adds a stream in state `STOP`, and returns its number. `None`: there are [`STREAMS`] already.
    ///
    /// The caller keeps the allocator until [`remove`](Self::remove) has returned.
    pub fn add(&self, level: AtMostDispatch, groups: Groups, allocator: K::Allocator) -> Option<u32> {
        self.state.with(level, |state| {
            let (id, place) = (0..).zip(&mut state.streams).find(|(_, stream)| stream.is_none())?;
            *place = Some(Stream {
                id,
                state: KsState::STOP,
                groups,
                allocator,
                held: EventList::new(),
                taken: 0,
                parser: Parser::default(),
                batches: 0,
            });
            Some(id)
        })
    }

    /// Removes a stream and gives its events back. When this returns the queue does not use the allocator any more.
    pub fn remove(&self, kernel: &K, level: Passive, id: u32, doorbell: &impl Doorbell) {
        self.set_state(level.into(), id, KsState::STOP, doorbell);
        let Some(give_back) = self.give_back.get(id as usize) else { return };
        // Protection is acquired under the lock: while the lock is held, and none is held, none is acquired.
        while !self.state.with(level.into(), |state| {
            let is_unused = !give_back.is_held();
            if is_unused && let Some(place) = state.streams.get_mut(id as usize) {
                *place = None;
            }
            is_unused
        }) {
            kernel.pause(level, 1);
        }
    }

    /// Takes a chain of events for a stream. The events are the queue's from here on, whatever the stream's state.
    ///
    /// # Safety
    /// `events` is null, or a chain that came from the stream's allocator and that no other code uses.
    #[allow(unsafe_code, reason = "passes the caller's promise on")]
    pub unsafe fn put(&self, level: AtMostDispatch, id: u32, events: *mut DmusKernelEvent, doorbell: &impl Doorbell) {
        if events.is_null() {
            return;
        }
        let mut waits = false;
        self.update(level, id, doorbell, |state, done| {
            let Some(stream) = state.stream(id) else { return };
            if stream.state == KsState::STOP {
                // SAFETY: the caller's promise.
                unsafe { done.append_chain(events) };
            } else {
                // SAFETY: the caller's promise.
                unsafe { stream.held.append_unpacked(events, done) };
                if stream.state == KsState::RUN {
                    waits = !state.send(id, done);
                }
            }
        });
        // A card that is there returns batches, and the deferred procedure call goes on. With one that was removed the
        // events would wait for ever.
        if waits && doorbell.is_gone(level) {
            self.abandon(level, doorbell);
        }
    }

    /// Gives all events back unplayed, now and until [`restart`](Self::restart).
    pub fn abandon(&self, level: AtMostDispatch, doorbell: &impl Doorbell) {
        self.state.with(level, |state| state.abandoned = true);
        for id in 0..STREAMS as u32 {
            self.update(level, id, doorbell, |state, done| _ = state.send(id, done));
        }
    }

    /// Sets a stream's state: below `RUN` events are held, in `STOP` they are given back unplayed, in `RUN` they are
    /// sent.
    pub fn set_state(&self, level: AtMostDispatch, id: u32, ks_state: KsState, doorbell: &impl Doorbell) {
        self.update(level, id, doorbell, |state, done| {
            let Some(stream) = state.stream(id) else { return };
            stream.state = ks_state;
            if ks_state == KsState::STOP {
                stream.held.move_all(done);
                stream.taken = 0;
                stream.parser = Parser::default();
            } else if ks_state == KsState::RUN {
                state.send(id, done);
            }
        });
    }

    /// Holds all events: the card is about to lose its state, and with it the batches that it has.
    pub fn suspend(&self, level: AtMostDispatch) {
        self.state.with(level, |state| state.suspended = true);
    }

    /// Holds all events if a condition holds, which nothing else of the queue happens beside. Returns whether it does.
    pub fn suspend_if(&self, level: AtMostDispatch, condition: impl FnOnce() -> bool) -> bool {
        self.state.with(level, |state| {
            let holds = condition();
            state.suspended |= holds;
            holds
        })
    }

    /// Empties the ring after the device has been reset. Events stay held until [`resume_unless`](Self::resume_unless). Returns the
    /// ring's addresses.
    pub fn restart(&self, level: AtMostDispatch) -> RingAddresses {
        self.state.with(level, |state| {
            state.ring.restart();
            state.abandoned = false;
            state.ring.want_interrupts(false);
            for stream in state.streams.iter_mut().flatten() {
                stream.batches = 0;
            }
            state.ring.addresses()
        })
    }

    /// Sends held events again, once the card's streams are open; unless a condition holds, which nothing else of the queue
    /// happens beside.
    pub fn resume_unless(&self, level: AtMostDispatch, doorbell: &impl Doorbell, condition: impl FnOnce() -> bool) {
        self.state.with(level, |state| state.suspended = condition());
        self.service(level, doorbell);
    }

    /// Returns the state of a stream. `None`: there is no such stream.
    pub fn state_of(&self, level: AtMostDispatch, id: u32) -> Option<KsState> {
        self.state.with(level, |state| Some(state.streams.get(id as usize)?.as_ref()?.state))
    }

    /// Takes returned batches off the ring and sends held events. Called from the deferred procedure call.
    pub fn service(&self, level: AtMostDispatch, doorbell: &impl Doorbell) -> Served {
        let (reaped, first, held, mut served) = self.state.with(level, |state| {
            let had_returned = state.ring.has_returned();
            let reaped = state.reap();
            if reaped {
                state.ring.want_interrupts(false);
            }
            state.first = (state.first + 1) % STREAMS as u32;
            (reaped, state.first, state.held(), Served { had_returned, fault: state.ring.fault() })
        });
        if reaped {
            self.progress.set(level);
        }
        let holds = |id: &u32| held & (1 << id) != 0;
        for id in (first..STREAMS as u32).chain(0..first).filter(holds) {
            self.update(level, id, doorbell, |state, done| {
                state.send(id, done);
                served.fault = state.ring.fault();
            });
        }
        served
    }

    /// Waits until every event of a running stream is in the ring. After `milliseconds` without progress it calls
    /// `query_card`, which sends a request that the card answers after it has taken every batch that it has room for.
    /// False: some events are not in the ring, because the card has room for none.
    pub fn wait_until_sent(
        &self,
        level: Passive,
        milliseconds: u32,
        doorbell: &impl Doorbell,
        mut query_card: impl FnMut(),
    ) -> bool {
        let is_sent = |state: &mut State<K::Allocator>| {
            let waits = |stream: &Stream<_>| stream.state == KsState::RUN && !stream.held.is_empty();
            state.suspended || !state.streams.iter().flatten().any(waits)
        };
        loop {
            if self.wait_until(level, milliseconds, doorbell, is_sent) {
                return true;
            }
            query_card();
            self.service(level.into(), doorbell);
            // A batch that the card has returned since is progress.
            if !self.progress.wait(level, 0) {
                return self.state.with(level.into(), is_sent);
            }
        }
    }

    /// Waits until the card has taken every batch, for at most `milliseconds` without progress in which the card runs.
    /// False: it has not taken them.
    pub fn wait_until_taken(&self, level: Passive, milliseconds: u32, doorbell: &impl Doorbell) -> bool {
        self.wait_until(level, milliseconds, doorbell, |state| {
            let idle = state.suspended || state.ring.in_flight() == 0;
            if !idle {
                state.ring.want_interrupts(true);
            }
            idle
        })
    }

    /// Returns how many batches the card has.
    pub fn in_flight(&self, level: AtMostDispatch) -> u16 {
        self.state.with(level, |state| state.ring.in_flight())
    }

    fn wait_until(
        &self,
        level: Passive,
        milliseconds: u32,
        doorbell: &impl Doorbell,
        mut reached: impl FnMut(&mut State<K::Allocator>) -> bool,
    ) -> bool {
        let mut waited = 0;
        loop {
            let (done, broken) = self.state.with(level.into(), |state| (reached(state), state.ring.fault().is_some()));
            if done || broken || waited >= milliseconds {
                return done;
            }
            if self.progress.wait(level, SLICE_MILLISECONDS) {
                waited = 0;
            } else {
                doorbell.wait_for_card(level);
                waited += SLICE_MILLISECONDS;
            }
            self.service(level.into(), doorbell);
        }
    }

    /// Changes the state under the lock, then rings the doorbell and gives back the events that are done.
    fn update(
        &self,
        level: AtMostDispatch,
        id: u32,
        doorbell: &impl Doorbell,
        change: impl FnOnce(&mut State<K::Allocator>, &mut EventList),
    ) {
        let mut done = EventList::new();
        let (give_back_to, needs_kick) = self.state.with(level, |state| {
            change(state, &mut done);
            let needs_kick = state.ring.needs_kick();
            let allocator = if done.is_empty() { None } else { state.stream(id).map(|stream| stream.allocator) };
            // Never run down: `remove` waits until it is not held.
            let protection = allocator.and_then(|_| self.give_back.get(id as usize)?.acquire());
            (allocator.zip(protection), needs_kick)
        });
        if needs_kick {
            doorbell.ring(QUEUE);
        }
        if let Some((allocator, _protection)) = give_back_to {
            // SAFETY: events of this stream's allocator, which are in no list any more.
            #[allow(unsafe_code, reason = "the list held the events alone")]
            unsafe {
                allocator.give_back(done.into_chain(), level);
            }
        }
    }
}

impl<A> State<A> {
    fn reap(&mut self) -> bool {
        let mut reaped = false;
        while self.ring.reap().is_some() {
            reaped = true;
        }
        reaped
    }

    /// Returns the streams that hold events, as a set of their numbers.
    fn held(&self) -> u32 {
        let holds = |stream: &&Stream<A>| !stream.held.is_empty();
        self.streams.iter().flatten().filter(holds).fold(0, |set, stream| set | 1 << stream.id)
    }

    fn stream(&mut self, id: u32) -> Option<&mut Stream<A>> {
        self.streams.get_mut(id as usize)?.as_mut()
    }

    /// Moves events of a running stream into batches, while there are free slots. False: some events wait for a slot.
    fn send(&mut self, id: u32, done: &mut EventList) -> bool {
        loop {
            let Some(stream) = self.streams.get_mut(id as usize).and_then(Option::as_mut) else { return true };
            if self.abandoned {
                // The card will never take them.
                stream.held.move_all(done);
                return true;
            }
            if self.suspended || stream.state != KsState::RUN || stream.held.is_empty() {
                return true;
            }
            let Some(slot) = self.ring.free_slot() else {
                if self.ring.fault().is_some() {
                    self.abandoned = true;
                    continue;
                }
                if self.reap() {
                    self.ring.want_interrupts(false);
                    continue;
                }
                // Go on when the card returns a batch. It may have done so just now.
                if self.ring.want_interrupts(true) {
                    continue;
                }
                return false;
            };
            let batch = self.batches.part(BATCH_BYTES * usize::from(slot), BATCH_BYTES);
            let bytes = stream.fill(&batch, done);
            if bytes != 0 {
                self.ring.submit(slot, &[Segment::readable(&batch, bytes)]);
            }
        }
    }
}

impl<A> Stream<A> {
    /// Fills a batch from the held events and returns its length, or 0 when they hold nothing to send. Events that are
    /// wholly in the batch move to `done`.
    fn fill(&mut self, batch: &Window, done: &mut EventList) -> usize {
        let mut length = size_of::<BatchHeader>();
        let mut count = 0_u32;
        let mut record = |time: i64, group: u16, data: &[u8], more: bool| {
            let header = EventHeader {
                time: time.into(),
                channel_group: group.into(),
                flags: if more { event_flag::INCOMPLETE } else { 0 }.into(),
                length: (data.len() as u16).into(),
                reserved: 0.into(),
            };
            batch.write(length, &header);
            batch.write_bytes(length + size_of::<EventHeader>(), data);
            length += record_bytes(data.len());
            count += 1;
            BATCH_BYTES - length
        };

        let mut left = BATCH_BYTES - size_of::<BatchHeader>();
        'batch: while let Some(event) = self.held.first() {
            let group = self.groups.of(event.channel_group);
            let whole = self.taken == 0 && !event.incomplete && is_message(event.data);
            if whole && record_bytes(event.data.len()) <= left {
                left = record(event.time, group, event.data, false);
                if event.data.first() == Some(&0xf0) {
                    self.parser = Parser::default();
                }
            } else {
                while let Some(input) = event.data.get(self.taken..).filter(|input| !input.is_empty()) {
                    if left < RECORD_ROOM_MIN {
                        break 'batch;
                    }
                    let (piece, taken) = self.parser.next(input, left - size_of::<EventHeader>());
                    self.taken += taken;
                    left = match piece {
                        Piece::Message(length, bytes) => {
                            record(event.time, group, bytes.get(..length).unwrap_or_default(), false)
                        }
                        Piece::Sysex { bytes, more } => record(event.time, group, bytes, more),
                        Piece::SysexEnd => record(event.time, group, &[0xf7], false),
                        Piece::Nothing => left,
                    };
                }
            }
            self.taken = 0;
            self.held.move_first(done);
            if left < RECORD_ROOM_MIN {
                break;
            }
        }

        if count == 0 {
            return 0;
        }
        let header = BatchHeader {
            stream: self.id.into(),
            count: count.into(),
            length: (length as u32).into(),
            sequence: self.batches.into(),
        };
        self.batches = self.batches.wrapping_add(1);
        batch.write(0, &header);
        length
    }
}
