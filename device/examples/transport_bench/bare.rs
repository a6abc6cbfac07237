//! A back-end of the framework that answers the request of the measurement and does nothing else: what the card is measured
//! against over vhost-user.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use card_spec::identity::IdentityBlock;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::QUEUE_COUNT;
use dmus_card::bus::FEATURES;
use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost_user_backend::{VhostUserBackend, VhostUserDaemon, VringRwLock, VringT};
use virtio_queue::QueueOwnedT;
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier};

use super::answer::answer;

type Memory = GuestMemoryAtomic<GuestMemoryMmap>;

/// Answers every request at once, and reads of its configuration from a copy.
struct Bare {
    memory: Mutex<Option<Memory>>,
    config: [u8; size_of::<IdentityBlock>()],
}

impl VhostUserBackend for Bare {
    type Bitmap = ();
    type Vring = VringRwLock;

    fn num_queues(&self) -> usize {
        QUEUE_COUNT
    }

    fn max_queue_size(&self) -> usize {
        QUEUE_SIZE_MAX.into()
    }

    fn features(&self) -> u64 {
        FEATURES | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS
    }

    fn set_event_idx(&self, _enabled: bool) {}

    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let range = offset as usize..offset as usize + size as usize;
        self.config.get(range).unwrap_or_default().to_vec()
    }

    fn update_memory(&self, memory: Memory) -> io::Result<()> {
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = Some(memory);
        Ok(())
    }

    fn exit_event(&self, _thread_index: usize) -> Option<(EventConsumer, EventNotifier)> {
        new_event_consumer_and_notifier(EventFlag::NONBLOCK).ok()
    }

    fn handle_event(&self, event: u16, _events: EventSet, vrings: &[VringRwLock], _thread: usize) -> io::Result<()> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (Some(vring), Some(memory)) = (vrings.get(usize::from(event)), memory) else { return Ok(()) };
        loop {
            vring.disable_notification().map_err(io::Error::other)?;
            let chains: Vec<_> = {
                let mut state = vring.get_mut();
                state.get_queue_mut().iter(memory.memory()).map_err(io::Error::other)?.collect()
            };
            for chain in chains {
                let head = chain.head_index();
                let written = answer(&memory.memory(), chain)?;
                vring.add_used(head, written).map_err(io::Error::other)?;
                if vring.needs_notification().map_err(io::Error::other)? {
                    vring.signal_used_queue()?;
                }
            }
            if !vring.enable_notification().map_err(io::Error::other)? {
                return Ok(());
            }
        }
    }
}

/// Serves one front-end on a path.
pub(crate) fn serve(path: &Path) -> Result<(), Box<dyn Error>> {
    let mut config = [0; size_of::<IdentityBlock>()];
    config[..4].copy_from_slice(b"DMUS");
    let backend = Arc::new(Bare { memory: Mutex::new(None), config });
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let daemon = VhostUserDaemon::new("bare".into(), backend, memory);
    daemon.and_then(|mut daemon| daemon.serve(path)).map_err(|error| error.to_string())?;
    Ok(())
}
