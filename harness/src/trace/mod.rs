//! Traces of the card, for people and tools: filters, differences, counts, and files for other programs.

mod diff;
pub mod failure;
mod filter;
#[cfg(test)]
mod fixture;
mod flows;
mod guest_failure;
mod guest_stats;
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
pub use guest_stats::{GuestStats, Times};
pub use line::{json_line, text_line};
pub use pcapng::pcapng;
pub use perfetto::perfetto;
pub use read::{Trace, TraceError, file_of, follow, guest_file_of};
pub use replay::{Replay, ReplayError, Replayed, Replayer};
pub use stats::{QueueStats, Stats, stats};
