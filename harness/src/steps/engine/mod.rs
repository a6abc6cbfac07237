//! Carries steps out on a test bed.

mod download;
mod expect;
mod golden;
mod guest;
mod host;
mod interaction;
mod list;
mod play;
mod property;
mod record;
mod run;
mod side;
mod state;
mod stepping;
mod test;
mod values;

pub use interaction::{Interaction, Pause, StepFailure, Stepping};
pub use record::{StepRecord, StepResult, StepsVerdict};
pub use run::{carry_out, run_steps};
pub use test::StepsTest;
