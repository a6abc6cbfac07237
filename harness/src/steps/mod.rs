//! Steps: what a scenario has driver, card and host do, one after another, and what it expects.
//!
//! [`Plan`] reads the steps of a file, with those of the files that it includes, and checks what can be told before anything runs.
//! [`run_steps`] carries them out on a test bed of its own, as `run` does; [`carry_out`] on one that a Rust test has started.

pub mod document;
mod engine;
pub mod plan;

pub use document::{LimitsTable, StepList, StepTable};
pub use engine::{
    Interaction, Pause, StepFailure, StepRecord, StepResult, Stepping, StepsTest, StepsVerdict, carry_out, run_steps,
};
pub use plan::{Plan, PlanError, PlanInput};
