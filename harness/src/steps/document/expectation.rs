//! What steps expect.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::midi::Bytes;
use super::value::{Bounds, ValueName};
use super::yes::True;

/// Expectations: all members that are there must hold.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectStep {
    /// The stream whose last playback is looked at; the last one of all where it is absent.
    #[schemars(with = "Option<String>")]
    pub stream: Option<Spanned<String>>,
    /// The PCM is the offline render of the same events, bit for bit.
    pub bit_identical: Option<True>,
    /// The PCM is the one of a golden file.
    #[schemars(with = "Option<Golden>")]
    pub golden: Option<Spanned<Golden>>,
    /// The PCM is as loud as this, over a part of it.
    pub level: Option<Level>,
    /// The PCM is silent, over a part of it.
    pub silence: Option<Silence>,
    /// The strongest tone of the PCM, over a part of it.
    pub tone: Option<Tone>,
    /// The moments at which the sound begins.
    pub onsets: Option<Onsets>,
    /// The loudness of all of the PCM.
    pub loudness: Option<Loudness>,
    /// The MIDI messages that the device received in the last playback are those that were played. For the card, and for devices
    /// that tell them.
    pub received_as_played: Option<True>,
    /// The MIDI bytes that the device received since the last such expectation. For the card, and for devices
    /// that tell them.
    pub received: Option<Bytes>,
    /// A value, which is within the bounds beside it.
    pub value: Option<ValueName>,
    /// The least value.
    pub min: Option<u64>,
    /// The greatest value.
    pub max: Option<u64>,
    /// The value itself.
    pub equals: Option<u64>,
    /// Counts the value from the one that was saved under this name.
    #[schemars(with = "Option<String>")]
    pub since: Option<Spanned<String>>,
    /// The card has found nothing wrong with the driver in this session, or a device of the user's since its start.
    pub no_diagnosis: Option<True>,
    /// The first error of the driver that the card has found in this session, or a device of the user's since its start, has this code.
    pub diagnosis: Option<String>,
    /// The guest has found nothing without stopping.
    pub no_findings: Option<True>,
    /// The guest has found something about this rule without stopping.
    pub finding: Option<u16>,
    /// A line of the guest or of the driver contains this text.
    pub log: Option<String>,
    /// No line of the guest or of the driver contains this text.
    pub no_log: Option<String>,
    /// The last playback took so long in card time, in milliseconds.
    pub card_ms: Option<Bounds>,
}

/// A golden file: the hash of PCM that a person has listened to. It is written by `--update-golden`, and by nothing else.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Golden(pub PathBuf);

/// A level, as the root mean square over a part of the PCM.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Level {
    /// Where the part begins, in milliseconds.
    pub from_ms: u32,
    /// Where it ends; the end of the PCM where it is absent.
    pub to_ms: Option<u32>,
    /// The least level, in dB of full scale.
    pub min_dbfs: Option<f64>,
    /// The greatest level, in dB of full scale.
    pub max_dbfs: Option<f64>,
}

/// Silence over a part of the PCM.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Silence {
    /// Where the part begins, in milliseconds.
    pub from_ms: u32,
    /// Where it ends; the end of the PCM where it is absent.
    pub to_ms: Option<u32>,
    /// The largest magnitude of a sample that still is silence, 0 where it is absent.
    pub peak_max: u16,
}

/// The strongest tone over a part of the PCM.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tone {
    /// Where the part begins, in milliseconds.
    #[serde(default)]
    pub from_ms: u32,
    /// Where it ends; the end of the PCM where it is absent.
    pub to_ms: Option<u32>,
    /// Its frequency.
    pub hz: f64,
    /// How far off it may be, in cents.
    #[serde(default = "ten_cents")]
    pub within_cents: f64,
}

/// A tone is found to about a cent in half a second of PCM, and to ten in a tenth of one.
const fn ten_cents() -> f64 {
    10.0
}

/// The moments at which sound begins after silence.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Onsets {
    /// The moments, in milliseconds, in order; no others.
    pub ms: Vec<f64>,
    /// How far off each may be, in milliseconds.
    #[serde(default = "a_millisecond")]
    pub within_ms: f64,
    /// The magnitude of a sample from which on there is sound.
    #[serde(default = "quiet")]
    pub threshold: u16,
    /// How long it must have been silent before, in milliseconds.
    #[serde(default = "gap")]
    pub gap_ms: f64,
}

const fn a_millisecond() -> f64 {
    1.0
}

/// A hundredth of full scale.
const fn quiet() -> u16 {
    328
}

const fn gap() -> f64 {
    20.0
}

/// The loudness of PCM after ITU-R BS.1770 and EBU R 128.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Loudness {
    /// The least integrated loudness.
    pub min_lufs: Option<f64>,
    /// The greatest integrated loudness.
    pub max_lufs: Option<f64>,
}

impl ExpectStep {
    /// Returns whether the card alone can tell whether it holds.
    #[must_use]
    pub fn is_of_card(&self) -> bool {
        let Self {
            stream,
            bit_identical,
            golden,
            level,
            silence,
            tone,
            onsets,
            loudness,
            received_as_played,
            received,
            value,
            no_findings,
            finding,
            card_ms,
            ..
        } = self;
        stream.is_none()
            && bit_identical.is_none()
            && golden.is_none()
            && level.is_none()
            && silence.is_none()
            && tone.is_none()
            && onsets.is_none()
            && loudness.is_none()
            && received_as_played.is_none()
            && received.is_none()
            && no_findings.is_none()
            && finding.is_none()
            && card_ms.is_none()
            && value.is_none_or(ValueName::is_of_card)
    }

    /// Returns whether it looks at a playback.
    #[must_use]
    pub const fn is_of_playback(&self) -> bool {
        self.bit_identical.is_some()
            || self.golden.is_some()
            || self.level.is_some()
            || self.silence.is_some()
            || self.tone.is_some()
            || self.onsets.is_some()
            || self.loudness.is_some()
            || self.received_as_played.is_some()
            || self.card_ms.is_some()
    }

    /// Returns whether it is about errors of the driver that card or device has found.
    #[must_use]
    pub const fn is_of_diagnosis(&self) -> bool {
        self.no_diagnosis.is_some() || self.diagnosis.is_some()
    }

    /// Returns whether it expects nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        !self.is_of_playback()
            && self.received.is_none()
            && self.value.is_none()
            && !self.is_of_diagnosis()
            && self.no_findings.is_none()
            && self.finding.is_none()
            && self.log.is_none()
            && self.no_log.is_none()
    }
}
