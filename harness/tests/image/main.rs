//! Images built from discs: a stand-in guest that installs itself as Windows Setup would, well and badly, in a real QEMU with real firmware.
//!
//! `cargo dmus test` builds the stand-in, provisions the writer of discs, and names both by variables. A test that needs what is not named
//! says so and is skipped; what needs no guest always runs.

mod builds;
mod disc;
mod discs;
mod misbehaviours;
mod runs;
