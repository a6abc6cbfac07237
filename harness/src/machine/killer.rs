//! Kills a process from another thread than its owner's.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, pidfd_send_signal};

/// Kills a process of a machine from another thread.
#[derive(Debug)]
pub struct ProcessKiller(OwnedFd);

impl ProcessKiller {
    /// Takes the descriptor of the process.
    pub(super) const fn new(process: OwnedFd) -> Self {
        Self(process)
    }

    /// Kills it with SIGKILL, unless it has ended.
    pub fn kill(&self) {
        // The descriptor stands for that process alone: what fails here is that it has ended.
        let _ = pidfd_send_signal(&self.0, Signal::KILL);
    }

    /// Waits until it has ended, for as long as a busy host may take.
    pub(super) fn wait(&self, limit: Duration) {
        let limit = Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: 0 };
        // A process that has not ended by then shows by what comes next.
        let _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&limit));
    }
}
