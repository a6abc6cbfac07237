//! The objects that `--json` prints: all with their version and the id of the run; for one playback test and for one error also
//! their fields. A report of tests is its own object.

use std::fmt::Display;

use serde::Serialize;
use serde_json::{Value, json};

use super::print::out;
use crate::host::failure::Diagnosed;
use crate::host::lossy;
use crate::host::run_id::run_id;
use crate::machine::conditions::Conditions;
use crate::playback::{PlaybackFailure, Verdict};

/// The version of the objects that `--json` prints. It grows when a field that readers may know changes its meaning or goes;
/// fields that are added leave it as it is.
pub const JSON_VERSION: u32 = 1;

/// An object with what every object has.
#[derive(Serialize)]
struct Versioned<'a, T> {
    schema_version: u32,
    run_id: &'a str,
    #[serde(flatten)]
    object: &'a T,
}

/// Prints an object as a line of JSON, with the version of its fields and the id of the run.
pub fn out_json(object: &impl Serialize) {
    out(&json_line(object));
}

fn json_line(object: &impl Serialize) -> String {
    let versioned = Versioned { schema_version: JSON_VERSION, run_id: run_id(), object };
    // Only a map whose keys are no text has no JSON, and no object has one.
    serde_json::to_string(&versioned).unwrap_or_default()
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::TestResult;
    use crate::host::failure::Class;
    use crate::report::results::{Report, TestRecord};

    /// The fields of a report, and of a test in it, that readers of version 1 know.
    const VERSION_1: [&[&str]; 2] = [
        &["schema_version", "run_id", "passed", "failed", "skipped", "run_folders", "tests"],
        &["name", "result", "class", "violations", "milliseconds", "pcm_sha256", "run_folder", "reproduce"],
    ];

    #[test]
    fn what_readers_of_the_version_know_stays() {
        assert_eq!(JSON_VERSION, 1, "list the fields of the new version");
        let mut report = Report::default();
        let failed = TestRecord::new("songs [tide]", "dmus run songs");
        report.add(TestRecord { result: TestResult::Failed, class: Some(Class::Timeout), ..failed });
        let object: Value = serde_json::from_str(&json_line(&report)).unwrap();
        assert_eq!((object["schema_version"].as_u64(), object["run_id"].as_str()), (Some(1), Some(run_id())));
        for (fields, object) in VERSION_1.iter().zip([&object, &object["tests"][0]]) {
            for field in *fields {
                assert!(object.get(field).is_some(), "{field} is known to readers: {object}");
            }
        }
        assert_eq!(
            (&object["tests"][0]["result"], &object["tests"][0]["class"]),
            (&json!("failed"), &json!("timeout"))
        );
        let error = json_line(&json!({ "class": Class::Usage, "error": "x" }));
        assert!(error.starts_with("{\"schema_version\":1,\"run_id\":\""), "{error}");
    }
}
