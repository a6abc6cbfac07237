//! A small device on crate `vhost-user-backend`: it returns what it is sent, reversed.
//!
//! It stands for any back-end of the framework. A driver can make it fail as back-ends fail in practice.

#[path = "exit.rs"]
mod exit;

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost_user_backend::{VhostUserBackend, VringRwLock, VringT};
use vhost_user_guard::ConfigSnapshot;
use virtio_queue::QueueOwnedT;
use vm_memory::{Bytes, GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{EventConsumer, EventNotifier};

use exit::Exit;

/// Its rings.
pub(crate) const RINGS: usize = 2;
/// The most descriptors of a ring.
pub(crate) const RING_SIZE_MAX: usize = 128;
/// Its configuration, of which the last byte is the life it is in.
pub(crate) const CONFIG_BYTES: usize = 64;
/// The first byte of a request by which [`handle_event`](VhostUserBackend::handle_event) returns an error.
pub(crate) const FAIL: u8 = 0xe1;
/// ... panics.
pub(crate) const PANIC: u8 = 0xe2;
/// ... does not return.
pub(crate) const HANG: u8 = 0xe3;
/// The first byte of a configuration that [`set_config`](VhostUserBackend::set_config) refuses.
pub(crate) const CONFIG_FAIL: u8 = 0xe4;
/// ... panics at.
pub(crate) const CONFIG_PANIC: u8 = 0xe5;
/// ... does not return from.
pub(crate) const CONFIG_HANG: u8 = 0xe6;

/// The device.
#[derive(Debug)]
pub(crate) struct Echo {
    memory: Mutex<Option<GuestMemoryAtomic<GuestMemoryMmap>>>,
    config: Mutex<Vec<u8>>,
    snapshot: Option<Arc<ConfigSnapshot>>,
    exit: Exit,
    /// Bears whatever a ring holds, instead of ending its worker.
    pub(crate) tolerant: bool,
    /// How many requests it has completed.
    pub(crate) completed: AtomicU32,
}

impl Echo {
    /// Returns a device in its `life`th life, which publishes its configuration if there is a snapshot.
    pub(crate) fn new(life: u8, snapshot: Option<Arc<ConfigSnapshot>>) -> Self {
        let mut config: Vec<u8> = (0..CONFIG_BYTES as u8).collect();
        config[CONFIG_BYTES - 1] = life;
        if let Some(snapshot) = &snapshot {
            snapshot.publish(&config);
        }
        Self {
            memory: Mutex::new(None),
            config: Mutex::new(config),
            snapshot,
            exit: Exit::default(),
            tolerant: false,
            completed: AtomicU32::new(0),
        }
    }

    fn serve(&self, ring: &VringRwLock) -> io::Result<()> {
        let Some(memory) = self.memory.lock().unwrap().clone() else { return Ok(()) };
        let memory = memory.memory();
        let chains: Vec<_> = ring.get_mut().get_queue_mut().iter(memory.clone()).map_err(io::Error::other)?.collect();
        for chain in chains {
            let head = chain.head_index();
            let mut request = Vec::new();
            let mut written = 0;
            for part in chain {
                let mut bytes = vec![0; part.len().min(4096) as usize];
                if part.is_write_only() {
                    let length = bytes.len().min(request.len());
                    let answer: Vec<u8> = request.iter().rev().copied().take(length).collect();
                    memory.write_slice(&answer, part.addr()).map_err(io::Error::other)?;
                    written += length as u32;
                } else {
                    memory.read_slice(&mut bytes, part.addr()).map_err(io::Error::other)?;
                    request.extend(bytes);
                }
            }
            match request.first() {
                Some(&FAIL) => return Err(io::Error::other("requested by the driver")),
                Some(&PANIC) => panic!("requested by the driver"),
                Some(&HANG) => never_return(),
                _ => {}
            }
            ring.add_used(head, written).map_err(io::Error::other)?;
            self.completed.fetch_add(1, Ordering::Relaxed);
            ring.signal_used_queue()?;
        }
        Ok(())
    }
}

fn never_return() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

impl VhostUserBackend for Echo {
    type Bitmap = ();
    type Vring = VringRwLock;

    fn num_queues(&self) -> usize {
        RINGS
    }

    fn max_queue_size(&self) -> usize {
        RING_SIZE_MAX
    }

    fn features(&self) -> u64 {
        1 << 32 | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS
            | VhostUserProtocolFeatures::BACKEND_REQ
            | VhostUserProtocolFeatures::RESET_DEVICE
    }

    fn set_event_idx(&self, _: bool) {}

    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let config = self.config.lock().unwrap();
        let mut image = config.clone();
        image.resize(4096, 0);
        image[offset as usize..(offset + size) as usize].to_vec()
    }

    fn set_config(&self, offset: u32, bytes: &[u8]) -> io::Result<()> {
        match bytes.first() {
            Some(&CONFIG_FAIL) => return Err(io::ErrorKind::Unsupported.into()),
            Some(&CONFIG_PANIC) => panic!("requested by the driver"),
            Some(&CONFIG_HANG) => never_return(),
            _ => {}
        }
        let mut config = self.config.lock().unwrap();
        for (to, from) in config.iter_mut().skip(offset as usize).zip(bytes) {
            *to = *from;
        }
        if let Some(snapshot) = &self.snapshot {
            snapshot.publish(&config);
        }
        Ok(())
    }

    fn update_memory(&self, memory: GuestMemoryAtomic<GuestMemoryMmap>) -> io::Result<()> {
        *self.memory.lock().unwrap() = Some(memory);
        Ok(())
    }

    fn exit_event(&self, _: usize) -> Option<(EventConsumer, EventNotifier)> {
        self.exit.pair()
    }

    fn handle_event(&self, ring: u16, _: EventSet, rings: &[VringRwLock], _: usize) -> io::Result<()> {
        let served = self.serve(&rings[usize::from(ring)]);
        if self.tolerant { Ok(()) } else { served }
    }
}
