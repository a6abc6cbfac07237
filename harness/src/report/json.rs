//! The objects that `--json` prints for one playback test or one error; a report of tests is its own object.

use std::fmt::Display;

use serde_json::{Value, json};

use crate::host::failure::Diagnosed;
use crate::host::lossy;
use crate::machine::conditions::Conditions;
use crate::playback::{PlaybackFailure, Verdict};

/// Returns the object of a playback test with a verdict.
#[must_use]
pub fn verdict_object(verdict: &Verdict, reproduce: &str) -> Value {
    json!({
        "passed": usize::from(verdict.passed()),
        "failed": usize::from(!verdict.passed()),
        "skipped": 0,
        "run_folders": [lossy::text(&verdict.run_folder)],
        "bit_identical": verdict.judgement.bit_identical(),
        "findings": verdict.findings,
        "class": (!verdict.passed()).then(|| verdict.class_of_failure()),
        "frames": verdict.frames,
        "peak": verdict.peak,
        "interrupts": verdict.counters.interrupts,
        "events": verdict.events,
        "pcm_sha256": verdict.pcm_sha256,
        "verdict": verdict,
        "conditions": verdict.conditions,
        "reproduce": reproduce,
    })
}

/// Returns the object of a playback test that failed before its verdict.
#[must_use]
pub fn failure_object(failure: &PlaybackFailure, conditions: Conditions, reproduce: &str) -> Value {
    let error = &failure.error;
    json!({
        "passed": 0,
        "failed": 1,
        "skipped": 0,
        "run_folders": [lossy::text(&failure.run_folder)],
        "bit_identical": false,
        "findings": failure.findings,
        "class": error.class(),
        "error": error.to_string(),
        "remedy": error.remedy(),
        "conditions": conditions,
        "reproduce": reproduce,
    })
}

/// Returns the object of an error that ended a verb.
#[must_use]
pub fn error_object(error: &(impl Diagnosed + Display)) -> Value {
    json!({
        "passed": 0,
        "failed": 1,
        "skipped": 0,
        "run_folders": [],
        "class": error.class(),
        "error": error.to_string(),
        "remedy": error.remedy(),
    })
}
