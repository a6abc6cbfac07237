//! Bounds the work that the card does before it looks at resets and commands, so that no guest can keep them waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The time that the card works before it looks at resets, commands and the request to stop. A slice ends at the first
/// look after it: one request, one batch, one message for one channel group, or one block of frames later. It is a
/// fifth of the 10 ms that a reset may take.
pub const SLICE: Duration = Duration::from_millis(2);

/// A slice of work.
#[derive(Clone, Debug)]
pub struct Slice {
    begun: Instant,
    /// The time after which it is over; none where nothing waits for its end.
    length: Option<Duration>,
    /// Set when queues are to be served: the slice is over then.
    kicked: Option<Arc<AtomicBool>>,
}

impl Slice {
    /// Begins a slice now.
    #[must_use]
    pub fn begin() -> Self {
        Self { begun: Instant::now(), length: Some(SLICE), kicked: None }
    }

    /// Begins a slice now that is also over as soon as `kicked` is set: a driver that kicks does not wait for frames that
    /// are not urgent.
    #[must_use]
    pub fn until_kicked(kicked: &Arc<AtomicBool>) -> Self {
        Self { begun: Instant::now(), length: Some(SLICE), kicked: Some(Arc::clone(kicked)) }
    }

    /// Begins a slice that is never over: for a replay, in which nothing waits.
    #[must_use]
    pub fn endless() -> Self {
        Self { begun: Instant::now(), length: None, kicked: None }
    }

    /// Returns whether the slice is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.kicked.as_ref().is_some_and(|kicked| kicked.load(Ordering::Relaxed))
            || self.length.is_some_and(|length| self.begun.elapsed() >= length)
    }
}
