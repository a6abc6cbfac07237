//! Event: notices of what happened outside a request ([`card_spec::notice`]).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use card_spec::diagnosis::Diagnosis;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::notice::Notice;
use card_spec::queue::Queue;
use zerocopy::IntoBytes;

use crate::bus::SharedBus;
use crate::diagnosis::Registers;
use crate::session::notices::Notices;

/// Consumes the event queue.
#[derive(Clone)]
pub struct Event {
    bus: SharedBus,
    registers: Arc<Registers>,
}

impl Event {
    /// Returns a handler of the event queue of `bus`.
    #[must_use]
    pub const fn new(bus: SharedBus, registers: Arc<Registers>) -> Self {
        Self { bus, registers }
    }

    /// Writes notices into the buffers that the driver has posted, no more than a ring holds. True when there may be
    /// more.
    pub fn serve(&self, notices: &mut Notices) -> bool {
        for _ in 0..QUEUE_SIZE_MAX {
            if notices.is_empty() {
                return false;
            }
            let mut bus = self.bus.lock();
            let Some(chain) = bus.take(Queue::EVENT, 0) else { return false };
            let room = chain.writable_bytes();
            let needed = size_of::<Notice>() as u64;
            if chain.error().is_some() {
                bus.complete(chain, &[]);
            } else if room < needed {
                let error = chain.diagnose(Diagnosis::WRITABLE_TOO_SHORT).expected(needed as u32, room as u32);
                self.registers.report(error);
                bus.complete(chain, &[]);
            } else if let Some(notice) = notices.take() {
                bus.complete(chain, &[notice.as_bytes()]);
            }
        }
        true
    }
}
