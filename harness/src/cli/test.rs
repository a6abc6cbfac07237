//! `dmus test`: every test of the project.

use std::time::Duration;

use dmus::agent_test::test_agent;
use dmus::debugger_test::test_debuggers;
use dmus::host::failure::{Class, Diagnosed};
use dmus::image_test::test_images;
use dmus::page_test::test_page;
use dmus::provision::{Artefact, Overrides, Provisioner};
use dmus::report::{Terminal, error_line, out, out_json, summary};
use dmus::scenario::suite::{Suite, Untried};

use super::args::TestArguments;
use super::dist::try_download;
use super::error::Outcome;
use super::reports::Reports;
use super::run::print_failed;
use super::setup::{provisioned, workspace};

/// Runs every test of the project and prints how many passed.
///
/// # Errors
/// An interruption, or what keeps the suite from being run.
pub(super) fn test(arguments: &TestArguments) -> Outcome {
    let reports = Reports::begin(&arguments.reports)?;
    let terminal = Terminal::new();
    let workspace = workspace(&terminal)?;
    let suite = Suite {
        workspace: &workspace,
        driver_x86: &|| {
            let provisioner = Provisioner::new(&workspace, Overrides::default(), &terminal)?;
            Ok(provisioner.resolve(Artefact::DriverX86)?)
        },
        provisioned: &|| Ok(provisioned(&workspace, &arguments.machine, None, &terminal)?),
        download: &|| {
            try_download(&workspace, &terminal)
                .map(|commands| commands.join(", "))
                .map_err(|error| Untried { class: error.class(), reason: error.to_string() })
        },
        timeout: Duration::from_secs(arguments.machine.timeout),
        programs: &|| {
            let mut records = Vec::new();
            for test in [test_images, test_agent, test_page, test_debuggers] {
                records.push(test(&workspace, &terminal)?);
            }
            Ok(records)
        },
        jobs: arguments.jobs.jobs(&terminal),
        keep: arguments.keep,
        observer: &terminal,
    };
    let report = suite.run()?;
    drop(terminal);
    print_failed(&report);
    // In CI a test that was not run must not look like one that passed.
    let strict = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    let skips_fail = strict && report.skipped > 0;
    if skips_fail {
        error_line("in CI (the variable CI is set) a skipped test is a failure");
    }
    if arguments.json {
        out_json(&report);
    }
    out(&summary(&report));
    // Last: a file that cannot be written costs no result.
    let unwritten = reports.write(&report);
    let counted = (report.failed > 0).then_some(Class::TestFailed);
    Ok(report.class().or(counted).or(skips_fail.then_some(Class::TestFailed)).or(unwritten))
}
