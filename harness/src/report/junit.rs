//! JUnit XML, which CI servers read.

use std::path::Path;
use std::time::Duration;

use quick_junit::{FlakyOrRerun, NonSuccessKind, Property, TestCase, TestCaseStatus, TestRerun, TestSuite};

use super::evidence::Evidence;
use super::place::from_here;
use super::results::{Attempt, Report, TestRecord};
use super::steps::StepTime;
use super::suites::parts;
use crate::conformance::{Row, Verdict};
use crate::event::TestResult;
use crate::host::failure::Class;
use crate::testbed::violations::FindingsReport;

/// Returns a report as JUnit XML: a suite for each scenario and each of cargo's test runners, a case for each test
/// and each rule of the contract.
#[must_use]
pub fn junit(report: &Report) -> String {
    let mut suites: Vec<TestSuite> = Vec::new();
    for test in &report.counted_tests {
        let status = match test.result {
            TestResult::Passed | TestResult::KnownIssuePasses => TestCaseStatus::success(),
            TestResult::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
            TestResult::Skipped | TestResult::KnownIssue => TestCaseStatus::skipped(),
        };
        let case = TestCase::new(test.name.as_str(), status);
        add(&mut suites, &test.suite, case);
    }
    for test in &report.tests {
        let (scenario, case) = parts(test);
        add(&mut suites, scenario, case_of(test, case));
    }
    for row in report.contract.iter().flat_map(|contract| &contract.rows) {
        add(&mut suites, "contract by rule", case_of_rule(row));
    }
    for case in waivers(&report.findings()) {
        add(&mut suites, "waived rules", case);
    }
    let mut junit = quick_junit::Report::new("dmus");
    junit.add_test_suites(suites);
    // Nothing of it depends on anything but the report, and there is no writer that could fail.
    junit.to_string().unwrap_or_default()
}

/// Returns a case for each finding of a waived rule, and for each waived rule that was not violated. They are skipped: they
/// are neither a success nor a failure, and never silent.
fn waivers(findings: &FindingsReport) -> Vec<TestCase> {
    let case = |rule: u16, function: &str, message: &str, description: &str| {
        let mut status = TestCaseStatus::skipped();
        status.set_type("waived").set_message(message).set_description(description);
        TestCase::new(format!("rule {rule}{function}"), status)
    };
    let fired = findings.waived.iter().map(|row| {
        let message = format!("waived: {}", row.reason.as_deref().unwrap_or_default());
        case(row.rule.unwrap_or(0), &format!(" in {} at IRQL {}", row.function, row.irql), &message, &row.text())
    });
    let silent = findings.not_fired.iter().map(|waiver| case(waiver.rule, "", "waived, did not fire", &waiver.reason));
    fired.chain(silent).collect()
}

/// Adds a case to the suite of a name, which is its class too: readers put cases together by class, file and name.
fn add(suites: &mut Vec<TestSuite>, name: &str, mut case: TestCase) {
    let at = suites.iter().position(|suite| suite.name.as_str() == name).unwrap_or_else(|| {
        suites.push(TestSuite::new(name));
        suites.len() - 1
    });
    case.set_classname(name);
    suites[at].add_test_case(case);
}

/// Returns the case of a rule of the contract. A rule that is waived, was not exercised, or cannot be checked, is skipped.
fn case_of_rule(row: &Row) -> TestCase {
    let mut status = match row.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Violated => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Waived | Verdict::NotExercised | Verdict::NotApplicable => TestCaseStatus::skipped(),
    };
    if row.verdict != Verdict::Pass {
        status.set_type(row.verdict.name());
    }
    if let Some(message) = &row.message {
        status.set_message(message.as_str());
    }
    TestCase::new(format!("rule {}: {}", row.number, row.title), status)
}

fn case_of(test: &TestRecord, name: &str) -> TestCase {
    let text = test.violations.join("\n");
    let mut status = match test.result {
        TestResult::Passed | TestResult::KnownIssuePasses => TestCaseStatus::success(),
        TestResult::Skipped | TestResult::KnownIssue => TestCaseStatus::skipped(),
        TestResult::Failed => TestCaseStatus::non_success(kind_of(test.class)),
    };
    if let Some(violation) = test.violations.first() {
        status.set_message(violation.as_str()).set_description(text);
    }
    if let Some(class) = test.class {
        status.set_type(class.name());
    }
    if let Some(issue) = test.known_issue.as_ref().filter(|_| test.result == TestResult::KnownIssue) {
        status.set_type(TestResult::KnownIssue.name()).set_message(format!("known issue: {}", issue.text()));
    }
    if test.is_flaky() {
        status.set_rerun_kind(FlakyOrRerun::Flaky);
    }
    status.add_reruns(test.attempts.iter().filter(|attempt| attempt.result == TestResult::Failed).map(rerun));
    let mut case = TestCase::new(name, status);
    case.set_time(duration(test.milliseconds));
    case.extra.extend(place(test).into_iter().map(|(name, value)| (name.into(), value.into())));
    case.add_properties(properties(test));
    let passes = test.known_issue.as_ref().filter(|_| test.result == TestResult::KnownIssuePasses);
    let passes =
        passes.map(|issue| format!("passes now, and is a known issue: {}\n", issue.text())).unwrap_or_default();
    let findings: String = test.findings.lines().into_iter().map(|line| line + "\n").collect();
    let folder = test.run_folder.as_deref().map(in_folder).unwrap_or_default();
    let evidence = test.run_folder.as_deref().map(|folder| Evidence::read(folder, false)).unwrap_or_default();
    let steps: String = evidence.steps.iter().filter_map(StepTime::line).map(|line| line + "\n").collect();
    case.set_system_out(format!("{passes}{findings}{steps}{folder}reproduce: {}", test.reproduce));
    case
}

/// Returns where the case is defined, as attributes that readers make annotations of.
fn place(test: &TestRecord) -> Vec<(&'static str, String)> {
    let file = test.file.as_ref().map(|file| ("file", from_here(file)));
    let line = test.line.filter(|_| file.is_some()).map(|line| ("line", line.to_string()));
    file.into_iter().chain(line).collect()
}

/// Returns what has no place of its own in JUnit XML.
fn properties(test: &TestRecord) -> Vec<Property> {
    let mut all: Vec<Property> = test.tags.iter().map(|tag| Property::new("tag", tag.as_str())).collect();
    all.extend(test.seed.iter().map(|seed| Property::new("seed", seed.as_str())));
    if let Some(issue) = &test.known_issue {
        all.push(Property::new("known-issue", issue.reason.as_str()));
        all.push(Property::new("known-issue.link", issue.link.as_str()));
        all.push(Property::new("known-issue.review-by", issue.review_by.as_str()));
        all.push(Property::new("known-issue.result", test.result.name()));
    }
    all
}

/// Returns an attempt that failed.
fn rerun(attempt: &Attempt) -> TestRerun {
    let mut rerun = TestRerun::new(kind_of(attempt.class));
    let text = attempt.violations.join("\n");
    rerun.set_time(duration(attempt.milliseconds)).set_stack_trace(text.as_str());
    rerun.set_message(attempt.violations.first().map_or("", String::as_str));
    if let Some(class) = attempt.class {
        rerun.set_type(class.name());
    }
    if let Some(folder) = &attempt.run_folder {
        rerun.set_system_out(in_folder(folder));
    }
    rerun
}

/// What is not a verdict about the driver is an error of the run, not a failure of the test.
fn kind_of(class: Option<Class>) -> NonSuccessKind {
    match class {
        None | Some(Class::TestFailed | Class::GuestCrashed) => NonSuccessKind::Failure,
        Some(_) => NonSuccessKind::Error,
    }
}

fn in_folder(folder: &Path) -> String {
    format!("run folder: {}\n", folder.display())
}

fn duration(milliseconds: f64) -> Duration {
    Duration::from_secs_f64(milliseconds.max(0.0) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::super::results::{CountedTest, KnownIssue};
    use super::*;
    use crate::host::leftovers::Scratch;
    use crate::testbed::violations::{FindingRow, Waiver};

    fn record(name: &str, result: TestResult, class: Option<Class>, violations: &[&str]) -> TestRecord {
        TestRecord {
            result,
            class,
            violations: violations.iter().map(|&text| text.into()).collect(),
            milliseconds: 1500.0,
            ..TestRecord::new(name, "cargo dmus run songs --case tide")
        }
    }

    #[test]
    fn tells_failures_of_a_driver_from_errors_of_a_run_and_escapes_their_texts() {
        let mut report = Report::default();
        report.add(record("songs [tide]", TestResult::Passed, None, &[]));
        report.add(record("songs [siren]", TestResult::Failed, Some(Class::TestFailed), &["peak < 100 & silent"]));
        report.add(record("power [d3]", TestResult::Failed, Some(Class::Timeout), &["no answer"]));
        report.add(record("images", TestResult::Skipped, None, &["no QEMU"]));
        let suite = "dls-synth tests/midi.rs".to_owned();
        report.counted_tests.push(CountedTest { suite, name: "plays".into(), result: TestResult::Passed });
        let text = junit(&report);
        let back = quick_junit::Report::deserialize_from_str(&text).expect("it is JUnit XML");
        let suites: Vec<(&str, usize, usize, usize)> = back
            .test_suites
            .iter()
            .map(|suite| (suite.name.as_str(), suite.tests, suite.failures, suite.errors))
            .collect();
        let expected =
            [("dls-synth tests/midi.rs", 1, 0, 0), ("songs", 2, 1, 0), ("power", 1, 0, 1), ("harness", 1, 0, 0)];
        assert_eq!(suites, expected);
        let waived = FindingRow {
            rule: Some(33),
            title: None,
            function: "IMiniportDMus::NewStream".into(),
            irql: 0,
            count: 7,
            message: "it succeeds".into(),
            place: Some("my.sys+0x1".into()),
            stack: Vec::new(),
            reason: Some("one stream".into()),
        };
        let mut with_waiver = record("songs [waived]", TestResult::Passed, None, &[]);
        with_waiver.findings.waived.push(waived);
        with_waiver.findings.not_fired.push(Waiver { rule: 57, reason: "no input".into() });
        let mut lenient = Report::default();
        lenient.add(with_waiver);
        let shown = junit(&lenient);
        for part in ["waived rules", "rule 33 in IMiniportDMus::NewStream at IRQL 0", "waived: one stream", "7 times"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(shown.contains("rule 57") && shown.contains("waived, did not fire"), "{shown}");
        assert!(text.contains("peak &lt; 100 &amp; silent") && text.contains("--case tide"), "{text}");
    }

    #[test]
    fn a_case_has_its_place_its_attempts_and_its_known_issue() {
        let failed = record("songs [tide]", TestResult::Failed, Some(Class::TestFailed), &["silent"]);
        let passed = record("songs [tide]", TestResult::Passed, None, &[]);
        let again = record("songs [siren]", TestResult::Failed, Some(Class::Timeout), &["no answer"]);
        let issue = KnownIssue { reason: "rounds down".into(), link: "X-1".into(), review_by: "2027-01-01".into() };
        let mut report = Report::default();
        report.add(TestRecord {
            file: Some(std::env::current_dir().unwrap().join("a/songs.toml")),
            line: Some(7),
            tags: vec!["sound".into()],
            attempts: vec![failed.as_attempt(), passed.as_attempt()],
            ..failed
        });
        report.add(TestRecord { attempts: vec![again.as_attempt(), again.as_attempt()], ..again });
        let folder = Scratch::new().unwrap();
        let verdict = r#"{"steps":[{"number":"3","verb":"play","result":"not-reached"}]}"#;
        std::fs::write(folder.path().join("verdict.json"), verdict).unwrap();
        report.tests[0].run_folder = Some(folder.path().into());
        for result in [TestResult::KnownIssue, TestResult::KnownIssuePasses] {
            let known = record(&format!("songs [{}]", result.name()), result, None, &["late"]);
            report.add(TestRecord { known_issue: Some(issue.clone()), ..known });
        }
        let text = junit(&report);
        let back = quick_junit::Report::deserialize_from_str(&text).expect("it is JUnit XML");
        let cases = &back.test_suites[0].test_cases;
        let at = |name: &str| cases[0].extra.get(name).map(quick_junit::XmlString::as_str);
        assert_eq!((at("file"), at("line")), (Some("a/songs.toml"), Some("7")), "{text}");
        assert_eq!(cases[0].classname.as_ref().map(quick_junit::XmlString::as_str), Some("songs"));
        for part in [
            "<flakyFailure",
            "step 3 `play`: not reached\nrun folder",
            "<stackTrace>silent</stackTrace>",
            "<rerunError",
            "<skipped message=\"known issue: rounds down (X-1, review by 2027-01-01)\" type=\"known-issue\"",
            "passes now, and is a known issue: rounds down",
            "<property name=\"tag\" value=\"sound\"",
            "<property name=\"known-issue.link\" value=\"X-1\"",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(text.matches("<flakyFailure").count(), 1, "the attempt that passed is no failure: {text}");
        assert_eq!(text.matches("<rerunError").count(), 2, "{text}");
    }
}
