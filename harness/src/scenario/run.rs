//! Runs a scenario.

use super::context::Context;
use super::error::RunError;
use super::file::Scenario;
use super::kinds::run_kind;
use super::playback::run_cases;
use crate::event::Event;
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
    match scenario.test {
        Some(kind) => run_kind(scenario, kind, context, report),
        None => run_cases(scenario, context, report),
    }
}
