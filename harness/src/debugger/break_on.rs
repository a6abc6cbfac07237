//! A breakpoint at a violation.

use std::fmt;

use guest_protocol::options::BREAK_ON_ANY;

/// At which violation the guest stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakOn {
    /// At each violation of the rule or check with this number.
    Rule(u16),
    /// At each violation, and at each bug check.
    Any,
}

impl fmt::Display for BreakOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(number) => write!(f, "{number}"),
            Self::Any => f.write_str(BREAK_ON_ANY),
        }
    }
}
