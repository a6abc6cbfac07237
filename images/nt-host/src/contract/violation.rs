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

/// Notes what a driver does that no page forbids, and that its author may want to know. `rule` is the rule that is about it.
#[cfg(target_os = "none")]
#[allow(dead_code, reason = "which checks have something to note changes with the rules")]
pub(crate) fn note(function: &str, rule: &'static Rule, what: impl Into<String>) {
    super::verifier::note(Some(rule.number), function, format_args!("{} [{}]", what.into(), rule.source));
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

/// Keeps the note for [`taken_notes`].
#[cfg(test)]
pub(crate) fn note(function: &str, rule: &'static Rule, what: impl Into<String>) {
    NOTES.with(|notes| notes.borrow_mut().push(std::format!("{function}: rule {}: {}", rule.number, what.into())));
}

#[cfg(test)]
std::thread_local! {
    static NOTES: std::cell::RefCell<std::vec::Vec<String>> = const { std::cell::RefCell::new(std::vec::Vec::new()) };
}

/// Takes the notes that this thread made.
#[cfg(test)]
pub(crate) fn taken_notes() -> std::vec::Vec<String> {
    NOTES.with(std::cell::RefCell::take)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::rules;

    #[test]
    fn a_note_does_not_end_a_test() {
        note("IInterruptSync::Release", rules::DISCONNECT, "still connected");
        assert_eq!(taken_notes(), ["IInterruptSync::Release: rule 63: still connected"]);
        assert!(taken_notes().is_empty());
    }
}
