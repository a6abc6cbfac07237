//! The results of runs: a record for each test, and the rows of the tests that have some.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use card_control::Transport;
use card_qtest::table::Row;
use serde::Serialize;

use crate::alloc_faults::AllocFaultsReport;
use crate::conformance::{CardKillsReport, Contract, Repeats};
use crate::event::TestResult;
use crate::host::failure::Class;
use crate::host::invocation;
use crate::hostile::inside;
use crate::kills::KillsReport;
use crate::qemu_limits::LimitsReport;
use crate::testbed::violations::FindingsReport;

/// The result of one test.
#[derive(Clone, Debug, Serialize)]
pub struct TestRecord {
    /// Scenario and case; with the seed, where the command line names seeds.
    pub name: String,
    /// Scenario and case without the seed, where it is a case of a scenario.
    pub case: Option<String>,
    /// The scenario file, where it is a case of one.
    #[serde(serialize_with = "crate::host::lossy::option")]
    pub file: Option<PathBuf>,
    /// The line of that file which makes the case, from 1: the title's, or the matrix's.
    pub line: Option<usize>,
    /// The tags of its scenario.
    pub tags: Vec<String>,
    /// Its result: that of the first attempt, where there were several.
    pub result: TestResult,
    /// The class of its failure.
    pub class: Option<Class>,
    /// The violated expectations, one entry each.
    pub violations: Vec<String>,
    /// The duration in milliseconds.
    pub milliseconds: f64,
    /// SHA-256 of the PCM, where there is some, in hexadecimal.
    pub pcm_sha256: Option<String>,
    /// The seed of the delays, where there were some, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
    /// What the guests found without stopping: violations of waived rules, violations after which they went on, notes.
    #[serde(skip_serializing_if = "FindingsReport::is_empty")]
    pub findings: FindingsReport,
    /// The run folder.
    #[serde(serialize_with = "crate::host::lossy::option")]
    pub run_folder: Option<PathBuf>,
    /// The command that runs the test again.
    pub reproduce: String,
    /// Every attempt, where the test was retried after a failure; the first one's are the record's own results.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// The known issue of the scenario that is about this case, where the result is the one it expects, or a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_issue: Option<KnownIssue>,
}

/// One attempt at a test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attempt {
    /// Whether it passed.
    pub result: TestResult,
    /// The class of its failure.
    pub class: Option<Class>,
    /// The violated expectations, one entry each.
    pub violations: Vec<String>,
    /// The duration in milliseconds.
    pub milliseconds: f64,
    /// The run folder.
    #[serde(serialize_with = "crate::host::lossy::option")]
    pub run_folder: Option<PathBuf>,
}

/// A failure that is known, and excused until a date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KnownIssue {
    /// Why the test fails.
    pub reason: String,
    /// Where the failure is tracked: an address or a ticket's name.
    pub link: String,
    /// The last day on which the failure is excused, as `2026-12-31`.
    pub review_by: String,
}

impl KnownIssue {
    /// Returns it as text for people.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{} ({}, review by {})", self.reason, self.link, self.review_by)
    }
}

impl TestRecord {
    /// Creates the record of a test that passes until its caller says otherwise.
    #[must_use]
    pub fn new(name: impl Into<String>, reproduce: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            case: None,
            file: None,
            line: None,
            tags: Vec::new(),
            result: TestResult::Passed,
            class: None,
            violations: Vec::new(),
            milliseconds: 0.0,
            pcm_sha256: None,
            seed: None,
            findings: FindingsReport::default(),
            run_folder: None,
            reproduce: reproduce.into(),
            attempts: Vec::new(),
            known_issue: None,
        }
    }

    /// Returns whether attempts at it had different results. A flaky test is one that has failed: a retry is no success.
    #[must_use]
    pub fn is_flaky(&self) -> bool {
        let passed = |attempt: &Attempt| matches!(attempt.result, TestResult::Passed | TestResult::KnownIssuePasses);
        self.result == TestResult::Failed && self.attempts.iter().any(passed)
    }

    /// Returns its results as an attempt.
    #[must_use]
    pub fn as_attempt(&self) -> Attempt {
        Attempt {
            result: self.result,
            class: self.class,
            violations: self.violations.clone(),
            milliseconds: self.milliseconds,
            run_folder: self.run_folder.clone(),
        }
    }

    /// Returns the record of a fault of the hostile driver. Its run folder holds the table.
    #[must_use]
    pub fn of_fault(row: &Row, transport: Transport, folder: &Path) -> Self {
        let over = match transport {
            Transport::VhostUser => "",
            Transport::VfioUser => " --transport vfio-user",
        };
        Self {
            result: if row.as_expected { TestResult::Passed } else { TestResult::Failed },
            class: (!row.as_expected).then_some(Class::TestFailed),
            violations: row.problem.clone().into_iter().collect(),
            milliseconds: row.milliseconds,
            run_folder: Some(folder.into()),
            ..Self::new(
                format!("{} [{}: {}]", hostile_driver(transport), row.area, row.fault),
                format!(
                    "{dmus} run hostile{over} --filter '{}'",
                    row.fault.replace('\'', r"'\''"),
                    dmus = invocation::program()
                ),
            )
        }
    }
}

/// The suite of the hostile driver's faults.
pub const HOSTILE_DRIVER: &str = "hostile driver";

/// Returns the suite of the hostile driver's faults over a transport.
#[must_use]
pub const fn hostile_driver(transport: Transport) -> &'static str {
    match transport {
        Transport::VhostUser => HOSTILE_DRIVER,
        Transport::VfioUser => "hostile driver over vfio-user",
    }
}

/// The results of all tests.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The number of tests that passed.
    pub passed: usize,
    /// The number of tests that failed.
    pub failed: usize,
    /// The number of tests that were skipped: something that they need is missing.
    pub skipped: usize,
    /// The number of tests that failed as a known issue says: they fail no run.
    pub known_issues: usize,
    /// The number of tests that passed although a known issue says that they fail.
    pub known_issues_passing: usize,
    /// The run folder of each run.
    #[serde(serialize_with = "crate::host::lossy::many")]
    pub run_folders: Vec<PathBuf>,
    /// Every test but [counted ones](Self::counted_tests).
    pub tests: Vec<TestRecord>,
    /// Tests that are counted, and of which only JUnit XML lists each: those of cargo's runners, and what card and QEMU
    /// survived of the hostile driver.
    #[serde(skip)]
    pub counted_tests: Vec<CountedTest>,
    /// What was left out of songs and banks, or has no effect.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub warnings: BTreeSet<String>,
    /// The contract, rule by rule, where its probes ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// The contract over several runs, rule by rule, of each scenario that runs its probes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub repeats: BTreeMap<String, Repeats>,
    /// Allocation faults: each stack on which a driver allocates, and the outcome of its failure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub low_resources: Vec<AllocFaultsReport>,
    /// Faults of a driver that is hostile to the card: what the card had to find, and what it found, over each transport.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hostile: Vec<inside::Report>,
    /// What QEMU asserts on or refuses: what was noted, and what was found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub qemu_limits: Vec<LimitsReport>,
    /// Killed cards, and what came of each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub card_kills: Vec<CardKillsReport>,
    /// Kills of harness, card and QEMU: the verdict expected after each, and the verdict found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kills: Vec<KillsReport>,
    /// Broken variants of the C++ driver: the check expected for each, and the check that fired.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<VariantRow>,
}

/// A test that is counted and not listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedTest {
    /// The program and the source of cargo's runner, such as `dls_synth unittests src/lib.rs`, or `hostile driver`.
    pub suite: String,
    /// The name of the test in its suite.
    pub name: String,
    /// Whether it passed, failed or was ignored.
    pub result: TestResult,
}

impl CountedTest {
    /// Returns each fault of a driver that is hostile to the card whose outcome is as expected, in a suite for each transport. The
    /// others are violations of the test.
    pub fn of_faults(report: &inside::Report, test: &str) -> Vec<Self> {
        let counted = |(row, outcome): (&inside::Row, &inside::Outcome)| Self {
            suite: format!("{test} over {}", outcome.transport.name()),
            name: format!("{}: {}", row.area, row.fault),
            result: TestResult::Passed,
        };
        report.outcomes().filter(|(_, outcome)| outcome.holds()).map(counted).collect()
    }
}

/// A broken variant of the C++ driver.
#[derive(Clone, Debug, Serialize)]
pub struct VariantRow {
    /// Its name.
    pub variant: String,
    /// The check expected: a rule's number, or a bug check.
    pub expected: String,
    /// The check that fired.
    pub fired: String,
    /// Whether they are the same.
    pub caught: bool,
}

impl Report {
    /// Adds a test.
    pub fn add(&mut self, test: TestRecord) {
        match test.result {
            TestResult::Passed => self.passed += 1,
            TestResult::Failed => self.failed += 1,
            TestResult::Skipped => self.skipped += 1,
            TestResult::KnownIssue => self.known_issues += 1,
            TestResult::KnownIssuePasses => self.known_issues_passing += 1,
        }
        self.run_folders.extend(test.run_folder.clone());
        self.tests.push(test);
    }

    /// Adds all tests of another report.
    pub fn append(&mut self, other: Self) {
        for test in other.tests {
            self.add(test);
        }
        // The run folders of probes belong to no single test.
        for folder in other.run_folders {
            if !self.run_folders.contains(&folder) {
                self.run_folders.push(folder);
            }
        }
        match (&mut self.contract, other.contract) {
            (Some(own), Some(other)) => own.merge(other),
            (own, other) => *own = own.take().or(other),
        }
        self.counted_tests.extend(other.counted_tests);
        self.warnings.extend(other.warnings);
        self.low_resources.extend(other.low_resources);
        self.hostile.extend(other.hostile);
        self.qemu_limits.extend(other.qemu_limits);
        self.card_kills.extend(other.card_kills);
        self.kills.extend(other.kills);
        self.variants.extend(other.variants);
    }

    /// Returns what the guests of all tests found without stopping.
    #[must_use]
    pub fn findings(&self) -> FindingsReport {
        let mut all = FindingsReport::default();
        self.tests.iter().for_each(|test| all.add(test.findings.clone()));
        all
    }

    /// Returns the class of the failures: their own if they agree, else [`Class::TestFailed`].
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        let mut classes = self
            .tests
            .iter()
            .filter(|test| test.result == TestResult::Failed)
            .map(|test| test.class.unwrap_or(Class::TestFailed));
        let first = classes.next()?;
        Some(if classes.all(|class| class == first) { first } else { Class::TestFailed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(result: TestResult, class: Option<Class>) -> TestRecord {
        TestRecord { result, class, ..TestRecord::new("", "") }
    }

    #[test]
    fn keeps_the_class_of_failures_that_agree() {
        let mut report = Report::default();
        report.add(test(TestResult::Passed, None));
        assert_eq!(report.class(), None);
        report.add(test(TestResult::Failed, Some(Class::CardDied)));
        assert_eq!(report.class(), Some(Class::CardDied));
        report.add(test(TestResult::Failed, Some(Class::Timeout)));
        assert_eq!(report.class(), Some(Class::TestFailed));
        report.add(test(TestResult::KnownIssue, Some(Class::Timeout)));
        report.add(test(TestResult::KnownIssuePasses, None));
        assert_eq!((report.passed, report.failed, report.skipped), (1, 2, 0));
        assert_eq!((report.known_issues, report.known_issues_passing), (1, 1));
        assert_eq!(report.class(), Some(Class::TestFailed));
    }

    #[test]
    fn a_retry_that_passes_makes_a_failure_flaky_and_no_success() {
        let mut record = test(TestResult::Failed, Some(Class::Timeout));
        assert!(!record.is_flaky());
        record.attempts = vec![record.as_attempt(), test(TestResult::Passed, None).as_attempt()];
        assert!(record.is_flaky());
        let mut report = Report::default();
        report.add(record);
        assert_eq!((report.failed, report.class()), (1, Some(Class::Timeout)));
    }
}
