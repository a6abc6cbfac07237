//! Lines on standard output and standard error. A reader that has gone away is no reason to fail.

use std::io::{Write, stderr, stdout};

/// A line of result.
pub(crate) fn out(text: &str) {
    let _ = writeln!(stdout().lock(), "{text}");
}

/// A line of explanation.
pub(crate) fn error_line(text: &str) {
    let _ = writeln!(stderr().lock(), "{text}");
}
