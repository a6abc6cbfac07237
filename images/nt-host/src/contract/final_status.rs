//! Statuses that a routine may not return that the system calls and waits for.

use alloc::format;

use super::note::note;
use super::services;
use super::violation::{Violation, violation};
use crate::nt::NTSTATUS;
use crate::nt::status::{STATUS_PENDING, STATUS_SUCCESS, STATUS_UNSUCCESSFUL, success};

/// What a call gives back, as far as it may be a status.
pub(crate) trait Outcome {
    /// Returns the outcome as the host goes on with it, of a call of `function`: a status that is not final is reported
    /// and becomes a failure (rule 208).
    fn finally(self, function: &'static str) -> Self;
}

impl Outcome for NTSTATUS {
    fn finally(self, function: &'static str) -> Self {
        if self == STATUS_PENDING {
            violation(
                function,
                Violation::new(
                    services::FINAL_STATUS,
                    "it returns STATUS_PENDING, and nothing will complete it",
                    "do the work, or queue it and return STATUS_SUCCESS or an error; wait for what the result depends on",
                ),
            );
            return STATUS_UNSUCCESSFUL;
        }
        if success(self) && self != STATUS_SUCCESS {
            note(
                services::FINAL_STATUS,
                function,
                format!("it returns {self:#010x}, which NT_SUCCESS takes for success and its page does not name"),
            );
        }
        self
    }
}

impl Outcome for () {
    fn finally(self, _function: &'static str) -> Self {}
}

impl Outcome for u32 {
    fn finally(self, _function: &'static str) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::note::taken_notes;

    #[test]
    #[should_panic(expected = "NewStream: rule 208")]
    fn stops_a_call_that_stays_pending() {
        STATUS_PENDING.finally("NewStream");
    }

    #[test]
    fn notes_a_success_that_no_page_names() {
        assert_eq!(
            (STATUS_SUCCESS.finally("f"), STATUS_UNSUCCESSFUL.finally("f")),
            (STATUS_SUCCESS, STATUS_UNSUCCESSFUL)
        );
        assert!(taken_notes().is_empty());
        assert_eq!(1.finally("f"), 1);
        assert_eq!(taken_notes().len(), 1);
    }
}
