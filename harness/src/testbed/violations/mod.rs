//! What the guest found wrong with a driver without a stop: waived rules, violations after which it went on, and notes.

mod collected;
mod policy;
mod report;
mod rule_list;

pub use collected::{Collected, CountedFinding};
pub use policy::{ViolationPolicy, Waiver};
pub use report::{FindingRow, FindingsReport};
pub use rule_list::{RuleList, UnknownRule};
