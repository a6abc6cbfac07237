//! The suite as a test program: each case of the scenarios is a test, which nextest lists, divides among machines and runs.
//!
//! It needs no cargo where `DMUS_BUNDLE` names a bundle, and no compiler. `DMUS_SCENARIOS` names another folder of scenarios, `DMUS_DRIVER`
//! another driver image. `cargo test` leaves it out: `dmus run` and `dmus test` run the same cases.

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use dmus::event::Silent;
use dmus::host::failure::Diagnosed;
use dmus::host::interrupt;
use dmus::jobs::Slots;
use dmus::provision::{self, Workspace};
use dmus::report::{Report, report_text};
use dmus::scenario::{Context, Host, Overrides, Scenario, files_in, run_each};
use dmus::testbed::provision;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// How long a step may take without progress.
const TIMEOUT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match trials(&arguments) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns a path that a variable names.
fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Reads the scenarios and returns a test for each case, or for all cases of a scenario that compares them.
fn trials(arguments: &Arguments) -> Result<Vec<Trial>, Box<dyn Error>> {
    interrupt::listen()?;
    let workspace = Workspace::find()?;
    let mut files = files_in(&named("DMUS_SCENARIOS").unwrap_or_else(|| workspace.scenarios()))?;
    // A runner starts this program for each test: it reads that one's scenario, and no other.
    if let Some(name) = arguments.filter.as_deref().filter(|_| arguments.exact) {
        let scenario = name.split_once(" [").map_or(name, |(scenario, _)| scenario);
        files.retain(|file| file.file_stem().is_some_and(|stem| stem == scenario));
    }
    let qemu = Host::qemu_at_hand(None, &workspace.cache());
    let host = Host { bundle: workspace.bundle.is_some(), qemu: qemu.as_deref() };
    let mut trials = Vec::new();
    for file in files {
        let scenario = Scenario::load(&file)?;
        let tests: Vec<(String, Scenario)> = if scenario.expect.same_pcm {
            vec![(scenario.name.clone(), scenario)]
        } else {
            let names = scenario.cases.iter().map(|case| scenario.full_name(case));
            names.filter_map(|name| Some((name.clone(), one(&scenario, &name)?))).collect()
        };
        for (name, scenario) in tests {
            let unmet = scenario.cases.iter().find_map(|case| scenario.unmet(case, &host));
            let workspace = workspace.clone();
            let run = move || match &unmet {
                Some(unmet) => Ok(Completion::ignored_with(format!("{}; {}", unmet.reason, unmet.remedy))),
                None => run(&workspace, &scenario),
            };
            trials.push(Trial::ignorable_test(name, run));
        }
    }
    Ok(trials)
}

/// Returns a scenario with the one case of a name.
fn one(scenario: &Scenario, name: &str) -> Option<Scenario> {
    scenario.narrowed(|case| scenario.full_name(case) == name)
}

/// Runs the cases of a scenario.
fn run(workspace: &Workspace, scenario: &Scenario) -> Result<Completion, Failed> {
    let driver = named("DMUS_DRIVER");
    let overrides = provision::Overrides { driver: driver.clone(), ..provision::Overrides::default() };
    let provisioned = provision(workspace, overrides, None, &Silent)?;
    // The runner decides how many tests run side by side.
    let slots = Slots::new(NonZeroUsize::MIN);
    let context = Context {
        workspace,
        provisioned: &provisioned,
        timeout: TIMEOUT,
        filter: None,
        overrides: Overrides { driver, ..Overrides::default() },
        slots: &slots,
        retries: 0,
        fail_fast: false,
        strict: false,
        keep: false,
        guest_log: None,
        interaction: None,
        observer: &Silent,
    };
    let mut report = Report::default();
    run_each(std::slice::from_ref(scenario), &context, |_, one| {
        report.append(one);
        Ok(())
    })
    .map_err(|error| format!("{error}\n{}", error.remedy().unwrap_or_default()))?;
    let text = report_text(&report);
    if let Some(class) = report.class() {
        let violations = report.tests.iter().flat_map(|test| &test.violations).map(String::as_str);
        let violations: Vec<&str> = violations.collect();
        return Err(format!("{}: {}\n{text}", class.name(), violations.join("\n")).into());
    }
    println!("{text}");
    if report.passed == 0 {
        let reasons: Vec<String> = report.tests.iter().flat_map(|test| test.violations.clone()).collect();
        return Ok(Completion::ignored_with(reasons.join("; ")));
    }
    Ok(Completion::Completed)
}
