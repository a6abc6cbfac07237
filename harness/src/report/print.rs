//! Lines on standard output and standard error. A closed pipe does not fail a run.

use std::io::{Write, stderr, stdout};

/// Writes a line of a result to standard output.
pub fn out(text: &str) {
    let _ = writeln!(stdout().lock(), "{text}");
}

/// Writes a line of an error or of an explanation to standard error.
pub fn error_line(text: &str) {
    let _ = writeln!(stderr().lock(), "{text}");
}
