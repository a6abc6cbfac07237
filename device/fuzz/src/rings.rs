//! Target `rings`: a guest with any rings at any addresses, any chains, any requests, resets, and a second processor that
//! rewrites memory.

use std::time::{Duration, Instant};

use card_control::Clock;
use card_spec::event::{BatchHeader, EventHeader, record_bytes};
use card_spec::limits::{BATCH_BYTES_MAX, QUEUE_SIZE_MAX, REQUEST_BYTES_MAX, WAVE_BUFFER_BYTES_MAX};
use card_spec::queue::{QUEUE_COUNT, Queue};
use dmus_card::fake::{Descriptor, Piece, flag};
use parking_lot::Mutex;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::card::{Card, Connection};
use super::front_end::{FrontEnd, request};
use super::guest::{ALL_QUEUES, FEATURES, FILLER_BYTES, Guest, Plan, RAM_LENGTH, RAM_START, RESPONSE};
use super::invariants::{Before, begin};
use super::racer::{Racer, Write};
use super::record::{Act, acts};

/// The verb of an act of an input. Addresses below 4 GiB are offsets in guest memory, others are used as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Verb {
    /// From the next start on the driver accepts the features of `wide`.
    Features,
    /// From the next start on ring `which` has `number` entries, and begins at index `wide`.
    Size,
    /// From the next start on part `number` of ring `which` (descriptor table, available ring, used ring) is at `wide`.
    Place,
    /// Resets the device and starts it. `which`: bit 0 to go on where the rings were stopped, bit 1 to leave the memory
    /// of the rings as it is.
    Start,
    /// Stops ring `which`.
    StopRing,
    /// Enables ring `which`, or holds it: `number` is even.
    Enable,
    /// Kicks queue `which`, `number` times.
    Kick,
    /// Puts a request on the control ring and kicks. `number`: its code. Data: its payload.
    Request,
    /// The same with a payload of `wide` bytes: the data, and zeros behind it.
    LargeRequest,
    /// Puts data on midi-out and kicks.
    Batch,
    /// Puts a batch on midi-out and kicks. `which`: the stream. `number`: how many events. `wide`: their time. Data: a
    /// MIDI message, the same for all; its first byte of data counts up.
    Events,
    /// Posts a wave buffer and kicks. `which`: the stream. `number`: frames. `wide`: bytes of room, 0 for as many as
    /// needed.
    Wave,
    /// Posts buffers on queue `which` and kicks. `number`: how many, 64 at most. `wide`: bytes of each.
    Buffers,
    /// Writes data to `wide`.
    Write,
    /// Makes chain `number` of ring `which` available.
    Publish,
    /// Sets the available index of ring `which` to `number`.
    Index,
    /// Puts a chain on ring `which` that is in an indirect table. `number`: more flags of its descriptor. `wide`: the
    /// table's address, 0 for a good one. Data: the table.
    Indirect,
    /// Puts a chain on ring `which` and kicks. Data: pieces, each an offset in guest memory, and a length whose highest
    /// bit says that it is for the card to write.
    Chain,
    /// Does the act before once more, `number` times.
    Again,
    /// The second processor begins to write, again and again. Data: [`Write`]s.
    Race,
    /// The second processor stops.
    Calm,
    /// Waits until the card has returned what is on ring `which`, for a short time.
    Settle,
    /// Reads the identity block.
    Look,
}

const VERBS: [Verb; 23] = [
    Verb::Features,
    Verb::Size,
    Verb::Place,
    Verb::Start,
    Verb::StopRing,
    Verb::Enable,
    Verb::Kick,
    Verb::Request,
    Verb::LargeRequest,
    Verb::Batch,
    Verb::Events,
    Verb::Wave,
    Verb::Buffers,
    Verb::Write,
    Verb::Publish,
    Verb::Index,
    Verb::Indirect,
    Verb::Chain,
    Verb::Again,
    Verb::Race,
    Verb::Calm,
    Verb::Settle,
    Verb::Look,
];

/// Most acts of an input, so that one is over soon.
const ACTS_MAX: usize = 200;

/// Most acts that [`Verb::Again`] adds, over an input.
const AGAIN_MAX: u32 = 1000;

/// Most writes of the second processor in one round.
const WRITES_MAX: usize = 32;

/// Most starts of an input: each is some dozens of messages.
const STARTS_MAX: u32 = 16;

/// How long to wait at most for the card to return chains, where it may well not.
const SETTLE: Duration = Duration::from_millis(3);

/// How long to wait for that over an input.
const SETTLE_ALL: Duration = Duration::from_millis(200);

/// Bit of a piece's length: the card writes to it.
pub(super) const WRITABLE: u32 = 1 << 31;

/// Most events of [`Verb::Events`] that fit into a batch, of three bytes each.
pub(super) const EVENTS_MAX: u32 = (BATCH_BYTES_MAX - size_of::<BatchHeader>() as u32) / record_bytes(3) as u32;

/// A piece of a chain, as an input has it.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
pub(super) struct RawPiece {
    pub(super) offset: U32,
    pub(super) length: U32,
}

/// The state that outlasts an input.
struct Bench {
    /// Lockstep, and real time.
    cards: [Machine; 2],
    racer: Racer,
}

/// A card, its guest, and the connection between them, which outlives inputs.
struct Machine {
    _card: Card,
    guest: Guest,
    front_end: FrontEnd,
    _connection: Connection,
}

static BENCH: Mutex<Option<Bench>> = Mutex::new(None);

/// Executes an input, and checks that the card works as before. The first byte chooses the clock: even
/// is lockstep, odd is real time.
///
/// # Panics
/// When the card has a defect.
pub fn drive(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    let _turn = begin();
    let mut slot = BENCH.lock();
    // After a panic there is none, because its cards may hang.
    let mut bench = slot.take().unwrap_or_else(|| Bench {
        cards: [Clock::Lockstep, Clock::Realtime].map(Machine::new),
        racer: Racer::start(),
    });
    let before = Before::look();
    let machine = &mut bench.cards[usize::from(first % 2)];
    machine.play(rest, &mut bench.racer, &before);
    machine.run_conforming_driver();
    before.check_end();
    *slot = Some(bench);
}

impl Machine {
    fn new(clock: Clock) -> Self {
        let card = Card::start(clock);
        let (socket, connection) = card.connect();
        let (guest, mut front_end) = (Guest::new(), FrontEnd::new(socket));
        guest.introduce(&mut front_end);
        let mut machine = Self { _card: card, guest, front_end, _connection: connection };
        machine.run_conforming_driver();
        machine
    }

    fn run_conforming_driver(&mut self) {
        self.guest.run_conforming_driver(&mut self.front_end);
        self.front_end.stop_rings(ALL_QUEUES);
    }

    fn play(&mut self, input: &[u8], racer: &mut Racer, before: &Before) {
        self.guest.restart();
        let plan = self.guest.plan();
        let mut processor = Processor {
            guest: &mut self.guest,
            front_end: &mut self.front_end,
            racer,
            features: FEATURES,
            plan,
            again: AGAIN_MAX,
            starts: STARTS_MAX,
            stuck: [None; QUEUE_COUNT],
            settle_left: SETTLE_ALL,
        };
        let mut last = None;
        for act in acts(input).take(ACTS_MAX) {
            processor.act(act, &mut last, before);
        }
        // The reset is answered, whatever the second processor writes to the rings.
        processor.stop();
        processor.racer.calm();
        before.check();
    }
}

/// The guest's first processor.
struct Processor<'a> {
    guest: &'a mut Guest,
    front_end: &'a mut FrontEnd,
    racer: &'a mut Racer,
    features: u64,
    plan: [Plan; QUEUE_COUNT],
    /// How many more acts may be repeated.
    again: u32,
    /// How many more starts there may be.
    starts: u32,
    /// How many chains were left on a ring when the last wait for it was in vain.
    stuck: [Option<u16>; QUEUE_COUNT],
    /// How long to wait for chains altogether.
    settle_left: Duration,
}

impl Processor<'_> {
    fn act<'d>(&mut self, act: Act<'d>, last: &mut Option<Act<'d>>, before: &Before) {
        match VERBS[usize::from(act.kind) % VERBS.len()] {
            Verb::Again => {
                let Some(again) = *last else { return };
                let times = act.number.min(self.again);
                self.again -= times;
                for _ in 0..times {
                    self.once(again);
                    before.check();
                }
            }
            _ => {
                *last = Some(act);
                self.once(act);
                before.check();
            }
        }
    }

    fn once(&mut self, act: Act<'_>) {
        let queue = usize::from(act.which) % QUEUE_COUNT;
        let number16 = act.number as u16;
        match VERBS[usize::from(act.kind) % VERBS.len()] {
            Verb::Features => self.features = act.wide,
            Verb::Size => {
                self.plan[queue].size = act.number;
                self.plan[queue].base = act.wide as u32;
            }
            Verb::Place => self.plan[queue].parts[act.number as usize % 3] = address(act.wide),
            Verb::Start => self.start(act.which & 1 != 0, act.which & 3 != 0),
            Verb::StopRing => _ = self.front_end.stop_rings([queue]),
            Verb::Enable => {
                self.front_end.say_words(request::SET_VRING_ENABLE, &[queue as u32, act.number % 2]);
            }
            Verb::Kick => (0..act.number % 64).for_each(|_| self.guest.kick(queue)),
            Verb::Request => {
                self.make_room(Queue::CONTROL);
                self.guest.offer_request(act.number, act.data);
                self.guest.kick(Queue::CONTROL.index());
            }
            Verb::LargeRequest => self.large_request(act),
            Verb::Batch => self.batch(act.data),
            Verb::Events => self.events(act),
            Verb::Wave => {
                self.make_room(Queue::WAVE);
                let frames = act.number % (WAVE_BUFFER_BYTES_MAX + 2);
                let needed = u64::from(frames) * 4;
                let room = if act.wide == 0 { needed } else { act.wide }.min(WAVE_BUFFER_BYTES_MAX.into());
                self.guest.offer_wave(act.which.into(), frames, room as usize);
                self.guest.kick(Queue::WAVE.index());
            }
            Verb::Buffers => {
                for _ in 0..act.number % 65 {
                    let place = self.guest.place(&[]);
                    let piece = Piece::writable(place, (act.wide % 8192) as usize);
                    self.guest.rings[queue].offer(&[piece]);
                }
                self.guest.kick(queue);
            }
            Verb::Write => self.write(address(act.wide), act.data),
            Verb::Publish => {
                self.guest.rings[queue].publish(number16);
                self.guest.kick(queue);
            }
            Verb::Index => {
                self.guest.rings[queue].set_available_index(number16);
                self.guest.kick(queue);
            }
            Verb::Indirect => self.indirect(queue, act),
            Verb::Chain => {
                let pieces: Vec<Piece> = records::<RawPiece>(act.data)
                    .take(usize::from(QUEUE_SIZE_MAX))
                    .map(|piece| Piece {
                        address: RAM_START + u64::from(piece.offset.get()),
                        length: piece.length.get() & !WRITABLE,
                        writable: piece.length.get() & WRITABLE != 0,
                    })
                    .collect();
                self.guest.rings[queue].offer(&pieces);
                self.guest.kick(queue);
            }
            Verb::Race => {
                let writes = records::<Write>(act.data).take(WRITES_MAX).collect();
                self.racer.race(self.guest.ram.clone(), writes);
            }
            Verb::Calm => self.racer.calm(),
            Verb::Settle => self.settle(queue),
            Verb::Look => _ = Guest::identity(self.front_end),
            Verb::Again => {}
        }
    }

    /// Stops all rings, and returns the indices to resume from.
    fn stop(&mut self) -> [u32; QUEUE_COUNT] {
        for queue in 0..QUEUE_COUNT as u32 {
            self.front_end.say_words(request::SET_VRING_ENABLE, &[queue, 0]);
        }
        let bases = self.front_end.stop_rings(ALL_QUEUES);
        Guest::identity(self.front_end);
        bases
    }

    fn start(&mut self, go_on: bool, keep: bool) {
        let Some(left) = self.starts.checked_sub(1) else { return };
        self.starts = left;
        let bases = self.stop();
        let mut plan = self.plan;
        if go_on {
            plan.iter_mut().zip(bases).for_each(|(ring, base)| ring.base = base);
        }
        if !keep {
            self.guest.forget_rings();
        }
        // A driver that has placed its rings elsewhere writes there, if a processor can.
        for (ring, plan) in self.guest.rings.iter_mut().zip(&plan) {
            let inside = |address: u64| {
                let behind = address.checked_add(8192);
                let inside = address >= RAM_START && behind.is_some_and(|behind| behind <= RAM_START + RAM_LENGTH);
                inside && address.is_multiple_of(2)
            };
            let [descriptors, available, used] = plan.parts;
            for (part, planned) in
                [(&mut ring.descriptors, descriptors), (&mut ring.available, available), (&mut ring.used, used)]
            {
                if inside(planned) {
                    *part = planned;
                }
            }
        }
        self.guest.start(self.front_end, self.features, &plan);
    }

    fn write(&self, address: u64, bytes: &[u8]) {
        let end = address.checked_add(bytes.len() as u64);
        if address >= RAM_START && end.is_some_and(|end| end <= RAM_START + RAM_LENGTH) {
            self.guest.ram.write(address, bytes);
        }
    }

    fn large_request(&mut self, act: Act<'_>) {
        use card_spec::control::RequestHeader;
        self.settle(Queue::CONTROL.index());
        let most = u64::from(REQUEST_BYTES_MAX) + 4096;
        let length = act.wide.clamp(act.data.len() as u64, most.max(act.data.len() as u64));
        let header =
            RequestHeader { code: act.number.into(), length: (length as u32).into(), tag: u64::from(u32::MAX).into() };
        let head = [header.as_bytes(), act.data].concat();
        let mut pieces = vec![Piece::readable(self.guest.place(&head), head.len())];
        let mut left = length - act.data.len() as u64;
        while left > 0 {
            let now = left.min(FILLER_BYTES);
            pieces.push(Piece::readable(self.guest.filler(), now as usize));
            left -= now;
        }
        pieces.push(Piece::writable(self.guest.response(), RESPONSE as usize));
        self.guest.rings[Queue::CONTROL.index()].offer(&pieces);
        self.guest.kick(Queue::CONTROL.index());
    }

    fn batch(&mut self, bytes: &[u8]) {
        self.make_room(Queue::MIDI_OUT);
        let address = self.guest.place(bytes);
        self.guest.rings[Queue::MIDI_OUT.index()].offer(&[Piece::readable(address, bytes.len())]);
        self.guest.kick(Queue::MIDI_OUT.index());
    }

    fn events(&mut self, act: Act<'_>) {
        let mut message = act.data.get(..act.data.len().min(8)).unwrap_or_default().to_vec();
        let count = act.number % (EVENTS_MAX + 1);
        let mut bytes = vec![0; size_of::<BatchHeader>()];
        for _ in 0..count {
            let header = EventHeader {
                time: (act.wide as i64).into(),
                channel_group: 1.into(),
                flags: 0.into(),
                length: (message.len() as u16).into(),
                reserved: 0.into(),
            };
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(&message);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            if let Some(key) = message.get_mut(1) {
                *key = key.wrapping_add(1) % 128;
            }
        }
        let header = BatchHeader {
            stream: u32::from(act.which).into(),
            count: count.into(),
            length: (bytes.len() as u32).into(),
            sequence: 0.into(),
        };
        bytes[..size_of::<BatchHeader>()].copy_from_slice(header.as_bytes());
        self.batch(&bytes);
    }

    fn indirect(&mut self, queue: usize, act: Act<'_>) {
        let length = act.data.len() as u32;
        let place = self.guest.place(act.data);
        let address = if act.wide == 0 { place } else { address(act.wide) };
        let ring = &mut self.guest.rings[queue];
        // The first descriptor, so that the ring's own turn is not disturbed for long.
        ring.describe(0, Descriptor { address, length, flags: flag::INDIRECT | act.number as u16, next: 1 });
        ring.publish(0);
        self.guest.kick(queue);
    }

    /// Waits until a ring has room for another chain, or for as long as the card should need to make some.
    fn make_room(&mut self, queue: Queue) {
        if self.guest.under_way(queue.index()) > QUEUE_SIZE_MAX / 4 {
            self.settle(queue.index());
        }
    }

    fn settle(&mut self, queue: usize) {
        let under_way = self.guest.under_way(queue);
        if under_way == 0 || self.stuck[queue] == Some(under_way) {
            return;
        }
        let begin = Instant::now();
        let most = SETTLE.min(self.settle_left);
        let mut left = under_way;
        while left != 0 && begin.elapsed() < most {
            std::thread::yield_now();
            left = self.guest.under_way(queue);
        }
        self.stuck[queue] = (left != 0).then_some(left);
        self.settle_left = self.settle_left.saturating_sub(begin.elapsed());
    }
}

/// Returns an address as an input has it.
const fn address(wide: u64) -> u64 {
    if wide >> 32 == 0 { RAM_START + wide % RAM_LENGTH } else { wide }
}

/// Returns the whole records in some bytes.
fn records<T: FromBytes + Immutable + KnownLayout + Unaligned + Copy>(bytes: &[u8]) -> impl Iterator<Item = T> {
    bytes.chunks_exact(size_of::<T>()).filter_map(|bytes| T::read_from_bytes(bytes).ok())
}
