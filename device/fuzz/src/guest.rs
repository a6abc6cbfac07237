//! A guest: its memory, which front-end and card share, its rings, and a conforming driver.

use std::os::fd::{AsFd, BorrowedFd};

use card_spec::control::{
    ClockSync, Open, RequestCode, RequestHeader, ResponseHeader, Status, StreamKind, StreamOpen, StreamState,
    StreamStateChange, clock_sync,
};
use card_spec::feature;
use card_spec::identity::IdentityBlock;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::wave::{WaveHeader, WaveRequest};
use card_spec::{ABI_MAJOR, ABI_MINOR};
use dmus_card::fake::{DriverRing, Piece, Ram};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use rustix::fs::FallocateFlags;
use zerocopy::{FromBytes, IntoBytes};

use super::front_end::{FrontEnd, request};
use super::waiting::wait_for;

/// Where guest memory begins. Not at 0, so that an address that was not translated is outside.
pub(super) const RAM_START: u64 = 0x10_0000;

/// Bytes of guest memory: the areas below, and some.
pub(super) const RAM_LENGTH: u64 = 4 << 20;

/// Where the front-end has mapped guest memory, by its own account: not where the guest has it.
pub(super) const USER_ADDRESS: u64 = 0x7f55_0000_0000;

/// Vhost-user's own feature bit: there are protocol features.
pub(super) const PROTOCOL_FEATURES: u64 = 1 << 30;

/// Every feature that the card offers.
pub(super) const FEATURES: u64 = feature::VERSION_1 | feature::EVENT_IDX | feature::INDIRECT_DESC;

/// Protocol features MQ, CONFIG and CONFIGURE_MEM_SLOTS. No acknowledgements: then set-up is written without waiting.
pub(super) const PROTOCOL: u64 = 1 << 0 | 1 << 9 | 1 << 15;

/// A page: each part of a ring has one.
pub(super) const PAGE: u64 = 4096;

/// Slots for requests, batches and tables: one page each, taken in turn.
const SLOTS: u64 = 256;

/// Bytes of a slot.
pub(super) const SLOT: u64 = PAGE;

/// An area of zeros, which the descriptors of long requests name again and again.
pub(super) const FILLER_BYTES: u64 = 64 << 10;

/// Bytes of a large slot: the most data that an act can have.
const LARGE: u64 = 68 << 10;

/// Large slots, taken in turn.
const LARGE_SLOTS: u64 = 4;

/// Bytes for a response.
pub(super) const RESPONSE: u64 = 512;

/// Slots for responses.
const RESPONSES: u64 = 256;

/// Every queue's number.
pub(super) const ALL_QUEUES: [usize; QUEUE_COUNT] = [0, 1, 2, 3, 4];

/// Frames that the conforming driver records.
const CONFORMING_FRAMES: u32 = 16;

/// A ring as the front-end describes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) size: u32,
    pub(super) base: u32,
    /// Guest-physical addresses of the descriptor table, the available ring and the used ring.
    pub(super) parts: [u64; 3],
}

/// How a driver reaches the card.
pub(super) trait DriverAccess {
    /// Goes through start-up, as far as the driver is up, with every feature and these rings.
    fn start(&mut self, guest: &Guest, plan: &[Plan; QUEUE_COUNT]);

    /// Notifies a queue.
    fn kick(&mut self, guest: &Guest, queue: Queue);

    /// Reads the identity block.
    fn identity(&mut self) -> IdentityBlock;
}

impl DriverAccess for FrontEnd {
    fn start(&mut self, guest: &Guest, plan: &[Plan; QUEUE_COUNT]) {
        guest.start(self, FEATURES, plan);
    }

    fn kick(&mut self, guest: &Guest, queue: Queue) {
        guest.kick(queue.index());
    }

    fn identity(&mut self) -> IdentityBlock {
        Guest::identity(self)
    }
}

/// The guest.
pub(super) struct Guest {
    pub(super) ram: Ram,
    /// The driver's side of the rings.
    pub(super) rings: [DriverRing; QUEUE_COUNT],
    fresh: [DriverRing; QUEUE_COUNT],
    slots: u64,
    large: u64,
    filler: u64,
    responses: u64,
    wave: u64,
    turn: u64,
    pub(super) kicks: [OwnedFd; QUEUE_COUNT],
    pub(super) calls: [OwnedFd; QUEUE_COUNT],
}

impl Guest {
    /// Returns a guest that has just been switched on.
    pub(super) fn new() -> Self {
        let ram = Ram::anonymous(RAM_START, RAM_LENGTH);
        let fresh = [(); QUEUE_COUNT].map(|()| DriverRing::new(&ram, QUEUE_SIZE_MAX));
        let room = |bytes: u64| ram.allocate(bytes as usize);
        let (slots, large) = (room(SLOTS * SLOT), room(LARGE_SLOTS * LARGE));
        let (filler, responses) = (room(FILLER_BYTES), room(RESPONSES * RESPONSE));
        let wave = room(u64::from(card_spec::limits::WAVE_BUFFER_BYTES_MAX) + 2 * SLOT);
        let event = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("an eventfd");
        let events = || [(); QUEUE_COUNT].map(|()| event());
        let (kicks, calls) = (events(), events());
        Self { ram, rings: fresh.clone(), fresh, slots, large, filler, responses, wave, turn: 0, kicks, calls }
    }

    /// Resets the guest: memory is zero, the rings are new and empty.
    pub(super) fn restart(&mut self) {
        let everything = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(self.ram.file(), everything, 0, RAM_LENGTH).expect("memory can be given back");
        self.rings = self.fresh.clone();
        self.turn = 0;
        // No kick of before is left for the next driver.
        for kick in &self.kicks {
            let _ = rustix::io::read(kick, &mut [0; 8]);
        }
    }

    /// Begins with new, empty rings; what else is in memory stays.
    pub(super) fn forget_rings(&mut self) {
        self.rings = self.fresh.clone();
        let [first, .., last] = &self.rings;
        let (start, end) = (first.descriptors, last.used + PAGE);
        self.ram.write(start, &vec![0; (end - start) as usize]);
    }

    /// Returns how many chains the card has not returned, by the indices in the ring.
    pub(super) fn under_way(&self, queue: usize) -> u16 {
        let ring = &self.rings[queue];
        let index = |part: u64| {
            let bytes = self.ram.read(part + 2, 2);
            u16::from_le_bytes([bytes[0], bytes[1]])
        };
        index(ring.available).wrapping_sub(index(ring.used))
    }

    /// Returns the description of the rings that a conforming front-end gives.
    pub(super) fn plan(&self) -> [Plan; QUEUE_COUNT] {
        std::array::from_fn(|index| {
            let ring = &self.rings[index];
            let parts = [ring.descriptors, ring.available, ring.used];
            Plan { size: ring.size().into(), base: 0, parts }
        })
    }

    /// Returns the areas, address and bytes, that the card writes for a driver that conforms: rings, responses, the
    /// head of a wave buffer.
    pub(super) fn written_by_card(&self) -> [(u64, usize); 3] {
        let [first, .., last] = &self.rings;
        let rings = (first.descriptors, (last.used + PAGE).saturating_sub(first.descriptors) as usize);
        [rings, (self.responses, (RESPONSES * RESPONSE) as usize), (self.wave, 4 * SLOT as usize)]
    }

    /// Returns the guest-physical address of the next slot for bytes that the card reads.
    pub(super) fn place(&mut self, bytes: &[u8]) -> u64 {
        self.turn += 1;
        let address = if bytes.len() as u64 <= SLOT {
            self.slots + self.turn % SLOTS * SLOT
        } else {
            self.large + self.turn % LARGE_SLOTS * LARGE
        };
        self.ram.write(address, bytes);
        address
    }

    /// Returns the next slot for a response.
    pub(super) fn response(&self) -> u64 {
        self.responses + self.turn % RESPONSES * RESPONSE
    }

    /// Returns the area of zeros.
    pub(super) const fn filler(&self) -> u64 {
        self.filler
    }

    /// Puts a request on the control ring, without a kick, and returns the address of its response.
    pub(super) fn offer_request(&mut self, code: u32, payload: &[u8]) -> u64 {
        self.turn += 1;
        let header = RequestHeader { code: code.into(), length: (payload.len() as u32).into(), tag: self.turn.into() };
        let bytes = [header.as_bytes(), payload].concat();
        let address = self.place(&bytes);
        let response = self.response();
        self.rings[Queue::CONTROL.index()]
            .offer(&[Piece::readable(address, bytes.len()), Piece::writable(response, RESPONSE as usize)]);
        response
    }

    /// Kicks a queue.
    pub(super) fn kick(&self, queue: usize) {
        let _ = rustix::io::write(&self.kicks[queue], &1_u64.to_ne_bytes());
    }

    /// Negotiates and shares memory, as QEMU does when it starts.
    pub(super) fn introduce(&self, front_end: &mut FrontEnd) {
        front_end.say(request::SET_OWNER, &[], &[]);
        front_end.say_number(request::SET_PROTOCOL_FEATURES, PROTOCOL, &[]);
        let region = [0, RAM_START, RAM_LENGTH, USER_ADDRESS, 0].map(u64::to_ne_bytes).concat();
        front_end.say(request::ADD_MEM_REG, &region, &[self.ram.file().as_fd()]);
    }

    /// Starts the rings: the driver has set `DRIVER_OK`.
    pub(super) fn start(&self, front_end: &mut FrontEnd, features: u64, plan: &[Plan; QUEUE_COUNT]) {
        start(
            front_end,
            features,
            plan,
            [self.kicks.each_ref(), self.calls.each_ref()].map(|files| files.map(AsFd::as_fd)),
        );
    }

    /// Reads the identity block.
    ///
    /// # Panics
    /// When it is not one.
    pub(super) fn identity(front_end: &mut FrontEnd) -> IdentityBlock {
        let bytes = front_end.configuration(size_of::<IdentityBlock>());
        let block = IdentityBlock::read_from_bytes(&bytes).expect("an identity block of the requested length");
        assert_eq!(block.magic, *b"DMUS", "the identity block's magic");
        block
    }

    /// Has a conforming driver open a session and record, on rings that are stopped.
    ///
    /// # Panics
    /// When the card does not serve it as it must.
    pub(super) fn run_conforming_driver(&mut self, access: &mut impl DriverAccess) {
        self.restart();
        let plan = self.plan();
        access.start(self, &plan);
        let queue_sizes = [QUEUE_SIZE_MAX.into(); QUEUE_COUNT];
        let open = Open {
            abi_major: ABI_MAJOR.into(),
            abi_minor: ABI_MINOR.into(),
            queue_sizes,
            reserved: 0.into(),
            session: 1.into(),
        };
        self.request(access, RequestCode::OPEN, open.as_bytes());
        let first = access.identity().first_error;
        assert_eq!(first.code.get(), 0, "a conforming driver is blamed: {first:?}");
        let stream = |stream: u32, kind: StreamKind| StreamOpen {
            stream: stream.into(),
            kind: kind.0.into(),
            sample_rate: 48_000.into(),
            channels: 2.into(),
            bits: 16.into(),
        };
        self.request(access, RequestCode::STREAM_OPEN, stream(0, StreamKind::WAVE).as_bytes());
        let flags = clock_sync::START.into();
        let sync = ClockSync { stream: 0.into(), flags, master_time: 0.into(), frame: 0.into() };
        self.request(access, RequestCode::CLOCK_SYNC, sync.as_bytes());
        let run = StreamStateChange { stream: 0.into(), state: StreamState::RUN.0.into() };
        self.request(access, RequestCode::STREAM_STATE, run.as_bytes());
        self.offer_wave(0, CONFORMING_FRAMES, CONFORMING_FRAMES as usize * 4);
        access.kick(self, Queue::WAVE);
        let ring = &mut self.rings[Queue::WAVE.index()];
        wait_for("frames for a conforming driver", || ring.returned());
        let header = self.ram.read(self.wave + SLOT, size_of::<WaveHeader>());
        let header = WaveHeader::read_from_bytes(&header).expect("a header's length");
        assert_eq!(header.frames.get(), CONFORMING_FRAMES, "frames for a conforming driver");
    }

    /// Puts a wave buffer on its ring, without a kick.
    pub(super) fn offer_wave(&mut self, stream: u32, frames: u32, room: usize) {
        let request = WaveRequest { stream: stream.into(), frames: frames.into() };
        self.ram.write(self.wave, request.as_bytes());
        self.rings[Queue::WAVE.index()].offer(&[
            Piece::readable(self.wave, size_of::<WaveRequest>()),
            Piece::writable(self.wave + SLOT, size_of::<WaveHeader>()),
            Piece::writable(self.wave + 2 * SLOT, room),
        ]);
    }

    fn request(&mut self, access: &mut impl DriverAccess, code: RequestCode, payload: &[u8]) {
        let response = self.offer_request(code.0, payload);
        access.kick(self, Queue::CONTROL);
        let ring = &mut self.rings[Queue::CONTROL.index()];
        wait_for("the answer to a conforming driver", || ring.returned());
        let header = self.ram.read(response, size_of::<ResponseHeader>());
        let header = ResponseHeader::read_from_bytes(&header).expect("a header's length");
        assert_eq!(Status(header.status.get()), Status::OK, "{code} by a conforming driver");
    }
}

/// Returns the body of `SET_VRING_ADDR` for parts at these guest-physical addresses.
pub(super) fn addresses(queue: u32, [descriptors, available, used]: [u64; 3]) -> Vec<u8> {
    let user = |address: u64| address.wrapping_sub(RAM_START).wrapping_add(USER_ADDRESS);
    let head = [queue, 0].map(u32::to_ne_bytes).concat();
    // The order of the protocol: descriptor table, used ring, available ring, log.
    [head, [user(descriptors), user(used), user(available), 0].map(u64::to_ne_bytes).concat()].concat()
}

/// Starts the rings with these descriptors for kicks and calls.
pub(super) fn start(
    front_end: &mut FrontEnd,
    features: u64,
    plan: &[Plan; QUEUE_COUNT],
    [kicks, calls]: [[BorrowedFd<'_>; QUEUE_COUNT]; 2],
) {
    front_end.say_number(request::SET_FEATURES, features | PROTOCOL_FEATURES, &[]);
    for (index, ring) in plan.iter().enumerate() {
        let queue = index as u32;
        front_end.say_words(request::SET_VRING_NUM, &[queue, ring.size]);
        front_end.say_words(request::SET_VRING_BASE, &[queue, ring.base]);
        front_end.say(request::SET_VRING_ADDR, &addresses(queue, ring.parts), &[]);
        front_end.say_number(request::SET_VRING_KICK, index as u64, &[kicks[index]]);
        front_end.say_number(request::SET_VRING_CALL, index as u64, &[calls[index]]);
    }
    for queue in 0..QUEUE_COUNT as u32 {
        front_end.say_words(request::SET_VRING_ENABLE, &[queue, 1]);
    }
    // QEMU waits for acknowledgements, before the driver goes on.
    front_end.catch_up();
}
