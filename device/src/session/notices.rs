//! Notices that wait for a buffer on the event queue.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::collections::VecDeque;

use card_spec::identity::NO_QUEUE;
use card_spec::limits::NOTICES_KEPT_MAX;
use card_spec::notice::{Notice, NoticeKind};
use zerocopy::FromZeros;

use crate::diagnosis::Dated;

/// The notices that no buffer has taken.
#[derive(Debug, Default)]
pub struct Notices {
    kept: VecDeque<Notice>,
    sequence: u32,
}

impl Notices {
    /// Queues a notice about a stream.
    pub fn post(&mut self, kind: NoticeKind, stream: u32, value: u64, card_time: u64) {
        let mut notice = Notice::new_zeroed();
        notice.kind = kind.0.into();
        notice.stream = stream.into();
        notice.value = value.into();
        notice.card_time = card_time.into();
        self.push(notice);
    }

    /// Queues a notice about an error of the driver.
    pub fn diagnosed(&mut self, Dated { error, card_time }: Dated) {
        let mut notice = Notice::new_zeroed();
        notice.kind = NoticeKind::DIAGNOSED.0.into();
        notice.code = error.code.0.into();
        notice.stream = u32::from(error.queue.map_or(NO_QUEUE, |queue| queue.0)).into();
        notice.expected = error.expected.into();
        notice.got = error.got.into();
        notice.value = u64::from(error.descriptor).into();
        notice.card_time = card_time.into();
        self.push(notice);
    }

    fn push(&mut self, mut notice: Notice) {
        notice.sequence = self.sequence.into();
        self.sequence = self.sequence.wrapping_add(1);
        if self.kept.len() == NOTICES_KEPT_MAX {
            // A driver that makes many mistakes must still learn that its unload is done.
            let diagnosed = self.kept.iter().position(|kept| kept.kind.get() == NoticeKind::DIAGNOSED.0);
            self.kept.remove(diagnosed.unwrap_or(0));
        }
        self.kept.push_back(notice);
    }

    /// Returns whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Takes the oldest notice.
    pub fn take(&mut self) -> Option<Notice> {
        self.kept.pop_front()
    }

    /// Forgets all notices and begins to count anew, as at the start of a session.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::DriverError;
    use card_spec::diagnosis::Diagnosis;

    #[test]
    fn diagnoses_do_not_displace_an_unload_that_is_done_and_the_sequence_shows_the_gap() {
        let mut notices = Notices::default();
        notices.post(NoticeKind::UNLOADED, 0, 42, 0);
        for _ in 0..1000 {
            notices.diagnosed(Dated { error: DriverError::new(Diagnosis::STREAM), card_time: 0 });
        }
        let kept: Vec<_> = std::iter::from_fn(|| notices.take()).collect();
        assert_eq!(kept.len(), NOTICES_KEPT_MAX);
        assert_eq!((kept[0].kind.get(), kept[0].value.get()), (NoticeKind::UNLOADED.0, 42));
        assert_eq!(kept.last().unwrap().sequence.get(), 1000);
    }
}
