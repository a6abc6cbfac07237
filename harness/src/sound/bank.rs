//! Instrument banks, through the card's program: what is in one, another form of it, the built-in one made anew.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::host::ended::Ended;
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::limits;
use crate::provision;

/// How the card ends when a bank is broken or missing.
const CARD_DISLIKES_BANK: Ended = Ended::Exit(3);

/// How the card ends when it cannot write a file.
const CARD_CANNOT_WRITE: Ended = Ended::Exit(5);

/// Why the card's program did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BankCommandError {
    /// It refused.
    #[error("{said}")]
    Failed {
        /// How it ended.
        ended: Ended,
        /// What it said.
        said: String,
    },
    /// It cannot be started.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Diagnosed for BankCommandError {
    fn class(&self) -> Class {
        match self {
            Self::Failed { ended, said } if limits::of_program(Some(*ended), said).is_some() => Class::Host,
            Self::Failed { ended: CARD_DISLIKES_BANK, .. } => Class::BadInput,
            Self::Failed { ended: CARD_CANNOT_WRITE, .. } => Class::Host,
            Self::Failed { .. } => Class::CardDied,
            Self::File(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Failed { ended, said } if limits::of_program(Some(*ended), said).is_some() => {
                limits::of_program(Some(*ended), said).and_then(|limit| limit.remedy())
            }
            Self::Failed { ended: CARD_CANNOT_WRITE, .. } => Some("check the disk and the folder's permissions".into()),
            // About a bank the program itself says what to do.
            Self::Failed { .. } => None,
            Self::File(error) => error.remedy(),
        }
    }
}

/// What the program said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The result.
    pub result: String,
    /// Warnings, a line each.
    pub warnings: Vec<String>,
}

/// Runs `bank` with these words.
///
/// # Errors
/// [`BankCommandError`], with what the program said.
pub fn run(card: &Path, words: impl IntoIterator<Item = OsString>) -> Result<Said, BankCommandError> {
    let output = provision::run(Command::new(card).arg("bank").args(words)).map_err(FileError::own("start", card))?;
    let said = output.stderr.trim().to_owned();
    if !output.status.success() {
        let said = said.strip_prefix("vhost-device-dmus: ").unwrap_or(&said).to_owned();
        return Err(BankCommandError::Failed { ended: output.status.into(), said });
    }
    Ok(Said { result: output.stdout, warnings: said.lines().map(without_stamp).collect() })
}

/// A line of the program's log without its time and place.
#[must_use]
pub fn without_stamp(line: &str) -> String {
    let stamped = line.strip_prefix('[').and_then(|line| line.split_once("] "));
    stamped.map_or(line, |(_, text)| text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_about_a_broken_bank_is_said_once() {
        let said = "x.dls is not a usable instrument bank: DLS, byte 0: the chunk is short; get it again".to_owned();
        let error = BankCommandError::Failed { ended: CARD_DISLIKES_BANK, said };
        assert!(matches!(error.class(), Class::BadInput));
        assert_eq!(error.remedy(), None, "the program's own remedy is in its message");
    }

    #[test]
    fn a_log_line_is_shown_without_its_stamp() {
        assert_eq!(without_stamp("[2026-01-02T03:04:05Z WARN  dmus_card::bank] x.dls: odd"), "x.dls: odd");
        assert_eq!(without_stamp("[odd"), "[odd");
    }
}
