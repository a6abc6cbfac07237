//! The error of a playback test that has no verdict.

use std::fmt;
use std::path::PathBuf;

use super::judge::ReferenceError;
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::limits::LimitError;
use crate::host::standstill::Standstills;
use crate::machine::{DeviceControlError, MachineError};
use crate::sound::live::LiveError;
use crate::sound::pcm::PcmFormat;
use crate::sound::render::RenderError;
use crate::sound::song_file::SongFileError;
use crate::testbed::session::{Consequence, SessionError};
use crate::testbed::violations::FindingsReport;
use crate::testbed::{HostStalled, TestBedError};

/// Why a playback test has no verdict, or what its verdict stands for where an error is needed.
#[derive(thiserror::Error)]
pub enum PlaybackError {
    /// The test bed failed.
    #[error(transparent)]
    TestBed(TestBedError),
    /// The offline render failed.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The guest says that it played less than it was given.
    #[error("the guest played {frames} of {of_frames} frames and {events} of {of_events} events")]
    Short {
        /// Frames played.
        frames: u64,
        /// Frames wanted.
        of_frames: u64,
        /// Events delivered.
        events: u64,
        /// Events given.
        of_events: u64,
    },
    /// The PCM is another than the offline render.
    #[error("the PCM differs from the offline render from frame {0} on")]
    Differs(u64),
    /// The PCM is the offline render, but silent.
    #[error("the PCM is bit-identical to the offline render, but silent")]
    Silent,
    /// The reference cannot be compared with.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The offline render has another format than the driver's PCM.
    #[error(
        "the driver's pin gives {0}, and the offline render of the project's synthesizer has 2 channels of 16 bits"
    )]
    OfflineFormat(PcmFormat),
    /// The device does not say which bytes it received.
    #[error("{device} does not say which MIDI bytes it received from the driver, so that there is nothing to judge")]
    NoBytes {
        /// The device.
        device: String,
    },
    /// Nothing can be brought in at the device.
    #[error("{device} takes nothing in at a MIDI input, so that there is nothing to capture")]
    NoMidiIn {
        /// The device.
        device: String,
    },
    /// The driver has no capture pin.
    #[error("no filter of the driver has a pin that captures music")]
    NoCapturePin,
    /// The card did not take a message in.
    #[error("the card did not take a message in at its MIDI input: {reason}")]
    NotTaken {
        /// The card's sentence.
        reason: String,
    },
    /// Live MIDI cannot be read.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// The device did not answer on its control socket.
    #[error(transparent)]
    Device(#[from] DeviceControlError),
    /// A song file could not be read.
    #[error(transparent)]
    Song(#[from] SongFileError),
    /// A step of a scenario failed.
    #[error("{step}: {failed}")]
    AtStep {
        /// The step, with its place.
        step: String,
        /// Why.
        #[source]
        failed: Box<PlaybackError>,
    },
    /// An act on the host failed, or had another outcome than a scenario says.
    #[error("{0}")]
    Act(String),
    /// The host did not let card or QEMU run, and then less was played, or something else.
    #[error(transparent)]
    HostStalled(#[from] HostStalled<PlaybackError>),
}

impl fmt::Debug for PlaybackError {
    /// Writes the text and the remedy: this is what a test shows that returns the error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        self.remedy().map_or(Ok(()), |remedy| write!(f, "\nremedy: {remedy}"))
    }
}

impl From<TestBedError> for PlaybackError {
    fn from(error: TestBedError) -> Self {
        Self::TestBed(error)
    }
}

impl From<SessionError> for PlaybackError {
    fn from(error: SessionError) -> Self {
        Self::TestBed(error.into())
    }
}

impl From<MachineError> for PlaybackError {
    fn from(error: MachineError) -> Self {
        Self::TestBed(error.into())
    }
}

impl From<FileError> for PlaybackError {
    fn from(error: FileError) -> Self {
        Self::TestBed(error.into())
    }
}

impl From<LimitError> for PlaybackError {
    fn from(error: LimitError) -> Self {
        Self::TestBed(error.into())
    }
}

impl PlaybackError {
    /// Returns this error as one of a run with these standstills, as [`TestBedError::after`] does: a song that was cut short
    /// or sounds otherwise may be the consequence of one.
    #[must_use]
    pub fn after(self, standstills: Standstills) -> Self {
        match self {
            Self::TestBed(error) => Self::TestBed(error.after(standstills)),
            Self::AtStep { step, failed } => Self::AtStep { step, failed: Box::new(failed.after(standstills)) },
            Self::Short { .. } | Self::Differs(_) if !standstills.is_empty() => {
                HostStalled { standstills, failed: Box::new(self) }.into()
            }
            other => other,
        }
    }

    /// Returns the error of the test bed behind it, if one is, without the standstill of the host before it.
    #[must_use]
    pub fn testbed(&self) -> Option<&TestBedError> {
        match self {
            Self::TestBed(error) => Some(error.underlying()),
            Self::HostStalled(HostStalled { failed, .. }) | Self::AtStep { failed, .. } => failed.testbed(),
            Self::Render(_)
            | Self::Short { .. }
            | Self::Differs(_)
            | Self::Silent
            | Self::Reference(_)
            | Self::OfflineFormat(_)
            | Self::NoBytes { .. }
            | Self::NoMidiIn { .. }
            | Self::NoCapturePin
            | Self::NotTaken { .. }
            | Self::Song(_)
            | Self::Live(_)
            | Self::Act(_)
            | Self::Device(_) => None,
        }
    }
}

impl PlaybackError {
    /// Tells whether the guest is of a kind that does not do what it was asked for, as [`SessionError::is_unsupported`] does.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(self.testbed(), Some(TestBedError::Session(error)) if error.is_unsupported())
    }

    /// Returns the class of what failed, without the standstill of the host before it.
    #[must_use]
    pub fn underlying_class(&self) -> Class {
        match self {
            Self::TestBed(error) => error.underlying().class(),
            Self::HostStalled(HostStalled { failed, .. }) | Self::AtStep { failed, .. } => failed.underlying_class(),
            other => other.class(),
        }
    }
}

impl Consequence for PlaybackError {
    fn session_error(&self) -> Option<&SessionError> {
        match self {
            Self::TestBed(error) => error.session_error(),
            Self::AtStep { failed, .. } => failed.session_error(),
            _ => None,
        }
    }

    fn may_follow_a_death(&self) -> bool {
        match self {
            Self::TestBed(error) => error.may_follow_a_death(),
            Self::AtStep { failed, .. } => failed.may_follow_a_death(),
            Self::Act(_)
            | Self::Short { .. }
            | Self::Differs(_)
            | Self::Silent
            | Self::NotTaken { .. }
            | Self::Device(_) => true,
            Self::Render(_)
            | Self::Reference(_)
            | Self::OfflineFormat(_)
            | Self::NoBytes { .. }
            | Self::NoMidiIn { .. }
            | Self::NoCapturePin
            | Self::Song(_)
            | Self::Live(_)
            | Self::HostStalled(_) => false,
        }
    }
}

impl Diagnosed for PlaybackError {
    fn class(&self) -> Class {
        match self {
            Self::TestBed(error) => error.class(),
            Self::Render(error) => error.class(),
            Self::Song(error) => error.class(),
            Self::Live(error) => error.class(),
            Self::AtStep { failed, .. } => failed.class(),
            Self::Act(_)
            | Self::Short { .. }
            | Self::Differs(_)
            | Self::Silent
            | Self::NoCapturePin
            | Self::NotTaken { .. } => Class::TestFailed,
            Self::Reference(error) => error.class(),
            Self::OfflineFormat(_) | Self::NoBytes { .. } | Self::NoMidiIn { .. } => Class::Usage,
            Self::Device(error) => error.class(),
            Self::HostStalled(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::TestBed(error) => error.remedy(),
            Self::Render(error) => error.remedy(),
            Self::Song(error) => error.remedy(),
            Self::Live(error) => error.remedy(),
            Self::AtStep { failed, .. } => failed.remedy(),
            Self::Act(_) | Self::Short { .. } | Self::Differs(_) | Self::Silent => None,
            Self::Reference(error) => error.remedy(),
            Self::OfflineFormat(_) => {
                Some("judge it by a reference of its own (--reference), or by its rules alone (--judge plays)".into())
            }
            Self::NoBytes { .. } => Some(
                "offer `bytes` on the device's control socket (device/pci/CONTROL.md), or use another --judge".into(),
            ),
            Self::NoMidiIn { .. } => {
                Some("offer `midi-in` on the device's control socket (device/pci/CONTROL.md), or play a song".into())
            }
            Self::NoCapturePin => Some("the driver must offer an output pin of music: check its data ranges".into()),
            Self::NotTaken { .. } => Some("the driver must open a session and a stream that captures".into()),
            Self::Device(error) => error.remedy(),
            Self::HostStalled(error) => error.remedy(),
        }
    }
}

/// A playback test without a verdict, with what its reader needs first.
#[derive(Debug)]
pub struct PlaybackFailure {
    /// The error.
    pub error: PlaybackError,
    /// The ends of the logs, a titled block each; a bug check's report first.
    pub evidence: String,
    /// What the guest had found before without stopping.
    pub findings: FindingsReport,
    /// The run folder.
    pub run_folder: PathBuf,
}
