//! Carries out the steps of a case, and judges what came of them.

use std::collections::BTreeSet;

use card_control::Clock;

use super::case::Case;
use super::context::Context;
use super::error::RunError;
use super::file::Scenario;
use super::inputs::song_and_card;
use super::known_issue::{self, Evidence, KnownIssue};
use super::unsupported;
use crate::event::TestResult;
use crate::host::failure::{Class, Diagnosed};
use crate::machine::conditions::Conditions;
use crate::playback::PlaybackFailure;
use crate::report::TestRecord;
use crate::steps::{Plan, StepResult, StepsTest, StepsVerdict, run_steps};
use crate::testbed::run_folder::RunFolder;
use crate::testbed::{GUEST_LOG_DEFAULT, Provisioned};

/// Steps that were carried out.
pub(super) struct Stepped {
    /// What came of them.
    pub(super) result: Result<StepsVerdict, Box<PlaybackFailure>>,
    /// The run folder.
    pub(super) folder: RunFolder,
}

/// Carries out the steps of a case.
///
/// # Errors
/// A song that cannot be read, or a run folder that cannot be created.
pub(super) fn run(
    (scenario, case, plan): (&Scenario, &Case, &Plan),
    provisioned: &Provisioned,
    context: &Context<'_>,
    conditions: Conditions,
    name: &str,
    reproduce: &str,
) -> Result<Stepped, RunError> {
    let folder = RunFolder::create(context.workspace, name, None)?;
    let (song, card) = song_and_card(case, provisioned, context)?;
    let test = StepsTest {
        plan,
        limits: scenario.limits,
        song,
        card,
        conditions,
        policy: context.overrides.policy(scenario),
        sample_rate: context.overrides.sample_rate.or(case.sample_rate),
        quantum_frames: case.quantum,
        tail_ms: case.tail_ms,
        lead_ms: case.lead_ms,
        timeout: context.timeout,
        guest_log: context.guest_log.unwrap_or(GUEST_LOG_DEFAULT).into(),
        interaction: context.interaction,
        update_golden: context.overrides.update_golden,
    };
    let result = run_steps(&test, provisioned, &folder, reproduce, context.observer);
    Ok(Stepped { result, folder })
}

/// Compares what came of the steps with the expectations, and fills the test's record. Returns the detail of the test's end.
pub(super) fn judge(
    scenario: &Scenario,
    case: &Case,
    stepped: &Stepped,
    (issues, strict): (&[KnownIssue], bool),
    test: &mut TestRecord,
    warnings: &mut BTreeSet<String>,
) -> String {
    let mut expect = scenario.expect.clone();
    if let Some(bug_check) = case.driver.as_ref().and_then(|driver| driver.bug_check.clone()) {
        expect.bug_check = Some(bug_check);
    }
    test.run_folder = Some(stepped.folder.path().into());
    let evidence = match &stepped.result {
        Ok(verdict) => {
            test.findings = verdict.findings.clone();
            test.pcm_sha256.clone_from(&verdict.pcm_sha256);
            test.violations = expect.violations_of_steps(verdict);
            if !test.violations.is_empty() {
                // In lockstep a standstill changes nothing that steps expect.
                let stalled = case.clock == Clock::Realtime && !verdict.standstills.is_empty();
                test.class = Some(if stalled { Class::HostStalled } else { Class::TestFailed });
            }
            warnings.extend(verdict.warnings.iter().cloned());
            steps_that_failed(verdict)
        }
        Err(failure) if unsupported::skip(&failure.error, test) => return test.violations.join("\n"),
        Err(failure) => {
            test.findings = failure.findings.clone();
            test.violations = expect.violations_of_failure(failure);
            if !test.violations.is_empty() {
                test.class = Some(failure.error.class());
            }
            failure.evidence.trim_end().to_owned()
        }
    };
    if !test.violations.is_empty() {
        test.result = TestResult::Failed;
    }
    if test.class != Some(Class::Interrupted) {
        let found = match &stepped.result {
            Ok(_) => Evidence::of_findings(test),
            Err(failure) => Evidence::of_failure(failure, test),
        };
        known_issue::apply(issues, case, &found, (jiff::Zoned::now().date(), strict), test);
    }
    let findings = test.findings.lines();
    let mut detail =
        test.violations.iter().chain(&known_issue::line(test)).chain(&findings).cloned().collect::<Vec<_>>().join("\n");
    if test.result == TestResult::Failed && !evidence.is_empty() {
        detail = format!("{detail}\n{evidence}");
    }
    detail
}

/// Returns a line for each step that was noted or not reached, which the failures do not name.
fn steps_that_failed(verdict: &StepsVerdict) -> String {
    let missed = verdict.steps.iter().filter(|step| step.result == StepResult::NotReached).count();
    if missed == 0 { String::new() } else { format!("{missed} steps behind it were not reached") }
}
