//! The error of a download.

use std::path::PathBuf;

use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::provision::ProvisionError;

/// Why a download was not made, or does not work.
#[derive(Debug, thiserror::Error)]
pub enum DistError {
    /// A part of it could not be built or found.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file is not what it should be.
    #[error("{path}: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The kernel lets this user make no namespaces.
    #[error("the download cannot be tried in a root of its own: {reason}")]
    NoNamespaces {
        /// The message of the program that makes them.
        reason: String,
    },
    /// The drivers of the team that tries it were not built.
    #[error("the download cannot be tried with the drivers of a team: {reason}")]
    NoTeam {
        /// The message of the compiler, or that there is none.
        reason: String,
    },
    /// A report or an output says something else than it should.
    #[error("{path}: {reason}", path = path.display())]
    Unexpected {
        /// The report, the folder of reports, or the program.
        path: PathBuf,
        /// What it says.
        reason: String,
    },
    /// It does not do in a bare root what it should.
    #[error("{what} ended in a root with nothing but the C library by {status} instead of {expected}:\n{output}")]
    Failed {
        /// The command line in that root.
        what: String,
        /// Its exit status.
        status: String,
        /// The exit code that it should have.
        expected: i32,
        /// What it printed.
        output: String,
    },
}

impl Diagnosed for DistError {
    fn class(&self) -> Class {
        match self {
            Self::Provision(error) => error.class(),
            Self::File(error) => error.class(),
            Self::Malformed { .. } => Class::HarnessBug,
            Self::NoNamespaces { .. } | Self::NoTeam { .. } => Class::Host,
            Self::Failed { .. } | Self::Unexpected { .. } => Class::TestFailed,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Provision(error) => error.remedy(),
            Self::File(error) => error.remedy(),
            Self::NoNamespaces { .. } => {
                Some("allow user namespaces (sysctl kernel.unprivileged_userns_clone=1), or run it as root".into())
            }
            Self::NoTeam { .. } => Some("install mingw-w64 (g++-mingw-w64-x86-64)".into()),
            Self::Malformed { .. } | Self::Failed { .. } | Self::Unexpected { .. } => None,
        }
    }
}
