//! Tests of CTRF: each report is valid by the schema of the format.

use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::conformance::Contract;
use crate::event::TestResult;
use crate::host::failure::Class;
use crate::host::leftovers::Scratch;
use crate::report::results::{Attempt, KnownIssue};
use crate::testbed::violations::Waiver;

/// Returns what is wrong with a report by the schema.
fn errors(report: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(include_str!("../../../tests/schemas/ctrf-0.0.schema.json")).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    validator.iter_errors(report).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn value(report: &Report, path: &Path) -> Value {
    serde_json::from_str(&ctrf(report, &About::of_test(), path)).unwrap()
}

fn record(name: &str, result: TestResult, class: Option<Class>, violations: &[&str]) -> TestRecord {
    TestRecord {
        result,
        class,
        violations: violations.iter().map(|&text| text.into()).collect(),
        milliseconds: 1499.6,
        ..TestRecord::new(name, "dmus run songs --case tide")
    }
}

/// Returns a report with a test of each kind.
fn report(scratch: &Path) -> Report {
    let mut report = Report::default();
    let folder = scratch.join("runs/x");
    fs::create_dir_all(&folder).unwrap();
    let steps = "{\"seconds\":0.5,\"event\":\"step-begun\",\"step\":\"card\"}\n\
                 {\"seconds\":0.6,\"event\":\"step-ended\",\"step\":\"card\",\"milliseconds\":99.0}\n\
                 {\"seconds\":0.7,\"event\":\"step-begun\",\"step\":\"kernel\"}\n";
    fs::write(folder.join("timeline.jsonl"), steps).unwrap();
    report.add(record("songs [tide]", TestResult::Passed, None, &[]));
    report.add(TestRecord {
        file: Some(std::env::current_dir().unwrap().join("a/songs.toml")),
        line: Some(7),
        tags: vec!["sound".into()],
        seed: Some("1f".into()),
        run_folder: Some(folder.clone()),
        ..record("songs [siren]", TestResult::Failed, Some(Class::Timeout), &["no answer", "no sound"])
    });
    let failed = record("songs [clockwork]", TestResult::Failed, Some(Class::TestFailed), &["silent"]);
    let attempts = vec![
        Attempt { run_folder: Some(folder), ..failed.as_attempt() },
        record("", TestResult::Passed, None, &[]).as_attempt(),
    ];
    report.add(TestRecord { attempts, ..failed });
    let issue = KnownIssue { reason: "rounds down".into(), link: "X-1".into(), review_by: "2027-01-01".into() };
    for result in [TestResult::KnownIssue, TestResult::KnownIssuePasses] {
        report.add(TestRecord { known_issue: Some(issue.clone()), ..record("songs [known]", result, None, &[]) });
    }
    let mut waived = record("images", TestResult::Skipped, Some(Class::MissingArtefact), &["no QEMU"]);
    waived.findings.not_fired.push(Waiver { rule: 57, reason: "no input".into() });
    report.add(waived);
    let suite = "dls-synth tests/midi.rs".to_owned();
    report.counted_tests.push(CountedTest { suite, name: "plays".into(), result: TestResult::Passed });
    let rule = Row {
        number: 57,
        title: "the input is there".into(),
        source: String::new(),
        verdict: Verdict::NotExercised,
        held: 0,
        message: Some("no input".into()),
        waiver: None,
    };
    report.contract = Some(Contract { rows: vec![rule], ..Contract::default() });
    report
}

#[test]
fn every_kind_of_test_is_valid_by_the_schema() {
    let scratch = Scratch::new().unwrap();
    let full = value(&report(scratch.path()), &scratch.path().join("reports/ctrf.json"));
    assert_eq!(errors(&full), Vec::<String>::new(), "{full:#}");
    let none = value(&Report::default(), Path::new("ctrf.json"));
    assert_eq!(errors(&none), Vec::<String>::new());
    // The schema refuses what it does not know, so that the test can fail.
    let mut unknown = full.clone();
    unknown["results"]["tests"][0]["seed"] = json!("1f");
    assert_eq!(errors(&unknown).len(), 1);
    let mut without = full;
    without["results"]["summary"].as_object_mut().unwrap().remove("start");
    assert_eq!(errors(&without).len(), 1);
}

#[test]
fn a_failure_has_its_place_its_evidence_and_the_command_that_runs_it_again() {
    let scratch = Scratch::new().unwrap();
    let full = value(&report(scratch.path()), &scratch.path().join("reports/ctrf.json"));
    let results = &full["results"];
    let summary = ["tests", "passed", "failed", "skipped", "pending", "other", "flaky", "suites"]
        .map(|name| results["summary"][name].as_u64().unwrap());
    assert_eq!(summary, [9, 3, 2, 3, 0, 1, 1, 5], "{:#}", results["summary"]);
    assert_eq!(results["summary"]["stop"], 1_800_000_001_500_u64);
    let failed = &results["tests"][1];
    assert_eq!(
        (&failed["name"], &failed["suite"][0], &failed["duration"]),
        (&json!("siren"), &json!("songs"), &json!(1500))
    );
    assert_eq!((&failed["filePath"], &failed["line"]), (&json!("a/songs.toml"), &json!(7)));
    assert_eq!((&failed["message"], &failed["trace"]), (&json!("no answer"), &json!("no answer\nno sound")));
    let extra = &failed["extra"];
    assert_eq!((&extra["class"], &extra["seed"]), (&json!("timeout"), &json!("1f")));
    assert_eq!((&extra["reproduce"], &extra["runFolder"]), (&json!("dmus run songs --case tide"), &json!("../runs/x")));
    assert_eq!(failed["attachments"][0]["path"], "../runs/x/timeline.jsonl");
    let steps: Vec<_> = failed["steps"].as_array().unwrap().iter().map(|step| step["status"].as_str()).collect();
    assert_eq!(steps, [Some("passed"), Some("failed")], "a step that did not end has failed");
}

#[test]
fn a_flaky_test_has_failed_and_a_known_issue_that_passes_is_named() {
    let scratch = Scratch::new().unwrap();
    let full = value(&report(scratch.path()), &scratch.path().join("ctrf.json"));
    let tests = full["results"]["tests"].as_array().unwrap();
    let flaky = &tests[2];
    assert_eq!((&flaky["status"], &flaky["flaky"], &flaky["retries"]), (&json!("failed"), &json!(true), &json!(1)));
    let [first] = flaky["retryAttempts"].as_array().unwrap().as_slice() else { panic!("{flaky:#}") };
    assert_eq!((&first["attempt"], &first["message"]), (&json!(1), &json!("silent")));
    assert_eq!(first["attachments"][0]["name"], "timeline.jsonl");
    assert_eq!((&tests[3]["status"], &tests[3]["rawStatus"]), (&json!("other"), &json!("known-issue")));
    assert!(tests[4]["message"].as_str().unwrap().starts_with("passes now: known issue: rounds down (X-1"));
}
