//! Guest memory and eventfds, as a client has them.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::event::{EventfdFlags, PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;

/// Makes a file of this length in memory.
pub(crate) fn file(bytes: u64) -> File {
    let file = File::from(memfd_create("guest-memory", MemfdFlags::CLOEXEC).unwrap());
    file.set_len(bytes).unwrap();
    file
}

pub(crate) fn read(file: &File, offset: u64, bytes: usize) -> Vec<u8> {
    let mut data = vec![0; bytes];
    file.read_exact_at(&mut data, offset).unwrap();
    data
}

pub(crate) fn eventfd() -> OwnedFd {
    rustix::event::eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap()
}

pub(crate) fn signal(fd: &OwnedFd) {
    rustix::io::write(fd, &1u64.to_ne_bytes()).unwrap();
}

/// Returns how often an eventfd was signalled since the last time.
pub(crate) fn signals(fd: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    match rustix::io::read(fd, &mut count) {
        Ok(_) => u64::from_ne_bytes(count),
        Err(error) => {
            assert_eq!(error, Errno::AGAIN);
            0
        }
    }
}

/// Waits until an eventfd is signalled, and returns how often it was.
pub(crate) fn wait(fd: &OwnedFd) -> u64 {
    poll(&mut [PollFd::new(fd, PollFlags::IN)], None).unwrap();
    signals(fd)
}
