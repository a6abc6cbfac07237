//! News: what happened without being asked for ([`card_spec::news`]).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use card_spec::diagnosis::Diagnosis;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::news::NewsRecord;
use card_spec::queue::Queue;
use zerocopy::IntoBytes;

use crate::card::Card;

impl Card {
    /// Hands records to the buffers that the driver has posted, no more than a ring holds. True when there may be more.
    pub(crate) fn serve_news(&mut self) -> bool {
        let bus = Arc::clone(&self.bus);
        for _ in 0..QUEUE_SIZE_MAX {
            if self.news.is_empty() {
                return false;
            }
            let mut bus = bus.lock();
            let Some(chain) = bus.take(Queue::NEWS, 0) else { return false };
            let room = chain.writable_bytes();
            let needed = size_of::<NewsRecord>() as u64;
            if chain.fault().is_some() {
                bus.complete(chain, &[]);
            } else if room < needed {
                let fault = chain.diagnose(Diagnosis::WRITABLE_TOO_SHORT).expected(needed as u32, room as u32);
                self.registers.report(fault);
                bus.complete(chain, &[]);
            } else if let Some(record) = self.news.take() {
                bus.complete(chain, &[record.as_bytes()]);
            }
        }
        true
    }
}
