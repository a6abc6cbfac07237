//! The event counters (`eventfd(2)`) that a front-end passes: kicks that it writes and the card reads, calls that the card
//! writes and the front-end turns into interrupts.
//!
//! A front-end may pass any descriptor, and it shares the open file: it can fill the counter and change the file's flags
//! at any time. So what is no event counter is refused, kicks are watched for edges and read without waiting whatever
//! the flags are, and a write of a call that waits all the same, which the kernel has no way to rule out, is freed by
//! [`Calls::look_after`].

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::fs;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use card_spec::queue::{QUEUE_COUNT, Queue};
use parking_lot::Mutex;
use rustix::fs::{FileType, fstat};
use rustix::io::{Errno, ReadWriteFlags, ioctl_fionbio, preadv2, read, write};

/// What `/proc` says that the descriptor of an event counter leads to.
const EVENT_COUNTER: &str = "anon_inode:[eventfd]";

/// The line of a descriptor's information that says whether it counts down instead of being cleared. Since Linux 6.5.
const SEMAPHORE: &str = "eventfd-semaphore:";

/// Between two looks at the writes of calls. A write that is seen by two looks waits: a call takes a microsecond.
pub const LOOK_PERIOD: Duration = Duration::from_millis(50);

/// How often the counter is emptied under one write that waits, at one look. A front-end that fills it again at once
/// has to win this often.
const EMPTIED_AT_A_LOOK: u32 = 1000;

/// Why a descriptor is not used.
#[derive(Debug, thiserror::Error)]
pub enum DoorbellError {
    /// It is something else.
    #[error("it is {found}, not an event counter (eventfd)")]
    NotAnEventCounter {
        /// What it leads to.
        found: String,
    },
    /// It counts down by one with each read.
    #[error("it is an event counter in semaphore mode; create it without EFD_SEMAPHORE")]
    Semaphore,
    /// The host does not let it be used.
    #[error("it cannot be made non-blocking: {0}")]
    Host(#[source] io::Error),
    /// Writing to it has waited.
    #[error("writing to it has blocked, because its counter was full and its non-blocking flag cleared")]
    Blocked,
}

/// A counter that the front-end increases when there is work.
#[derive(Debug)]
pub struct Kick(OwnedFd);

/// A counter that the card increases when there is an answer.
#[derive(Debug)]
pub struct Call(Arc<OwnedFd>);

/// Checks that a descriptor is an event counter.
///
/// # Errors
/// [`DoorbellError`].
pub fn check(descriptor: &OwnedFd) -> Result<(), DoorbellError> {
    let number = descriptor.as_raw_fd();
    match fs::read_link(format!("/proc/self/fd/{number}")) {
        Ok(leads_to) if leads_to.as_os_str() == EVENT_COUNTER => {}
        Ok(leads_to) => return Err(DoorbellError::NotAnEventCounter { found: leads_to.display().to_string() }),
        // Without `/proc` at least files, pipes, sockets and devices are distinguished: an event counter is none of them.
        Err(_) => {
            let found = fstat(descriptor).map_err(|error| DoorbellError::Host(error.into()))?;
            let kind = FileType::from_raw_mode(found.st_mode);
            if kind != FileType::Unknown {
                return Err(DoorbellError::NotAnEventCounter { found: format!("{kind:?}") });
            }
        }
    }
    // A kernel that does not say is not asked further: edges and single reads make such a counter harmless.
    let information = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
    let mut lines = information.lines();
    if lines.find_map(|line| line.strip_prefix(SEMAPHORE)).is_some_and(|mode| mode.trim() != "0") {
        return Err(DoorbellError::Semaphore);
    }
    ioctl_fionbio(descriptor, true).map_err(|error| DoorbellError::Host(error.into()))
}

impl Kick {
    /// A kick that the front-end passed.
    ///
    /// # Errors
    /// [`DoorbellError`].
    pub fn new(descriptor: OwnedFd) -> Result<Self, DoorbellError> {
        check(&descriptor).map(|()| Self(descriptor))
    }

    /// Takes what has been counted since it was last taken; 0 when the front-end has taken it itself.
    pub(super) fn take(&self) -> u64 {
        read_at_once(self.0.as_fd()).unwrap_or(0)
    }
}

impl AsFd for Kick {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Call {
    /// A call that the front-end passed.
    ///
    /// # Errors
    /// [`DoorbellError`].
    pub fn new(descriptor: OwnedFd) -> Result<Self, DoorbellError> {
        check(&descriptor).map(|()| Self(Arc::new(descriptor)))
    }
}

/// Reads and clears a counter, without waiting whatever flags the front-end has set.
fn read_at_once(counter: BorrowedFd<'_>) -> rustix::io::Result<u64> {
    let mut count = [0; 8];
    // At the current position, which a counter does not have.
    match preadv2(counter, &mut [IoSliceMut::new(&mut count)], u64::MAX, ReadWriteFlags::NOWAIT) {
        Ok(8) => Ok(u64::from_ne_bytes(count)),
        Ok(_) => Ok(0),
        // Before Linux 5.8. The count is left where it is: the next edge comes all the same.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(1),
        Err(error) => Err(error),
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
    /// [`DoorbellError::Blocked`]: the call is to be used no more.
    pub(super) fn ring(&self, queue: Queue, call: &Call) -> Result<(), DoorbellError> {
        self.queue.store(queue.index(), Ordering::Relaxed);
        self.writes.fetch_add(1, Ordering::AcqRel);
        // Again, because the front-end can have changed it.
        let _ = ioctl_fionbio(&*call.0, true);
        // A full counter means that an interrupt is pending anyway.
        let _ = write(&*call.0, &1_u64.to_ne_bytes());
        self.writes.fetch_add(1, Ordering::AcqRel);
        if self.freed.swap(false, Ordering::AcqRel) { Err(DoorbellError::Blocked) } else { Ok(()) }
    }

    /// Looks whether a write waits since the last look, and frees it by emptying its counter. To be called every
    /// [`LOOK_PERIOD`], by a thread that does not need the bus, with the same `last` each time: 0 at first.
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

/// Empties a counter that is full, without waiting.
fn empty(counter: &OwnedFd) {
    let mut count = [0; 8];
    let flags = ReadWriteFlags::NOWAIT;
    if preadv2(counter, &mut [IoSliceMut::new(&mut count)], u64::MAX, flags) == Err(Errno::OPNOTSUPP) {
        let _ = ioctl_fionbio(counter, true);
        let _ = read(counter, &mut count);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rustix::event::{EventfdFlags, eventfd};

    use super::*;

    fn counter() -> OwnedFd {
        eventfd(0, EventfdFlags::CLOEXEC).unwrap()
    }

    #[test]
    fn what_is_no_event_counter_is_refused_by_name() {
        let (reader, writer) = io::pipe().unwrap();
        let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
        let epoll = rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC).unwrap();
        let zero = fs::File::open("/dev/zero").unwrap();
        let other: [OwnedFd; 5] = [reader.into(), writer.into(), near.into(), epoll, zero.into()];
        for descriptor in other {
            let error = check(&descriptor).unwrap_err();
            assert!(matches!(error, DoorbellError::NotAnEventCounter { .. }), "{error}");
        }
        let semaphore = eventfd(0, EventfdFlags::SEMAPHORE).unwrap();
        if fs::read_to_string(format!("/proc/self/fdinfo/{}", semaphore.as_raw_fd())).unwrap().contains(SEMAPHORE) {
            assert!(matches!(check(&semaphore), Err(DoorbellError::Semaphore)));
        }
        check(&counter()).unwrap();
    }

    #[test]
    fn a_kick_is_taken_without_waiting_whatever_its_flags_are() {
        let kick = Kick::new(counter()).unwrap();
        ioctl_fionbio(&kick, false).unwrap();
        assert_eq!(kick.take(), 0);
        write(&kick, &3_u64.to_ne_bytes()).unwrap();
        assert_eq!(kick.take(), 3);
        assert_eq!(kick.take(), 0);
    }

    #[test]
    fn a_write_that_waits_is_freed_and_named() {
        let calls = Arc::new(Calls::default());
        let call = Call::new(counter()).unwrap();
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
        assert!(matches!(calls.ring(Queue::WAVE, &call), Err(DoorbellError::Blocked)));
        calls.ring(Queue::WAVE, &call).unwrap();
    }
}
