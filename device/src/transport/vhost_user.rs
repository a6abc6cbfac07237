//! Speaks vhost-user: QEMU owns the PCI function, and describes memory and rings to the card over a socket.
//!
//! Every message is answered, whatever it says, because QEMU waits for answers without a limit and does not survive the
//! end of the connection. What a guest has done wrong is diagnosed and the ring parked; the answer is still success.
//!
//! Source: QEMU, "Vhost-user Protocol", sections "Front-end message types" and "Ring states".

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};

use card_spec::diagnosis::Diagnosis;
use card_spec::queue::{QUEUE_COUNT, Queue};
use log::Level;
use parking_lot::Mutex;
use rustix::event::PollFlags;
use vhost::vhost_user::message::{
    FrontendReq, VhostUserConfig, VhostUserMemory, VhostUserMemoryRegion, VhostUserProtocolFeatures,
    VhostUserSingleMemoryRegion, VhostUserVirtioFeatures, VhostUserVringAddr, VhostUserVringState,
};
use vm_memory::ByteValued;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};
use zerocopy::IntoBytes;

use super::doorbell::Kick;
use super::event_counter::{EventCounterError, check as check_event_counter};
use super::interrupts::{Call, LOOK_PERIOD};
use super::message::{Gone, Message};
use crate::bus::{FEATURES, Memory, OwnedVirtqueue, REGIONS_MAX, Region, RingSetup, Virtqueue};
use crate::card::Link;
use crate::diagnosis::DriverError;
use crate::log_limited;
use crate::stop::{Stop, Waited};

/// Returns the protocol features that the back-end offers: only those that it implements, because QEMU accepts bits that
/// it makes no use of.
fn protocol_features() -> u64 {
    (VhostUserProtocolFeatures::MQ
        | VhostUserProtocolFeatures::CONFIG
        | VhostUserProtocolFeatures::REPLY_ACK
        | VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS)
        .bits()
}

fn virtio_features() -> u64 {
    FEATURES | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
}

/// Longest device configuration that is answered; QEMU aborts when a guest reads a longer one.
const CONFIG_BYTES_MAX: usize = 256;

/// In a request about a ring's descriptor: there is none.
const NO_FILE: u64 = 0x100;

/// The reason for the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The front-end has disconnected.
    Disconnected,
    /// The process is to end.
    Stopped,
}

/// A connection of one front-end.
pub struct VhostUser {
    link: Link,
    protocol_features: u64,
    rings: [PlannedRing; QUEUE_COUNT],
    kicks: Arc<Kicks>,
}

/// A ring as the front-end has described it so far.
struct PlannedRing {
    size: u32,
    base: u32,
    /// In the front-end's terms.
    addresses: Option<[u64; 3]>,
    enabled: bool,
    call: Arc<Call>,
    queue: Arc<OwnedVirtqueue>,
}

/// The doorbells, and what watches them.
struct Kicks {
    epoll: Epoll,
    end: EventFd,
    kicks: Mutex<[Option<Kick>; QUEUE_COUNT]>,
}

/// Marks the end of the watch among the kicks, which are marked with their queues' numbers.
const END: u64 = u64::MAX;

impl Kicks {
    fn new() -> io::Result<Self> {
        let (epoll, end) = (Epoll::new()?, EventFd::new(EFD_NONBLOCK)?);
        epoll.ctl(ControlOperation::Add, end.as_raw_fd(), EpollEvent::new(EventSet::IN, END))?;
        Ok(Self { epoll, end, kicks: Mutex::default() })
    }

    fn set(&self, queue: Queue, kick: Option<Kick>) {
        let mut kicks = self.kicks.lock();
        let Some(place) = kicks.get_mut(queue.index()) else { return };
        // Explicitly: the front-end holds the same open file, so closing our descriptor would not end the watch.
        if let Some(kick) = place.take() {
            let fd = kick.as_fd().as_raw_fd();
            let _ = self.epoll.ctl(ControlOperation::Delete, fd, EpollEvent::default());
        }
        if let Some(kick) = &kick {
            // For edges, so that a counter which stays above zero does not keep the card awake.
            let event = EpollEvent::new(EventSet::IN | EventSet::EDGE_TRIGGERED, queue.0.into());
            if let Err(error) = self.epoll.ctl(ControlOperation::Add, kick.as_fd().as_raw_fd(), event) {
                log_limited!(
                    Level::Error,
                    "the kick descriptor of queue {queue} cannot be watched: {error}; the card does not see its kicks"
                );
            }
        }
        *place = kick;
    }

    fn has(&self, queue: Queue) -> bool {
        self.kicks.lock().get(queue.index()).is_some_and(Option::is_some)
    }

    /// Passes kicks to the card until the end.
    fn watch(&self, link: &Link) {
        let mut events = [EpollEvent::default(); QUEUE_COUNT + 1];
        loop {
            let ready = self.epoll.wait(-1, &mut events).unwrap_or(0);
            for event in events.iter().take(ready) {
                if event.data() == END {
                    return;
                }
                let queue = Queue(event.data() as u16);
                let kicks = self.kicks.lock().get(queue.index()).and_then(Option::as_ref).map_or(0, Kick::take);
                if kicks > 0 {
                    link.kicked(queue, kicks);
                }
            }
        }
    }
}

/// The answer to a message.
enum Answer {
    /// It has no answer of its own.
    Done,
    /// It is not known, or not for this back-end.
    Unknown,
    /// It has this one.
    Body(Vec<u8>),
}

impl VhostUser {
    /// Returns a connection to the card behind `link`.
    ///
    /// # Errors
    /// The host's error, when it has no more descriptors.
    pub fn new(link: Link) -> io::Result<Self> {
        let rings = std::array::from_fn(|_| {
            let call = Arc::<Call>::default();
            let queue = Arc::new(OwnedVirtqueue::new({
                let call = Arc::clone(&call);
                move || call.raise()
            }));
            queue.enable(false);
            PlannedRing { size: 0, base: 0, addresses: None, enabled: false, call, queue }
        });
        Ok(Self { link, protocol_features: 0, rings, kicks: Arc::new(Kicks::new()?) })
    }

    fn start_if_ready(&mut self, queue: Queue) {
        let mut bus = self.link.bus.lock();
        let ring = &self.rings[queue.index()];
        let Some(addresses) = ring.addresses else { return };
        if bus.is_set_up(queue) || !ring.enabled || !self.kicks.has(queue) {
            return;
        }
        for (other, ring) in Queue::ALL.into_iter().zip(&self.rings) {
            if !bus.is_set_up(other) {
                bus.set_ring_base(other, ring.base as u16);
            }
        }
        // An address outside memory stays what it is: outside memory.
        let [descriptors, available, used] =
            addresses.map(|address| bus.memory().guest_address(address, 1).map_or(address, |address| address.0));
        let setup = RingSetup { size: ring.size, base: ring.base as u16, descriptors, available, used };
        bus.start_ring(queue, setup, Arc::clone(&ring.queue) as Arc<dyn Virtqueue>);
    }

    /// Takes a ring out of use, and returns the index to resume from.
    fn stop(&mut self, queue: Queue) -> u16 {
        let base = self.link.bus.lock().stop_ring(queue);
        self.kicks.set(queue, None);
        let ring = &mut self.rings[queue.index()];
        let _ = ring.call.set(None);
        ring.addresses = None;
        ring.base = base.into();
        base
    }

    fn enable(&mut self, queue: Queue, enabled: bool) {
        let ring = &mut self.rings[queue.index()];
        ring.enabled = enabled;
        ring.queue.enable(enabled);
        self.start_if_ready(queue);
    }

    /// Answers a front-end until it disconnects, or until `stop` is requested. Then all rings are taken out of use.
    ///
    /// # Errors
    /// The host's error, when the socket fails.
    pub fn serve(mut self, socket: UnixStream, stop: &Stop) -> io::Result<Ended> {
        let calls = self.rings.each_ref().map(|ring| Arc::clone(&ring.call));
        let (kicks, link) = (Arc::clone(&self.kicks), self.link.clone());
        let ended = std::thread::scope(|scope| {
            let (served, serving) = mpsc::channel::<()>();
            let look_after = move || {
                let mut last = [0; QUEUE_COUNT];
                while serving.recv_timeout(LOOK_PERIOD) == Err(RecvTimeoutError::Timeout) {
                    calls.iter().zip(&mut last).for_each(|(call, last)| call.look_after(last));
                }
            };
            if let Err(error) =
                std::thread::Builder::new().name("kicks".into()).spawn_scoped(scope, move || kicks.watch(&link))
            {
                return Gone::Failed(error);
            }
            if let Err(error) = std::thread::Builder::new().name("calls".into()).spawn_scoped(scope, look_after) {
                log_limited!(
                    Level::Warn,
                    "no thread looks after the call descriptors: {error}; raise the host's limits (ulimit -u)"
                );
            }
            let ended = self.answer_all(&socket, stop);
            self.link.bus.lock().disconnect();
            let _ = self.kicks.end.write(1);
            drop(served);
            ended
        });
        self.link.wake();
        match ended {
            Gone::Disconnected => Ok(Ended::Disconnected),
            Gone::Stopped => Ok(Ended::Stopped),
            Gone::Failed(error) => Err(error),
        }
    }

    fn answer_all(&mut self, socket: &UnixStream, stop: &Stop) -> Gone {
        loop {
            match self.answer_next(socket, stop) {
                Ok(()) => {}
                Err(gone) => return gone,
            }
        }
    }

    fn answer_next(&mut self, socket: &UnixStream, stop: &Stop) -> Result<(), Gone> {
        // Here too, because a front-end that never pauses keeps the socket ready.
        if stop.wait(socket, PollFlags::IN, None).map_err(Gone::Failed)? == Waited::Stopped {
            return Err(Gone::Stopped);
        }
        let mut message = Message::receive(socket, stop)?;
        log::trace!("vhost-user request {}, {} bytes", message.code, message.length);
        if message.files_lost {
            log_limited!(
                Level::Warn,
                "descriptors of vhost-user request {} were lost, because this process may not have more; raise the \
                 host's limit (ulimit -n)",
                message.code
            );
        }
        let acted = catch_unwind(AssertUnwindSafe(|| self.act(&mut message)));
        let answer = acted.unwrap_or_else(|_| {
            log_limited!(
                Level::Error,
                "vhost-user request {} made the card fail; this is a defect of the card",
                message.code
            );
            Answer::Done
        });
        let acknowledged = self.protocol_features & VhostUserProtocolFeatures::REPLY_ACK.bits() != 0
            && message.wants_acknowledgement();
        match answer {
            Answer::Body(body) => message.reply(socket, stop, &body),
            Answer::Done if acknowledged => message.reply(socket, stop, &0_u64.to_ne_bytes()),
            Answer::Unknown if acknowledged => message.reply(socket, stop, &1_u64.to_ne_bytes()),
            Answer::Done | Answer::Unknown => Ok(()),
        }
    }

    fn act(&mut self, message: &mut Message) -> Answer {
        let Ok(code) = FrontendReq::try_from(message.code) else {
            log_limited!(Level::Warn, "vhost-user request {} is not known", message.code);
            return Answer::Unknown;
        };
        let number = |value: u64| Answer::Body(value.to_ne_bytes().to_vec());
        match code {
            FrontendReq::GET_FEATURES => number(virtio_features()),
            FrontendReq::GET_PROTOCOL_FEATURES => number(protocol_features()),
            FrontendReq::GET_QUEUE_NUM => number(QUEUE_COUNT as u64),
            FrontendReq::GET_MAX_MEM_SLOTS => number(REGIONS_MAX as u64),
            FrontendReq::GET_VRING_BASE => self.stop_ring(message),
            FrontendReq::GET_CONFIG => Answer::Body(self.read_config(message)),
            // Not offered, but a front-end that sends it all the same waits for an answer of this shape.
            FrontendReq::GET_STATUS | FrontendReq::CREATE_CRYPTO_SESSION => number(0),
            FrontendReq::CHECK_DEVICE_STATE => number(1),
            FrontendReq::SET_DEVICE_STATE_FD => number(0x101),
            FrontendReq::GET_SHARED_OBJECT | FrontendReq::POSTCOPY_ADVISE => Answer::Body(Vec::new()),
            FrontendReq::GET_INFLIGHT_FD => Answer::Body(vec![0; 24]),
            FrontendReq::GET_SHMEM_CONFIG => Answer::Body(vec![0; 8 + 256 * 8]),
            FrontendReq::SET_LOG_BASE => Answer::Body(message.body.clone()),
            _ => {
                if self.set(code, message) {
                    self.link.wake();
                    Answer::Done
                } else {
                    log_limited!(
                        Level::Warn,
                        "vhost-user request {code:?} with {} bytes is malformed; ignored",
                        message.length
                    );
                    Answer::Done
                }
            }
        }
    }

    /// Requests without an answer. False when there is something wrong with it.
    fn set(&mut self, code: FrontendReq, message: &mut Message) -> bool {
        match code {
            FrontendReq::SET_OWNER | FrontendReq::RESET_OWNER => true,
            FrontendReq::RESET_DEVICE => {
                for queue in Queue::ALL {
                    self.stop(queue);
                }
                true
            }
            FrontendReq::SET_FEATURES => read::<u64>(&message.body).is_some_and(|features| self.set_features(features)),
            FrontendReq::SET_PROTOCOL_FEATURES => read::<u64>(&message.body).is_some_and(|features| {
                self.protocol_features = features & protocol_features();
                true
            }),
            FrontendReq::SET_MEM_TABLE => self.set_memory(message),
            FrontendReq::ADD_MEM_REG => self.add_memory(message),
            FrontendReq::REM_MEM_REG => self.remove_memory(message),
            FrontendReq::SET_VRING_NUM => with_ring(message, |queue, size| {
                self.rings[queue.index()].size = size;
            }),
            FrontendReq::SET_VRING_BASE => with_ring(message, |queue, base| {
                if self.link.bus.lock().is_set_up(queue) {
                    self.stop(queue);
                }
                self.rings[queue.index()].base = base;
            }),
            FrontendReq::SET_VRING_ENABLE => with_ring(message, |queue, enable| {
                self.enable(queue, enable != 0);
            }),
            FrontendReq::SET_VRING_ADDR => self.set_ring_addresses(message),
            FrontendReq::SET_VRING_KICK => with_file(message, |queue, file| {
                if file.is_none() {
                    log_limited!(
                        Level::Warn,
                        "queue {queue} has no kick descriptor; this back-end does not poll rings"
                    );
                }
                let kick = usable(queue, "kick", file, Kick::new);
                self.kicks.set(queue, kick);
                self.start_if_ready(queue);
            }),
            FrontendReq::SET_VRING_CALL => with_file(message, |queue, file| {
                if let Err(error) = self.rings[queue.index()].call.set(file) {
                    log_limited!(Level::Warn, "the call descriptor of queue {queue} is not used: {error}");
                }
            }),
            // Errors of a ring are reported on the event queue; the descriptor is closed.
            FrontendReq::SET_VRING_ERR => with_file(message, |queue, file| {
                let _ = usable(queue, "error", file, |file| check_event_counter(&file));
            }),
            FrontendReq::SET_CONFIG => {
                self.link.registers.report(DriverError::new(Diagnosis::CONFIG_WRITE));
                true
            }
            _ => {
                log_limited!(Level::Warn, "vhost-user request {code:?} was not offered; ignored");
                true
            }
        }
    }

    fn set_features(&mut self, features: u64) -> bool {
        self.link.bus.lock().set_features(features & FEATURES);
        if features & VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits() == 0 {
            // Without protocol features there is no request to enable a ring: it is enabled from the start.
            for queue in Queue::ALL {
                self.enable(queue, true);
            }
        }
        true
    }

    fn set_memory(&self, message: &mut Message) -> bool {
        let Some((header, table)) = split::<VhostUserMemory>(&message.body) else { return false };
        let count = header.num_regions as usize;
        let table = table.as_chunks::<{ size_of::<VhostUserMemoryRegion>() }>().0;
        if table.len() < count || message.files.len() != count {
            return false;
        }
        let mut memory = Memory::default();
        for (bytes, file) in table.iter().zip(message.files.drain(..)) {
            if let Some(region) = read::<VhostUserMemoryRegion>(bytes) {
                add(&mut memory, &region, file);
            }
        }
        *self.link.bus.lock().memory_mut() = memory;
        true
    }

    fn add_memory(&self, message: &mut Message) -> bool {
        let (Some(region), Some(file)) = (read::<VhostUserSingleMemoryRegion>(&message.body), message.files.pop())
        else {
            return false;
        };
        add(self.link.bus.lock().memory_mut(), &region, file);
        true
    }

    fn remove_memory(&self, message: &Message) -> bool {
        let Some(region) = read::<VhostUserSingleMemoryRegion>(&message.body) else { return false };
        let (address, length) = (region.guest_phys_addr, region.memory_size);
        if let Err(error) = self.link.bus.lock().memory_mut().remove(address, length) {
            log_limited!(Level::Warn, "{error}");
        }
        true
    }

    fn set_ring_addresses(&mut self, message: &Message) -> bool {
        let Some(addresses) = read::<VhostUserVringAddr>(&message.body) else { return false };
        let Some(queue) = queue(addresses.index.into()) else { return false };
        self.rings[queue.index()].addresses = Some([addresses.descriptor, addresses.available, addresses.used]);
        self.start_if_ready(queue);
        true
    }

    fn stop_ring(&mut self, message: &Message) -> Answer {
        let state = read::<VhostUserVringState>(&message.body).unwrap_or_default();
        let index = state.index;
        let base = queue(index.into()).map_or(0, |queue| self.stop(queue));
        self.link.wake();
        Answer::Body(VhostUserVringState::new(index, base.into()).as_slice().to_vec())
    }

    fn read_config(&self, message: &Message) -> Vec<u8> {
        let requested = read::<VhostUserConfig>(&message.body).unwrap_or_default();
        let (offset, size) = (requested.offset as usize, requested.size as usize);
        let mut config = self.link.identity.read().as_bytes().to_vec();
        config.resize(CONFIG_BYTES_MAX, 0);
        let end = offset.checked_add(size);
        // No payload means failure to a front-end; it keeps what it had.
        let payload = end.and_then(|end| config.get(offset..end)).unwrap_or_default();
        let header = VhostUserConfig { offset: requested.offset, size: payload.len() as u32, flags: requested.flags };
        [header.as_slice(), payload].concat()
    }
}

fn queue(index: u64) -> Option<Queue> {
    Queue::ALL.get(usize::try_from(index).ok()?).copied()
}

/// Returns the structure that a body begins with, and what follows.
fn split<T: ByteValued + Default>(body: &[u8]) -> Option<(T, &[u8])> {
    let (head, rest) = body.split_at_checked(size_of::<T>())?;
    let mut value = T::default();
    value.as_mut_slice().copy_from_slice(head);
    Some((value, rest))
}

fn read<T: ByteValued + Default>(body: &[u8]) -> Option<T> {
    split(body).map(|(value, _)| value)
}

/// Returns a request about a ring with a number.
fn with_ring(message: &Message, act: impl FnOnce(Queue, u32)) -> bool {
    let Some(state) = read::<VhostUserVringState>(&message.body) else { return false };
    let Some(queue) = queue(state.index.into()) else { return false };
    act(queue, state.num);
    true
}

/// Returns a request about a ring with a descriptor.
fn with_file(message: &mut Message, act: impl FnOnce(Queue, Option<OwnedFd>)) -> bool {
    let Some(value) = read::<u64>(&message.body) else { return false };
    let Some(queue) = queue(value & 0xff) else { return false };
    let file = if value & NO_FILE == 0 { message.files.pop() } else { None };
    act(queue, file);
    true
}

/// Makes a doorbell or a call of a descriptor. One that cannot be used is closed and logged.
fn usable<T>(
    queue: Queue,
    what: &str,
    file: Option<OwnedFd>,
    check: impl FnOnce(OwnedFd) -> Result<T, EventCounterError>,
) -> Option<T> {
    check(file?)
        .inspect_err(|error| {
            log_limited!(Level::Warn, "the {what} descriptor of queue {queue} is not used: {error}");
        })
        .ok()
}

fn add(memory: &mut Memory, region: &VhostUserMemoryRegion, file: OwnedFd) {
    let region = Region {
        guest_address: region.guest_phys_addr,
        length: region.memory_size,
        user_address: region.user_addr,
        file_offset: region.mmap_offset,
    };
    match memory.add(region, file.into()) {
        Ok(()) => {
            log_limited!(Level::Debug, "guest memory {:#x}, {:#x} bytes", region.guest_address, region.length);
        }
        // Rings in it will be found to be outside memory.
        Err(error) => log_limited!(Level::Error, "{error}"),
    }
}
