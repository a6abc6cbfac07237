//! The error of a low-resources simulation that could not be carried out.

use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::testbed::TestBedError;

/// Why a low-resources simulation was not carried out. A driver that does not survive one is no error but a report.
#[derive(Debug, thiserror::Error)]
pub enum AllocFaultsError {
    /// The test bed failed without any allocation fault, or by an interruption or the host.
    #[error(transparent)]
    TestBed(#[from] TestBedError),
    /// A file of the run folder could not be written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Diagnosed for AllocFaultsError {
    fn class(&self) -> Class {
        match self {
            Self::TestBed(error) => error.class(),
            Self::File(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::TestBed(error) => error.remedy(),
            Self::File(error) => error.remedy(),
        }
    }
}
