#![allow(unsafe_code, reason = "the framework forgets to close a descriptor")]
//! Ends the framework's worker.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

use vmm_sys_util::event::{EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier};

/// The event by which the framework ends its worker.
///
/// The framework (`vhost-user-backend` 0.24) releases the consumer as a bare number, watches it, and never closes it: each
/// connection would cost a descriptor. So it is closed here, when the device is dropped.
#[derive(Debug, Default)]
pub(crate) struct Exit(Mutex<Vec<RawFd>>);

impl Exit {
    /// Returns an event for one worker.
    pub(crate) fn pair(&self) -> Option<(EventConsumer, EventNotifier)> {
        let (consumer, notifier) = new_event_consumer_and_notifier(EventFlag::NONBLOCK | EventFlag::CLOEXEC).ok()?;
        self.0.lock().unwrap().push(consumer.as_raw_fd());
        Some((consumer, notifier))
    }
}

impl Drop for Exit {
    fn drop(&mut self) {
        for descriptor in self.0.get_mut().unwrap().drain(..) {
            // SAFETY: the framework has taken the descriptor out of its owner (`IntoRawFd`) when it made its worker, and
            // neither closes nor passes it on; the worker holds the device, and this with it, so that it has ended.
            drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
        }
    }
}
