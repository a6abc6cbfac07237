//! The plan of a scenario's steps: read, with includes in their place, and checked as far as can be told before anything runs.

mod act;
mod include;
mod next;
mod order;
mod read;
#[cfg(test)]
mod tests;

pub use act::{Act, Fails, Music, PlannedBranch, PlannedStep};
pub use order::{STREAM, implied};
pub use read::{Plan, PlanError, PlanInput};
