//! The measure of work that the card does before it looks up: so that no work of a guest's keeps others waiting.

use std::time::{Duration, Instant};

/// How long the card works before it looks at resets, commands and the request to stop. A slice ends at the first look
/// after it: one request, one batch, one message for one channel group, or one block of frames later. A fifth of the 10 ms
/// that a reset may take.
pub const SLICE: Duration = Duration::from_millis(2);

/// A slice of work.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    begun: Instant,
}

impl Slice {
    /// Begins now.
    #[must_use]
    pub fn begin() -> Self {
        Self { begun: Instant::now() }
    }

    /// Whether it is time to look up.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.begun.elapsed() >= SLICE
    }
}
