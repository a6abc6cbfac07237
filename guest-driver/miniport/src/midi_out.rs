//! Render streams: from events to batches on the midi-out ring.
//!
//! Events are copied into a batch as soon as their stream runs and a slot of the ring is free, and go back to their
//! allocator right after. What does not fit waits in the stream's list; the deferred procedure call that takes returned
//! batches off the ring goes on with it. Nobody spins, and nothing is allocated.

use alloc::vec::Vec;

use card_spec::event::{BatchHeader, EventHeader, event_flag, record_bytes};
use card_spec::limits::BATCH_BYTES_MAX;
use portcls::event::DmusKernelEvent;
use portcls::ks::KsState;

use crate::dma::Window;
use crate::event_list::EventList;
use crate::exchange::Line;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::{EventHome, Kernel, Signal};
use crate::lock::Spin;
use crate::midi::{Parser, Piece, is_message};
use crate::ring::{Ring, RingAddresses, RingFault, Segment};

/// Descriptors of a chain: a batch.
pub const SHAPE: u16 = 1;

/// The queue.
pub const QUEUE: u16 = card_spec::queue::Queue::MIDI_OUT.0;

/// Bytes of a batch. Smaller than the card's limit: a batch seldom holds more than a chord, and a ring of 128 of them
/// then takes 128 KiB.
pub const BATCH_BYTES: usize = 1024;

const _: () = assert!(BATCH_BYTES <= BATCH_BYTES_MAX as usize);

/// Most render streams at once, of both render pins together.
pub const STREAMS: usize = 8;

/// A batch is closed when less than this is left: room for a short message, or for a worthwhile piece of a long one.
const RECORD_ROOM_MIN: usize = 32;

const _: () = assert!(RECORD_ROOM_MIN >= record_bytes(3) && RECORD_ROOM_MIN > size_of::<EventHeader>());

/// How long one wait for the card to take batches is, before the ring is looked at without an interrupt.
const SLICE_MILLISECONDS: u32 = 5;

/// Which channel group a stream's events are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Groups {
    /// As the events say: 0 means every group, `g` above 0 the group `g - 1`, which is also the card's numbering.
    AsGiven,
    /// The first. Raw MIDI knows no groups.
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

struct Stream<H> {
    id: u32,
    state: KsState,
    groups: Groups,
    home: H,
    held: EventList,
    /// Bytes of the first held event that are in batches already.
    taken: usize,
    parser: Parser,
    batches: u32,
    /// How many are giving events of this stream back just now: it must not go away meanwhile.
    giving_back: u32,
}

struct State<H> {
    ring: Ring,
    batches: Window,
    /// As many places as there can be streams: not in the state itself, for that is moved about on a small stack.
    streams: Vec<Option<Stream<H>>>,
    /// The card is off: everything is held.
    suspended: bool,
    /// The card will never take anything again: nothing is held.
    abandoned: bool,
    /// Where to begin next time, so that every stream gets its turn.
    first: u32,
}

/// The midi-out queue and the streams that feed it.
pub struct MidiOut<K: Kernel> {
    state: Spin<K, State<K::Home>>,
    /// Set when the card has returned a batch.
    progress: K::Signal,
}

/// A stream that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoStream;

impl<K: Kernel> MidiOut<K> {
    /// Bytes of memory for the batches of a ring.
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
        Some(Self { state: Spin::new(kernel, state), progress: kernel.signal(level)? })
    }

    /// Adds a stream, in state `STOP`. `None`: there are [`STREAMS`] already.
    pub fn add(&self, level: AtMostDispatch, groups: Groups, home: K::Home) -> Option<u32> {
        self.state.with(level, |state| {
            let (id, place) = (0..).zip(&mut state.streams).find(|(_, stream)| stream.is_none())?;
            *place = Some(Stream {
                id,
                state: KsState::STOP,
                groups,
                home,
                held: EventList::new(),
                taken: 0,
                parser: Parser::default(),
                batches: 0,
                giving_back: 0,
            });
            Some(id)
        })
    }

    /// Removes a stream: its events go home, and when this returns nobody uses the home any more.
    pub fn remove(&self, kernel: &K, level: Passive, id: u32, line: &impl Line) {
        self.set_state(level.into(), id, KsState::STOP, line);
        loop {
            let busy = self.state.with(level.into(), |state| {
                let Some(place) = state.streams.get_mut(id as usize) else { return false };
                let busy = place.as_ref().is_some_and(|stream| stream.giving_back != 0);
                if !busy {
                    *place = None;
                }
                busy
            });
            if !busy {
                return;
            }
            kernel.pause(level, 1);
        }
    }

    /// Takes events. They are the driver's from here on, whatever happens.
    ///
    /// # Safety
    /// `events` is null, or a chain that came from the stream's home and that nobody else uses.
    #[allow(unsafe_code, reason = "passes the caller's promise on")]
    pub unsafe fn put(&self, level: AtMostDispatch, id: u32, events: *mut DmusKernelEvent, line: &impl Line) {
        if events.is_null() {
            return;
        }
        let mut waits = false;
        self.work(level, id, line, |state, done| {
            let Some(stream) = state.stream(id) else { return };
            if stream.state == KsState::STOP {
                // SAFETY: the caller's promise.
                unsafe { done.append_chain(events) };
            } else {
                // SAFETY: the caller's promise.
                unsafe { stream.held.append_unpacked(events, done) };
                if stream.state == KsState::RUN {
                    waits = !state.pump(id, done);
                }
            }
        });
        // A card that is there returns batches, and the deferred procedure call goes on. One that is not must not let
        // the events wait for ever.
        if waits && line.is_gone(level) {
            self.abandon(level, line);
        }
    }

    /// Gives everything home, now and from now on, until [`restart`](Self::restart): the card is gone.
    pub fn abandon(&self, level: AtMostDispatch, line: &impl Line) {
        self.state.with(level, |state| state.abandoned = true);
        for id in 0..STREAMS as u32 {
            self.work(level, id, line, |state, done| _ = state.pump(id, done));
        }
    }

    /// Sets a stream's state: below `RUN` events are held, in `STOP` they go home unplayed, in `RUN` they play.
    pub fn set_state(&self, level: AtMostDispatch, id: u32, ks_state: KsState, line: &impl Line) {
        self.work(level, id, line, |state, done| {
            let Some(stream) = state.stream(id) else { return };
            stream.state = ks_state;
            if ks_state == KsState::STOP {
                stream.held.pass_all(done);
                stream.taken = 0;
                stream.parser = Parser::default();
            } else if ks_state == KsState::RUN {
                state.pump(id, done);
            }
        });
    }

    /// Holds everything: the card is about to lose its state, and with it the batches that it has.
    pub fn suspend(&self, level: AtMostDispatch) {
        self.state.with(level, |state| state.suspended = true);
    }

    /// Begins anew, after the device has been reset, but still holds everything. Gives the ring's addresses.
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

    /// Goes on, once the card knows its streams again.
    pub fn resume(&self, level: AtMostDispatch, line: &impl Line) {
        self.state.with(level, |state| state.suspended = false);
        self.service(level, line);
    }

    /// The state of a stream, if it is there.
    pub fn state_of(&self, level: AtMostDispatch, id: u32) -> Option<KsState> {
        self.state.with(level, |state| Some(state.streams.get(id as usize)?.as_ref()?.state))
    }

    /// Takes returned batches off the ring and goes on with events that wait; from the deferred procedure call.
    pub fn service(&self, level: AtMostDispatch, line: &impl Line) {
        let (reaped, first) = self.state.with(level, |state| {
            let reaped = state.reap();
            if reaped {
                state.ring.want_interrupts(false);
            }
            state.first = (state.first + 1) % STREAMS as u32;
            (reaped, state.first)
        });
        if reaped {
            self.progress.set(level);
        }
        for id in (first..STREAMS as u32).chain(0..first) {
            self.work(level, id, line, |state, done| _ = state.pump(id, done));
        }
    }

    /// Waits until every event of a running stream is in the ring. After `milliseconds` without progress, `asked` asks the
    /// card something that it answers after it has taken every batch that it has room for. False: some events are not in
    /// the ring, because the card has room for none.
    pub fn wait_until_sent(
        &self,
        level: Passive,
        milliseconds: u32,
        line: &impl Line,
        mut asked: impl FnMut(),
    ) -> bool {
        let is_sent = |state: &mut State<K::Home>| {
            let waits = |stream: &Stream<_>| stream.state == KsState::RUN && !stream.held.is_empty();
            state.suspended || !state.streams.iter().flatten().any(waits)
        };
        loop {
            if self.wait_until(level, milliseconds, line, is_sent) {
                return true;
            }
            asked();
            self.service(level.into(), line);
            // What the card has returned since is progress.
            if !self.progress.wait(level, 0) {
                return self.state.with(level.into(), is_sent);
            }
        }
    }

    /// Waits until the card has taken every batch, at most `milliseconds` without progress in which the card runs.
    pub fn wait_until_taken(&self, level: Passive, milliseconds: u32, line: &impl Line) -> bool {
        self.wait_until(level, milliseconds, line, |state| {
            let idle = state.suspended || state.ring.in_flight() == 0;
            if !idle {
                state.ring.want_interrupts(true);
            }
            idle
        })
    }

    /// How many batches the card has.
    pub fn in_flight(&self, level: AtMostDispatch) -> u16 {
        self.state.with(level, |state| state.ring.in_flight())
    }

    /// How the card broke the ring, if it did.
    pub fn fault(&self, level: AtMostDispatch) -> Option<RingFault> {
        self.state.with(level, |state| state.ring.fault())
    }

    fn wait_until(
        &self,
        level: Passive,
        milliseconds: u32,
        line: &impl Line,
        mut reached: impl FnMut(&mut State<K::Home>) -> bool,
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
                line.hear(level);
                waited += SLICE_MILLISECONDS;
            }
            self.service(level.into(), line);
        }
    }

    /// Does something under the lock, then gives the events home that are done, and kicks: both without the lock.
    fn work(
        &self,
        level: AtMostDispatch,
        id: u32,
        line: &impl Line,
        work: impl FnOnce(&mut State<K::Home>, &mut EventList),
    ) {
        let mut done = EventList::new();
        let (home, wants_kick) = self.state.with(level, |state| {
            work(state, &mut done);
            let wants_kick = state.ring.needs_kick();
            let Some(stream) = state.stream(id) else { return (None, wants_kick) };
            if done.is_empty() {
                return (None, wants_kick);
            }
            stream.giving_back += 1;
            (Some(stream.home), wants_kick)
        });
        if wants_kick {
            line.kick();
        }
        if let Some(home) = home {
            let events = done.into_chain();
            // SAFETY: events of this stream's home, which are in no list any more.
            #[allow(unsafe_code, reason = "the list held the events alone")]
            unsafe {
                home.give_back(events, level);
            }
            self.state.with(level, |state| {
                if let Some(stream) = state.stream(id) {
                    stream.giving_back -= 1;
                }
            });
        }
    }
}

impl<H> State<H> {
    fn reap(&mut self) -> bool {
        let mut reaped = false;
        while self.ring.reap().is_some() {
            reaped = true;
        }
        reaped
    }

    fn stream(&mut self, id: u32) -> Option<&mut Stream<H>> {
        self.streams.get_mut(id as usize)?.as_mut()
    }

    /// Moves events of a running stream into batches, while there are slots. False: some wait for a slot.
    fn pump(&mut self, id: u32, done: &mut EventList) -> bool {
        loop {
            let Some(stream) = self.streams.get_mut(id as usize).and_then(Option::as_mut) else { return true };
            if self.abandoned {
                // The card will never take them.
                stream.held.pass_all(done);
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
                // Come back when the card has returned one, which it may have done just now.
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

impl<H> Stream<H> {
    /// Fills a batch from the held events; its length, or 0 when they held nothing to send. Events that are wholly in
    /// the batch go to `done`.
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
            self.held.pass_first(done);
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
