//! Event counters (`eventfd(2)`) that a front-end passes.
//!
//! A front-end may pass any descriptor, and it shares the open file: it can fill the counter and change the file's flags
//! at any time. So what is no event counter is refused, and counters are read without waiting whatever their flags are.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, fstat};
use rustix::io::{Errno, ReadWriteFlags, ioctl_fionbio, preadv2, read};
use vhost_user_guard::descriptor_info;

/// The line of a descriptor's information that only an event counter has. Since Linux 3.8.
const COUNT: &str = "eventfd-count:";

/// The line of a descriptor's information that says whether it counts down instead of being cleared. Since Linux 6.5.
const SEMAPHORE: &str = "eventfd-semaphore:";

/// Why a descriptor is not used as an event counter.
#[derive(Debug, thiserror::Error)]
pub enum EventCounterError {
    /// It leads to something else.
    #[error("it is {found}, not an event counter (eventfd)")]
    NotAnEventCounter {
        /// What it leads to.
        found: &'static str,
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

/// Checks that a descriptor is an event counter.
///
/// # Errors
/// [`EventCounterError::NotAnEventCounter`] for anything else, [`EventCounterError::Semaphore`] for a counter that counts down by
/// one, [`EventCounterError::Host`] when the host does not let it be used.
pub fn check(descriptor: &OwnedFd) -> Result<(), EventCounterError> {
    let information = descriptor_info::read(descriptor.as_fd());
    let mut lines = information.iter().flat_map(|information| information.lines());
    let is_counter = information.as_ref().map(|_| lines.any(|line| line.starts_with(COUNT)));
    if is_counter != Some(true) {
        let found = fstat(descriptor).map_err(|error| EventCounterError::Host(error.into()))?;
        let kind = FileType::from_raw_mode(found.st_mode);
        // Without `/proc` at least files, pipes, sockets and devices are distinguished: an event counter is none of them.
        if is_counter == Some(false) || kind != FileType::Unknown {
            return Err(EventCounterError::NotAnEventCounter { found: named(kind) });
        }
    }
    // Where a kernel does not show it, edges and single reads make such a counter harmless.
    let mut lines = information.iter().flat_map(|information| information.lines());
    if lines.find_map(|line| line.strip_prefix(SEMAPHORE)).is_some_and(|mode| mode.trim() != "0") {
        return Err(EventCounterError::Semaphore);
    }
    ioctl_fionbio(descriptor, true).map_err(|error| EventCounterError::Host(error.into()))
}

/// Returns the kind of a file for people.
fn named(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "another object of the kernel's (such as epoll, a timer or a signal descriptor)",
    }
}

/// Reads and clears a counter, without waiting whatever flags the front-end has set.
pub(super) fn read_at_once(counter: BorrowedFd<'_>) -> rustix::io::Result<u64> {
    let mut count = [0; 8];
    // At the current position, which a counter does not have.
    match preadv2(counter, &mut [IoSliceMut::new(&mut count)], u64::MAX, ReadWriteFlags::NOWAIT) {
        Ok(8) => Ok(u64::from_ne_bytes(count)),
        Ok(_) => Ok(0),
        // Before Linux 5.8. The count stays in the counter: the next edge comes all the same.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(1),
        Err(error) => Err(error),
    }
}

/// Empties a counter that is full, without waiting.
pub(super) fn empty(counter: &OwnedFd) {
    let mut count = [0; 8];
    let flags = ReadWriteFlags::NOWAIT;
    if preadv2(counter, &mut [IoSliceMut::new(&mut count)], u64::MAX, flags) == Err(Errno::OPNOTSUPP) {
        let _ = ioctl_fionbio(counter, true);
        let _ = read(counter, &mut count);
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{EventfdFlags, eventfd};

    use super::*;

    #[test]
    fn refuses_what_is_no_event_counter_and_names_it() {
        let (reader, writer) = io::pipe().unwrap();
        let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
        let epoll = rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC).unwrap();
        let zero = std::fs::File::open("/dev/zero").unwrap();
        let other: [OwnedFd; 5] = [reader.into(), writer.into(), near.into(), epoll, zero.into()];
        for descriptor in other {
            let error = check(&descriptor).unwrap_err();
            assert!(matches!(error, EventCounterError::NotAnEventCounter { .. }), "{error}");
        }
        let semaphore = eventfd(0, EventfdFlags::SEMAPHORE).unwrap();
        if descriptor_info::read(semaphore.as_fd()).unwrap().contains(SEMAPHORE) {
            assert!(matches!(check(&semaphore), Err(EventCounterError::Semaphore)));
        }
        check(&eventfd(0, EventfdFlags::CLOEXEC).unwrap()).unwrap();
    }
}
