//! Traces of the card, for people and tools: filters, differences, counts, and files for other programs.

mod diff;
pub mod failure;
mod filter;
#[cfg(test)]
mod fixture;
mod guest_failure;
mod line;
mod pcapng;
mod perfetto;
mod protobuf;
mod read;
pub mod reduce;
mod replay;
mod stats;

pub use diff::{Aim, Difference, Lane, diff, diff_as};
pub use filter::{Filter, FilterError};
pub use guest_failure::{GuestFailure, RepeatError, command_of, driver_of, repeat};
pub use line::{json_line, text_line};
pub use pcapng::pcapng;
pub use perfetto::perfetto;
pub use read::{Trace, TraceError, file_of, follow};
pub use replay::{Replay, ReplayError, Replayed, Replayer};
pub use stats::{QueueStats, Stats, stats};
