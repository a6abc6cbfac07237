//! The fuzz targets as a library: the same code runs under `cargo fuzz`, and under the ordinary test `fuzz_corpus`, which
//! feeds it the seeds and a minimised corpus.
//!
//! A target may panic only where the card has a defect. Everything here reaches the card through its socket and through
//! guest memory; only `card.rs` starts a card.

mod card;
mod descriptors;
mod front_end;
mod guest;
mod heap;
mod invariants;
mod log_lines;
mod messages;
mod racer;
mod record;
mod registers;
mod rings;
pub mod seeds;
mod waiting;

pub use messages::drive as messages;
pub use registers::drive as registers;
pub use rings::drive as rings;
pub use waiting::longest as longest_wait;
