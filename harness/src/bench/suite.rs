//! The benchmark `suite`: shipped scenarios side by side, as a push of a driver team runs them.

use std::time::{Duration, Instant};

use super::context::Context;
use super::error::BenchError;
use super::measurement::{Measurement, median};
use super::not_passed::NotPassed;
use crate::jobs::{self, Slots};
use crate::report::Report;
use crate::scenario::{self, Expectations, Outcome, Overrides, Scenario, files_in, run_each};
use crate::testbed::TIMEOUT_DEFAULT;

/// The aim for a case, in milliseconds: 80 of them within 40 s, on two processors.
const CASE_MS_MAX: f64 = 500.0;

/// Returns whether it plays songs through the project's own driver to their end, at the guest's own pace: the others take as
/// long as a clock, a build, or what they break.
fn is_measured(scenario: &Scenario) -> bool {
    scenario.test.is_none()
        && !scenario.needs_a_checkout()
        && !scenario.needs_the_host()
        && scenario.device.is_card()
        && matches!(scenario.expect, Expectations { outcome: Outcome::Played, .. })
}

/// Measures, and passes each figure to `report`.
///
/// # Errors
/// [`BenchError::Run`] for a scenario that cannot be read or run; [`BenchError::NotPassed`] when a case does not pass.
pub(super) fn run(context: &Context<'_>, report: &mut dyn FnMut(Measurement)) -> Result<(), BenchError> {
    let files = files_in(&context.workspace.scenarios()).map_err(scenario::RunError::from)?;
    let scenarios: Vec<Scenario> =
        files.iter().map(|path| Scenario::load(path)).collect::<Result<_, _>>().map_err(scenario::RunError::from)?;
    let scenarios: Vec<Scenario> = scenarios.into_iter().filter(is_measured).collect();
    let slots = Slots::new(jobs::jobs(None).count);
    let suite = scenario::Context {
        workspace: context.workspace,
        provisioned: context.provisioned()?,
        timeout: TIMEOUT_DEFAULT,
        filter: None,
        overrides: Overrides { policy: context.policy.clone(), ..Overrides::default() },
        slots: &slots,
        retries: 0,
        fail_fast: false,
        strict: false,
        keep: false,
        guest_log: None,
        interaction: None,
        observer: context.observer,
    };
    let mut all = Report::default();
    let begun = Instant::now();
    run_each(&scenarios, &suite, |scenario, one| {
        let times: Vec<f64> = one.tests.iter().map(|test| test.milliseconds).collect();
        if !times.is_empty() {
            report(Measurement::new(format!("suite/{}", scenario.name), median(times), "ms"));
        }
        all.append(one);
        Ok(())
    })?;
    let took: Duration = begun.elapsed();
    all.tests.iter().for_each(|test| context.found(test.findings.clone()));
    let cases = all.tests.len() as f64;
    report(Measurement::new("suite/jobs", slots.count().get() as f64, "guests"));
    report(Measurement::new("suite/passed", all.passed as f64, "cases").against(cases));
    report(Measurement::new("suite/total", took.as_secs_f64() * 1000.0, "ms").against(cases * CASE_MS_MAX));
    let failed: Vec<String> =
        all.tests.iter().filter(|test| test.class.is_some()).map(|test| test.name.clone()).collect();
    if failed.is_empty() { Ok(()) } else { Err(NotPassed::Cases(failed).into()) }
}
