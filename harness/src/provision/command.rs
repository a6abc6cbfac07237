//! Runs programs to their end, keeps their output, and explains failures.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::error::{ProvisionError, not_run};
use crate::host::ended::Ended;
use crate::host::interrupt;
use crate::host::limits;
use crate::host::process::{Process, SpawnError, end_with_harness};

/// The number of a program's last lines that a failure shows.
const TAIL_LINES: usize = 15;

/// The interval at which an interruption and the time limit are checked.
const POLL: Duration = Duration::from_millis(50);

/// The exit status and output of a program.
#[derive(Debug)]
pub struct Captured {
    /// The exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Finds a program: a path as it is, a name in the folders of `PATH`.
#[must_use]
pub fn find_program(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return name.is_file().then(|| name.to_path_buf());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Runs a short program and returns its output; `None` when it cannot be started.
#[must_use]
pub fn capture(command: &mut Command) -> Option<Captured> {
    run(command).ok()
}

/// Runs a short program and returns its output. It and its children end with this process, and when the user interrupts.
///
/// # Errors
/// [`io::Error`] of the start, or of kind [`io::ErrorKind::Interrupted`] when the user interrupts.
pub(crate) fn run(command: &mut Command) -> io::Result<Captured> {
    end_with_harness(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn()?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let (sender, ended) = channel();
    // Reads both outputs of the program, and ends with them; a wait with a time limit cannot.
    std::thread::Builder::new().name("capture".into()).spawn(move || sender.send(child.wait_with_output()))?;
    let output = loop {
        match ended.recv_timeout(POLL) {
            Ok(output) => break output?,
            Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::BrokenPipe.into()),
            Err(RecvTimeoutError::Timeout) if interrupt::requested() => {
                // It may have ended meanwhile; then there is nothing to signal.
                let _ = kill_process_group(group, Signal::KILL);
                return Err(io::ErrorKind::Interrupted.into());
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    Ok(Captured {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs a long program with its standard error (and, unless `stdout` names a file of its own, standard output) going to
/// a log file. It and its children end with this process.
///
/// # Errors
/// [`ProvisionError::NoProgram`] or [`ProvisionError::Limit`] when it cannot be started, [`ProvisionError::Failed`] when it
/// fails or takes longer than the limit, [`ProvisionError::Interrupted`] when the user interrupts.
pub(crate) fn run_logged(
    what: &str,
    command: Command,
    log: &Path,
    stdout: Option<&Path>,
    limit: Duration,
) -> Result<(), ProvisionError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let spawned = match stdout {
        Some(path) => Process::spawn_split(command, path, log),
        None => Process::spawn(command, Vec::new(), log),
    };
    let mut process = spawned.map_err(|error| match error {
        SpawnError::Program { source, .. } => not_run(&name, what, &source),
        SpawnError::Log(error) => error.into(),
    })?;
    let begun = Instant::now();
    let failed = |ended: Option<Ended>, status: String| {
        let text = fs::read_to_string(log).unwrap_or_default();
        if let Some(limit) = limits::of_program(ended, &text) {
            let what = format!("{what} failed ({status}); the end of its output:\n{}\n", tail(&text));
            return limit.during(what).into();
        }
        ProvisionError::Failed { what: what.into(), status, tail: tail(&text), log: log.into(), remedy: None }
    };
    loop {
        match process.wait(POLL) {
            Some(Ended::Exit(0)) => return Ok(()),
            Some(ended) => return Err(failed(Some(ended), ended.to_string())),
            None if interrupt::requested() => return Err(ProvisionError::Interrupted(what.into())),
            None if begun.elapsed() > limit => return Err(failed(None, format!("no end after {} s", limit.as_secs()))),
            None => {}
        }
    }
}

/// Returns a text's last lines.
pub(super) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;

    fn folder() -> Scratch {
        Scratch::new().unwrap()
    }

    #[test]
    fn reports_a_failing_program_with_the_end_of_its_output() {
        let folder = folder();
        let mut command = Command::new("sh");
        command.args(["-c", "echo first; echo last >&2; exit 3"]);
        let error =
            run_logged("trying", command, &folder.path().join("log"), None, Duration::from_secs(30)).unwrap_err();
        let ProvisionError::Failed { status, tail, .. } = error else { panic!("{error}") };
        assert!(status.contains('3'));
        assert!(tail.contains("last"));
    }

    #[test]
    fn ends_a_program_after_the_limit() {
        let folder = folder();
        let mut command = Command::new("sleep");
        command.arg("1000");
        let error = run_logged("sleeping", command, &folder.path().join("log"), None, Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("no end after"), "{error}");
    }

    #[test]
    fn names_a_missing_program_with_its_purpose() {
        let folder = folder();
        let command = Command::new("no-such-program-here");
        let error = run_logged("building", command, &folder.path().join("log"), None, Duration::ZERO).unwrap_err();
        let ProvisionError::NoProgram { program, purpose, .. } = error else { panic!("{error}") };
        assert!(program.contains("no-such-program-here"));
        assert_eq!(purpose, "building");
    }
}
