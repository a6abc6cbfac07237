//! Runs the test that opens the page of a report in a browser, with the browser and the rules of accessibility that it needs.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::dist::TEAM_FOLDER;
use crate::event::{Event, Observer, TestResult};
use crate::host::failure::{Class, Diagnosed};
use crate::host::invocation;
use crate::provision::{
    AXE_VARIABLE, Artefact, CHROMIUM_VARIABLE, Overrides, ProvisionError, Provisioner, Workspace, run_logged,
};
use crate::report::TestRecord;

/// The name of the test.
const NAME: &str = "the page of a report in a browser";

/// The variable that names the folder for pictures of the page.
const SCREENSHOTS_VARIABLE: &str = "DMUS_SCREENSHOTS";

/// The variable that names the folder of a team's reports, which the trial of the download leaves.
const TEAM_VARIABLE: &str = "DMUS_TEAM";

/// Longest time for the test, its build included.
const LIMIT: Duration = Duration::from_secs(1800);

/// Runs the test. It is skipped where neither the system nor its packages have a browser, or the rules cannot be fetched. Its
/// pictures are in `target/dmus/page`.
///
/// # Errors
/// [`ProvisionError::Interrupted`] when the user interrupts.
pub fn test_page(workspace: &Workspace, observer: &dyn Observer) -> Result<TestRecord, ProvisionError> {
    let begun = Instant::now();
    observer.event(&Event::TestBegun { name: NAME.into() });
    let mut record = TestRecord::new(NAME, invocation::command("test"));
    let failed = match provision(workspace, observer) {
        Ok((browser, axe)) => run(workspace, browser, axe).map_err(|error| (TestResult::Failed, error)),
        Err(error) if is_missing(&error) => Err((TestResult::Skipped, error)),
        Err(error) => Err((TestResult::Failed, error)),
    };
    match failed {
        Ok(()) => {}
        Err((_, error @ ProvisionError::Interrupted(_))) => return Err(error),
        Err((result, error)) => {
            record.result = result;
            // What ended is the test, and not what it needs.
            let is_verdict = matches!(error, ProvisionError::Failed { .. });
            record.class = Some(if is_verdict { Class::TestFailed } else { error.class() });
            let remedy = error.remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default();
            record.violations.push(format!("{error}{remedy}"));
        }
    }
    record.milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
    observer.event(&Event::TestEnded {
        name: NAME.into(),
        result: record.result,
        milliseconds: record.milliseconds,
        detail: record.violations.join("\n"),
    });
    Ok(record)
}

fn provision(workspace: &Workspace, observer: &dyn Observer) -> Result<(PathBuf, PathBuf), ProvisionError> {
    let provisioner = Provisioner::new(workspace, Overrides::default(), observer)?;
    Ok((provisioner.resolve(Artefact::Chromium)?, provisioner.resolve(Artefact::Axe)?))
}

/// Returns whether the machine cannot have what the test needs: that is no fault of the page.
fn is_missing(error: &ProvisionError) -> bool {
    matches!(
        error,
        ProvisionError::NoNetwork { .. }
            | ProvisionError::NotPackaged { .. }
            | ProvisionError::NoProgram { .. }
            | ProvisionError::Failed { .. }
            | ProvisionError::NotBundled { .. }
    )
}

fn run(workspace: &Workspace, browser: PathBuf, axe: PathBuf) -> Result<(), ProvisionError> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Not of the package: its dependencies would have fewer features than `cargo test --workspace` has built, and be built again.
    command.args(["test", "--workspace", "--test", "page", "--", "--nocapture"]).env("CARGO_INCREMENTAL", "0");
    command.env(CHROMIUM_VARIABLE, browser).env(AXE_VARIABLE, axe);
    command.env(SCREENSHOTS_VARIABLE, workspace.cache().join("page")).current_dir(&workspace.root);
    let team = workspace.cache().join(TEAM_FOLDER);
    if team.is_dir() {
        command.env(TEAM_VARIABLE, team);
    }
    let log = workspace.logs().join("cargo-test-page.log");
    run_logged("the test of the page", command, &log, None, LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_browser_skips_and_a_full_disk_fails() {
        let absent = ProvisionError::NoProgram { program: "npm".into(), purpose: "x".into(), remedy: "y".into() };
        assert!(is_missing(&absent));
        let full = ProvisionError::DiskFull { what: "x".into(), path: "/".into(), needed_mib: 2, free_mib: 1 };
        assert!(!is_missing(&full));
    }
}
