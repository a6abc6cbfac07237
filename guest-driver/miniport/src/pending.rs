//! Interrupt causes between the interrupt service routine and the deferred procedure call.
//!
//! Reading the interrupt status clears it, so the service routine has the only copy: it keeps the causes here until the
//! deferred procedure call takes them. Calls requested while one is queued collapse into one, which then takes the
//! causes of several interrupts.

use crate::sync::{AtomicU32, Ordering};

/// Bits of the interrupt status (virtio 1.2, section 4.1.4.5).
pub mod cause {
    /// The card has returned a chain of a queue.
    pub const QUEUE: u32 = 1;
    /// The card's configuration has changed, or it needs a reset.
    pub const CONFIGURATION: u32 = 2;
}

/// The causes of interrupts that have not been taken.
#[derive(Debug)]
pub struct Pending(AtomicU32);

impl Pending {
    /// Makes an empty set.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "an interrupt's state is made on purpose")]
    pub fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Adds causes. Any IRQL.
    pub fn raise(&self, causes: u32) {
        self.0.fetch_or(causes, Ordering::Release);
    }

    /// Takes the causes since the last call.
    pub fn take(&self) -> u32 {
        self.0.swap(0, Ordering::Acquire)
    }
}
