//! Traces of the card, for people and tools: filters, differences, counts, and files for other programs.

mod diff;
mod filter;
#[cfg(test)]
mod fixture;
mod line;
mod pcapng;
mod perfetto;
mod protobuf;
mod read;
mod stats;

pub use diff::{Difference, Lane, diff};
pub use filter::{Filter, FilterError};
pub use line::{json_line, text_line};
pub use pcapng::pcapng;
pub use perfetto::perfetto;
pub use read::{Trace, TraceError, follow};
pub use stats::{QueueStats, Stats, stats};
