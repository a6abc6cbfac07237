//! A machine that speaks vhost-user, in the order in which QEMU does.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use card_control::Clock;
use card_spec::identity::IdentityBlock;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::{QUEUE_COUNT, Queue};
use dls_synth::Bank;
use vhost::vhost_user::message::{
    VhostUserConfigFlags, VhostUserHeaderFlag, VhostUserProtocolFeatures, VhostUserVirtioFeatures,
};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};
use zerocopy::FromBytes;

use super::board::{Board, WAIT_LIMIT};
use super::ram::Ram;
use super::ring::DriverRing;
use crate::bus::FEATURES;
use crate::card::engine::{Engine, Link};
use crate::options::Options;
use crate::session::render::RENDER_BLOCK_DEFAULT;
use crate::stop::Stop;
use crate::transport::vhost_user::{Ended, VhostUser};

/// The guest address of the machine's memory. Not 0, so that an address that was not translated is outside.
const RAM_START: u64 = 0x10_0000;

/// Bytes of the machine's memory.
const RAM_LENGTH: u64 = 64 << 20;

/// The address of its memory in the machine's process, as it declares it: not the guest address.
pub const USER_ADDRESS: u64 = 0x7f55_0000_0000;

/// A ring as the machine describes it to the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingPlan {
    /// The number of entries that the driver chose.
    pub size: u16,
    /// The index to begin with.
    pub base: u16,
    /// The addresses of the descriptor table, the available ring and the used ring.
    pub addresses: [u64; 3],
}

/// The card that a machine has started for itself.
struct OwnCard {
    engine: Engine,
    served: JoinHandle<std::io::Result<Ended>>,
    _stop: Stop,
}

/// A machine with a card in it.
pub struct Machine {
    /// Guest memory.
    pub ram: Ram,
    /// The driver's side of the rings.
    pub rings: [DriverRing; QUEUE_COUNT],
    /// The features that its driver accepts.
    pub features: u64,
    frontend: Frontend,
    raw: UnixStream,
    kicks: [EventFd; QUEUE_COUNT],
    calls: [EventFd; QUEUE_COUNT],
    memory_known: bool,
    card: Option<OwnCard>,
}

impl Machine {
    /// Returns a machine with a card of its own, in this process.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn with_card(clock: Clock) -> Self {
        Self::with_options(Options { clock, voices: 1000, render_block: RENDER_BLOCK_DEFAULT })
    }

    /// Returns a machine with a card of its own, in this process, with all options.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn with_options(options: Options) -> Self {
        let (near, far) = UnixStream::pair().expect("a pair of sockets");
        let engine = Engine::start(options, Bank::builtin(), None).expect("a thread for the card");
        let stop = Stop::new().expect("a pipe");
        let connection = VhostUser::new(engine.link().clone()).expect("descriptors");
        let served = {
            let stop = stop.clone();
            std::thread::spawn(move || connection.serve(far, &stop))
        };
        let mut machine = Self::on(near);
        machine.card = Some(OwnCard { engine, served, _stop: stop });
        machine
    }

    /// Returns a machine that connects to a card which listens on `path`.
    ///
    /// # Panics
    /// When no card listens there.
    #[must_use]
    pub fn connect(path: &Path) -> Self {
        let deadline = Instant::now() + WAIT_LIMIT;
        loop {
            match UnixStream::connect(path) {
                Ok(stream) => return Self::on(stream),
                Err(error) if Instant::now() > deadline => panic!("no card listens on {}: {error}", path.display()),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Returns a machine at the end of a socket. It negotiates, and has not started its driver.
    fn on(socket: UnixStream) -> Self {
        socket.set_read_timeout(Some(WAIT_LIMIT)).expect("a timeout");
        let raw = socket.try_clone().expect("a second descriptor");
        let mut frontend = Frontend::from_stream(socket, QUEUE_COUNT as u64);
        frontend.set_owner().expect("SET_OWNER");
        let offered = frontend.get_features().expect("GET_FEATURES");
        assert_eq!(offered, FEATURES | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits());
        frontend.set_features(offered).expect("SET_FEATURES");
        let protocol = frontend.get_protocol_features().expect("GET_PROTOCOL_FEATURES");
        assert!(protocol.contains(VhostUserProtocolFeatures::CONFIG | VhostUserProtocolFeatures::MQ));
        frontend.set_protocol_features(protocol).expect("SET_PROTOCOL_FEATURES");
        assert_eq!(frontend.get_queue_num().expect("GET_QUEUE_NUM"), QUEUE_COUNT as u64);
        assert!(frontend.get_max_mem_slots().expect("GET_MAX_MEM_SLOTS") >= 8);
        // From now on every request is acknowledged, and a missing acknowledgement fails the test.
        frontend.set_hdr_flags(VhostUserHeaderFlag::NEED_REPLY);
        let ram = Ram::anonymous(RAM_START, RAM_LENGTH);
        let eventfds = || [(); QUEUE_COUNT].map(|()| EventFd::new(EFD_NONBLOCK).expect("an eventfd"));
        Self {
            rings: [(); QUEUE_COUNT].map(|()| DriverRing::new(&ram, QUEUE_SIZE_MAX)),
            ram,
            features: FEATURES,
            frontend,
            raw,
            kicks: eventfds(),
            calls: eventfds(),
            memory_known: false,
            card: None,
        }
    }

    /// Returns the card, when it is this machine's own.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn card(&self) -> &Link {
        self.card.as_ref().expect("a machine that was made with a card").engine.link()
    }

    /// Returns the front-end, for requests that this machine has no method for.
    pub fn frontend(&mut self) -> &mut Frontend {
        &mut self.frontend
    }

    /// Returns the socket below the front-end, for bytes that it would not send.
    #[must_use]
    pub fn raw(&self) -> &UnixStream {
        &self.raw
    }

    /// Returns the description of the rings that a conforming driver gives.
    #[must_use]
    pub fn plan(&self) -> [RingPlan; QUEUE_COUNT] {
        let user = |address: u64| address - self.ram.start() + USER_ADDRESS;
        std::array::from_fn(|index| {
            let ring = &self.rings[index];
            let addresses = [user(ring.descriptors), user(ring.available), user(ring.used)];
            RingPlan { size: ring.size(), base: 0, addresses }
        })
    }

    /// Describes the rings to the card by this plan, as QEMU does when the driver sets `DRIVER_OK`.
    ///
    /// # Panics
    /// When the card does not accept it.
    pub fn start_as(&mut self, plan: &[RingPlan; QUEUE_COUNT]) {
        let bits = self.features | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
        self.frontend.set_features(bits).expect("SET_FEATURES");
        if !self.memory_known {
            self.share_memory();
        }
        for (index, ring) in plan.iter().enumerate() {
            self.frontend.set_vring_num(index, ring.size).expect("SET_VRING_NUM");
            self.frontend.set_vring_base(index, ring.base).expect("SET_VRING_BASE");
            let [desc_table_addr, avail_ring_addr, used_ring_addr] = ring.addresses;
            let config = VringConfigData {
                queue_max_size: QUEUE_SIZE_MAX,
                queue_size: ring.size,
                flags: 0,
                desc_table_addr,
                used_ring_addr,
                avail_ring_addr,
                log_addr: None,
            };
            self.frontend.set_vring_addr(index, &config).expect("SET_VRING_ADDR");
            // As from QEMU, each kick arrives signalled once.
            let _ = self.kicks[index].write(1);
            self.frontend.set_vring_kick(index, &self.kicks[index]).expect("SET_VRING_KICK");
            self.frontend.set_vring_call(index, &self.calls[index]).expect("SET_VRING_CALL");
        }
        for index in 0..QUEUE_COUNT {
            self.frontend.set_vring_enable(index, true).expect("SET_VRING_ENABLE");
        }
        for index in 0..QUEUE_COUNT {
            self.frontend.set_vring_call(index, &self.calls[index]).expect("SET_VRING_CALL");
        }
    }

    /// Shares guest memory with the card.
    ///
    /// # Panics
    /// When the card does not accept it.
    pub fn share_memory(&mut self) {
        let region = VhostUserMemoryRegionInfo {
            guest_phys_addr: self.ram.start(),
            memory_size: self.ram.length(),
            userspace_addr: USER_ADDRESS,
            mmap_offset: 0,
            mmap_handle: self.ram.file().as_raw_fd(),
        };
        self.frontend.add_mem_region(&region).expect("ADD_MEM_REG");
        self.memory_known = true;
    }

    /// Omits sharing guest memory at the start.
    pub fn claim_memory_is_shared(&mut self) {
        self.memory_known = true;
    }

    /// Stops all rings, as for a reset or a pause, and returns the indices to resume from.
    ///
    /// # Panics
    /// When the card does not answer.
    pub fn stop(&mut self) -> [u16; QUEUE_COUNT] {
        for index in 0..QUEUE_COUNT {
            self.frontend.set_vring_enable(index, false).expect("SET_VRING_ENABLE");
        }
        std::array::from_fn(|index| self.frontend.get_vring_base(index).expect("GET_VRING_BASE") as u16)
    }

    /// Resets the device and sets it up again, with fresh rings.
    pub fn reset(&mut self) {
        self.stop();
        let fresh = |ring: &DriverRing| DriverRing::new(&self.ram, ring.size());
        self.rings = std::array::from_fn(|index| fresh(&self.rings[index]));
        self.start();
    }

    /// Continues the machine after a pause.
    pub fn resume(&mut self, bases: [u16; QUEUE_COUNT]) {
        let mut plan = self.plan();
        for (ring, base) in plan.iter_mut().zip(bases) {
            ring.base = base;
        }
        self.start_as(&plan);
    }

    /// Returns the device configuration as a guest reads it.
    ///
    /// # Panics
    /// When the card does not answer, or not as expected.
    pub fn identity(&mut self) -> IdentityBlock {
        let length = size_of::<IdentityBlock>();
        let flags = VhostUserConfigFlags::empty();
        let (_, bytes) = self.frontend.get_config(0, length as u32, flags, &vec![0; length]).expect("GET_CONFIG");
        IdentityBlock::read_from_bytes(&bytes).expect("an identity block of the requested length")
    }

    /// Returns how many interrupts a queue has raised since the last call.
    #[must_use]
    pub fn interrupts(&self, queue: Queue) -> u64 {
        self.calls[queue.index()].read().unwrap_or(0)
    }

    /// Disconnects, and ends the card if it is this machine's own.
    ///
    /// # Panics
    /// When the card has ended before.
    pub fn disconnect(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        let _ = self.raw.shutdown(std::net::Shutdown::Both);
        if let Some(card) = self.card.take() {
            let ended = card.served.join().expect("the socket's thread did not panic");
            assert_eq!(ended.expect("the socket did not fail"), Ended::Disconnected);
            card.engine.stop().expect("the card's thread did not panic");
        }
    }
}

impl Board for Machine {
    fn ram(&self) -> &Ram {
        &self.ram
    }

    fn ring(&mut self, queue: Queue) -> &mut DriverRing {
        &mut self.rings[queue.index()]
    }

    fn start(&mut self) {
        let plan = self.plan();
        self.start_as(&plan);
    }

    fn kick(&mut self, queue: Queue) {
        let _ = self.kicks[queue.index()].write(1);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.finish();
        }
    }
}
