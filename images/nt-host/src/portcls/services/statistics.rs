//! What PortCls counts.

use core::sync::atomic::{AtomicU64, Ordering};

/// A counter that only goes up.
pub(crate) struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds to the count.
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Returns the count since boot.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Calls of `IPortDMus::Notify`.
pub(crate) static NOTIFICATIONS: Counter = Counter::new();

/// Events given to render streams.
pub(crate) static EVENTS_PUT: Counter = Counter::new();

/// Events that came back to their allocators.
pub(crate) static EVENTS_RETURNED: Counter = Counter::new();
