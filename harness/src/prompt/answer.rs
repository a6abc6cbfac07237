//! What a line of the prompt brings: an answer in words and as JSON, or why there is none.

use std::fmt::Write;

use serde_json::{Value, json};

use super::words::WordError;
use crate::host::failure::Class;
use crate::steps::StepFailure;

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answer {
    /// For people: lines, without the last end of line. Nothing where there is nothing to say.
    pub(super) text: String,
    /// For programs.
    pub(super) data: Value,
}

impl Answer {
    /// Returns an answer of one text, which programs get too.
    pub(super) fn of_text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { data: json!({ "text": text }), text }
    }

    /// Returns an answer for people and for programs.
    pub(super) fn new(text: impl Into<String>, data: Value) -> Self {
        Self { text: text.into().trim_end().to_owned(), data }
    }
}

impl Answer {
    /// Returns the same answer, with another text where a list has nothing in it.
    pub(super) fn titled(self, nothing: &str) -> Self {
        let is_empty = self.data.as_object().is_some_and(|data| data.values().all(|value| value == &json!([])));
        if is_empty { Self { text: nothing.into(), ..self } } else { self }
    }
}

/// Why a line has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) StepFailure);

impl Refusal {
    /// Returns the refusal of a line that says what cannot be done: nothing was done.
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::of(Class::Usage, text)
    }

    /// Returns a refusal of a class.
    pub(super) fn of(class: Class, text: impl Into<String>) -> Self {
        Self(StepFailure { class, text: text.into(), remedy: None, report: None, lost: false })
    }

    /// Returns the lines for people.
    pub(super) fn text(&self) -> String {
        let StepFailure { class, text, remedy, report, .. } = &self.0;
        let mut lines = String::new();
        if let Some(report) = report {
            let _ = writeln!(lines, "{report}");
        }
        let _ = write!(lines, "error ({}): {text}", class.name());
        if let Some(remedy) = remedy {
            let _ = write!(lines, "\nremedy: {remedy}");
        }
        lines
    }
}

impl From<StepFailure> for Refusal {
    fn from(failure: StepFailure) -> Self {
        Self(failure)
    }
}

impl From<WordError> for Refusal {
    fn from(error: WordError) -> Self {
        Self::usage(error.0)
    }
}

/// Returns the object that a line brings on standard output with `--json`.
pub(super) fn object(line: &str, result: &Result<Answer, Refusal>) -> Value {
    match result {
        Ok(answer) => json!({ "line": line, "ok": true, "answer": answer.data }),
        Err(Refusal(StepFailure { class, text, remedy, report, lost })) => json!({
            "line": line, "ok": false, "class": class, "exit_code": class.exit_code(), "error": text, "remedy": remedy,
            "report": report, "guest_lost": lost,
        }),
    }
}
