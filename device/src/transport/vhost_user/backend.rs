//! The card as a back-end of the framework: its callbacks, each of which succeeds.
//!
//! An error of a callback would end the framework's connection or its worker, so none returns one: what is wrong is
//! diagnosed, logged, or both. The framework's worker serves the queues itself.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use card_spec::diagnosis::Diagnosis;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::{QUEUE_COUNT, Queue};
use log::Level;
use parking_lot::Mutex;
use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost_user_backend::VhostUserBackend;
use vm_memory::GuestAddressSpace;
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{EventConsumer, EventNotifier};
use zerocopy::IntoBytes;

use vhost_user_guard::CONFIG_BYTES_MAX;

use super::super::interrupts::Call;
use super::exit::Exit;
use super::vring::{Memory, Vring};
use crate::bus::{FEATURES, Virtqueue};
use crate::card::Link;
use crate::diagnosis::DriverError;
use crate::log_limited;
use crate::sandbox::{self, Role};

/// The card, as the framework serves it over one connection.
pub(super) struct Backend {
    link: Link,
    exit: Exit,
    /// The calls of the rings that have been started.
    calls: Mutex<[Option<Arc<Call>>; QUEUE_COUNT]>,
}

impl Backend {
    /// Returns the card behind `link` for one connection.
    ///
    /// # Errors
    /// The host's error, when it has no more descriptors.
    pub(super) fn new(link: Link) -> io::Result<Self> {
        Ok(Self { link, exit: Exit::new()?, calls: Mutex::default() })
    }

    /// Looks after the writes of the calls. `last` is zeros at first.
    pub(super) fn look_after_calls(&self, last: &mut [u64; QUEUE_COUNT]) {
        let calls = self.calls.lock().clone();
        for (call, last) in calls.iter().zip(last) {
            if let Some(call) = call {
                call.look_after(last);
            }
        }
    }

    /// Starts the rings that the front-end has started since the last call.
    ///
    /// All of them, and not only that of the event: a driver may use one ring while the events of the others wait, and
    /// may not find these out of use.
    fn start_rings(&self, vrings: &[Vring]) {
        if !vrings.iter().any(Vring::is_fresh) {
            return;
        }
        let mut bus = self.link.bus.lock();
        // Under the lock: a ring that is stopped later is stopped on the bus later too.
        let setups: Vec<_> = vrings.iter().map(Vring::setup).collect();
        for (queue, setup) in Queue::ALL.into_iter().zip(&setups) {
            if !bus.is_running(queue) {
                // One that is not started may still have the index of an earlier life.
                bus.set_ring_base(queue, setup.map_or(0, |setup| setup.base));
            }
        }
        for ((queue, vring), setup) in Queue::ALL.into_iter().zip(vrings).zip(setups) {
            let Some(setup) = setup.filter(|_| vring.take_fresh()) else { continue };
            if let Some(call) = self.calls.lock().get_mut(queue.index()) {
                *call = Some(Arc::clone(vring.call()));
            }
            bus.start_ring(queue, setup, Arc::new(vring.clone()) as Arc<dyn Virtqueue>);
        }
    }

    fn serve(&self, queue: Queue, vrings: &[Vring]) {
        self.start_rings(vrings);
        if let Some(vring) = vrings.get(queue.index()) {
            self.link.kicked(queue, vring.take_kicks());
        }
    }
}

impl VhostUserBackend for Backend {
    type Bitmap = ();
    type Vring = Vring;

    fn num_queues(&self) -> usize {
        QUEUE_COUNT
    }

    fn max_queue_size(&self) -> usize {
        QUEUE_SIZE_MAX.into()
    }

    fn features(&self) -> u64 {
        FEATURES | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
    }

    fn acked_features(&self, features: u64) {
        self.link.bus.lock().set_features(features & FEATURES);
    }

    /// Only those that it implements, because QEMU accepts bits that it makes no use of. REPLY_ACK is the framework's.
    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS
    }

    fn reset_device(&self) {
        self.link.bus.lock().reset_device();
        self.link.wake();
    }

    // It is among the acknowledged features.
    fn set_event_idx(&self, _enabled: bool) {}

    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let config = config(&self.link);
        let range = (offset as usize).checked_add(size as usize).and_then(|end| config.get(offset as usize..end));
        // No payload means failure to a front-end; it keeps what it had.
        range.unwrap_or_default().to_vec()
    }

    fn set_config(&self, _offset: u32, _buf: &[u8]) -> io::Result<()> {
        self.link.registers.report(DriverError::new(Diagnosis::CONFIG_WRITE));
        Ok(())
    }

    fn update_memory(&self, memory: Memory) -> io::Result<()> {
        self.link.bus.lock().memory_mut().replace(&memory.memory());
        Ok(())
    }

    fn exit_event(&self, _thread_index: usize) -> Option<(EventConsumer, EventNotifier)> {
        self.exit.pair()
    }

    fn stop_vring(&self, queue_index: u32) -> io::Result<()> {
        if let Some(queue) = Queue::ALL.get(queue_index as usize) {
            let mut bus = self.link.bus.lock();
            let ran = bus.is_running(*queue);
            bus.stop_ring(*queue);
            if ran {
                bus.unpark_if_idle();
            }
            drop(bus);
            self.link.wake();
        }
        Ok(())
    }

    fn handle_event(&self, device_event: u16, _evset: EventSet, vrings: &[Vring], _thread_id: usize) -> io::Result<()> {
        // The framework starts its worker itself; before its first event it has seen nothing of a guest.
        sandbox::enter(Role::Worker);
        if let Some(queue) = Queue::ALL.get(usize::from(device_event))
            && catch_unwind(AssertUnwindSafe(|| self.serve(*queue, vrings))).is_err()
        {
            log_limited!(Level::Error, "a kick of queue {queue} made the card fail; this is a defect of the card");
        }
        Ok(())
    }
}

/// Returns the device configuration as it is now: the identity block, put together from the registers without a lock that
/// work is done under.
pub(super) fn config(link: &Link) -> [u8; CONFIG_BYTES_MAX] {
    link.registers.trace().identity_read(CONFIG_BYTES_MAX as u64);
    let mut config = [0; CONFIG_BYTES_MAX];
    for (to, from) in config.iter_mut().zip(link.identity.read().as_bytes()) {
        *to = *from;
    }
    config
}
