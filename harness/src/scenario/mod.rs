//! Scenarios: a TOML file says guest, card, song and expectations; a matrix makes several cases of it.

mod error;
mod expect;
mod file;
mod run;
pub mod suite;

pub use error::RunError;
pub use expect::{Expectations, ExpectedBugCheck, Outcome, Range};
pub use file::{BuiltDriver, Case, MachineTable, Scenario, ScenarioError, Trial, files_in};
pub use run::{Context, Report, TestRecord, VariantRow, Wishes, cpp_driver, run};
