#![allow(unsafe_code, reason = "the framework forgets to close a descriptor")]
//! Ends the framework's worker.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use parking_lot::Mutex;
use vmm_sys_util::event::{EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier};

/// The event by which the framework ends its worker.
///
/// The framework releases the consumer as a bare number, watches it, and never closes it: each connection would cost a
/// descriptor. So it is closed here. Drop this after the daemon.
#[derive(Default)]
pub(super) struct Exit(Mutex<Vec<RawFd>>);

impl Exit {
    /// Returns an event for one worker; `None` when the host has no descriptor for it.
    pub(super) fn pair(&self) -> Option<(EventConsumer, EventNotifier)> {
        let (consumer, notifier) = new_event_consumer_and_notifier(EventFlag::NONBLOCK | EventFlag::CLOEXEC)
            .inspect_err(|error| log::error!("no descriptor ends the worker: {error}; raise the limit (ulimit -n)"))
            .ok()?;
        self.0.lock().push(consumer.as_raw_fd());
        Some((consumer, notifier))
    }
}

impl Drop for Exit {
    fn drop(&mut self) {
        for descriptor in self.0.get_mut().drain(..) {
            // SAFETY: the framework has taken the descriptor out of its owner (`IntoRawFd`) when it made its worker, and
            // neither closes nor passes it on; the back-end, and this with it, is dropped after the worker has ended.
            drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
        }
    }
}
