//! Instrument banks, by the card's program: lists, converts and builds them.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use card_control::ExitCode;
use card_control::log::without_stamp;
use card_control::render::SongSummary;

use crate::host::ended::Ended;
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::limits;
use crate::provision;

/// The card's exit when a bank is missing or malformed.
const BANK: Ended = Ended::Exit(ExitCode::Bank.number() as i32);

/// The card's exit when it cannot write a file.
const FILE: Ended = Ended::Exit(ExitCode::File.number() as i32);

/// Why a command about an instrument bank failed.
#[derive(Debug, thiserror::Error)]
pub enum BankCommandError {
    /// The program failed.
    #[error("{output}")]
    Failed {
        /// Its exit status or signal.
        ended: Ended,
        /// Its standard error.
        output: String,
    },
    /// The program cannot be started.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Diagnosed for BankCommandError {
    fn class(&self) -> Class {
        match self {
            Self::Failed { ended, output } if limits::of_program(Some(*ended), output).is_some() => Class::Host,
            Self::Failed { ended: BANK, .. } => Class::BadInput,
            Self::Failed { ended: FILE, .. } => Class::Host,
            Self::Failed { .. } => Class::CardDied,
            Self::File(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Failed { ended, output } => match limits::of_program(Some(*ended), output) {
                Some(limit) => limit.remedy(),
                None if *ended == FILE => Some("check the disk and the folder's permissions".into()),
                // The program's message about a bank includes the remedy.
                None => None,
            },
            Self::File(error) => error.remedy(),
        }
    }
}

/// The output of a command that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The result, from standard output.
    pub result: String,
    /// Warnings, a line each.
    pub warnings: Vec<String>,
}

/// Runs the card's command `bank` with these arguments.
///
/// # Errors
/// [`BankCommandError::File`] when the program cannot be started, [`BankCommandError::Failed`] when it fails.
pub fn run(card: &Path, arguments: impl IntoIterator<Item = OsString>) -> Result<Output, BankCommandError> {
    let captured =
        provision::run(Command::new(card).arg("bank").args(arguments)).map_err(FileError::own("start", card))?;
    let errors = captured.stderr.trim();
    if !captured.status.success() {
        let message = errors.strip_prefix(card_control::PROGRAM).and_then(|rest| rest.strip_prefix(": "));
        let output = message.unwrap_or(errors).to_owned();
        return Err(BankCommandError::Failed { ended: captured.status.into(), output });
    }
    let warnings = errors.lines().map(|line| without_stamp(line).to_owned()).collect();
    Ok(Output { result: captured.stdout, warnings })
}

/// Writes the song that a file carries (RMID, XMF) as a Standard MIDI File.
///
/// # Errors
/// [`BankCommandError`] as [`run`]; [`BankCommandError::Failed`] also when the summary cannot be parsed.
pub fn take_song(card: &Path, from: &Path, to: &Path) -> Result<SongSummary, BankCommandError> {
    let arguments = ["song".into(), from.into(), to.into(), "--json".into()];
    let Output { result, .. } = run(card, arguments)?;
    serde_json::from_str(&result).map_err(|error| BankCommandError::Failed {
        ended: Ended::Exit(0),
        output: format!("the card's summary cannot be parsed: {error}: {result}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_the_remedy_for_a_malformed_bank_to_the_program() {
        let output = "x.dls is not a usable instrument bank: DLS, byte 0: the chunk is short; get it again".to_owned();
        let error = BankCommandError::Failed { ended: BANK, output };
        assert!(matches!(error.class(), Class::BadInput));
        assert_eq!(error.remedy(), None, "the program's own remedy is in its message");
    }
}
