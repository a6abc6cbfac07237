//! What the fuzz targets do with their bytes: the same code runs under `cargo fuzz`, and under the ordinary test
//! `fuzz_corpus`, which feeds it the seeds and a minimised corpus.
//!
//! A target may panic only where the card has a defect. Everything here reaches the card through its socket and through
//! guest memory; `card.rs` alone knows how a card is made.

mod card;
mod descriptors;
mod front_end;
mod guest;
mod heap;
mod invariants;
mod log_lines;
mod messages;
mod patience;
mod racer;
mod record;
mod rings;
pub mod seeds;

pub use messages::drive as messages;
pub use patience::longest as longest_wait;
pub use rings::drive as rings;
