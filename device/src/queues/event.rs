//! Event: notices of what happened outside a request ([`card_spec::notice`]).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use card_spec::diagnosis::Diagnosis;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::notice::Notice;
use card_spec::queue::Queue;
use zerocopy::IntoBytes;

use crate::card::Card;

impl Card {
    /// Writes notices into the buffers that the driver has posted, no more than a ring holds. True when there may be more.
    pub(crate) fn serve_event(&mut self) -> bool {
        let bus = Arc::clone(&self.bus);
        for _ in 0..QUEUE_SIZE_MAX {
            if self.notices.is_empty() {
                return false;
            }
            let mut bus = bus.lock();
            let Some(chain) = bus.take(Queue::EVENT, 0) else { return false };
            let room = chain.writable_bytes();
            let needed = size_of::<Notice>() as u64;
            if chain.error().is_some() {
                bus.complete(chain, &[]);
            } else if room < needed {
                let error = chain.diagnose(Diagnosis::WRITABLE_TOO_SHORT).expected(needed as u32, room as u32);
                self.registers.report(error);
                bus.complete(chain, &[]);
            } else if let Some(notice) = self.notices.take() {
                bus.complete(chain, &[notice.as_bytes()]);
            }
        }
        true
    }
}
