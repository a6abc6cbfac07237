//! Holds what was rendered against what was expected.

use serde::Serialize;

use crate::dls::{IMPULSE_AT, RATE};
use crate::expect::{Check, Expectations, Method, Output, What};
use crate::prototype;
use crate::signal::{FLOOR_DB, Recording, Signal, SignalError, decibels};

/// From the start of an impulse note to its impulse, in seconds.
const IMPULSE_DELAY: f64 = IMPULSE_AT as f64 / RATE as f64;

/// How far apart the values of a track are, in seconds.
const TRACK_STEP: f64 = 0.001;

/// Onsets are where a signal comes this near to its highest level, in dB.
const ONSET_DB: f64 = 6.0;

/// Ends are where it leaves this range, in dB.
const END_DB: f64 = 40.0;

/// A file counts as refused when nothing in the recording is louder, in dB below full scale.
const REFUSED_DBFS: f64 = -90.0;

/// The renderings of one case.
pub enum Rendered {
    /// With the cosine file and with the sine file.
    Pair(Recording, Recording),
    /// With the only file.
    Single(Recording),
    /// The renderer refused the file, for this reason.
    Refused(String),
}

/// How one measurement came out.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// What was measured.
    #[serde(flatten)]
    pub check: Check,
    /// The value nearest to what was expected; none when there was nothing to measure.
    pub found: Option<f64>,
    /// Whether it holds.
    pub passed: bool,
}

/// How one case came out.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The case.
    pub id: String,
    /// Whether all of it holds.
    pub passed: bool,
    /// Why nothing could be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Each measurement.
    pub outcomes: Vec<Outcome>,
}

/// Judges one case.
#[must_use]
pub fn judge(expectations: &Expectations, rendered: &Rendered) -> Verdict {
    match found(expectations, rendered) {
        Ok(outcomes) => Verdict {
            id: expectations.id.clone(),
            passed: !outcomes.is_empty() && outcomes.iter().all(|outcome| outcome.passed),
            error: None,
            outcomes,
        },
        Err(error) => failed(expectations, error),
    }
}

/// Returns the verdict of a case that could not be measured.
#[must_use]
pub fn failed(expectations: &Expectations, error: String) -> Verdict {
    let lost = |check: &Check| Outcome { check: check.clone(), found: None, passed: false };
    let outcomes = expectations.checks.iter().map(lost).collect();
    Verdict { id: expectations.id.clone(), passed: false, error: Some(error), outcomes }
}

fn found(expectations: &Expectations, rendered: &Rendered) -> Result<Vec<Outcome>, String> {
    let Some(reference) = expectations.reference else {
        return Ok(expectations.checks.iter().map(|check| refusal(check, rendered)).collect());
    };
    let signal = match (expectations.method, rendered) {
        (_, Rendered::Refused(why)) => return Err(why.clone()),
        (Method::Quadrature, Rendered::Pair(cosine, sine)) => Signal::of_pair(cosine, sine, reference),
        (Method::Single, Rendered::Single(recording)) => Signal::of_impulses(recording, reference, IMPULSE_DELAY),
        _ => return Err("rendered by another method than the case's".into()),
    };
    let signal = signal.map_err(|error: SignalError| error.to_string())?;
    Ok(expectations.checks.iter().map(|check| measure(check, &signal)).collect())
}

fn refusal(check: &Check, rendered: &Rendered) -> Outcome {
    let found = match rendered {
        Rendered::Refused(_) => FLOOR_DB,
        Rendered::Single(recording) => recording.peak_db(),
        Rendered::Pair(cosine, sine) => cosine.peak_db().max(sine.peak_db()),
    };
    Outcome { check: check.clone(), found: Some(found), passed: found <= REFUSED_DBFS }
}

fn measure(check: &Check, signal: &Signal) -> Outcome {
    let until = check.until.unwrap_or(check.at);
    let window = check.window;
    let level = |at: f64| {
        let of = |at| match check.component {
            Some(cents) => signal.component(at, window, check.output, cents),
            None => signal.level(at, window, check.output),
        };
        of(at) - check.against.map_or(0.0, of)
    };
    let pitch = |at: f64| signal.pitch(at, window, check.output);
    let levels = || track(check.at, until).map(level);
    let pitches = || track(check.at, until).filter_map(pitch);
    let found = match check.what {
        What::Level => nearest(check, |at| Some(level(at))),
        What::Pitch => nearest(check, pitch),
        What::Below | What::HighestLevel => levels().reduce(f64::max),
        What::LowestLevel => levels().reduce(f64::min),
        What::HighestPitch => pitches().reduce(f64::max),
        What::LowestPitch => pitches().reduce(f64::min),
        What::LevelRate => turns_a_second(&levels().collect::<Vec<_>>()),
        What::PitchRate => turns_a_second(&pitches().collect::<Vec<_>>()),
        What::Frequency => Some(signal.reference_hertz()),
        What::Onset => signal.extent(check.at, until, ONSET_DB).map(|(first, _)| first),
        What::End => signal.extent(check.at, until, END_DB).map(|(_, last)| last),
        What::Response => check.hertz.map(|hertz| signal.response(check.at, IMPULSE_DELAY)(hertz)),
        What::Peak => check.hertz.and_then(|hertz| {
            let response = signal.response(check.at, IMPULSE_DELAY);
            (-96..=96).map(|step| response(hertz * (f64::from(step) / 96.0).exp2())).reduce(f64::max)
        }),
        What::Cutoff => check.resonance.map(|resonance| {
            let response = signal.response(check.at, IMPULSE_DELAY);
            prototype::fit(check.expected, resonance, signal.rate(), response)
        }),
        What::Phase => signal.phase(check.at, window),
        What::Refused => Some(decibels(1.0)),
    };
    let passed = found.is_some_and(|found| match check.what {
        What::Below => found <= check.expected,
        What::Frequency | What::Cutoff => prototype::cents_between(check.expected, found).abs() <= check.tolerance,
        What::Refused => false,
        _ => (found - check.expected).abs() <= check.tolerance,
    });
    Outcome { check: check.clone(), found, passed }
}

fn track(at: f64, until: f64) -> impl Iterator<Item = f64> {
    let steps = ((until - at) / TRACK_STEP).round() as u32;
    (0..=steps).map(move |step| at + f64::from(step) * TRACK_STEP)
}

/// Returns the value at the check's time, or else what the signal comes nearest to within the slack. A signal that
/// steps over what is expected meets it: how fine a device's steps are is its own business, as long as they are in
/// time.
fn nearest(check: &Check, value: impl Fn(f64) -> Option<f64>) -> Option<f64> {
    let there = value(check.at);
    if check.slack == 0.0 || there.is_some_and(|found| (found - check.expected).abs() <= check.tolerance) {
        return there;
    }
    let around = track(check.at - check.slack, check.at + check.slack).filter_map(value).chain(there);
    let (low, high) = around.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
    (low <= high).then(|| check.expected.clamp(low, high))
}

/// Returns how often a track goes up through the middle of its range, in Hz.
fn turns_a_second(track: &[f64]) -> Option<f64> {
    let (low, high) = track.iter().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
    let middle = 0.5 * (low + high);
    // Only a track that was below a quarter of its range may cross again: steps and noise are no turns.
    let armed_below = low + 0.25 * (high - low);
    let mut armed = false;
    let mut crossings = Vec::new();
    for (i, pair) in track.windows(2).enumerate() {
        armed |= pair[0] <= armed_below;
        if armed && pair[0] < middle && pair[1] >= middle {
            crossings.push(i as f64 + (middle - pair[0]) / (pair[1] - pair[0]));
            armed = false;
        }
    }
    let turns = crossings.len().checked_sub(1).filter(|turns| *turns > 0)?;
    Some(turns as f64 / ((crossings[turns] - crossings[0]) * TRACK_STEP))
}

/// Returns the name of an output on its own, for text.
#[must_use]
pub fn output_name(output: Output) -> &'static str {
    match output {
        Output::Both => "",
        Output::Left => " left",
        Output::Right => " right",
    }
}
