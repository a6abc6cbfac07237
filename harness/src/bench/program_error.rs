//! Why a program that measures gives no figures.

use crate::host::ended::Ended;
use crate::host::failure::{Class, Diagnosed};

/// Why a program that measures gives no figures.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The program failed.
    #[error("{what} failed ({ended}): {output}")]
    Failed {
        /// Its name for people.
        what: &'static str,
        /// Its exit status or signal.
        ended: Ended,
        /// Its standard error.
        output: String,
    },
    /// It printed a line that is no figure.
    #[error("a benchmark's program gave a line that is no figure: {0}")]
    Line(String),
    /// The user interrupted it.
    #[error("interrupted while measuring")]
    Interrupted,
}

impl Diagnosed for ProgramError {
    fn class(&self) -> Class {
        match self {
            Self::Failed { .. } => Class::TestFailed,
            Self::Line(_) => Class::HarnessBug,
            Self::Interrupted => Class::Interrupted,
        }
    }
}
