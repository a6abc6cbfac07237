//! CTRF, the Common Test Report Format: one JSON object of a run for tools that merge and compare runs.

mod attachments;
mod document;

use std::path::Path;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use self::attachments::attachments;
use self::document::{Attempt, Document, Environment, Results, Status, Step, Summary, Test, Tool};
use super::about::About;
use super::evidence::Evidence;
use super::place::{folder_of, from_here, relative};
use super::results::{self, CountedTest, Report, TestRecord};
use super::steps::{StepOutcome, StepTime};
use super::suites::parts;
use crate::conformance::{Row, Verdict};
use crate::event::TestResult;
use crate::host::invocation;
use crate::testbed::violations::FindingsReport;

/// Returns a report as CTRF. `path` is where it will be, from which run folders and attachments are named.
#[must_use]
pub fn ctrf(report: &Report, about: &About, path: &Path) -> String {
    let document = document(report, about, &folder_of(path));
    // Nothing of it is a map whose keys are no text.
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

fn document<'a>(report: &'a Report, about: &'a About, base: &Path) -> Document<'a> {
    let mut tests: Vec<Test> = report.tests.iter().map(|test| of_record(test, base)).collect();
    tests.extend(report.contract.iter().flat_map(|contract| &contract.rows).map(of_rule));
    tests.extend(waivers(&report.findings()));
    tests.extend(report.counted_tests.iter().map(of_counted));
    let start = about.begun.timestamp().as_millisecond();
    let duration = about.milliseconds.round() as i64;
    Document {
        report_format: "CTRF",
        spec_version: document::SPECIFICATION,
        report_id: Uuid::now_v7(),
        run_id: &about.run_id,
        timestamp: about.begun.timestamp(),
        generated_by: "dmus",
        results: Results {
            tool: Tool { name: "dmus", version: env!("CARGO_PKG_VERSION") },
            summary: Summary::of(&tests, start, duration),
            tests,
            environment: Environment { os_platform: std::env::consts::OS, report_name: &about.command },
            extra: json!({
                "command": about.command,
                "program": invocation::program(),
                "warnings": report.warnings,
            }),
        },
    }
}

/// Returns a test of the harness, with what its run folder holds.
fn of_record(record: &TestRecord, base: &Path) -> Test {
    let (suite, name) = parts(record);
    let evidence = record.run_folder.as_ref().map(|folder| Evidence::read(folder, false)).unwrap_or_default();
    let mut extra = Map::new();
    let mut add = |name: &str, value: Value| {
        if !value.is_null() {
            extra.insert(name.into(), value);
        }
    };
    add("class", json!(record.class));
    add("seed", json!(record.seed));
    add("reproduce", json!(record.reproduce));
    add("runFolder", json!(record.run_folder.as_ref().map(|folder| relative(folder, base))));
    add("pcmSha256", json!(record.pcm_sha256));
    if !record.findings.is_empty() {
        add("findings", json!(record.findings));
    }
    add("knownIssue", json!(record.known_issue));
    let known = record.known_issue.as_ref().map(|issue| format!("known issue: {}", issue.text()));
    let message = match record.result {
        TestResult::KnownIssuePasses => known.map(|known| format!("passes now: {known}")),
        TestResult::KnownIssue => known,
        _ => record.violations.first().cloned(),
    };
    Test {
        test_id: Some(record.name.clone()),
        file_path: record.file.as_deref().map(from_here),
        line: record.line,
        tags: record.tags.clone(),
        message,
        trace: (!record.violations.is_empty()).then(|| record.violations.join("\n")),
        flaky: record.is_flaky().then_some(true),
        retries: record.attempts.len().checked_sub(1).filter(|&retries| retries > 0),
        retry_attempts: earlier_attempts(&record.attempts, base),
        attachments: record.run_folder.as_ref().map(|folder| attachments(folder, base)).unwrap_or_default(),
        stdout: record.findings.lines(),
        steps: evidence.steps.iter().map(of_step).collect(),
        extra,
        ..Test::new(suite, name, record.result.into(), record.result.name(), record.milliseconds)
    }
}

fn of_step(step: &StepTime) -> Step {
    let status = match step.outcome {
        StepOutcome::Passed => Status::Passed,
        StepOutcome::Failed | StepOutcome::Open => Status::Failed,
        StepOutcome::NotReached => Status::Skipped,
        StepOutcome::Noted => Status::Other,
    };
    let extra = [
        ("number", json!(step.number)),
        ("outcome", json!(step.outcome.words())),
        ("milliseconds", json!(step.milliseconds)),
        ("cardMilliseconds", json!(step.card_ms)),
        ("detail", json!((!step.detail.is_empty()).then_some(&step.detail))),
    ];
    let extra = extra.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value));
    Step { name: step.name.clone(), status, extra: extra.collect() }
}

/// Returns every attempt but the last one.
fn earlier_attempts(attempts: &[results::Attempt], base: &Path) -> Vec<Attempt> {
    let earlier = attempts.split_last().map_or(&[][..], |(_, earlier)| earlier);
    let of_attempt = |(index, attempt): (usize, &results::Attempt)| Attempt {
        attempt: index + 1,
        status: attempt.result.into(),
        duration: attempt.milliseconds.round() as u64,
        message: attempt.violations.first().cloned(),
        trace: (!attempt.violations.is_empty()).then(|| attempt.violations.join("\n")),
        attachments: attempt.run_folder.as_ref().map(|folder| attachments(folder, base)).unwrap_or_default(),
        extra: json!({
            "class": attempt.class,
            "runFolder": attempt.run_folder.as_ref().map(|folder| relative(folder, base)),
        }),
    };
    earlier.iter().enumerate().map(of_attempt).collect()
}

/// Returns a rule of the contract as a test.
fn of_rule(row: &Row) -> Test {
    let status = match row.verdict {
        Verdict::Pass => Status::Passed,
        Verdict::Violated => Status::Failed,
        Verdict::Waived | Verdict::NotExercised | Verdict::NotApplicable => Status::Skipped,
    };
    let name = format!("rule {}: {}", row.number, row.title);
    Test { message: row.message.clone(), ..Test::new("contract by rule", &name, status, row.verdict.name(), 0.0) }
}

/// Returns a test for each finding of a waived rule, and for each waived rule that was not violated.
fn waivers(findings: &FindingsReport) -> Vec<Test> {
    let test = |name: String, message: String| Test {
        message: Some(message),
        ..Test::new("waived rules", &name, Status::Skipped, "waived", 0.0)
    };
    let fired = findings.waived.iter().map(|row| {
        let name = format!("rule {} in {} at IRQL {}", row.rule.unwrap_or(0), row.function, row.irql);
        test(name, format!("waived: {}", row.reason.as_deref().unwrap_or_default()))
    });
    let silent = findings
        .not_fired
        .iter()
        .map(|waiver| test(format!("rule {}", waiver.rule), format!("waived, did not fire: {}", waiver.reason)));
    fired.chain(silent).collect()
}

/// Returns a test that is only counted.
fn of_counted(test: &CountedTest) -> Test {
    Test::new(&test.suite, &test.name, test.result.into(), test.result.name(), 0.0)
}

#[cfg(test)]
mod tests;
