//! What is wrong with an INF, with its line and the rule.

use std::path::{Path, PathBuf};

use driver_package::inf::{Fault, place};

use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;

/// Why an INF cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InfError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Windows would refuse the file, or install nothing by it.
    #[error("{path}{place}: {what} [{rule}]", path = .path.display(), place = place(*.line))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 for the file as a whole.
        line: usize,
        /// The fault.
        what: String,
        /// The page of the Windows driver documentation that states the rule.
        rule: &'static str,
    },
}

impl InfError {
    /// Creates the error of a fault in a file.
    pub(super) fn malformed(path: &Path, fault: &Fault) -> Self {
        Self::Malformed { path: path.into(), line: fault.line, what: fault.what.clone(), rule: fault.rule }
    }
}

impl Diagnosed for InfError {
    fn class(&self) -> Class {
        match self {
            Self::File(error) => error.class(),
            Self::Malformed { .. } => Class::BadInput,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::File(error) => error.remedy(),
            Self::Malformed { rule, .. } => Some(format!("correct the INF as the page \"{rule}\" says")),
        }
    }
}
