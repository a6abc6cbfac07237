//! Runs a scenario.

use super::context::Context;
use super::error::RunError;
use super::file::Scenario;
use super::kinds::run_kind;
use super::playback::run_cases;
use crate::report::Report;

/// Runs a scenario's tests and compares them with its expectations.
///
/// # Errors
/// What keeps tests from being run: an unreadable song, a run folder that cannot be created, an interruption.
pub fn run(scenario: &Scenario, context: &Context<'_>) -> Result<Report, RunError> {
    match scenario.test {
        Some(kind) => run_kind(scenario, kind, context),
        None => run_cases(scenario, context),
    }
}
