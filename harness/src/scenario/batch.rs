//! Runs several scenarios.

use super::context::Context;
use super::error::RunError;
use super::file::Scenario;
use super::retry::retry;
use super::run::run;
use crate::event::Observer;
use crate::jobs::in_order;
use crate::report::Report;

/// Runs scenarios and passes each with its report to `each`.
///
/// The cases of all of them share the machine, in the scenarios' order; those whose course changes with what else the host does
/// come after them, each by itself.
///
/// # Errors
/// [`RunError`] for what keeps tests from being run: an unreadable song, a run folder that cannot be created, an interruption;
/// and the first error of `each`. What was run by then has been passed to `each`.
pub fn run_each(
    scenarios: &[Scenario],
    context: &Context<'_>,
    mut each: impl FnMut(&Scenario, Report) -> Result<(), RunError>,
) -> Result<(), RunError> {
    let (alone, together): (Vec<&Scenario>, Vec<&Scenario>) =
        scenarios.iter().partition(|scenario| scenario.needs_the_host());
    let job = |scenario: &&Scenario, observer: &dyn Observer| {
        let context = Context { observer, overrides: context.overrides.clone(), ..*context };
        let mut report = Report::default();
        let ended = run(scenario, &context, &mut report);
        // A test that failed is run again even where it is to be the last.
        let retried = match &ended {
            Ok(()) | Err(RunError::FirstFailure(_)) => retry(scenario, &context, &mut report),
            Err(_) => Ok(()),
        };
        (report, ended.and(retried))
    };
    for batch in std::iter::once(&together[..]).chain(alone.chunks(1)) {
        in_order(context.slots.count(), batch, context.observer, job, |scenario, (report, ended)| {
            each(scenario, report)?;
            ended
        })?;
    }
    Ok(())
}
