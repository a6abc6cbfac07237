//! The error of a benchmark of a driver.

use std::time::Duration;

use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::limits::LimitError;
use crate::host::standstill::Standstills;
use crate::testbed::TestBedError;
use crate::testbed::session::{Consequence, SessionError};

/// The longest time until the card has consumed the events given to the driver.
pub(super) const TAKEN_LIMIT: Duration = Duration::from_secs(30);

/// Why there are no figures of a driver.
#[derive(Debug, thiserror::Error)]
pub enum DriverBenchError {
    /// The test bed failed: most of all, the driver broke a rule and the guest stopped.
    #[error(transparent)]
    TestBed(TestBedError),
    /// The driver has no pin that music can be sent to.
    #[error("nothing can be measured: the driver has no pin that music can be sent to")]
    NoMusicPin,
    /// The card has not taken what the driver was given.
    #[error("of {given} events the card had taken {taken} after {TAKEN_LIMIT:?}")]
    NotTaken {
        /// Events given to the driver.
        given: u64,
        /// Events that the card counted.
        taken: u64,
    },
    /// The guest's reply lacks a figure.
    #[error("the guest counted no \"{0}\"")]
    NoFigure(&'static str),
}

impl From<TestBedError> for DriverBenchError {
    fn from(error: TestBedError) -> Self {
        Self::TestBed(error)
    }
}

impl From<SessionError> for DriverBenchError {
    fn from(error: SessionError) -> Self {
        Self::TestBed(error.into())
    }
}

impl From<FileError> for DriverBenchError {
    fn from(error: FileError) -> Self {
        Self::TestBed(error.into())
    }
}

impl From<LimitError> for DriverBenchError {
    fn from(error: LimitError) -> Self {
        Self::TestBed(error.into())
    }
}

impl DriverBenchError {
    /// Returns this error as one of a run with these standstills: see [`TestBedError::after`].
    pub(super) fn after(self, standstills: Standstills) -> Self {
        match self {
            Self::TestBed(error) => Self::TestBed(error.after(standstills)),
            other => other,
        }
    }
}

impl Consequence for DriverBenchError {
    fn session_error(&self) -> Option<&SessionError> {
        match self {
            Self::TestBed(error) => error.session_error(),
            Self::NoMusicPin | Self::NotTaken { .. } | Self::NoFigure(_) => None,
        }
    }

    fn may_follow_a_death(&self) -> bool {
        match self {
            Self::TestBed(error) => error.may_follow_a_death(),
            Self::NoMusicPin | Self::NotTaken { .. } | Self::NoFigure(_) => false,
        }
    }
}

impl Diagnosed for DriverBenchError {
    fn class(&self) -> Class {
        match self {
            Self::TestBed(error) => error.class(),
            Self::NoMusicPin => Class::TestFailed,
            Self::NotTaken { .. } => Class::Timeout,
            Self::NoFigure(_) => Class::HarnessBug,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::TestBed(error) => error.remedy(),
            Self::NotTaken { .. } => {
                Some("the driver keeps events without telling the card: look for a kick that is left out".into())
            }
            Self::NoMusicPin | Self::NoFigure(_) => None,
        }
    }
}
