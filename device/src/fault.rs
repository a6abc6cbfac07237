//! What the card can be told to do wrong, once, so that a driver shows what it makes of it.
//!
//! A card that lies about its rings breaks the virtio protocol as no driver's mistake can make it: each lie is told with
//! the next chain that is returned on a queue.

use card_spec::queue::Queue;
use serde::Deserialize;

use crate::card::Card;
use crate::log_limited;

/// How the used ring lies about the next chain that is returned on it (virtio 1.2, section 2.7.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lie {
    /// The chain is one that cannot be: its descriptor is beyond every ring.
    UsedId,
    /// More was written into it than it has room for.
    UsedLength,
    /// More chains were returned than the ring has.
    UsedIndex,
}

/// Something to do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Misdeed {
    /// The session is lost, as when the card fails at something that no request asked for: streams stop, and the driver
    /// is told.
    LoseSession {},
    /// The next chain that is returned on a queue is lied about.
    Lie {
        /// How.
        lie: Lie,
        /// The queue, by number.
        queue: u16,
    },
}

/// There is no such queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no queue {0}: the card has {count}, from 0", count = Queue::ALL.len())]
pub struct NoQueue(u16);

impl Card {
    /// Does something wrong, now or at the next chance.
    ///
    /// # Errors
    /// There is no such queue.
    pub fn misbehave(&mut self, misdeed: Misdeed) -> Result<(), NoQueue> {
        match misdeed {
            Misdeed::LoseSession {} => {
                log_limited!(log::Level::Warn, "told to lose the session");
                self.flush_wave_buffers();
                self.give_up_session();
            }
            Misdeed::Lie { lie, queue } => {
                let queue = Queue::ALL.into_iter().find(|known| known.0 == queue).ok_or(NoQueue(queue))?;
                log_limited!(log::Level::Warn, "told to lie about the next chain of {queue}: {lie:?}");
                self.bus.lock().lie(queue, lie);
            }
        }
        Ok(())
    }
}
