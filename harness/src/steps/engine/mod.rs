//! Carries steps out on a test bed.

mod download;
mod expect;
mod golden;
mod guest;
mod host;
mod list;
mod play;
mod property;
mod record;
mod run;
mod side;
mod state;
mod test;
mod values;

pub use record::{StepRecord, StepResult, StepsVerdict};
pub use run::{carry_out, run_steps};
pub use test::StepsTest;
