//! The error of a scenario that was not run.

use super::malformed::ScenarioError;
use crate::alloc_faults::AllocFaultsError;
use crate::conformance::ConformanceError;
use crate::diagnosed_by_variant;
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::hostile::HostileError;
use crate::kills::KillsError;
use crate::playback::PlaybackError;
use crate::provision::ProvisionError;
use crate::qemu_limits::LimitsError;
use crate::sound::midi::MidiError;
use crate::sound::song_file::SongFileError;
use crate::testbed::TestBedError;

/// Why scenarios were not run. A test that fails is no error but a row of the report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A scenario file is malformed.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A built-in song could not be read.
    #[error(transparent)]
    Midi(#[from] MidiError),
    /// A song file could not be read.
    #[error(transparent)]
    SongFile(#[from] SongFileError),
    /// An artefact could not be provisioned.
    #[error(transparent)]
    Provision(Box<ProvisionError>),
    /// The test bed failed.
    #[error(transparent)]
    TestBed(#[from] TestBedError),
    /// A playback test was interrupted.
    #[error(transparent)]
    Playback(#[from] PlaybackError),
    /// The conformance test was interrupted.
    #[error(transparent)]
    Conformance(#[from] ConformanceError),
    /// The low-resources simulation was interrupted.
    #[error(transparent)]
    AllocFaults(#[from] AllocFaultsError),
    /// The test of kills was not carried out.
    #[error(transparent)]
    Kills(#[from] KillsError),
    /// The hostile driver was not run.
    #[error(transparent)]
    Hostile(#[from] HostileError),
    /// QEMU's limits were not shown.
    #[error(transparent)]
    QemuLimits(#[from] LimitsError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A test failed, and none was to begin after it.
    #[error(transparent)]
    FirstFailure(#[from] FirstFailure),
}

/// A test failed, and none was to begin after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a test failed, and no further one was to begin (--fail-fast)")]
pub struct FirstFailure;

impl Diagnosed for FirstFailure {
    fn class(&self) -> Class {
        Class::TestFailed
    }
}

diagnosed_by_variant!(RunError: Scenario, Midi, SongFile, Provision, TestBed, Playback, Conformance, AllocFaults, Kills, Hostile, QemuLimits, File, FirstFailure);

impl From<ProvisionError> for RunError {
    fn from(error: ProvisionError) -> Self {
        Self::Provision(Box::new(error))
    }
}
