#![allow(unsafe_code, reason = "the framework forgets to close a descriptor")]
//! Ends the framework's worker.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use parking_lot::Mutex;
use vmm_sys_util::event::{EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier};

/// The event by which the framework ends its only worker.
///
/// It is made before the worker: without it the worker would never end, and who waits for that neither. The framework releases the
/// consumer as a bare number, watches it, and never closes it: each connection would cost a descriptor. So it is closed
/// here. Drop this after the daemon.
pub(super) struct Exit(Mutex<State>);

enum State {
    Made(EventConsumer, EventNotifier),
    /// The number of the consumer that the framework has taken.
    Taken(RawFd),
    /// The consumer is closed.
    Closed,
}

impl Exit {
    /// Makes the event.
    ///
    /// # Errors
    /// The host's error, when it has no more descriptors.
    pub(super) fn new() -> io::Result<Self> {
        let (consumer, notifier) = new_event_consumer_and_notifier(EventFlag::NONBLOCK | EventFlag::CLOEXEC)?;
        Ok(Self(Mutex::new(State::Made(consumer, notifier))))
    }

    /// Returns the event for the worker; `None` from the second time on.
    pub(super) fn pair(&self) -> Option<(EventConsumer, EventNotifier)> {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, State::Closed) {
            State::Made(consumer, notifier) => {
                *state = State::Taken(consumer.as_raw_fd());
                Some((consumer, notifier))
            }
            taken => {
                *state = taken;
                None
            }
        }
    }
}

impl Drop for Exit {
    fn drop(&mut self) {
        if let State::Taken(descriptor) = std::mem::replace(self.0.get_mut(), State::Closed) {
            // SAFETY: the framework has taken the descriptor out of its owner (`IntoRawFd`) when it made its worker, and
            // neither closes nor passes it on; the back-end, and this with it, is dropped after the worker has ended.
            drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
        }
    }
}
