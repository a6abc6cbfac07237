//! Replays a recording on a card without QEMU, by the card's program, and compares what both did.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use card_control::ExitCode;
use serde::{Deserialize, Serialize};

use super::diff::{Aim, Difference, diff_as};
use super::read::{Trace, TraceError};
use crate::host::ended::Ended;
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::limits;
use crate::provision;

/// The exits of the card's program for input that it does not take.
const BAD_INPUT: [Ended; 2] =
    [Ended::Exit(ExitCode::Recording.number() as i32), Ended::Exit(ExitCode::Bank.number() as i32)];

/// Why a recording was not replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The card's program has refused it, or failed.
    #[error("{output}")]
    Refused {
        /// Its exit status or signal.
        ended: Ended,
        /// Its standard error.
        output: String,
    },
    /// What the program says is not understood.
    #[error("the card's summary of a replay cannot be parsed: {0}")]
    Summary(#[from] serde_json::Error),
    /// A trace cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A file cannot be read or written, or the program cannot be started.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Diagnosed for ReplayError {
    fn class(&self) -> Class {
        match self {
            Self::Refused { ended, output } if limits::of_program(Some(*ended), output).is_some() => Class::Host,
            Self::Refused { ended, .. } if BAD_INPUT.contains(ended) => Class::BadInput,
            Self::Refused { ended: Ended::Exit(code), .. } if *code == i32::from(ExitCode::File.number()) => {
                Class::Host
            }
            Self::Refused { .. } => Class::CardDied,
            Self::Summary(_) => Class::HarnessBug,
            Self::Trace(error) => error.class(),
            Self::File(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            // The program's message includes the remedy.
            Self::Refused { .. } | Self::Summary(_) => None,
            Self::Trace(error) => error.remedy(),
            Self::File(error) => error.remedy(),
        }
    }
}

/// What the card's program has replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// Records of the recording.
    pub records: u64,
    /// Chains that the card was given.
    pub chains: u64,
    /// Commands of the control socket that were carried out.
    pub commands: u64,
    /// Errors that the recorded transport had found, and that were reported as recorded.
    pub given: u64,
    /// Accesses to registers and configuration space that were made again.
    pub accesses: u64,
}

/// Replays recordings with the card's program.
#[derive(Clone, Debug)]
pub struct Replayer {
    /// The card's program.
    pub card: PathBuf,
    /// The bank that was recorded with, if it is not the built-in one.
    pub bank: Option<PathBuf>,
}

impl Replayer {
    /// Replays the recording in a file, and writes what the card does to the trace `out`.
    ///
    /// # Errors
    /// [`ReplayError::Refused`] when the program does not take the recording, [`ReplayError::File`] when it cannot be started,
    /// [`ReplayError::Summary`] when its answer is not understood.
    pub fn run(&self, recording: &Path, out: &Path, without_faults: bool) -> Result<Replayed, ReplayError> {
        let mut arguments: Vec<OsString> =
            vec!["replay".into(), recording.into(), "--out".into(), out.into(), "--json".into()];
        if let Some(bank) = &self.bank {
            arguments.extend(["--bank".into(), bank.into()]);
        }
        if without_faults {
            arguments.push("--without-faults".into());
        }
        let mut command = Command::new(&self.card);
        // What the card finds wrong with a driver is in its trace.
        command.args(arguments).env("RUST_LOG", "off");
        let captured = provision::run(&mut command).map_err(FileError::own("start", &self.card))?;
        if !captured.status.success() {
            let errors = captured.stderr.trim();
            let message = errors.strip_prefix(card_control::PROGRAM).and_then(|rest| rest.strip_prefix(": "));
            let output = message.unwrap_or(errors).to_owned();
            return Err(ReplayError::Refused { ended: captured.status.into(), output });
        }
        Ok(serde_json::from_str(&captured.stdout)?)
    }

    /// Replays the recording in a file, and reads what the card did from the trace `out`.
    ///
    /// # Errors
    /// As for [`run`](Self::run); [`ReplayError::Trace`] when a trace cannot be read.
    pub fn replay(&self, recording: &Path, out: &Path) -> Result<Replay, ReplayError> {
        let done = self.run(recording, out, false)?;
        Ok(Replay { done, recorded: Trace::read(recording)?, replayed: Trace::read(out)? })
    }
}

/// A recording and its replay.
#[derive(Debug)]
pub struct Replay {
    /// What was done.
    pub done: Replayed,
    /// The recording.
    pub recorded: Trace,
    /// What the card did in the replay.
    pub replayed: Trace,
}

impl Replay {
    /// Finds where the replay leaves the recording; `None` when it does not.
    #[must_use]
    pub fn divergence(&self, context: usize) -> Option<Difference> {
        diff_as(Aim::Replay, &self.recorded.records, &self.replayed.records, context)
    }
}
