//! What must come out of a case: the text form (TOML) that goes with its files.

use serde::{Deserialize, Serialize};

/// The form's version; a reader refuses others.
pub const FORM: u32 = 1;

/// Everything that a runner needs to know besides the files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expectations {
    /// [`FORM`].
    pub form: u32,
    /// Chapter and name, as in the path of its files.
    pub id: String,
    /// A few words.
    pub title: String,
    /// The rule, in one sentence.
    pub rule: String,
    /// Where it is written.
    pub source: String,
    /// The lowest level of DLS that requires it.
    pub level: u8,
    /// On what the rule rests.
    pub basis: Basis,
    /// The form of the instruments.
    #[serde(skip_serializing_if = "Format::is_dls", default)]
    pub format: Format,
    /// How it is rendered.
    pub method: Method,
    /// Frames a second to render with.
    pub rate: u32,
    /// Oscillators to render with, where it matters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub voices: Option<u16>,
    /// Seconds of the MIDI file.
    pub seconds: f64,
    /// The reference note; absent where the file must be refused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<Reference>,
    /// What is measured, all of which must hold.
    #[serde(rename = "check")]
    pub checks: Vec<Check>,
}

/// On what a rule rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// A device of the level must do so.
    Required,
    /// The specification defines it, but requires it of no device.
    Optional,
    /// Files that are in use rely on it.
    Practice,
}

/// The form of a case's instruments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A DLS file.
    #[default]
    Dls,
    /// A SoundFont of version 2.04.
    Sf2,
}

impl Format {
    fn is_dls(&self) -> bool {
        *self == Self::Dls
    }

    /// Returns the extension of its files.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Dls => "dls",
            Self::Sf2 => "sf2",
        }
    }
}

/// How a case is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Twice: with the cosine file and with the sine file. Both renderings make one complex signal.
    Quadrature,
    /// Once.
    Single,
}

/// A note at full level, of the key of unity, in the middle: zero of level, pitch and time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// When it begins, in seconds.
    pub on: f64,
    /// When it ends, in seconds.
    pub off: f64,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Level at `at`, in dB.
    Level,
    /// The highest level from `at` to `until`, in dB; it must not be higher than expected.
    Below,
    /// The highest level from `at` to `until`, in dB.
    HighestLevel,
    /// The lowest level from `at` to `until`, in dB.
    LowestLevel,
    /// Turns a second of the level's ups and downs, from `at` to `until`, in Hz.
    LevelRate,
    /// Pitch at `at`, in cents.
    Pitch,
    /// The highest pitch from `at` to `until`, in cents.
    HighestPitch,
    /// The lowest pitch from `at` to `until`, in cents.
    LowestPitch,
    /// Turns a second of the pitch's ups and downs, from `at` to `until`, in Hz.
    PitchRate,
    /// Frequency of the reference note, in Hz; the tolerance is in cents.
    Frequency,
    /// When the signal first gets within 6 dB of its highest level between `at` and `until`, in seconds.
    Onset,
    /// When the signal is last within 40 dB of its highest level between `at` and `until`, in seconds.
    End,
    /// Gain at `hertz` of the impulse response whose impulse is played at `at`, in dB.
    Response,
    /// The highest gain within an octave of `hertz` of the impulse response played at `at`, in dB.
    Peak,
    /// Cutoff of the filter whose impulse response is played at `at`, of the specification's measurement prototype
    /// with a resonance of `resonance` dB, in Hz; the tolerance is in cents.
    Cutoff,
    /// How far the right output is behind the left at `at`, in samples.
    Phase,
    /// Nothing may be heard at all, or the renderer may refuse the file.
    Refused,
}

/// One measurement. Levels, pitches and times count from the reference note, where there is one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What is measured.
    pub what: What,
    /// Of what, for people.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub note: String,
    /// Seconds.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub at: f64,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<f64>,
    /// In the unit of `what`.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub expected: f64,
    /// In the unit of `what`.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub tolerance: f64,
    /// How much earlier or later the value may be met, in seconds.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub slack: f64,
    /// Length of what is looked at around a time, in seconds.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub window: f64,
    /// At which output.
    #[serde(skip_serializing_if = "Output::is_both", default)]
    pub output: Output,
    /// Only the component so many cents above the reference note.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub component: Option<f64>,
    /// The level is taken against that of another time, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub against: Option<f64>,
    /// See [`What::Response`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hertz: Option<f64>,
    /// See [`What::Cutoff`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resonance: Option<f64>,
}

fn is_zero(x: &f64) -> bool {
    *x == 0.0
}

/// One output or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// The power of both.
    #[default]
    Both,
    /// The left one, against the power of both in the reference.
    Left,
    /// The right one, likewise.
    Right,
}

impl Output {
    fn is_both(&self) -> bool {
        *self == Self::Both
    }
}

/// Tolerance of envelopes in dB, and of times in seconds (DLS-2.2, 1.8).
const ENVELOPE_DB: f64 = 0.5;
/// See `ENVELOPE_DB`.
pub const TIME: f64 = 0.010;
/// Tolerance of pitch in cents.
pub const PITCH: f64 = 0.25;
/// Tolerance where a pitch only identifies a sound, in cents: coarse devices must not fail for that.
const PITCH_OF_A_SOUND: f64 = 1.0;

/// What is looked at where a pitch moves, in seconds: short, so that the tip of a triangle is not cut off.
const PITCH_WINDOW: f64 = 0.002;

/// What is looked at where a pitch must not move, in seconds: longer, so that 16 bits are no reason to fail.
const STILL_WINDOW: f64 = 0.020;

/// Rounds a value, so that the text form has no excess digits.
fn round(x: f64) -> f64 {
    (x * 10_000.0).round() / 10_000.0
}

impl Check {
    fn new(what: What, at: f64, expected: f64, tolerance: f64) -> Self {
        Self {
            what,
            note: String::new(),
            at: round(at),
            until: None,
            expected: round(expected),
            tolerance,
            slack: 0.0,
            window: 0.0,
            output: Output::Both,
            component: None,
            against: None,
            hertz: None,
            resonance: None,
        }
    }

    /// Makes a level that moves: with the tolerance and the slack of envelopes.
    #[must_use]
    pub fn level(at: f64, decibels: f64) -> Self {
        Self { slack: TIME, window: 0.004, ..Self::new(What::Level, at, decibels, ENVELOPE_DB) }
    }

    /// Makes a level that stands still: with the tolerance of gains.
    #[must_use]
    pub fn steady(at: f64, decibels: f64) -> Self {
        Self { window: 0.05, ..Self::new(What::Level, at, decibels, 0.25) }
    }

    /// Expects at most a level for a while.
    #[must_use]
    pub fn below(at: f64, until: f64, decibels: f64) -> Self {
        Self { until: Some(round(until)), window: 0.004, ..Self::new(What::Below, at, decibels, 0.0) }
    }

    /// Expects silence for a while.
    #[must_use]
    pub fn silent(at: f64, until: f64) -> Self {
        Self::below(at, until, -80.0)
    }

    /// Expects a constant pitch, which identifies what is heard.
    #[must_use]
    pub fn pitch(at: f64, cents: f64) -> Self {
        Self { window: 0.1, ..Self::new(What::Pitch, at, cents, PITCH_OF_A_SOUND) }
    }

    /// Expects a pitch at a time at which it moves.
    #[must_use]
    pub fn moving_pitch(at: f64, cents: f64, tolerance: f64) -> Self {
        Self { window: PITCH_WINDOW, slack: TIME, ..Self::new(What::Pitch, at, cents, tolerance) }
    }

    /// Expects the highest and the lowest level of a while.
    #[must_use]
    pub fn levels(at: f64, until: f64, (lowest, highest): (f64, f64), tolerance: f64) -> [Self; 2] {
        [(What::LowestLevel, lowest), (What::HighestLevel, highest)].map(|(what, x)| Self {
            until: Some(round(until)),
            window: 0.004,
            ..Self::new(what, at, x, tolerance)
        })
    }

    /// Expects the lowest and the highest pitch of a while.
    #[must_use]
    pub fn pitches(at: f64, until: f64, (lowest, highest): (f64, f64), tolerance: f64) -> [Self; 2] {
        [(What::LowestPitch, lowest), (What::HighestPitch, highest)].map(|(what, x)| Self {
            until: Some(round(until)),
            window: PITCH_WINDOW,
            ..Self::new(what, at, x, tolerance)
        })
    }

    /// Expects a pitch that does not move for a while.
    #[must_use]
    pub fn still(at: f64, until: f64, cents: f64) -> [Self; 2] {
        Self::pitches(at, until, (cents, cents), PITCH_OF_A_SOUND).map(|check| check.over(STILL_WINDOW))
    }

    /// Expects how often the pitch goes up and down.
    #[must_use]
    pub fn pitch_rate(at: f64, until: f64, hertz: f64) -> Self {
        let check = Self::new(What::PitchRate, at, hertz, round(hertz / 100.0));
        Self { until: Some(round(until)), window: 0.004, ..check }
    }

    /// Expects how often the level goes up and down.
    #[must_use]
    pub fn level_rate(at: f64, until: f64, hertz: f64) -> Self {
        Self { what: What::LevelRate, ..Self::pitch_rate(at, until, hertz) }
    }

    /// Expects the time at which a sound begins.
    #[must_use]
    pub fn onset(at: f64, until: f64, expected: f64) -> Self {
        Self { until: Some(round(until)), ..Self::new(What::Onset, at, expected, TIME) }
    }

    /// Expects the time at which a sound ends.
    #[must_use]
    pub fn end(at: f64, until: f64, expected: f64) -> Self {
        Self { what: What::End, ..Self::onset(at, until, expected) }
    }

    /// Expects the frequency of the reference note.
    #[must_use]
    pub fn frequency(hertz: f64) -> Self {
        Self::new(What::Frequency, 0.0, hertz, 1.0)
    }

    /// Expects the gain of an impulse response.
    #[must_use]
    pub fn response(at: f64, hertz: f64, decibels: f64, tolerance: f64) -> Self {
        Self { hertz: Some(round(hertz)), ..Self::new(What::Response, at, decibels, tolerance) }
    }

    /// Expects the highest gain of an impulse response around a frequency.
    #[must_use]
    pub fn peak(at: f64, hertz: f64, decibels: f64, tolerance: f64) -> Self {
        Self { what: What::Peak, ..Self::response(at, hertz, decibels, tolerance) }
    }

    /// Expects the cutoff of an impulse response, within a semitone.
    #[must_use]
    pub fn cutoff(at: f64, hertz: f64, resonance: f64) -> Self {
        Self { resonance: Some(resonance), ..Self::new(What::Cutoff, at, hertz, 100.0) }
    }

    /// Expects how far the right output is behind the left.
    #[must_use]
    pub fn phase(at: f64, samples: f64) -> Self {
        Self { window: 0.02, ..Self::new(What::Phase, at, samples, 0.5) }
    }

    /// Expects that the file is not played.
    #[must_use]
    pub fn refused() -> Self {
        Self::new(What::Refused, 0.0, 0.0, 0.0)
    }

    /// Adds words on what it is.
    #[must_use]
    pub fn of(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// Sets another tolerance.
    #[must_use]
    pub fn within(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }

    /// Sets another window.
    #[must_use]
    pub fn over(self, window: f64) -> Self {
        Self { window, ..self }
    }

    /// Measures one component only.
    #[must_use]
    pub fn component(self, cents: f64) -> Self {
        Self { component: Some(cents), window: self.window.max(0.1), ..self }
    }

    /// Measures one output only.
    #[must_use]
    pub fn at_output(self, output: Output) -> Self {
        Self { output, ..self }
    }

    /// Measures against another time.
    #[must_use]
    pub fn against(self, at: f64) -> Self {
        Self { against: Some(round(at)), ..self }
    }

    /// Returns the unit of what is found and expected.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        match self.what {
            What::Level | What::Below | What::HighestLevel | What::LowestLevel | What::Response | What::Peak => "dB",
            What::Pitch | What::HighestPitch | What::LowestPitch => "cents",
            What::LevelRate | What::PitchRate | What::Frequency | What::Cutoff => "Hz",
            What::Onset | What::End => "s",
            What::Phase => "samples",
            What::Refused => "dBFS",
        }
    }

    /// Returns the unit of the tolerance.
    #[must_use]
    pub fn tolerance_unit(&self) -> &'static str {
        match self.what {
            What::Frequency | What::Cutoff => "cents",
            _ => self.unit(),
        }
    }
}
