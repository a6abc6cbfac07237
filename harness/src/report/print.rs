//! Lines on standard output and standard error. A reader that has gone away does not fail a run; output that is lost for
//! another reason does.

use std::io::{self, ErrorKind, Write, stderr, stdout};
use std::sync::OnceLock;

use crate::host::failure::{Class, Diagnosed};
use crate::host::limits;

/// The first line that was lost.
static LOST: OnceLock<LostOutput> = OnceLock::new();

/// A line that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{stream} cannot be written, and lines of it are lost: {source}{}", self.behind())]
pub struct LostOutput {
    /// The stream.
    stream: &'static str,
    /// The error of the host.
    source: io::Error,
}

impl LostOutput {
    fn behind(&self) -> String {
        limits::of_error(&self.source).map_or_else(String::new, |limit| format!(": {}", limit.sentence()))
    }
}

impl Diagnosed for LostOutput {
    fn class(&self) -> Class {
        Class::Host
    }

    fn remedy(&self) -> Option<String> {
        limits::of_error(&self.source)
            .and_then(|limit| limit.remedy())
            .or_else(|| Some(format!("give {} a place with room that can be written", self.stream)))
    }
}

/// Writes a line of a result to standard output.
pub fn out(text: &str) {
    keep("standard output", writeln!(stdout().lock(), "{text}"));
}

/// Writes text without an end of line to standard output, such as a prompt.
pub fn out_part(text: &str) {
    let mut output = stdout().lock();
    keep("standard output", write!(output, "{text}").and_then(|()| output.flush()));
}

/// Writes a line of an error or of an explanation to standard error.
pub fn error_line(text: &str) {
    keep("standard error", writeln!(stderr().lock(), "{text}"));
}

/// Notes the outcome of a write that is no call of this module's.
pub fn keep(stream: &'static str, written: io::Result<()>) {
    match written {
        Err(source) if source.kind() != ErrorKind::BrokenPipe => _ = LOST.set(LostOutput { stream, source }),
        _ => {}
    }
}

/// Returns the first line that was lost, if any was.
#[must_use]
pub fn lost_output() -> Option<&'static LostOutput> {
    LOST.get()
}
