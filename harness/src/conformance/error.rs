//! The errors of the conformance test: of a probe, and of the whole.

use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::limits::LimitError;
use crate::host::standstill::Standstills;
use crate::playback::PlaybackError;
use crate::sound::midi::MidiError;
use crate::testbed::TestBedError;
use crate::testbed::session::{Consequence, SessionError};

/// Why a probe, or the conformance test, failed.
#[derive(Debug, thiserror::Error)]
pub enum ConformanceError {
    /// The test bed failed: most of all, the guest stopped with a bug check.
    #[error(transparent)]
    TestBed(TestBedError),
    /// A song was not played to its end.
    #[error(transparent)]
    Playback(#[from] PlaybackError),
    /// A song could not be read.
    #[error(transparent)]
    Midi(#[from] MidiError),
}

impl From<TestBedError> for ConformanceError {
    fn from(error: TestBedError) -> Self {
        Self::TestBed(error)
    }
}

impl From<SessionError> for ConformanceError {
    fn from(error: SessionError) -> Self {
        Self::TestBed(error.into())
    }
}

impl From<FileError> for ConformanceError {
    fn from(error: FileError) -> Self {
        Self::TestBed(error.into())
    }
}

impl From<LimitError> for ConformanceError {
    fn from(error: LimitError) -> Self {
        Self::TestBed(error.into())
    }
}

impl ConformanceError {
    /// Returns this error as one of a run with these standstills: see [`TestBedError::after`].
    #[must_use]
    pub fn after(self, standstills: Standstills) -> Self {
        match self {
            Self::TestBed(error) => Self::TestBed(error.after(standstills)),
            other => other,
        }
    }

    /// Returns the error of the test bed behind it, if one is, without the standstill of the host before it.
    #[must_use]
    pub fn testbed(&self) -> Option<&TestBedError> {
        match self {
            Self::TestBed(error) => Some(error.underlying()),
            Self::Playback(error) => error.testbed(),
            Self::Midi(_) => None,
        }
    }
}

impl Consequence for ConformanceError {
    fn session_error(&self) -> Option<&SessionError> {
        match self {
            Self::TestBed(error) => error.session_error(),
            Self::Playback(error) => error.session_error(),
            Self::Midi(_) => None,
        }
    }

    fn may_follow_a_death(&self) -> bool {
        match self {
            Self::TestBed(error) => error.may_follow_a_death(),
            Self::Playback(error) => error.may_follow_a_death(),
            Self::Midi(_) => false,
        }
    }
}

impl Diagnosed for ConformanceError {
    fn class(&self) -> Class {
        match self {
            Self::TestBed(error) => error.class(),
            Self::Playback(error) => error.class(),
            Self::Midi(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::TestBed(error) => error.remedy(),
            Self::Playback(error) => error.remedy(),
            Self::Midi(error) => error.remedy(),
        }
    }
}

/// Tells whether a probe failed because it needs what only the project's card, or a device with a control socket, can do:
/// what it would have shown is not exercised.
pub(super) fn is_about_the_device(error: &ConformanceError) -> bool {
    match error.testbed() {
        Some(TestBedError::NotTheCard { .. }) => true,
        Some(TestBedError::Device(error)) => error.is_not_offered(),
        _ => false,
    }
}

/// Why a probe ended before its end.
#[derive(Debug)]
pub enum ProbeError {
    /// Something failed.
    Failed(ConformanceError),
    /// The harness itself saw a rule violated.
    Violated {
        /// The number of the rule.
        rule: u16,
        /// The observation, in words.
        what: String,
    },
    /// The probe does not apply to this driver.
    Inapplicable(String),
    /// The probe applies to the driver, and the device gives no stimulus for it: its rules are not exercised.
    NotExercised(String),
}

impl<E: Into<ConformanceError>> From<E> for ProbeError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
