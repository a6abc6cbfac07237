//! Why the hostile driver was not run.

use super::fault::FaultError;
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::provision::inf::InfError;
use crate::testbed::TestBedError;

/// Why the hostile driver was not run.
#[derive(Debug, thiserror::Error)]
pub enum InsideError {
    /// The table of faults cannot be read.
    #[error(transparent)]
    Table(#[from] FaultError),
    /// The driver's INF cannot be read.
    #[error(transparent)]
    Inf(#[from] InfError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The host, or the user, keeps a guest from running.
    #[error(transparent)]
    TestBed(TestBedError),
    /// No fault matches the filter.
    #[error("no fault's name or area contains \"{filter}\"")]
    NoFault {
        /// The filter.
        filter: String,
    },
    /// The driver does not play without a fault, so that nothing can be learnt with one.
    #[error("over {transport} the hostile driver does not play without a fault: {problem}")]
    WithoutFault {
        /// The transport.
        transport: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// `RUST_LOG` decides what the card logs.
    #[error("RUST_LOG is set, and what the card finds wrong is read from its log")]
    Quiet,
}

impl InsideError {
    /// Tells whether a guest's error ends the run, and not only its row.
    pub(super) fn ends_the_run(error: &TestBedError) -> bool {
        matches!(error.class(), Class::Interrupted | Class::Host | Class::MissingArtefact | Class::BadInput)
    }
}

impl Diagnosed for InsideError {
    fn class(&self) -> Class {
        match self {
            Self::Table(_) => Class::BadInput,
            Self::Inf(error) => error.class(),
            Self::File(error) => error.class(),
            Self::TestBed(error) => error.class(),
            Self::NoFault { .. } | Self::Quiet => Class::Usage,
            Self::WithoutFault { .. } => Class::TestFailed,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Quiet => Some("unset RUST_LOG".into()),
            Self::Inf(error) => error.remedy(),
            Self::File(error) => error.remedy(),
            Self::TestBed(error) => error.remedy(),
            _ => None,
        }
    }
}
