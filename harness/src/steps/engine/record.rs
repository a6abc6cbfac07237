//! What came of steps.

use std::path::PathBuf;

use serde::Serialize;

use crate::host::standstill::Standstills;
use crate::playback::{CardReport, DeviceReport, PlaybackError};
use crate::testbed::violations::FindingsReport;

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepResult {
    /// It did what it says.
    Passed,
    /// It failed, and so does the scenario.
    Failed,
    /// It failed behind the steps, where it changes no verdict.
    Noted,
    /// It was not reached.
    NotReached,
}

/// A step that was carried out.
#[derive(Clone, Debug, Serialize)]
pub struct StepRecord {
    /// Its number, such as `3` or `3.2.1`.
    pub number: String,
    /// Its verb.
    pub verb: &'static str,
    /// The name that its author gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The file that it stands in.
    #[serde(serialize_with = "crate::host::lossy::path")]
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: usize,
    /// What came of it.
    pub result: StepResult,
    /// Milliseconds from the first step's beginning to its own.
    pub begun_ms: f64,
    /// How long it took on the host, in milliseconds.
    pub milliseconds: f64,
    /// How long it took in card time, in milliseconds, where there is a card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card_ms: Option<f64>,
    /// What was found, or why it failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What came of all steps that ran to their end.
#[derive(Clone, Debug, Serialize)]
pub struct StepsVerdict {
    /// Every step.
    pub steps: Vec<StepRecord>,
    /// What did not hold, a sentence each.
    pub failures: Vec<String>,
    /// What card, songs and banks left out.
    pub warnings: Vec<String>,
    /// What the card counted and found, before the end; nothing where the driver is for another device.
    pub card: Option<CardReport>,
    /// What a device of the user's counted and found, before the end, where it tells.
    pub device: Option<DeviceReport>,
    /// SHA-256 of the last playback's PCM, in hexadecimal.
    pub pcm_sha256: Option<String>,
    /// From QEMU's start to the verdict, in milliseconds.
    pub milliseconds: f64,
    /// Standstills of the host.
    #[serde(skip)]
    pub standstills: Standstills,
    /// What the guest found without stopping.
    #[serde(skip)]
    pub findings: FindingsReport,
}

impl StepsVerdict {
    /// Returns the verdict if every step did what it says.
    ///
    /// # Errors
    /// [`PlaybackError::Act`] with each step that did not.
    pub fn expect_passed(self) -> Result<Self, PlaybackError> {
        if self.failures.is_empty() { Ok(self) } else { Err(PlaybackError::Act(self.failures.join("\n"))) }
    }
}
