//! Runs several scenarios.

use std::num::NonZeroUsize;

use super::context::Context;
use super::error::RunError;
use super::file::Scenario;
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
/// and the first error of `each`.
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
            run(scenario, &Context { observer, jobs: inner, overrides: context.overrides.clone(), ..*context })
        };
        in_order(context.jobs, batch, context.observer, job, |scenario, report| each(scenario, report?))?;
    }
    Ok(())
}
