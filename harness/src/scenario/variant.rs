//! Compares a variant of a C++ driver with the check that must stop it, or with none.

use std::num::NonZeroUsize;
use std::time::Instant;

use super::case::Case;
use super::context::Context;
use super::error::RunError;
use super::file::Scenario;
use super::known_issue::{self, Evidence};
use crate::conformance;
use crate::event::{Event, Silent, TestResult};
use crate::host::failure::{Class, Diagnosed};
use crate::machine::conditions::Conditions;
use crate::playback::PlaybackFailure;
use crate::report::{Report, TestRecord, VariantRow};
use crate::testbed::session::SessionError;
use crate::testbed::violations::ViolationPolicy;
use crate::testbed::{Provisioned, TestBedError};

/// A variant that a probe shows: a broken one must violate its own rule and no other, one that passes none.
pub(super) struct VariantProbe<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) policy: &'a ViolationPolicy,
    pub(super) case: &'a Case,
    pub(super) probe: &'a str,
    pub(super) provisioned: &'a Provisioned,
    pub(super) conditions: Conditions,
    pub(super) record: TestRecord,
}

impl VariantProbe<'_> {
    /// Runs the probe and returns its test and its row.
    ///
    /// # Errors
    /// An interruption, or a run folder that cannot be created.
    pub(super) fn run(self, context: &Context<'_>) -> Result<Report, RunError> {
        let mut report = Report::default();
        let begun = Instant::now();
        let Self { scenario, policy, case, probe, provisioned, conditions, record } = self;
        let found = conformance::run_probes(&conformance::Context {
            workspace: context.workspace,
            provisioned,
            timeout: context.timeout,
            filter: Some(probe),
            conditions,
            transport: context.overrides.transport.unwrap_or(case.transport),
            sandbox: context.overrides.sandbox.unwrap_or(case.sandbox),
            policy,
            sample_rate: None,
            judge: case.driver.as_ref().and_then(|driver| driver.judge.as_ref()),
            rounds: 0,
            jobs: NonZeroUsize::MIN,
            slots: None,
            reproduce: record.reproduce.clone(),
            observer: &Silent,
        })?;
        let violated = found.rows.iter().filter(|row| row.verdict == conformance::Verdict::Violated);
        let violated: Vec<u16> = violated.map(|row| row.number).collect();
        let expected = case.driver.as_ref().and_then(|driver| driver.bug_check.as_ref()?.rule);
        let expected_rules: Vec<u16> = expected.into_iter().collect();
        let caught = found.failures.is_empty() && violated == expected_rules;
        let text = |rules: &[u16]| {
            let named: Vec<String> = rules.iter().map(|rule| format!("rule {rule}")).collect();
            if named.is_empty() { "nothing".to_owned() } else { named.join(", ") }
        };
        let (wanted, fired) = (text(&expected_rules), text(&violated));
        let mut violations = Vec::new();
        if !caught {
            violations.push(format!("probe {probe}: expected {wanted} to be violated, found {fired}"));
            violations.extend(found.breaches());
        }
        let (result, class) =
            if caught { (TestResult::Passed, None) } else { (TestResult::Failed, Some(Class::TestFailed)) };
        if caught {
            found.run_folders.iter().for_each(|folder| context.passed(folder));
        }
        let milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
        if let Some(variant) = case.driver.as_ref().and_then(|driver| driver.variant.clone()) {
            report.variants.push(VariantRow { variant, expected: wanted, fired, caught });
        }
        let mut test = TestRecord {
            result,
            class,
            violations,
            milliseconds,
            seed: conditions.seed_text(),
            findings: found.findings.clone(),
            run_folder: found.run_folders.first().cloned(),
            ..record
        };
        let evidence = Evidence::of_contract(&found, &test);
        let day = jiff::Zoned::now().date();
        known_issue::apply(&scenario.known_issues, case, &evidence, (day, context.strict), &mut test);
        context.observer.event(&Event::TestEnded {
            name: test.name.clone(),
            result: test.result,
            milliseconds,
            detail: test.violations.iter().cloned().chain(known_issue::line(&test)).collect::<Vec<_>>().join("\n"),
        });
        report.add(test);
        Ok(report)
    }
}

/// Returns the row of a broken variant that a playback test, or steps, stopped; `None` for a good driver, and for a case that
/// was skipped.
pub(super) fn row<V>(case: &Case, result: &Result<V, Box<PlaybackFailure>>, test: &TestRecord) -> Option<VariantRow> {
    if test.result == TestResult::Skipped {
        return None;
    }
    let driver = case.driver.as_ref()?;
    let (variant, expected) = (driver.variant.clone()?, driver.bug_check.as_ref()?);
    let text = |rule: Option<u16>, code: Option<u32>| match (rule, code) {
        (Some(rule), _) => format!("rule {rule}"),
        (None, Some(code)) => format!("bug check {code:#x}"),
        (None, None) => "nothing".to_owned(),
    };
    let fired = match result {
        Err(failure) => match failure.error.testbed() {
            Some(TestBedError::Session(SessionError::BugCheck(found))) => text(found.rule, Some(found.code)),
            _ => failure.error.class().name().to_owned(),
        },
        Ok(_) => "nothing".to_owned(),
    };
    let caught = test.result == TestResult::Passed;
    Some(VariantRow { variant, expected: text(expected.rule, expected.code), fired, caught })
}
