//! News: what happened without being asked for ([`card_spec::news`]).

use std::sync::Arc;

use card_spec::diagnosis::Diagnosis;
use card_spec::news::NewsRecord;
use card_spec::queue::Queue;
use zerocopy::IntoBytes;

use crate::card::Card;

impl Card {
    /// Hands records to the buffers that the driver has posted.
    pub(crate) fn serve_news(&mut self) {
        let bus = Arc::clone(&self.bus);
        let mut bus = bus.lock();
        while !self.news.is_empty() {
            let Some(chain) = bus.take(Queue::NEWS, 0) else { return };
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
    }
}
