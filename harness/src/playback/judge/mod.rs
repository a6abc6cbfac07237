//! What decides whether a song was played right.

mod midi_verdict;
mod reference;
mod tolerance;

use std::path::PathBuf;

use serde::Serialize;

pub use midi_verdict::{MidiDifference, MidiVerdict, compare_midi};
pub use reference::{Comparison, Reference, ReferenceError};
pub use tolerance::{OFFSET_MAX, Tolerance, ToleranceError};

use crate::sound::pcm::Difference;

/// The tolerance of a MIDI message's time, where messages have times to compare, in milliseconds: the timer of a port that
/// holds events has a period of a millisecond, and a busy host delays it.
pub const MIDI_TOLERANCE_MS_DEFAULT: u32 = 20;

/// What a song is judged by.
#[derive(Clone, Debug, PartialEq)]
pub enum Judge {
    /// The offline render of the project's synthesizer, bit for bit.
    Offline,
    /// The PCM in a WAV file, within a tolerance.
    Reference {
        /// The file.
        wav: PathBuf,
        /// The tolerance.
        tolerance: Tolerance,
    },
    /// The MIDI bytes that the device says it received from the driver.
    MidiBytes {
        /// The tolerance of times under the realtime clock, in milliseconds.
        tolerance_ms: u32,
    },
    /// Nothing but that the song plays to its end, sounds where there is sound, and breaks no rule.
    Plays,
}

impl Judge {
    /// Returns its name on a command line and in a scenario.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Reference { .. } => "reference",
            Self::MidiBytes { .. } => "midi-bytes",
            Self::Plays => "plays",
        }
    }

    /// Returns the judge of a name that needs nothing beside it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "offline" => Self::Offline,
            "midi-bytes" => Self::MidiBytes { tolerance_ms: MIDI_TOLERANCE_MS_DEFAULT },
            "plays" => Self::Plays,
            _ => return None,
        })
    }

    /// Tells whether it compares PCM, so that a filter must give some.
    #[must_use]
    pub const fn needs_pcm(&self) -> bool {
        matches!(self, Self::Offline | Self::Reference { .. })
    }
}

/// The finding of a judge.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "judge", rename_all = "kebab-case")]
pub enum Judgement {
    /// The PCM beside the offline render.
    Offline {
        /// The first difference; `None` where they are the same, bit for bit.
        difference: Option<Difference>,
        /// SHA-256 of the offline render's PCM.
        offline_sha256: String,
    },
    /// The PCM beside that of a WAV file.
    Reference {
        /// The file.
        reference: PathBuf,
        /// The tolerance.
        tolerance: Tolerance,
        /// The difference.
        comparison: Comparison,
    },
    /// The bytes that the device received beside the song's.
    MidiBytes(MidiVerdict),
    /// What came out of the capture pin beside the song that was brought in.
    Captured(MidiVerdict),
    /// The song was played to its end.
    Plays,
}

impl Judgement {
    /// Tells whether the judge accepts.
    #[must_use]
    pub const fn passed(&self) -> bool {
        match self {
            Self::Offline { difference, .. } => difference.is_none(),
            Self::Reference { comparison, .. } => comparison.within,
            Self::MidiBytes(verdict) | Self::Captured(verdict) => verdict.passed(),
            Self::Plays => true,
        }
    }

    /// Tells whether the PCM is the offline render, bit for bit; `None` if another judge judged.
    #[must_use]
    pub const fn bit_identical(&self) -> Option<bool> {
        match self {
            Self::Offline { difference, .. } => Some(difference.is_none()),
            Self::Reference { .. } | Self::MidiBytes(_) | Self::Captured(_) | Self::Plays => None,
        }
    }

    /// Returns the finding in a sentence.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Offline { difference: None, .. } => "bit-identical to the offline render".into(),
            Self::Offline { difference: Some(difference), .. } => difference.to_string(),
            Self::Reference { reference, tolerance, comparison } => {
                let within = if comparison.within { "within" } else { "outside" };
                format!("{within} the tolerance ({tolerance}) of {}: {comparison}", reference.display())
            }
            Self::MidiBytes(verdict) => verdict.to_string(),
            Self::Captured(verdict) => verdict.of_capture(),
            Self::Plays => "played to its end".into(),
        }
    }
}
