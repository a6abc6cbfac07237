//! A step as it is carried out.

use std::fmt;
use std::path::PathBuf;

use toml::Spanned;

use crate::sound::midi::Song;
use crate::sound::song_source::SongSource;
use crate::steps::document::{
    AdvanceStep, CaptureStep, CardLimit, CodedStatus, DownloadStep, ExpectStep, FaultStep, FormatStep, HostStep,
    OpenStep, PlayStep, PowerState, PropertyStep, SaveStep, SendStep, StateStep, WaitStep,
};

/// A verb, as scenario files name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verb(pub &'static str);

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The place of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        write!(f, "{}:{}", name.display(), self.line)
    }
}

/// A step.
#[derive(Clone, Debug)]
pub struct PlannedStep {
    /// Its number, such as `3` or, in the second list of a parallel step, `3.2.1`.
    pub number: String,
    /// Its verb.
    pub verb: Verb,
    /// The name that its author gave it.
    pub name: Option<String>,
    /// Where it stands.
    pub place: Place,
    /// What it does.
    pub act: Act,
    /// How it must fail, if it must.
    pub fails: Option<Fails>,
    /// Bounds of its time in card time, in milliseconds.
    pub card_ms: Option<CardLimit>,
    /// The longest time on the host, in seconds.
    pub host_s: Option<u32>,
}

impl PlannedStep {
    /// Returns what reports call it.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.name {
            Some(name) => format!("step {} `{}` \"{name}\" ({})", self.number, self.verb, self.place),
            None => format!("step {} `{}` ({})", self.number, self.verb, self.place),
        }
    }
}

/// How a step must fail.
#[derive(Clone, Debug)]
pub struct Fails {
    /// The statuses of which the driver returns one; any where there are none.
    pub statuses: Vec<CodedStatus>,
    /// A part of the error's text.
    pub text: Option<String>,
}

/// Music.
#[derive(Clone, Debug)]
pub enum Music {
    /// The scenario's song.
    OfScenario,
    /// Another song.
    Song(SongSource),
    /// Events of the step itself.
    Events(Song),
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Act {
    /// Loads the driver.
    Load,
    /// Starts the device.
    Start,
    /// Removes the device in order.
    Stop,
    /// Stops the device and starts it with other resources.
    Restart,
    /// Sets the device's power state.
    Power(PowerState),
    /// Removes the device by surprise.
    Remove,
    /// Unloads the driver.
    UnloadDriver,
    /// Unloads what was downloaded under a name.
    UnloadDownload(String),
    /// Opens a stream.
    Open(OpenStep),
    /// Closes a stream.
    Close(String),
    /// Sets the state of a stream.
    State(StateStep),
    /// Connects a stream in another format.
    Format(FormatStep),
    /// Plays.
    Play(Box<PlayStep>, Music),
    /// Brings messages in at the device.
    Send(SendStep, Option<SongSource>),
    /// Compares what was captured.
    Capture(CaptureStep, Option<SongSource>),
    /// Makes a property request.
    Property(Box<PropertyStep>),
    /// Downloads.
    Download(DownloadStep),
    /// Waits for an event.
    Wait(WaitStep),
    /// Lets the card's time pass.
    Advance(AdvanceStep),
    /// Has the card fail.
    Fault(FaultStep),
    /// Acts on the host.
    Host(Box<HostStep>),
    /// Expects; `true` ends the steps where it does not hold.
    Expect(Box<ExpectStep>, bool),
    /// Keeps a value.
    Save(SaveStep),
    /// Carries out lists side by side.
    Parallel(Vec<PlannedBranch>),
    /// Carries out the steps of another file.
    Include(Vec<PlannedStep>),
}

/// A list of a parallel step.
#[derive(Clone, Debug)]
pub struct PlannedBranch {
    /// Its name.
    pub name: String,
    /// Its steps.
    pub steps: Vec<PlannedStep>,
}

impl Act {
    /// Returns whether it talks to the guest, or to QEMU's monitor, which one list at a time can do.
    #[must_use]
    pub fn needs_guest(&self) -> bool {
        match self {
            Self::Advance(_) | Self::Fault(_) => false,
            Self::Host(host) => host.qmp.is_some(),
            Self::Send(_, song) => song.is_some(),
            Self::Wait(wait) => wait.finding.is_some() || wait.value.is_some_and(|value| !value.is_of_card()),
            Self::Save(save) => !save.value.is_of_card(),
            Self::Expect(expect, _) => !expect.is_of_card(),
            Self::Include(steps) => steps.iter().any(|step| step.act.needs_guest()),
            _ => true,
        }
    }
}

/// Returns the value of a member and its place.
pub(super) fn both<T: Clone>(member: &Spanned<T>) -> (T, std::ops::Range<usize>) {
    (member.get_ref().clone(), member.span())
}
