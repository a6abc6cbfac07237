//! Runs several scenarios.

use std::num::NonZeroUsize;

use super::context::Context;
use super::error::RunError;
use super::file::Scenario;
use super::retry::retry;
use super::run::run;
use crate::event::Observer;
use crate::jobs::in_order;
use crate::report::Report;

/// Runs scenarios and passes each with its report to `each`, in their order.
///
/// A scenario with several runs has them side by side; neighbours with one each share the machine, unless they keep time by
/// the host's clock.
///
/// # Errors
/// [`RunError`] for what keeps tests from being run: an unreadable song, a run folder that cannot be created, an interruption;
/// and the first error of `each`. What was run by then has been passed to `each`.
pub fn run_each(
    scenarios: &[Scenario],
    context: &Context<'_>,
    mut each: impl FnMut(&Scenario, Report) -> Result<(), RunError>,
) -> Result<(), RunError> {
    let shares =
        |scenario: &Scenario| scenario.test.is_none() && scenario.cases.len() == 1 && !scenario.needs_the_host();
    for batch in scenarios.chunk_by(|one, next| shares(one) && shares(next)) {
        let inner = if batch.len() > 1 { NonZeroUsize::MIN } else { context.jobs };
        let job = |scenario: &Scenario, observer: &dyn Observer| {
            let context = Context { observer, jobs: inner, overrides: context.overrides.clone(), ..*context };
            let mut report = Report::default();
            let ended = run(scenario, &context, &mut report);
            // A test that failed is run again even where it is to be the last.
            let retried = match &ended {
                Ok(()) | Err(RunError::FirstFailure(_)) => retry(scenario, &context, &mut report),
                Err(_) => Ok(()),
            };
            (report, ended.and(retried))
        };
        in_order(context.jobs, batch, context.observer, job, |scenario, (report, ended)| {
            each(scenario, report)?;
            ended
        })?;
    }
    Ok(())
}
