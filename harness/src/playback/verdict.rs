//! The verdict of a playback test that ran to its end.

use std::path::PathBuf;

use card_control::Status;
use card_control::status::DriverErrorStatus;
use guest_protocol::{RuleState, Statistics};
use serde::Serialize;

use super::judge::Judgement;
use super::live::LiveReport;
use crate::event::Step;
use crate::host::failure::Class;
use crate::host::standstill::Standstills;
use crate::machine::conditions::Conditions;
use crate::machine::{DeviceControl, DeviceControlError, DeviceDiagnosis, Offer};
use crate::sound::pcm::PcmFormat;
use crate::testbed::Choice;
use crate::testbed::violations::FindingsReport;

/// The driver image, in the file and in the guest.
#[derive(Clone, Debug, Serialize)]
pub struct DriverReport {
    /// The path of the file.
    #[serde(serialize_with = "crate::host::lossy::path")]
    pub path: PathBuf,
    /// The SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The SHA-256 that the guest computed of what it loaded; it is the file's, or the test has no verdict.
    pub sha256_in_guest: String,
}

/// The duration of a step.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StepTime {
    /// The step.
    pub step: Step,
    /// Its duration, in milliseconds.
    pub milliseconds: f64,
}

/// Counters of [`Statistics`] that reports show.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counters {
    /// Interrupts that the device raised.
    pub interrupts: u64,
    /// Interrupts that the driver did not claim.
    pub interrupts_not_claimed: u64,
    /// Deferred procedure calls.
    pub dpcs: u64,
    /// Calls of `IPortDMus::Notify`.
    pub notifications: u64,
    /// Events given to render streams.
    pub events_put: u64,
    /// Events that came back.
    pub events_returned: u64,
    /// Most bytes of pool that the driver held.
    pub pool_bytes_peak: u64,
}

impl From<Statistics> for Counters {
    fn from(statistics: Statistics) -> Self {
        let Statistics {
            interrupts,
            interrupts_not_claimed,
            dpcs,
            notifications,
            events_put,
            events_returned,
            pool_bytes_peak,
            ..
        } = statistics;
        Self { interrupts, interrupts_not_claimed, dpcs, notifications, events_put, events_returned, pool_bytes_peak }
    }
}

/// The card's counters in its session, and the errors of the driver that it found, as reports show them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CardReport {
    /// Its counters.
    pub counters: card_control::status::Counters,
    /// The errors of the driver.
    pub diagnosis: DiagnosisReport,
}

/// The number of errors of the driver that the card found, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiagnosisReport {
    /// The number of errors.
    pub count: u64,
    /// The first error.
    pub first: Option<DriverErrorStatus>,
}

impl DiagnosisReport {
    /// Returns the first error as one line of JSON.
    #[must_use]
    pub fn first_text(&self) -> Option<String> {
        Some(serde_json::to_value(self.first.as_ref()?).ok()?.to_string())
    }
}

impl From<Status> for CardReport {
    fn from(status: Status) -> Self {
        let diagnosis = DiagnosisReport { count: status.diagnosis.count, first: status.diagnosis.first };
        Self { counters: status.counters, diagnosis }
    }
}

/// What a device of the user's counted, and what it found wrong with the driver, as reports show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeviceReport {
    /// Its counters.
    pub counters: std::collections::BTreeMap<String, u64>,
    /// The errors of the driver.
    pub diagnosis: DeviceDiagnosis,
}

impl DeviceReport {
    /// Asks a device; `None` where it does not tell.
    ///
    /// # Errors
    /// [`DeviceControlError`] for one that does not answer.
    pub fn of(control: &mut DeviceControl) -> Result<Option<Self>, DeviceControlError> {
        if !control.offers(Offer::Status) {
            return Ok(None);
        }
        Ok(Some(Self { counters: control.status()?.counters, diagnosis: control.diagnosis()? }))
    }

    /// Returns how many errors of the driver the device found, and the first; `None` where it found none.
    #[must_use]
    pub fn diagnosis_text(&self) -> Option<String> {
        let first = self.diagnosis.first.as_ref()?;
        Some(format!(
            "{}: the device found something wrong with the driver, first: {}",
            self.diagnosis.count,
            first.text()
        ))
    }
}

/// The verdict of a playback test.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// What the judge found.
    pub judgement: Judgement,
    /// Whether the PCM is not silence; `None` where there is no PCM.
    pub audible: Option<bool>,
    /// The name of the song.
    pub song: String,
    /// Events streamed.
    pub events: u64,
    /// Frames collected.
    pub frames: u64,
    /// The format of the PCM; `None` for a filter that gives none.
    pub format: Option<PcmFormat>,
    /// Largest magnitude, 0 to 32768.
    pub peak: u16,
    /// SHA-256 of the PCM, where there is some.
    pub pcm_sha256: Option<String>,
    /// The guest's counters.
    pub counters: Counters,
    /// The card's counters, and the errors of the driver that it found; `None` where the driver is for another device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<CardReport>,
    /// What a device of the user's counted and found, where it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_report: Option<DeviceReport>,
    /// What came in live, and how long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<LiveReport>,
    /// QEMU's version with its package.
    pub qemu: String,
    /// The accelerator, and why it was chosen.
    pub accelerator: Choice,
    /// The driver.
    pub driver: DriverReport,
    /// The conditions that the guest ran under.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// The guest's name and version.
    pub guest: String,
    /// The device's place on the bus, and its ids.
    pub device: String,
    /// The duration of each step.
    pub steps: Vec<StepTime>,
    /// Milliseconds from QEMU's start to the verdict.
    pub milliseconds: f64,
    /// The run folder.
    #[serde(serialize_with = "crate::host::lossy::path")]
    pub run_folder: PathBuf,
    /// The standstills of card and QEMU.
    #[serde(skip_serializing_if = "Standstills::is_empty")]
    pub standstills: Standstills,
    /// What was left out of the song and of the bank, or has no effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the guest found without stopping.
    #[serde(skip_serializing_if = "FindingsReport::is_empty")]
    pub findings: FindingsReport,
    /// The contract, and how often each of its rules was exercised.
    #[serde(skip)]
    pub rules: Vec<RuleState>,
}

impl Verdict {
    /// Returns the class of a verdict that fails: in a run in which the host stalled, a time-out of the driver's may
    /// have run out.
    #[must_use]
    pub const fn class_of_failure(&self) -> Class {
        if !self.findings.violations.is_empty() {
            // As a bug check of the rule.
            Class::GuestCrashed
        } else if self.standstills.0.is_empty() {
            Class::TestFailed
        } else {
            Class::HostStalled
        }
    }

    /// Tells whether the judge accepts, what can sound does, and the guest went on after no violation.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.judgement.passed() && self.audible != Some(false) && self.findings.violations.is_empty()
    }
}
