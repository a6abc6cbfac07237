//! The fuzz target as a library: the same code runs under `cargo fuzz`, and under the ordinary test `fuzz_corpus`, which
//! feeds it the seeds and a minimised corpus.
//!
//! The target may panic only where the crate has a defect. The server and its card outlast an input, so every input also
//! shows whether they recover from the one before.

mod client;
mod messages;
mod record;
mod seeds;
mod server;

pub use messages::drive as messages;
pub use seeds::all as seeds;
