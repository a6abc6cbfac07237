//! Speaks vhost-user: QEMU owns the PCI function, and describes memory and rings to the card over a socket.
//!
//! Every message is answered, whatever it says, because QEMU waits for answers without a limit and does not survive the
//! end of the connection. What a guest has done wrong is diagnosed and the ring parked; the answer is still success.
//!
//! Source: QEMU, "Vhost-user Protocol", sections "Front-end message types" and "Ring states".

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};

use card_spec::diagnosis::Diagnosis;
use card_spec::queue::{QUEUE_COUNT, Queue};
use log::Level;
use rustix::event::PollFlags;
use vhost::vhost_user::message::{
    FrontendReq, VhostUserConfig, VhostUserMemory, VhostUserMemoryRegion, VhostUserProtocolFeatures,
    VhostUserSingleMemoryRegion, VhostUserVirtioFeatures, VhostUserVringAddr, VhostUserVringState,
};
use vm_memory::ByteValued;
use zerocopy::IntoBytes;

use super::message::{Gone, Message};
use crate::bus::{
    Call, EventCounterError, FEATURES, Kick, LOOK_PERIOD, Memory, REGIONS_MAX, Region, RingAddress, RingAddresses,
    check_event_counter,
};
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
    #[must_use]
    pub const fn new(link: Link) -> Self {
        Self { link, protocol_features: 0 }
    }

    /// Answers a front-end until it disconnects, or until `stop` is requested. Then all rings are taken out of use.
    ///
    /// # Errors
    /// The host's error, when the socket fails.
    pub fn serve(mut self, socket: UnixStream, stop: &Stop) -> io::Result<Ended> {
        let calls = Arc::clone(self.link.bus.lock().calls());
        let ended = std::thread::scope(|scope| {
            let (served, serving) = mpsc::channel::<()>();
            let look_after = move || {
                let mut last = 0;
                while serving.recv_timeout(LOOK_PERIOD) == Err(RecvTimeoutError::Timeout) {
                    calls.look_after(&mut last);
                }
            };
            if let Err(error) = std::thread::Builder::new().name("calls".into()).spawn_scoped(scope, look_after) {
                log_limited!(
                    Level::Warn,
                    "no thread looks after the call descriptors: {error}; raise the host's limits (ulimit -u)"
                );
            }
            let ended = self.answer_all(&socket, stop);
            self.link.bus.lock().disconnect();
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
                let mut bus = self.link.bus.lock();
                for queue in Queue::ALL {
                    bus.stop_ring(queue);
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
                self.link.bus.lock().set_ring_size(queue, size);
            }),
            FrontendReq::SET_VRING_BASE => with_ring(message, |queue, base| {
                self.link.bus.lock().set_ring_base(queue, base as u16);
            }),
            FrontendReq::SET_VRING_ENABLE => with_ring(message, |queue, enable| {
                self.link.bus.lock().enable_ring(queue, enable != 0);
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
                self.link.bus.lock().set_ring_kick(queue, kick);
            }),
            FrontendReq::SET_VRING_CALL => with_file(message, |queue, file| {
                let call = usable(queue, "call", file, Call::new);
                self.link.bus.lock().set_ring_call(queue, call);
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

    fn set_features(&self, features: u64) -> bool {
        let mut bus = self.link.bus.lock();
        bus.set_features(features & FEATURES);
        if features & VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits() == 0 {
            // Without protocol features there is no request to enable a ring: it is enabled from the start.
            for queue in Queue::ALL {
                bus.enable_ring(queue, true);
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

    fn set_ring_addresses(&self, message: &Message) -> bool {
        let Some(addresses) = read::<VhostUserVringAddr>(&message.body) else { return false };
        let Some(queue) = queue(addresses.index.into()) else { return false };
        let addresses = RingAddresses {
            descriptors: RingAddress::User(addresses.descriptor),
            available: RingAddress::User(addresses.available),
            used: RingAddress::User(addresses.used),
        };
        self.link.bus.lock().set_ring_addresses(queue, addresses);
        true
    }

    fn stop_ring(&self, message: &Message) -> Answer {
        let state = read::<VhostUserVringState>(&message.body).unwrap_or_default();
        let index = state.index;
        let base = queue(index.into()).map_or(0, |queue| self.link.bus.lock().stop_ring(queue));
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
