//! The conformance test: the contract between a driver and PortCls, rule by rule.
//!
//! The guest checks most rules whenever they apply; some only show when a client requests what no song needs, when the
//! device loses power or is removed, or when MIDI comes in. So several probes drive the driver, each in a guest of its
//! own, and the guest counts how often each rule was exercised. A rule that never was does not pass.

mod capture;
mod captured;
mod card_kills;
mod context;
mod delivery;
mod device_capture;
mod dice;
mod download;
mod error;
mod findings;
mod kill_report;
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

pub use card_kills::kill_cards;
pub use context::Context;
pub use dice::Dice;
pub use download::{Downloadable, instrument};
pub use error::{ConformanceError, ProbeError};
pub use findings::Findings;
pub use kill_report::{CardKill, CardKillsReport, KillPhase};
pub use probe::ProbeContext;
pub use repeats::{Repeats, Tally};
pub use report::{Contract, Counted, Row, Verdict, WaivedRule};
pub use run::{probe_names, recover, run_probes, stress};
