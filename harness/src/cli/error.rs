//! The error of a verb: where the errors of all layers meet.

use dmus::bench::BenchError;
use dmus::diagnosed_by_variant;
use dmus::dist::DistError;
use dmus::host::failure::{Class, Diagnosed};
use dmus::host::file_error::FileError;
use dmus::host::limits::LimitError;
use dmus::hostile::HostileError;
use dmus::image::ImageError;
use dmus::image::media::MediaError;
use dmus::machine::stub::StubSocketError;
use dmus::package::PackError;
use dmus::playback::PlaybackError;
use dmus::provision::ProvisionError;
use dmus::provision::inf::InfError;
use dmus::report::ReportFileError;
use dmus::scenario::{LastRunError, RunError, ScenarioError};
use dmus::sound::bank::BankCommandError;
use dmus::sound::loudness::LoudnessError;
use dmus::sound::midi::MidiError;
use dmus::sound::player::PlayerError;
use dmus::sound::render::RenderError;
use dmus::sound::song_file::SongFileError;
use dmus::testbed::TestBedError;
use dmus::testbed::session::SessionError;
use dmus::trace::{FilterError, RepeatError, ReplayError, TraceError};

/// Why a verb did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The test bed failed.
    #[error(transparent)]
    TestBed(#[from] TestBedError),
    /// A scenario file is malformed.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// It is not known which tests failed last.
    #[error(transparent)]
    LastRun(#[from] LastRunError),
    /// Scenarios were not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Live MIDI cannot be read.
    #[error(transparent)]
    Playback(#[from] PlaybackError),
    /// A benchmark has no figures.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// The hostile driver was not run.
    #[error(transparent)]
    Hostile(#[from] HostileError),
    /// The download was not made, or does not work.
    #[error(transparent)]
    Dist(#[from] DistError),
    /// A command about instrument banks failed.
    #[error(transparent)]
    Bank(#[from] BankCommandError),
    /// The loudness of a sound file could not be measured.
    #[error(transparent)]
    Loudness(#[from] LoudnessError),
    /// The offline render failed.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// A sound could not be played.
    #[error(transparent)]
    Player(#[from] PlayerError),
    /// A built-in song could not be read.
    #[error(transparent)]
    Midi(#[from] MidiError),
    /// A song file could not be read.
    #[error(transparent)]
    SongFile(#[from] SongFileError),
    /// An artefact could not be provisioned.
    #[error(transparent)]
    Provision(Box<ProvisionError>),
    /// The conversation with the guest ended early.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that a report shall be written to cannot take it.
    #[error(transparent)]
    ReportFile(#[from] ReportFileError),
    /// A limit of the host was reached.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// An INF is malformed.
    #[error(transparent)]
    Inf(#[from] InfError),
    /// A driver package was not made or read.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// An image was not built, found or removed.
    #[error(transparent)]
    Image(Box<ImageError>),
    /// A trace could not be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A recording was not replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A run was not repeated.
    #[error(transparent)]
    Repeat(#[from] RepeatError),
    /// A filter of a trace is not understood.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A debugger cannot attach there.
    #[error(transparent)]
    Stub(#[from] StubSocketError),
    /// Options that do not belong together.
    #[error(transparent)]
    Usage(#[from] UsageError),
}

/// Options that do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(super) String);

impl Diagnosed for UsageError {
    fn class(&self) -> Class {
        Class::Usage
    }

    fn remedy(&self) -> Option<String> {
        Some("see `--help`, and harness/README.md on a driver's own device".into())
    }
}

diagnosed_by_variant!(Error: Playback, TestBed, Scenario, LastRun, Run, Bench, Hostile, Dist, Bank, Loudness, Render, Player, Midi, SongFile, Provision, Session, File, ReportFile, Limit, Inf, Pack, Image, Trace, Replay, Repeat, Filter, Stub, Usage);

/// The result of a verb: the class of the failure, if something failed.
pub(crate) type Outcome = Result<Option<Class>, Error>;

impl From<ProvisionError> for Error {
    fn from(error: ProvisionError) -> Self {
        Self::Provision(Box::new(error))
    }
}

impl From<ImageError> for Error {
    fn from(error: ImageError) -> Self {
        Self::Image(Box::new(error))
    }
}

impl From<MediaError> for Error {
    fn from(error: MediaError) -> Self {
        ImageError::from(error).into()
    }
}
