//! The seeds: useful inputs, made by programs.
//!
//! Test `fuzz_corpus` compares them with the files in `seeds/`, and writes those anew on request.

mod download;
mod messages;
mod registers;
mod rings;

use super::guest::PAGE;
pub use messages::{all as messages, layout_is_known};
pub use registers::all as registers;
pub use rings::all as rings;

/// A seed: the name of its file, and its bytes.
pub type Seed = (&'static str, Vec<u8>);

/// Returns where the guest has a part of a ring, as an offset in its memory: each is on a page of its own, in order.
const fn part(queue: u32, part: u32) -> u64 {
    (queue as u64 * 3 + part as u64) * PAGE
}
