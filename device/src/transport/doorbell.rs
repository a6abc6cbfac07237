//! Doorbells: the event counters that a front-end increases when a driver kicks a queue. They are watched for edges.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::event_counter::{EventCounterError, check, read_at_once};

/// A doorbell.
#[derive(Debug)]
pub struct Kick(OwnedFd);

impl Kick {
    /// Returns the doorbell that a front-end has passed.
    ///
    /// # Errors
    /// As for [`check`], when the descriptor is no event counter.
    pub fn new(descriptor: OwnedFd) -> Result<Self, EventCounterError> {
        check(&descriptor).map(|()| Self(descriptor))
    }

    /// Takes the number of kicks since it was last taken; 0 when the front-end has taken it itself.
    #[must_use]
    pub fn take(&self) -> u64 {
        read_at_once(self.0.as_fd()).unwrap_or(0)
    }
}

impl AsFd for Kick {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{EventfdFlags, eventfd};
    use rustix::io::{ioctl_fionbio, write};

    use super::*;

    #[test]
    fn takes_a_kick_without_waiting_whatever_flags_the_counter_has() {
        let kick = Kick::new(eventfd(0, EventfdFlags::CLOEXEC).unwrap()).unwrap();
        ioctl_fionbio(&kick, false).unwrap();
        assert_eq!(kick.take(), 0);
        write(&kick, &3_u64.to_ne_bytes()).unwrap();
        assert_eq!(kick.take(), 3);
        assert_eq!(kick.take(), 0);
    }
}
