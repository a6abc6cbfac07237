//! A rule that a driver broke, and how it is reported.

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

/// Reports that a driver broke a rule in `function`. It stops the guest, unless the rule is waived, violations are only
/// noted, or the driver is not verified: then it returns, and the caller goes on as Windows would, or refuses the call with a
/// documented status. Where there is nothing to go on with, [`fatal`] is the function.
#[cfg(target_os = "none")]
pub(crate) fn violation(function: &str, violation: Violation) {
    super::verifier::violation(
        Some(violation.rule.number),
        function,
        format_args!("{violation} [{}]", violation.rule.source),
    );
}

/// Reports that a driver broke a rule in `function`, and stops the guest whatever is waived, because it cannot go on.
#[cfg(target_os = "none")]
pub(crate) fn fatal(function: &str, violation: Violation) -> ! {
    super::verifier::fatal(
        Some(violation.rule.number),
        function,
        format_args!("{violation} [{}]", violation.rule.source),
    )
}

/// Ends the test.
#[cfg(test)]
pub(crate) fn violation(function: &str, violation: Violation) {
    fatal(function, violation)
}

/// Ends the test.
#[cfg(test)]
pub(crate) fn fatal(function: &str, violation: Violation) -> ! {
    panic!("{function}: {violation}")
}
