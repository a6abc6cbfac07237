//! What the host noticed and no page forbids: a note, which neither stops a driver nor fails a test.

use alloc::string::String;

use super::rules::Rule;

/// Notes what a driver does in `function` that no page forbids, and that its author may want to know. `rule` is about it.
#[cfg(target_os = "none")]
#[allow(dead_code, reason = "which checks have something to note changes with the rules")]
pub(crate) fn note(rule: &'static Rule, function: &str, what: impl Into<String>) {
    super::verifier::note(Some(rule.number), function, format_args!("{} [{}]", what.into(), rule.source));
}

/// Keeps the note for [`taken_notes`].
#[cfg(test)]
pub(crate) fn note(rule: &'static Rule, function: &str, what: impl Into<String>) {
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
        note(rules::DISCONNECT, "IInterruptSync::Release", "still connected");
        assert_eq!(taken_notes(), ["IInterruptSync::Release: rule 63: still connected"]);
        assert!(taken_notes().is_empty());
    }
}
