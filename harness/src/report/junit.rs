//! JUnit XML, which CI servers read.

use std::fs;
use std::path::Path;
use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::results::{Report, TestRecord};
use crate::conformance::{Row, Verdict};
use crate::event::TestResult;
use crate::host::failure::Class;
use crate::host::file_error::FileError;
use crate::testbed::violations::FindingsReport;

/// Writes a report as JUnit XML: a suite for each scenario and each of cargo's test runners, a case for each test
/// and each rule of the contract.
///
/// # Errors
/// [`FileError`] when the file or its folder cannot be written.
pub fn write_junit(report: &Report, path: &Path) -> Result<(), FileError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(FileError::own("create", folder))?;
    }
    let text = junit(report);
    fs::write(path, text).map_err(FileError::own("write", path))
}

fn junit(report: &Report) -> String {
    let mut suites: Vec<TestSuite> = Vec::new();
    for test in &report.counted_tests {
        let status = match test.result {
            TestResult::Passed | TestResult::KnownIssuePasses => TestCaseStatus::success(),
            TestResult::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
            TestResult::Skipped | TestResult::KnownIssue => TestCaseStatus::skipped(),
        };
        let case = TestCase::new(test.name.as_str(), status);
        suite(&mut suites, &test.suite).add_test_case(case);
    }
    for test in &report.tests {
        let (scenario, case) = parts(&test.name);
        suite(&mut suites, scenario).add_test_case(case_of(test, case));
    }
    for row in report.contract.iter().flat_map(|contract| &contract.rows) {
        suite(&mut suites, "contract by rule").add_test_case(case_of_rule(row));
    }
    for case in waivers(&report.findings()) {
        suite(&mut suites, "waived rules").add_test_case(case);
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

/// Returns the suite of a name, which is added if there is none yet.
fn suite<'a>(suites: &'a mut Vec<TestSuite>, name: &str) -> &'a mut TestSuite {
    let at = suites.iter().position(|suite| suite.name.as_str() == name).unwrap_or_else(|| {
        suites.push(TestSuite::new(name));
        suites.len() - 1
    });
    &mut suites[at]
}

/// Returns the scenario and the case of a test's name `scenario [case]`. Other tests are cases of `harness`.
fn parts(name: &str) -> (&str, &str) {
    match name.split_once(" [").and_then(|(scenario, case)| Some((scenario, case.strip_suffix(']')?))) {
        Some(parts) => parts,
        None => ("harness", name),
    }
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
        // What is not a verdict about the driver is an error of the run, not a failure of the test.
        TestResult::Failed => TestCaseStatus::non_success(match test.class {
            None | Some(Class::TestFailed | Class::GuestCrashed) => NonSuccessKind::Failure,
            Some(_) => NonSuccessKind::Error,
        }),
    };
    if !text.is_empty() {
        status.set_message(test.violations[0].as_str()).set_description(text);
    }
    if let Some(class) = test.class {
        status.set_type(class.name());
    }
    let mut case = TestCase::new(name, status);
    case.set_time(Duration::from_secs_f64(test.milliseconds.max(0.0) / 1000.0));
    let folder = test.run_folder.as_ref().map(|folder| format!("run folder: {}\n", folder.display()));
    let findings: String = test.findings.lines().into_iter().map(|line| line + "\n").collect();
    case.set_system_out(format!("{findings}{}reproduce: {}", folder.unwrap_or_default(), test.reproduce));
    case
}

#[cfg(test)]
mod tests {
    use super::super::results::CountedTest;
    use super::*;
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
}
