//! News that waits for a buffer.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::collections::VecDeque;

use card_spec::identity::NO_QUEUE;
use card_spec::limits::NEWS_KEPT_MAX;
use card_spec::news::{NewsKind, NewsRecord};
use zerocopy::FromZeros;

use crate::diagnosis::Dated;

/// The records that no buffer has taken.
#[derive(Debug, Default)]
pub struct News {
    kept: VecDeque<NewsRecord>,
    sequence: u32,
}

impl News {
    /// Something happened to a stream.
    pub fn post(&mut self, kind: NewsKind, stream: u32, value: u64, card_time: u64) {
        let mut record = NewsRecord::new_zeroed();
        record.kind = kind.0.into();
        record.stream = stream.into();
        record.value = value.into();
        record.card_time = card_time.into();
        self.push(record);
    }

    /// Something was found wrong.
    pub fn diagnosed(&mut self, Dated { fault, card_time }: Dated) {
        let mut record = NewsRecord::new_zeroed();
        record.kind = NewsKind::DIAGNOSED.0.into();
        record.code = fault.code.0.into();
        record.stream = u32::from(fault.queue.map_or(NO_QUEUE, |queue| queue.0)).into();
        record.expected = fault.expected.into();
        record.got = fault.got.into();
        record.value = u64::from(fault.descriptor).into();
        record.card_time = card_time.into();
        self.push(record);
    }

    fn push(&mut self, mut record: NewsRecord) {
        record.sequence = self.sequence.into();
        self.sequence = self.sequence.wrapping_add(1);
        if self.kept.len() == NEWS_KEPT_MAX {
            // A driver that makes many mistakes must still learn that its unload is done.
            let noise = self.kept.iter().position(|kept| kept.kind.get() == NewsKind::DIAGNOSED.0);
            self.kept.remove(noise.unwrap_or(0));
        }
        self.kept.push_back(record);
    }

    /// Whether there is any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Takes the oldest record.
    pub fn take(&mut self) -> Option<NewsRecord> {
        self.kept.pop_front()
    }

    /// A new session: nothing has happened.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Fault;
    use card_spec::diagnosis::Diagnosis;

    #[test]
    fn noise_does_not_displace_what_a_driver_waits_for_and_the_gap_is_visible() {
        let mut news = News::default();
        news.post(NewsKind::UNLOADED, 0, 42, 0);
        for _ in 0..1000 {
            news.diagnosed(Dated { fault: Fault::new(Diagnosis::STREAM), card_time: 0 });
        }
        let records: Vec<_> = std::iter::from_fn(|| news.take()).collect();
        assert_eq!(records.len(), NEWS_KEPT_MAX);
        assert_eq!((records[0].kind.get(), records[0].value.get()), (NewsKind::UNLOADED.0, 42));
        assert_eq!(records.last().unwrap().sequence.get(), 1000);
    }
}
