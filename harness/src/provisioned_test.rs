//! Runs a test of the project that needs programs which nothing else needs: they are provisioned first, and named to it by variables.

use std::ffi::OsString;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::event::{Event, Observer, TestResult};
use crate::host::failure::{Class, Diagnosed};
use crate::host::invocation;
use crate::provision::{Overrides, ProvisionError, Provisioner, Workspace, run_logged};
use crate::report::TestRecord;

/// Longest time for the test, its build included.
const LIMIT: Duration = Duration::from_secs(1800);

/// Variables of the environment.
pub(crate) type Variables = Vec<(&'static str, OsString)>;

/// A test of the project, a program of its own.
pub(crate) struct ProvisionedTest {
    /// Its name for people.
    pub(crate) name: &'static str,
    /// Its name for cargo.
    pub(crate) target: &'static str,
    /// How many of its tests run side by side; without, one a processor. Tests that wait most of the time bear more.
    pub(crate) threads: Option<u8>,
}

impl ProvisionedTest {
    /// Runs the test, for which `provision` returns variables. It is skipped where the machine cannot have what it needs.
    ///
    /// # Errors
    /// [`ProvisionError::Interrupted`] when the user interrupts.
    pub(crate) fn run(
        &self,
        workspace: &Workspace,
        observer: &dyn Observer,
        provision: impl FnOnce(&Provisioner<'_>) -> Result<Variables, ProvisionError>,
    ) -> Result<TestRecord, ProvisionError> {
        let begun = Instant::now();
        let name = self.name;
        observer.event(&Event::TestBegun { name: name.into() });
        let mut record = TestRecord::new(name, invocation::command("test"));
        let provisioned =
            Provisioner::new(workspace, Overrides::default(), observer).and_then(|provisioner| provision(&provisioner));
        let failed = match provisioned {
            Ok(variables) => self.execute(workspace, variables).map_err(|error| (TestResult::Failed, error)),
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
            name: name.into(),
            result: record.result,
            milliseconds: record.milliseconds,
            detail: record.violations.join("\n"),
        });
        Ok(record)
    }

    fn execute(&self, workspace: &Workspace, variables: Variables) -> Result<(), ProvisionError> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Not of the package: its dependencies would have fewer features than `cargo test --workspace` has built, and be built again.
        command.args(["test", "--workspace", "--test", self.target, "--", "--nocapture"]).env("CARGO_INCREMENTAL", "0");
        command.args(self.threads.map(|threads| format!("--test-threads={threads}")));
        command.envs(variables).current_dir(&workspace.root);
        let log = workspace.logs().join(format!("cargo-test-{}.log", self.target));
        run_logged(&format!("the test of {}", self.name), command, &log, None, LIMIT)
    }
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
