//! Interrupts: the event counters ("calls") that the card increases, and that a front-end turns into interrupts.
//!
//! A front-end can fill a counter and clear its non-blocking flag at any time, which the kernel has no way to rule out. A
//! write that waits all the same is freed by [`Calls::look_after`].

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use card_spec::queue::{QUEUE_COUNT, Queue};
use parking_lot::Mutex;
use rustix::io::{ioctl_fionbio, write};

use super::event_counter::{EventCounterError, check, empty};

/// The interval at which the writes of calls are checked. A write that two checks see blocks: a call takes a
/// microsecond.
pub const LOOK_PERIOD: Duration = Duration::from_millis(50);

/// The number of times that one check empties the counter under a write that blocks. A front-end that fills it again at
/// once has to be faster this often.
const EMPTIED_AT_A_LOOK: u32 = 1000;

/// The call of one queue: the counter that the card increases when it returns a chain.
#[derive(Debug)]
pub struct Call(Arc<OwnedFd>);

impl Call {
    /// Returns the call that a front-end has passed.
    ///
    /// # Errors
    /// As for [`check`], when the descriptor is no event counter.
    pub fn new(descriptor: OwnedFd) -> Result<Self, EventCounterError> {
        check(&descriptor).map(|()| Self(Arc::new(descriptor)))
    }
}

/// The calls of all queues, and which of them is being written.
#[derive(Debug, Default)]
pub struct Calls {
    calls: Mutex<[Option<Arc<OwnedFd>>; QUEUE_COUNT]>,
    /// Increased when a write begins and when it ends: odd while there is one.
    writes: AtomicU64,
    /// The queue whose call is written.
    queue: AtomicUsize,
    /// The write had to be freed.
    freed: AtomicBool,
}

impl Calls {
    /// Uses `call` for a queue from now on.
    pub(super) fn set(&self, queue: Queue, call: Option<&Call>) {
        if let Some(place) = self.calls.lock().get_mut(queue.index()) {
            *place = call.map(|call| Arc::clone(&call.0));
        }
    }

    /// Raises an interrupt. There is one writer at a time: the one that holds the bus.
    ///
    /// # Errors
    /// [`EventCounterError::Blocked`], when the write had to be freed: the call is not to be used any more.
    pub(super) fn ring(&self, queue: Queue, call: &Call) -> Result<(), EventCounterError> {
        self.queue.store(queue.index(), Ordering::Relaxed);
        self.writes.fetch_add(1, Ordering::AcqRel);
        // Again, because the front-end can have changed it.
        let _ = ioctl_fionbio(&*call.0, true);
        // A full counter means that an interrupt is pending anyway.
        let _ = write(&*call.0, &1_u64.to_ne_bytes());
        self.writes.fetch_add(1, Ordering::AcqRel);
        if self.freed.swap(false, Ordering::AcqRel) { Err(EventCounterError::Blocked) } else { Ok(()) }
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
        let queue = self.queue.load(Ordering::Relaxed);
        let Some(call) = self.calls.lock().get(queue).and_then(Option::clone) else { return };
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

    use super::*;

    #[test]
    fn frees_a_write_that_blocks_and_reports_it() {
        let calls = Arc::new(Calls::default());
        let call = Call::new(eventfd(0, EventfdFlags::CLOEXEC).unwrap()).unwrap();
        calls.set(Queue::WAVE, Some(&call));
        write(&*call.0, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        // As `ring` does it, with a front-end that clears the flag just before the write.
        let writer = {
            let (calls, counter) = (Arc::clone(&calls), Arc::clone(&call.0));
            std::thread::spawn(move || {
                calls.queue.store(Queue::WAVE.index(), Ordering::Relaxed);
                calls.writes.fetch_add(1, Ordering::AcqRel);
                ioctl_fionbio(&*counter, false).unwrap();
                write(&*counter, &1_u64.to_ne_bytes()).unwrap();
                calls.writes.fetch_add(1, Ordering::AcqRel);
            })
        };
        let (mut last, begun) = (0, Instant::now());
        while !writer.is_finished() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the write still waits");
            calls.look_after(&mut last);
            std::thread::sleep(Duration::from_millis(1));
        }
        writer.join().unwrap();
        assert!(matches!(calls.ring(Queue::WAVE, &call), Err(EventCounterError::Blocked)));
        calls.ring(Queue::WAVE, &call).unwrap();
    }
}
