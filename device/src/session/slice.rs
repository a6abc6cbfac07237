//! Bounds the work that the card does before it looks at resets and commands, so that no guest can keep them waiting.

use std::time::{Duration, Instant};

/// The time that the card works before it looks at resets, commands and the request to stop. A slice ends at the first
/// look after it: one request, one batch, one message for one channel group, or one block of frames later. It is a
/// fifth of the 10 ms that a reset may take.
pub const SLICE: Duration = Duration::from_millis(2);

/// A slice of work.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    begun: Instant,
}

impl Slice {
    /// Begins a slice now.
    #[must_use]
    pub fn begin() -> Self {
        Self { begun: Instant::now() }
    }

    /// Returns whether the slice is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.begun.elapsed() >= SLICE
    }
}
