//! Runs a scenario.

use super::context::Context;
use super::error::RunError;
use super::file::Scenario;
use super::kinds::run_kind;
use super::playback::run_cases;
use super::unsupported;
use crate::event::{Event, TestResult};
use crate::host::failure::Class;
use crate::report::Report;
use crate::testbed::TestBedError;

/// Runs a scenario's tests and compares them with its expectations.
///
/// # Errors
/// What keeps tests from being run: an unreadable song, a run folder that cannot be created, an interruption, a first failure that is to be
/// the last.
///
/// What was run is in the report by then.
pub(super) fn run(scenario: &Scenario, context: &Context<'_>, report: &mut Report) -> Result<(), RunError> {
    let announced = format!("{}: {}", scenario.name, scenario.title);
    context.observer.event(&Event::Note { text: announced });
    for text in &scenario.notices {
        context.observer.event(&Event::Warning { text: text.clone() });
    }
    let device = scenario.device.overridden_by(&context.overrides.device);
    if !device.is_card() && !scenario.has_driver() && context.overrides.driver.is_none() {
        return Err(TestBedError::NoDriver { device: device.name() }.into());
    }
    if scenario.test.is_some() && context.provisioned.image.is_some() {
        skip(scenario, context, report);
        return Ok(());
    }
    match scenario.test {
        Some(kind) => run_kind(scenario, kind, context, report),
        None => run_cases(scenario, context, report),
    }
}

/// Skips every case of a scenario that an image shows nothing of.
fn skip(scenario: &Scenario, context: &Context<'_>, report: &mut Report) {
    for case in scenario.cases_over(context.overrides.transport) {
        let name = scenario.full_name(case);
        for conditions in context.overrides.conditions_of(case) {
            let reason = unsupported::of_image(scenario, conditions).unwrap_or_default();
            let reproduce = context.overrides.reproduce(scenario, Some(&name), conditions);
            let mut test = scenario.record(case, name.clone(), reproduce);
            (test.result, test.class) = (TestResult::Skipped, Some(Class::NotHosted));
            test.violations = vec![reason.clone()];
            context.observer.event(&Event::TestEnded {
                name: name.clone(),
                result: test.result,
                milliseconds: 0.0,
                detail: reason,
            });
            report.add(test);
        }
    }
}
