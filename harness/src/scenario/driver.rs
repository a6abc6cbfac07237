//! The driver of a case: the scenario's, or one that is built for it.

use std::path::PathBuf;

use super::case::Case;
use super::context::Context;
use super::file::Scenario;
use super::requirement::{Host, Unmet};
use crate::event::TestResult;
use crate::provision::cpp_driver::{self, CppDriverError};
use crate::testbed::Provisioned;

/// Why a case cannot run: its driver could not be built, or the host lacks what it needs.
pub(super) struct Unbuilt {
    pub(super) result: TestResult,
    pub(super) reason: String,
}

impl From<CppDriverError> for Unbuilt {
    fn from(error: CppDriverError) -> Self {
        let result = match &error {
            CppDriverError::ToolMissing(_) => TestResult::Skipped,
            CppDriverError::Failed(_) => TestResult::Failed,
        };
        Self { result, reason: error.to_string() }
    }
}

/// Builds a case's own driver, if it has one, where the host has what the case needs.
pub(super) fn build(scenario: &Scenario, case: &Case, context: &Context<'_>) -> Result<Option<PathBuf>, Unbuilt> {
    let workspace = context.workspace;
    let host = Host { bundle: workspace.bundle.is_some(), qemu: Some(&context.provisioned.artefacts.qemu) };
    if let Some(Unmet { reason, remedy }) = scenario.unmet(case, &host) {
        return Err(Unbuilt { result: TestResult::Skipped, reason: format!("{reason}; {remedy}") });
    }
    let Some(driver) = &case.driver else { return Ok(None) };
    Ok(Some(cpp_driver::build(&driver.script, driver.driver.as_deref(), driver.variant.as_deref(), workspace)?))
}

/// Returns what is provisioned, with a driver that was built or that the case names in the driver's place, and its device.
pub(super) fn provisioned_with(
    scenario: &Scenario,
    case: &Case,
    built: Option<&PathBuf>,
    context: &Context<'_>,
) -> Provisioned {
    let mut provisioned = context.provisioned.clone();
    if let Some(driver) = built.or(case.image.as_ref()) {
        provisioned.artefacts.driver.clone_from(driver);
    }
    let of_case = case.driver.as_ref().and_then(|driver| driver.device.as_ref());
    provisioned.device = of_case.unwrap_or(&scenario.device).overridden_by(&context.overrides.device);
    provisioned
}
