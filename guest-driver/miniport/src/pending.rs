//! What the service routine has seen and the deferred procedure call has not looked at yet.
//!
//! Reading the interrupt status clears it, so whoever reads it has the only copy: the service routine keeps it here
//! until the deferred procedure call takes it. Calls that were requested while one is queued collapse into one, and then
//! one call takes what several interrupts have left.

use crate::sync::{AtomicU32, Ordering};

/// Bits of the interrupt status (virtio 1.2, section 4.1.4.5).
pub mod cause {
    /// A queue has something.
    pub const QUEUE: u32 = 1;
    /// The card's configuration has changed, or it is in trouble.
    pub const CONFIGURATION: u32 = 2;
}

/// The word.
#[derive(Debug)]
pub struct Pending(AtomicU32);

impl Pending {
    /// Nothing has been seen.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "an interrupt's state is made on purpose")]
    pub fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Keeps what was seen. Any IRQL.
    pub fn raise(&self, causes: u32) {
        self.0.fetch_or(causes, Ordering::Release);
    }

    /// Takes what was seen since the last time.
    pub fn take(&self) -> u32 {
        self.0.swap(0, Ordering::Acquire)
    }
}
