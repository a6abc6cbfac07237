//! Systematic low-resources simulation: every call stack on which the driver allocates fails once.
//!
//! The first boot learns the stacks. Then there is a boot for each, in which that one allocation fails, and one for each
//! stack that shows up only there, until none is new. A driver survives if it refuses what it cannot do, or does without,
//! and leaves nothing behind when it is unloaded; a bug check, a hang or a leak is its failure.

mod error;
mod report;
mod run;

pub use error::AllocFaultsError;
pub use report::{AllocFaultsReport, Outcome, SiteReport, name, read_stack};
pub use run::{AllocFaults, run};
