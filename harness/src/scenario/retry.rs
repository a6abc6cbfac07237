//! Runs tests that failed again, to tell which are flaky. A test that passes then remains a failure.

use super::context::Context;
use super::error::RunError;
use super::file::Scenario;
use super::overrides::Overrides;
use super::run::run;
use crate::event::{Event, TestResult};
use crate::host::failure::Class;
use crate::machine::conditions::read_seed;
use crate::report::{Report, TestRecord};

/// Runs each test of a scenario's report that failed again, alone, until it passes or [`Context::retries`] are spent, and adds the
/// attempts to its record.
///
/// # Errors
/// What keeps a test from being run again, such as an interruption; the attempts until then are in the report.
pub(super) fn retry(scenario: &Scenario, context: &Context<'_>, report: &mut Report) -> Result<(), RunError> {
    for index in 0..report.tests.len() {
        let test = &report.tests[index];
        if context.retries == 0 || !is_worth(test) {
            continue;
        }
        let mut attempts = vec![test.as_attempt()];
        let name = test.name.clone();
        let seeds = match test.seed.as_deref().map(read_seed) {
            Some(Ok(seed)) if !context.overrides.seeds.is_empty() => vec![seed],
            _ => Vec::new(),
        };
        // What is compared with the first case of its scenario needs that one.
        let first = scenario.cases.first().filter(|_| scenario.expect.same_pcm).map(|case| case.name.clone());
        let full_name = test.case.clone();
        let alone =
            scenario.narrowed(|case| Some(scenario.full_name(case)) == full_name || first.as_ref() == Some(&case.name));
        let Some(alone) = alone else { continue };
        let mut ended = Ok(());
        for number in 1..=context.retries {
            let text = format!("{name} failed: attempt {} of {}", number + 1, context.retries + 1);
            context.observer.event(&Event::Note { text });
            let overrides = Overrides { seeds: seeds.clone(), ..context.overrides.clone() };
            let again = Context { overrides, fail_fast: false, retries: 0, ..*context };
            let mut found = Report::default();
            ended = run(&alone, &again, &mut found);
            report.run_folders.extend(found.run_folders);
            let Some(test) = found.tests.into_iter().find(|test| test.name == name) else { break };
            attempts.push(test.as_attempt());
            if ended.is_err() || test.result != TestResult::Failed {
                break;
            }
        }
        let test = &mut report.tests[index];
        test.attempts = attempts;
        if test.is_flaky() {
            let text = format!("{name} is flaky: it failed, and passed when it was run again. It remains a failure");
            context.observer.event(&Event::Warning { text });
        }
        ended?;
    }
    Ok(())
}

/// Returns whether a test failed in a way that may be another one next time.
fn is_worth(test: &TestRecord) -> bool {
    let same_again = [Class::Interrupted, Class::BadInput, Class::MissingArtefact, Class::NotHosted];
    test.result == TestResult::Failed && test.class.is_none_or(|class| !same_again.contains(&class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_nothing_again_that_cannot_have_another_end() {
        let failed = |class| TestRecord { result: TestResult::Failed, class, ..TestRecord::new("x", "") };
        assert!(is_worth(&failed(Some(Class::GuestCrashed))) && is_worth(&failed(None)));
        assert!(!is_worth(&failed(Some(Class::Interrupted))) && !is_worth(&failed(Some(Class::BadInput))));
        assert!(!is_worth(&TestRecord::new("x", "")));
    }
}
