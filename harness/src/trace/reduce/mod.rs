//! Reduces a recording that fails to the least that fails in the same way.
//!
//! Passes leave out what belongs together: streams, notes, channels, spans of time, then single records and events; each sweeps from the end,
//! in chunks that are halved. A pass that has left something out is followed by all of them again. Then numbers get
//! less, frames of faults before another round of the passes, and behind it frames of steps of time, times of events, lengths of messages. What is tried once is not tried again.

mod candidate;
mod numbers;
mod oracle;
mod passes;
mod reducer;
mod scenario;
mod scenario_run;
mod setting;

pub use candidate::{EventPart, Part, PartKind, file, parts, records};
pub use oracle::{GuestOracle, Oracle, ReplayOracle};
pub use passes::Pass;
pub use reducer::{Least, Progress, Reducer};
pub use scenario::{ScenarioParts, scenario};
pub use scenario_run::{ScenarioRun, run_scenario};
pub use setting::setting;
