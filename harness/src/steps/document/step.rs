//! A step: one verb, and modifiers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::{Spanned, Value};

use super::expectation::ExpectStep;
use super::fault::FaultStep;
use super::host::HostStep;
use super::property::{CodedStatus, DownloadStep, PropertyStep};
use super::stream::{CaptureStep, FormatStep, OpenStep, PlayStep, SendStep, StateStep};
use super::value::{Bounds, ValueName};
use super::yes::True;

/// A step: exactly one verb, and modifiers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepTable {
    /// Verb: load the driver image and call `DriverEntry`. Without this verb in a scenario, driver and device are started before the
    /// first step.
    #[schemars(with = "Option<True>")]
    pub load: Option<Spanned<True>>,
    /// Verb: find the device, call `AddDevice`, send `IRP_MN_START_DEVICE`.
    #[schemars(with = "Option<True>")]
    pub start: Option<Spanned<True>>,
    /// Verb: close what is open, and remove the device (`IRP_MN_REMOVE_DEVICE`).
    #[schemars(with = "Option<True>")]
    pub stop: Option<Spanned<True>>,
    /// Verb: stop the device (`IRP_MN_STOP_DEVICE`) and start it again with other resources.
    #[schemars(with = "Option<True>")]
    pub restart: Option<Spanned<True>>,
    /// Verb: set the device's power state.
    #[schemars(with = "Option<PowerState>")]
    pub power: Option<Spanned<PowerState>>,
    /// Verb: pull the device out while it is used (`IRP_MN_SURPRISE_REMOVAL`). What is open is to be closed after that.
    #[schemars(with = "Option<True>")]
    pub remove: Option<Spanned<True>>,
    /// Verb: call `DriverUnload` and look for what the driver still holds; or unload what was downloaded.
    #[schemars(with = "Option<UnloadStep>")]
    pub unload: Option<Spanned<UnloadStep>>,
    /// Verb: open a stream under a name.
    #[schemars(with = "Option<OpenStep>")]
    pub open: Option<Spanned<OpenStep>>,
    /// Verb: close a stream, by its name.
    #[schemars(with = "Option<String>")]
    pub close: Option<Spanned<String>>,
    /// Verb: set the state of a stream's pins.
    #[schemars(with = "Option<StateStep>")]
    pub state: Option<Spanned<StateStep>>,
    /// Verb: connect a stream's pins again, in another format.
    #[schemars(with = "Option<FormatStep>")]
    pub format: Option<Spanned<FormatStep>>,
    /// Verb: play a song, a part of one, or events on a stream.
    #[schemars(with = "Option<PlayStep>")]
    pub play: Option<Spanned<PlayStep>>,
    /// Verb: bring messages in at the device's MIDI input.
    #[schemars(with = "Option<SendStep>")]
    pub send: Option<Spanned<SendStep>>,
    /// Verb: take what came out of a capture stream, and compare it.
    #[schemars(with = "Option<CaptureStep>")]
    pub capture: Option<Spanned<CaptureStep>>,
    /// Verb: get or set a property, or ask for its basic support.
    #[schemars(with = "Option<PropertyStep>")]
    pub property: Option<Spanned<PropertyStep>>,
    /// Verb: download an instrument with its wave, or raw data.
    #[schemars(with = "Option<DownloadStep>")]
    pub download: Option<Spanned<DownloadStep>>,
    /// Verb: wait for an event.
    #[schemars(with = "Option<WaitStep>")]
    pub wait_for: Option<Spanned<WaitStep>>,
    /// Verb: let the card's time pass, under the lockstep clock.
    #[schemars(with = "Option<AdvanceStep>")]
    pub advance: Option<Spanned<AdvanceStep>>,
    /// Verb: have the card fail.
    #[schemars(with = "Option<FaultStep>")]
    pub fault: Option<Spanned<FaultStep>>,
    /// Verb: do something on the host.
    #[schemars(with = "Option<HostStep>")]
    pub host: Option<Spanned<HostStep>>,
    /// Verb: expect something; if it is not so, the steps end here.
    #[schemars(with = "Option<ExpectStep>")]
    pub expect: Option<Spanned<ExpectStep>>,
    /// Verb: expect something; if it is not so, the scenario fails and the steps go on.
    #[schemars(with = "Option<ExpectStep>")]
    pub check: Option<Spanned<ExpectStep>>,
    /// Verb: keep a value under a name, for `since` of a later step.
    #[schemars(with = "Option<SaveStep>")]
    pub save: Option<Spanned<SaveStep>>,
    /// Verb: carry out lists of steps side by side. The first failure ends all of them. One list may have steps that talk to the guest;
    /// the others act on card, QEMU and host.
    #[schemars(with = "Option<Vec<Branch>>")]
    pub parallel: Option<Spanned<Vec<Branch>>>,
    /// Verb: carry out the steps of another file.
    #[schemars(with = "Option<IncludeStep>")]
    pub include: Option<Spanned<IncludeStep>>,
    /// Modifier: what the report calls the step.
    pub name: Option<String>,
    /// Modifier: the step must fail, and how.
    #[schemars(with = "Option<FailsWith>")]
    pub fails: Option<Spanned<FailsWith>>,
    /// Modifier: limits of the step in card time, in milliseconds.
    #[schemars(with = "Option<CardLimit>")]
    pub card_ms: Option<Spanned<CardLimit>>,
    /// Modifier: the longest time of the step on the host, in seconds.
    #[schemars(with = "Option<u32>", range(min = 1, max = 86_400))]
    pub host_s: Option<Spanned<u32>>,
}

/// A power state of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PowerState {
    /// Fully on.
    D0,
    /// Light sleep.
    D1,
    /// Deeper sleep.
    D2,
    /// Off.
    D3,
}

/// `true` for the driver, or the name of a download.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum UnloadStep {
    /// The driver.
    Driver(True),
    /// What was downloaded under this name.
    Download(String),
}

/// What is waited for. Of several members, the first that happens ends the wait.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitStep {
    /// Another session of the driver on the card than there was when the step before this one began.
    pub new_session: Option<True>,
    /// A fault of this kind has struck.
    #[schemars(with = "Option<String>")]
    pub struck: Option<Spanned<String>>,
    /// A line of the guest or of the driver contains this text.
    pub log: Option<String>,
    /// The guest has found something about this rule.
    pub finding: Option<u16>,
    /// A value is within the bounds beside it.
    pub value: Option<ValueName>,
    /// The least value.
    pub min: Option<u64>,
    /// The greatest value.
    pub max: Option<u64>,
    /// Counts the value from the one that was saved under this name.
    #[schemars(with = "Option<String>")]
    pub since: Option<Spanned<String>>,
    /// The longest time of the wait in card time, in milliseconds: an event that is later than that has not come.
    pub within_card_ms: Option<u64>,
}

/// A time of the card's clock.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdvanceStep {
    /// Frames.
    #[schemars(range(min = 1, max = 345_600_000))]
    pub frames: Option<u64>,
    /// Milliseconds.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub ms: Option<u64>,
}

/// A value to keep.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveStep {
    /// The value.
    pub value: ValueName,
    /// Its name.
    #[serde(rename = "as")]
    pub name: String,
}

/// A list of steps that runs beside others.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// What the report calls it.
    pub name: Option<String>,
    /// The steps.
    #[schemars(with = "Vec<StepTable>")]
    pub step: Vec<Spanned<StepTable>>,
}

/// Steps of another file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IncludeStep {
    /// The file, from the folder of the file that includes it.
    pub file: PathBuf,
    /// Values of the file's parameters.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub with: BTreeMap<String, Value>,
}

/// A file of steps that scenarios include.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepList {
    /// What the steps are for, in a sentence.
    pub title: String,
    /// Parameters, with their values where the including step names none. A text `"${name}"` is replaced by the value.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub parameters: BTreeMap<String, Value>,
    /// The steps.
    #[schemars(with = "Vec<StepTable>")]
    pub step: Vec<Spanned<StepTable>>,
}

/// How a step must fail.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailsWith {
    /// The `NTSTATUS` that the driver returns: a number or a name; or several, of which it returns one.
    pub status: Option<Statuses>,
    /// A part of the error's text.
    pub text: Option<String>,
}

/// A status, or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Statuses {
    /// This one.
    One(CodedStatus),
    /// One of these.
    Several(Vec<CodedStatus>),
}

impl Statuses {
    /// Returns all of them.
    #[must_use]
    pub fn all(&self) -> &[CodedStatus] {
        match self {
            Self::One(status) => std::slice::from_ref(status),
            Self::Several(statuses) => statuses,
        }
    }
}

/// Limits in card time.
pub type CardLimit = Bounds;

/// The table `[limits]`: how long all steps may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsTable {
    /// The longest time of all steps in card time, in milliseconds.
    pub card_ms: Option<u64>,
    /// The longest time of all steps on the host, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub host_s: Option<u32>,
    /// The longest time of a step without progress on the host, in seconds; `--timeout` where it is absent.
    #[schemars(range(min = 1, max = 3_600))]
    pub no_progress_s: Option<u32>,
}
