//! Event counters (`eventfd(2)`) that a front-end passes.
//!
//! A front-end may pass any descriptor. The framework reads eight bytes from a kick and adds it to an epoll set: a regular file
//! there ends the connection, and a counter that another ring empties ends the worker. So what is no counter of its own is refused.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::{ioctl_fionbio, write};

use crate::descriptor_info;

/// The line of a descriptor's information that only an event counter has. Since Linux 3.8.
const COUNT: &str = "eventfd-count:";

/// The line of a descriptor's information that says which counter it is. Since Linux 5.2.
const IDENTITY: &str = "eventfd-id:";

/// The line that says whether it counts down instead of being cleared. Since Linux 6.5.
const SEMAPHORE: &str = "eventfd-semaphore:";

/// A counter.
#[derive(Debug)]
pub(crate) struct EventCounter {
    descriptor: OwnedFd,
    /// Which counter it is, where the kernel says so.
    identity: Option<u64>,
}

impl EventCounter {
    /// Returns the counter behind a descriptor; `None` when it is something else, counts down by one, or cannot be made
    /// non-blocking.
    pub(crate) fn new(descriptor: OwnedFd) -> Option<Self> {
        let information = descriptor_info::read(descriptor.as_fd());
        let value = |name| {
            information.iter().flat_map(|text| text.lines()).find_map(|line| line.strip_prefix(name)).map(str::trim)
        };
        if value(COUNT).is_none() {
            let found = fstat(&descriptor).ok()?;
            // Without `/proc` at least files, pipes, sockets and devices are distinguished: an event counter is none of them.
            if information.is_some() || FileType::from_raw_mode(found.st_mode) != FileType::Unknown {
                return None;
            }
        }
        if value(SEMAPHORE).is_some_and(|mode| mode != "0") {
            return None;
        }
        let identity = value(IDENTITY).and_then(|identity| identity.parse().ok());
        ioctl_fionbio(&descriptor, true).ok()?;
        Some(Self { descriptor, identity })
    }

    /// Returns whether both are one counter. False where the kernel does not say.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.identity.is_some() && self.identity == other.identity
    }

    /// Adds one, without waiting. A counter that is full has an event that was not read.
    pub(crate) fn signal(&self) {
        let mut ready = [PollFd::new(&self.descriptor, PollFlags::OUT)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut ready, Some(&now)).is_ok() && ready.iter().any(|fd| fd.revents().contains(PollFlags::OUT)) {
            let _ = write(&self.descriptor, &1_u64.to_ne_bytes());
        }
    }
}

impl AsFd for EventCounter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustix::event::{EventfdFlags, eventfd};

    use super::*;

    #[test]
    fn refuses_what_is_no_event_counter() {
        let (reader, writer) = io::pipe().unwrap();
        let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
        let zero = std::fs::File::open("/dev/zero").unwrap();
        let file = tempfile::tempfile().unwrap();
        let others: [OwnedFd; 5] = [reader.into(), writer.into(), near.into(), zero.into(), file.into()];
        for descriptor in others {
            assert!(EventCounter::new(descriptor).is_none());
        }
    }

    #[test]
    fn recognises_a_counter_again_and_signals_it() {
        let [one, other] = [0; 2].map(|_| eventfd(0, EventfdFlags::CLOEXEC).unwrap());
        let again = EventCounter::new(one.try_clone().unwrap()).unwrap();
        let (one, other) = (EventCounter::new(one).unwrap(), EventCounter::new(other).unwrap());
        assert!(one.is(&again) && !one.is(&other));
        one.signal();
        assert!(crate::wire::is_readable(again.as_fd()) && !crate::wire::is_readable(other.as_fd()));
    }
}
