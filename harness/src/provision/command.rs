//! Other people's programs: run to their end, output kept, failures explained.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::ProvisionError;
use crate::failure::FileError;
use crate::interrupt;

/// How many of a program's last lines a failure shows.
const TAIL_LINES: usize = 15;

/// How often a running program is looked at: short beside the programs, long beside a look.
const POLL: Duration = Duration::from_millis(20);

/// A program's end and its standard output.
#[derive(Debug)]
pub struct Captured {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a short program and keeps what it says; `None` when it cannot be started.
#[must_use]
pub fn capture(command: &mut Command) -> Option<Captured> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    Some(Captured {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs a long program with its standard error (and, unless `stdout` names a file of its own, standard output) going to
/// a log file.
///
/// # Errors
/// When it cannot be started, fails, takes longer than the limit, or the user interrupts.
pub(super) fn run_logged(
    what: &str,
    command: &mut Command,
    log: &Path,
    stdout: Option<&Path>,
    limit: Duration,
) -> Result<(), ProvisionError> {
    let file = File::create(log).map_err(FileError::own("create", log))?;
    let out = match stdout {
        Some(path) => File::create(path).map_err(FileError::own("create", path))?,
        None => file.try_clone().map_err(FileError::own("create", log))?,
    };
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child =
        command.stdin(Stdio::null()).stdout(out).stderr(file).spawn().map_err(|error| ProvisionError::NoProgram {
            program: format!("{program} ({error})"),
            purpose: what.into(),
            remedy: format!("install {program}, or put it on PATH"),
        })?;
    let begun = Instant::now();
    let failed = |status: String| {
        let text = fs::read_to_string(log).unwrap_or_default();
        ProvisionError::Failed { what: what.into(), status, tail: tail(&text), log: log.into(), remedy: None }
    };
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(failed(status.to_string())),
            Ok(None) => {}
            Err(error) => return Err(failed(error.to_string())),
        }
        let interrupted = interrupt::asked();
        if interrupted || begun.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            return Err(if interrupted {
                ProvisionError::Interrupted(what.into())
            } else {
                failed(format!("no end after {} s", limit.as_secs()))
            });
        }
        std::thread::sleep(POLL);
    }
}

/// A text's last lines.
pub(super) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_failing_program_is_reported_with_the_end_of_its_output() {
        let folder = folder();
        let mut command = Command::new("sh");
        command.args(["-c", "echo first; echo last >&2; exit 3"]);
        let error =
            run_logged("trying", &mut command, &folder.path().join("log"), None, Duration::from_secs(30)).unwrap_err();
        let ProvisionError::Failed { status, tail, .. } = error else { panic!("{error}") };
        assert!(status.contains('3'));
        assert!(tail.contains("last"));
    }

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let folder = folder();
        let mut command = Command::new("sleep");
        command.arg("1000");
        let error = run_logged("sleeping", &mut command, &folder.path().join("log"), None, Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("no end after"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named_with_its_purpose() {
        let folder = folder();
        let mut command = Command::new("no-such-program-here");
        let error = run_logged("building", &mut command, &folder.path().join("log"), None, Duration::ZERO).unwrap_err();
        let ProvisionError::NoProgram { program, purpose, .. } = error else { panic!("{error}") };
        assert!(program.contains("no-such-program-here"));
        assert_eq!(purpose, "building");
    }
}
