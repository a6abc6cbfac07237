//! The contract between a driver and PortCls, put to the test rule by rule.
//!
//! The guest checks most rules whenever they apply; some only show when a driver is asked for what no song asks, when the
//! device loses power or is pulled out, or when something comes in from outside. So a driver is examined in several
//! sittings, each in a guest of its own, and the guest counts for each rule how often it was really put to the test. A rule
//! that never was is not green.

mod capture;
mod context;
mod delivery;
mod dice;
mod download;
mod error;
mod findings;
mod ledger;
mod phrase;
mod probe;
mod probes;
mod recovery;
mod repeats;
mod report;
mod run;
mod stress;
mod unloading;

pub use context::Context;
pub use dice::Dice;
pub use download::{Downloadable, instrument};
pub use error::{ConformanceError, ProbeError};
pub use findings::Findings;
pub use probe::ProbeContext;
pub use repeats::{Repeats, Tally};
pub use report::{Contract, Counted, Row, Verdict};
pub use run::{probe_names, recover, run_probes, stress};
