//! The error of a benchmark.

use super::driver_error::DriverBenchError;
use super::not_passed::NotPassed;
use super::program_error::ProgramError;
use crate::diagnosed_by_variant;
use crate::host::file_error::FileError;
use crate::playback::PlaybackError;
use crate::provision::ProvisionError;
use crate::scenario::RunError;
use crate::sound::midi::MidiError;
use crate::testbed::TestBedError;

/// Why a benchmark has no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The test bed failed.
    #[error(transparent)]
    TestBed(#[from] TestBedError),
    /// A song was not played to its end.
    #[error(transparent)]
    Playback(#[from] PlaybackError),
    /// The driver could not be measured.
    #[error(transparent)]
    Driver(#[from] DriverBenchError),
    /// A program that measures could not.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A scenario could not be run.
    #[error(transparent)]
    Run(Box<RunError>),
    /// What was to be measured did not pass.
    #[error(transparent)]
    NotPassed(#[from] NotPassed),
    /// A song could not be read.
    #[error(transparent)]
    Midi(#[from] MidiError),
    /// An artefact could not be provisioned.
    #[error(transparent)]
    Provision(Box<ProvisionError>),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

diagnosed_by_variant!(BenchError: TestBed, Playback, Driver, Program, Run, NotPassed, Midi, Provision, File);

impl From<ProvisionError> for BenchError {
    fn from(error: ProvisionError) -> Self {
        Self::Provision(Box::new(error))
    }
}

impl From<RunError> for BenchError {
    fn from(error: RunError) -> Self {
        Self::Run(Box::new(error))
    }
}
