//! A rule that a driver broke, and the stop that reports it.

use alloc::string::String;

use super::rules::Rule;

/// The contract was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {} ({}): {what}; {remedy}", rule.number, rule.title)]
pub struct Violation {
    /// Which rule.
    pub rule: &'static Rule,
    /// What was found, and what was expected.
    pub what: String,
    /// What to do.
    pub remedy: &'static str,
}

impl Violation {
    /// Makes a broken rule.
    pub fn new(rule: &'static Rule, what: impl Into<String>, remedy: &'static str) -> Self {
        Self { rule, what: what.into(), remedy }
    }
}

/// Stops the guest, because a driver broke a rule in `function`.
#[cfg(target_os = "none")]
pub(crate) fn violation(function: &str, violation: Violation) -> ! {
    super::verifier::violation(
        Some(violation.rule.number),
        function,
        format_args!("{violation} [{}]", violation.rule.source),
    )
}

/// Ends the test.
#[cfg(test)]
pub(crate) fn violation(function: &str, violation: Violation) -> ! {
    panic!("{function}: {violation}")
}
