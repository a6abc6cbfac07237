//! A failure inside the guest, as a run folder has it: it is repeated with guest and driver, because no card sees it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;
use serde_json::Value;

use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::provision;
use crate::testbed::BUG_CHECK_FILE;

/// The file of a run folder with what was run.
pub(super) const COMMAND_FILE: &str = "command.json";

/// A failure inside the guest: the same one has the same rule and function, or where no rule is broken the same bug check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GuestFailure {
    /// The rule of the contract, if one was broken.
    pub rule: Option<u16>,
    /// The function, if it is known.
    pub function: Option<String>,
    /// The code of the bug check and its name.
    pub bug_check: String,
}

impl fmt::Display for GuestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule {
            Some(rule) => write!(f, "rule {rule}")?,
            None => write!(f, "bug check {}", self.bug_check)?,
        }
        match &self.function {
            Some(function) => write!(f, " in {function}"),
            None => Ok(()),
        }
    }
}

impl GuestFailure {
    /// Reads that of a run folder; `None` where the guest has not stopped with a bug check.
    ///
    /// # Errors
    /// [`FileError`] when its report is there and cannot be read.
    pub fn of(folder: &Path) -> Result<Option<Self>, FileError> {
        let path = folder.join(BUG_CHECK_FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).map_err(FileError::input(&path))?;
        Ok(Some(Self::parse(&text)))
    }

    fn parse(report: &str) -> Self {
        // The stack begins behind them.
        let head = || report.lines().take_while(|line| !line.starts_with("stack"));
        let stop = head().find_map(|line| line.strip_prefix("*** STOP ")).unwrap_or_default();
        let rule = head().find_map(|line| line.strip_prefix("rule ")?.split(' ').next()?.parse().ok());
        let function = head().find_map(|line| Some(line.strip_prefix("in ")?.split(',').next()?.to_owned()));
        Self { rule, function, bug_check: stop.split(" (").next().unwrap_or_default().to_owned() }
    }
}

/// Why a run was not repeated.
#[derive(Debug, thiserror::Error)]
pub enum RepeatError {
    /// The run folder does not say what was run.
    #[error("{path} does not say how to repeat the run")]
    NoCommand {
        /// The file.
        path: PathBuf,
    },
    /// The repetition has left no run folder.
    #[error("`{command}` has left no run folder: {output}")]
    NoFolder {
        /// The command.
        command: String,
        /// The end of its standard error.
        output: String,
    },
    /// A file cannot be read, or the program cannot be started.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Diagnosed for RepeatError {
    fn class(&self) -> Class {
        match self {
            Self::NoCommand { .. } => Class::BadInput,
            Self::NoFolder { .. } => Class::TestFailed,
            Self::File(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::NoCommand { .. } => Some("name the folder of a run, as dmus leaves it".into()),
            Self::NoFolder { command, .. } => Some(format!("run it by itself to see why: {command}")),
            Self::File(error) => error.remedy(),
        }
    }
}

/// Returns the command that repeats the run of a folder: the same steps, seed and faults.
///
/// # Errors
/// [`RepeatError::File`] when the folder does not have it, [`RepeatError::NoCommand`] when it is no such command.
pub fn command_of(folder: &Path) -> Result<String, RepeatError> {
    let path = folder.join(COMMAND_FILE);
    let text = fs::read(&path).map_err(FileError::input(&path))?;
    let command: Value = serde_json::from_slice(&text).map_err(|error| FileError::input(&path)(error.into()))?;
    match command["reproduce"].as_str() {
        Some(reproduce) if reproduce.starts_with("dmus ") => Ok(reproduce.to_owned()),
        _ => Err(RepeatError::NoCommand { path }),
    }
}

/// What QEMU's command line has before the path of the driver image.
const DRIVER_OPTION: &str = "name=opt/dmus/driver.sys,file=";

/// Returns the driver image that the run of a folder had, if the folder says so.
#[must_use]
pub fn driver_of(folder: &Path) -> Option<PathBuf> {
    let text = fs::read(folder.join(COMMAND_FILE)).ok()?;
    let command: Value = serde_json::from_slice(&text).ok()?;
    let words = command["qemu"].as_array()?.iter().filter_map(Value::as_str);
    words.into_iter().find_map(|word| word.strip_prefix(DRIVER_OPTION)).map(PathBuf::from)
}

/// Runs a command of this program, with further words, and returns the run folder that it leaves.
///
/// # Errors
/// [`RepeatError::File`] when it cannot be started, [`RepeatError::NoFolder`] when it leaves none.
pub fn repeat(command: &str, further: &[String]) -> Result<PathBuf, RepeatError> {
    let words = shlex::split(command).unwrap_or_default();
    let program = std::env::current_exe().map_err(FileError::own("find", "this program"))?;
    let mut process = Command::new(&program);
    process.args(words.iter().skip(1)).args(further);
    if !words.iter().any(|word| word == "--json") {
        process.arg("--json");
    }
    let captured = provision::run(&mut process).map_err(FileError::own("start", &program))?;
    let last = captured.stdout.lines().next_back().unwrap_or_default();
    let object: Value = serde_json::from_str(last).unwrap_or_default();
    let folder = [&object["run_folder"], &object["tests"][0]["run_folder"], &object["run_folders"][0]];
    folder.into_iter().find_map(Value::as_str).map(PathBuf::from).ok_or_else(|| {
        let output = captured.stderr.lines().next_back().unwrap_or("it says nothing").to_owned();
        RepeatError::NoFolder { command: command.to_owned(), output }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_its_rule_and_function_and_not_its_addresses() {
        let report = "*** STOP 0x0000000a IRQL_NOT_LESS_OR_EQUAL (0x0, 0x8, 0x2, 0x0)\nrule 39 of the NT host's contract\n\
            KeWait was called at IRQL 2\nin KeWait, at IRQL 2\nstack, innermost first:\n  rule 7 in no function\n";
        let failure = GuestFailure::parse(report);
        assert_eq!((failure.rule, failure.function.as_deref()), (Some(39), Some("KeWait")));
        assert_eq!(failure.to_string(), "rule 39 in KeWait");
        assert_eq!(failure, GuestFailure::parse(&report.replace("0x8", "0x9")));
        let plain = GuestFailure::parse("*** STOP 0x00000050 PAGE_FAULT (0x1)\nthe text\nstack\n");
        assert_eq!(plain.to_string(), "bug check 0x00000050 PAGE_FAULT");
    }
}
