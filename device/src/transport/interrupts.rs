//! Interrupts: the event counters ("calls") that the card increases, and that a front-end turns into interrupts.
//!
//! A front-end can fill a counter and clear its non-blocking flag at any time, which the kernel has no way to rule out. A
//! write that waits all the same is freed by [`Call::look_after`].

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::write;

use super::event_counter::{EventCounterError, check, empty};
use crate::log_limited;

/// The interval at which the writes of calls are checked. A write that two checks see blocks: a call takes a
/// microsecond.
pub const LOOK_PERIOD: Duration = Duration::from_millis(50);

/// The number of times that one check empties the counter under a write that blocks. A front-end that fills it again at
/// once has to be faster this often.
const EMPTIED_AT_A_LOOK: u32 = 1000;

/// The call of one queue: the counter that the card increases when it returns a chain, if the front-end has passed one.
#[derive(Debug, Default)]
pub struct Call {
    descriptor: Mutex<Option<Arc<OwnedFd>>>,
    /// Increased when a write begins and when it ends: odd while there is one.
    writes: AtomicU64,
    /// The write had to be freed.
    freed: AtomicBool,
}

impl Call {
    /// Uses the descriptor that a front-end has passed from now on; `None` for no interrupts.
    ///
    /// # Errors
    /// As for [`check`], when the descriptor is no event counter: then there are no interrupts.
    pub fn set(&self, descriptor: Option<OwnedFd>) -> Result<(), EventCounterError> {
        let checked = descriptor.map(|descriptor| check(&descriptor).map(|()| Arc::new(descriptor))).transpose();
        let (descriptor, result) = checked.map_or_else(|error| (None, Err(error)), |descriptor| (descriptor, Ok(())));
        *self.descriptor.lock() = descriptor;
        result
    }

    /// Raises an interrupt. False when there is no descriptor for it. One thread does so at a time: the one that holds the
    /// bus. A descriptor whose write had to be freed is not used any more.
    pub fn raise(&self) -> bool {
        let Some(descriptor) = self.descriptor.lock().clone() else { return false };
        self.writes.fetch_add(1, Ordering::AcqRel);
        // A full counter means that an interrupt is pending anyway; one that was made to block is freed by `look_after`.
        let _ = write(&*descriptor, &1_u64.to_ne_bytes());
        self.writes.fetch_add(1, Ordering::AcqRel);
        if self.freed.swap(false, Ordering::AcqRel) {
            let error = EventCounterError::Blocked;
            log_limited!(log::Level::Warn, "a call descriptor is not used any more: {error}");
            self.descriptor.lock().take_if(|current| Arc::ptr_eq(current, &descriptor));
        }
        true
    }

    /// Frees a write that has blocked since the last look, by emptying its counter. Call it every [`LOOK_PERIOD`], from a
    /// thread that does not need the bus, with the same `last` each time: 0 at first.
    pub fn look_after(&self, last: &mut u64) {
        let writes = self.writes.load(Ordering::Acquire);
        let waits = writes % 2 == 1 && writes == *last;
        *last = writes;
        if !waits {
            return;
        }
        let Some(call) = self.descriptor.lock().clone() else { return };
        self.freed.store(true, Ordering::Release);
        for _ in 0..EMPTIED_AT_A_LOOK {
            if self.writes.load(Ordering::Acquire) != writes {
                return;
            }
            empty(&call);
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rustix::event::{EventfdFlags, eventfd};
    use rustix::io::ioctl_fionbio;

    use super::*;

    #[test]
    fn frees_a_write_that_blocks_and_uses_its_descriptor_no_more() {
        let call = Arc::new(Call::default());
        call.set(Some(eventfd(0, EventfdFlags::CLOEXEC).unwrap())).unwrap();
        let counter = call.descriptor.lock().clone().unwrap();
        write(&*counter, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        // As `raise` does it, with a front-end that clears the flag just before the write.
        let writer = {
            let call = Arc::clone(&call);
            std::thread::spawn(move || {
                call.writes.fetch_add(1, Ordering::AcqRel);
                ioctl_fionbio(&*counter, false).unwrap();
                write(&*counter, &1_u64.to_ne_bytes()).unwrap();
                call.writes.fetch_add(1, Ordering::AcqRel);
            })
        };
        let (mut last, begun) = (0, Instant::now());
        while !writer.is_finished() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the write still waits");
            call.look_after(&mut last);
            std::thread::sleep(Duration::from_millis(1));
        }
        writer.join().unwrap();
        assert!(call.raise());
        assert!(!call.raise());
    }
}
