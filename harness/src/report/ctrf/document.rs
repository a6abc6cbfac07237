//! The objects of CTRF, as its schema names them. They have no fields of their own but under `extra`.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::event::TestResult;

/// The version of the specification that the objects are of.
pub(super) const SPECIFICATION: &str = "0.0.0";

/// A report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    pub(super) report_format: &'static str,
    pub(super) spec_version: &'static str,
    pub(super) report_id: Uuid,
    pub(super) run_id: &'a str,
    pub(super) timestamp: jiff::Timestamp,
    pub(super) generated_by: &'static str,
    pub(super) results: Results<'a>,
}

/// The results of a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Results<'a> {
    pub(super) tool: Tool,
    pub(super) summary: Summary,
    pub(super) tests: Vec<Test>,
    pub(super) environment: Environment<'a>,
    pub(super) extra: Value,
}

/// The program that made the results.
#[derive(Debug, Serialize)]
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
}

/// Where they were made.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Environment<'a> {
    pub(super) report_name: &'a str,
    pub(super) os_platform: &'static str,
}

/// Numbers of tests, and times in milliseconds since the epoch of Unix.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    tests: usize,
    passed: usize,
    failed: usize,
    skipped: usize,
    pending: usize,
    other: usize,
    flaky: usize,
    suites: usize,
    start: i64,
    stop: i64,
    duration: i64,
}

impl Summary {
    /// Counts tests.
    pub(super) fn of(tests: &[Test], start: i64, duration: i64) -> Self {
        let count = |status: Status| tests.iter().filter(|test| test.status == status).count();
        Self {
            tests: tests.len(),
            passed: count(Status::Passed),
            failed: count(Status::Failed),
            skipped: count(Status::Skipped),
            pending: 0,
            other: count(Status::Other),
            flaky: tests.iter().filter(|test| test.flaky == Some(true)).count(),
            suites: tests.iter().map(|test| &test.suite).collect::<BTreeSet<_>>().len(),
            start,
            stop: start + duration,
            duration,
        }
    }
}

/// An outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Status {
    Passed,
    Failed,
    Skipped,
    /// Neither: a known issue.
    Other,
}

impl From<TestResult> for Status {
    fn from(result: TestResult) -> Self {
        match result {
            TestResult::Passed | TestResult::KnownIssuePasses => Self::Passed,
            TestResult::Failed => Self::Failed,
            TestResult::Skipped => Self::Skipped,
            TestResult::KnownIssue => Self::Other,
        }
    }
}

/// A test. Durations are in milliseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Test {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) test_id: Option<String>,
    pub(super) name: String,
    pub(super) status: Status,
    pub(super) raw_status: String,
    pub(super) duration: u64,
    pub(super) suite: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) flaky: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retries: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) retry_attempts: Vec<Attempt>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) stdout: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) attachments: Vec<Attachment>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) steps: Vec<Step>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(super) extra: Map<String, Value>,
}

impl Test {
    /// Creates a test with nothing but its outcome.
    pub(super) fn new(suite: &str, name: &str, status: Status, raw_status: &str, milliseconds: f64) -> Self {
        Self {
            test_id: None,
            name: name.into(),
            status,
            raw_status: raw_status.into(),
            duration: milliseconds.max(0.0).round() as u64,
            suite: vec![suite.into()],
            message: None,
            trace: None,
            file_path: None,
            line: None,
            tags: Vec::new(),
            flaky: None,
            retries: None,
            retry_attempts: Vec::new(),
            stdout: Vec::new(),
            attachments: Vec::new(),
            steps: Vec::new(),
            extra: Map::new(),
        }
    }
}

/// An attempt before the last one.
#[derive(Debug, Serialize)]
pub(super) struct Attempt {
    pub(super) attempt: usize,
    pub(super) status: Status,
    pub(super) duration: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) attachments: Vec<Attachment>,
    pub(super) extra: Value,
}

/// A step of a test.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) status: Status,
    pub(super) extra: Map<String, Value>,
}

/// A file that belongs to a test.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attachment {
    pub(super) name: String,
    pub(super) content_type: &'static str,
    pub(super) path: String,
}
