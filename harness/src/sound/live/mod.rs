//! Live MIDI: a song that plays in its time, bytes of a file, a FIFO, a MIDI device or, with the feature `midir`, a named port, as messages with the moment at which they came.
//!
//! Nothing here waits longer than it is told: a FIFO that nothing writes to, and one that is closed and opened again, are
//! looked at, not read from.

mod latency;
mod parser;
#[cfg(feature = "midir")]
mod port;
mod source;

pub use latency::{Latencies, LatencySummary};
pub use parser::{Garbage, LiveParser};
pub use source::{LiveError, LiveInput, Polled};
