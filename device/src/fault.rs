//! Injects faults into the card on command.
//!
//! A card that corrupts its rings breaks the virtio protocol as no driver's mistake can make it: each corruption happens
//! with the next chain that is returned on a queue.

use card_control::InjectedFault;
use card_spec::queue::Queue;

use crate::card::Card;
use crate::log_limited;

/// A fault was to be injected on a queue that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no queue {0}: the card has {count}, from 0", count = Queue::ALL.len())]
pub struct NoQueue(u16);

impl Card {
    /// Injects a fault, now or with the next chain.
    ///
    /// # Errors
    /// [`NoQueue`], when the fault names a queue that does not exist.
    pub fn inject(&mut self, fault: InjectedFault) -> Result<(), NoQueue> {
        match fault {
            InjectedFault::LoseSession {} => {
                log_limited!(log::Level::Warn, "injected fault: the session is lost");
                self.flush_wave_buffers();
                self.give_up_session();
            }
            InjectedFault::CorruptUsedRing { corruption, queue } => {
                let queue = Queue::ALL.into_iter().find(|known| known.0 == queue).ok_or(NoQueue(queue))?;
                log_limited!(
                    log::Level::Warn,
                    "injected fault: the used ring of {queue} is corrupted with its next chain: {corruption:?}"
                );
                self.bus.lock().corrupt_used_ring(queue, corruption);
            }
        }
        Ok(())
    }
}
