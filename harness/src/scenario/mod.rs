//! Scenarios: a TOML file names guest, card, song and expectations; a matrix makes several cases of it.

mod batch;
mod case;
mod checks;
mod context;
mod device;
mod document;
mod driver;
mod error;
mod expect;
mod file;
mod judge_table;
mod kinds;
mod malformed;
mod matrix;
mod overrides;
mod playback;
mod reference;
mod run;
mod steps_run;
mod steps_table;
pub mod suite;
mod variant;
mod variant_table;
mod waive_table;

pub use batch::run_each;
pub use case::{BuiltDriver, Case};
pub use context::Context;
pub use document::{MachineTable, TestKind};
pub use error::RunError;
pub use expect::{Expectations, ExpectedBugCheck, Outcome, Range};
pub use file::{Scenario, files_in};
pub use malformed::ScenarioError;
pub use overrides::Overrides;
pub use reference::{reference, schema, step_list_schema};
