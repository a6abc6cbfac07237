//! `dmus run`: scenarios.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use card_control::Sandbox;
use dmus::event::{Event, Observer};
use dmus::host::failure::Class;
use dmus::machine::Device;
use dmus::provision::Workspace;
use dmus::report::{Report, Terminal, error_line, failed_tests, out, out_json, report_text};
use dmus::scenario::{Context, Overrides, Scenario, ScenarioError, TestKind, files_in, run_each};
use dmus::testbed::TestBedError;
use serde_json::json;

use super::args::{JobsArguments, JudgeArguments, LowResourcesArguments, ReportArguments, RunArguments, SandboxChoice};
use super::error::{Error, Outcome, UsageError};
use super::hostile;
use super::reports::Reports;
use super::setup::{provisioned, workspace_of};

/// Runs scenarios, or the hostile driver's table, and prints their report.
///
/// # Errors
/// [`Error::Scenario`] when a file is unknown or malformed, and what keeps its tests from being run.
pub(super) fn run(arguments: &RunArguments) -> Outcome {
    let lenient = !arguments.violations.policy().is_strict();
    if hostile::is_named(arguments) {
        if arguments.device.is_given() {
            return Err(
                UsageError("`run hostile` tries faults on the project's card: it has no --device".into()).into()
            );
        }
        if arguments.sandbox.is_some() {
            let text = "`run hostile` tries faults on the card in its sandbox: it has no --sandbox";
            return Err(UsageError(text.into()).into());
        }
        if lenient || arguments.judge.judge().is_some() || arguments.rate.is_some() {
            return Ok(Some(hostile::refuse_policy(arguments)));
        }
        return hostile::run(arguments);
    }
    if arguments.soak.is_some() {
        return Ok(Some(hostile::refuse_soak(arguments)));
    }
    let reports = Reports::begin(&arguments.reports)?;
    let terminal = Terminal::new();
    let workspace = workspace_of(&arguments.machine, &terminal)?;
    // A malformed file shows before anything is built.
    let path = shipped(&workspace, &arguments.scenario);
    let scenarios = files_in(&path)
        .map_err(|error| unknown(&workspace, &arguments.scenario, error))?
        .iter()
        .map(|path| Scenario::load(path))
        .collect::<Result<Vec<_>, _>>()?;
    if arguments.driver.is_some() {
        for scenario in scenarios.iter().filter(|scenario| scenario.has_driver()) {
            let text = format!("{} has drivers of its own: --driver changes nothing there", scenario.name);
            terminal.event(&Event::Warning { text });
        }
    }
    if lenient {
        for scenario in scenarios.iter().filter(|scenario| scenario.test == Some(TestKind::Kills)) {
            let text = format!("{} judges no driver: --waive and --keep-going change nothing there", scenario.name);
            terminal.event(&Event::Warning { text });
        }
    }
    warn_of_the_card(arguments, &scenarios, &terminal);
    if arguments.case.as_deref().is_some_and(|case| !scenarios.iter().any(|scenario| scenario.has_case(case))) {
        drop(terminal);
        return Ok(Some(no_such_case(arguments, &scenarios)));
    }
    let device = device(arguments, &scenarios, &terminal)?;
    let provisioned = provisioned(&workspace, &arguments.machine, arguments.driver.as_deref(), &terminal)?;
    let context = Context {
        workspace: &workspace,
        provisioned: &provisioned,
        timeout: Duration::from_secs(arguments.machine.timeout),
        filter: arguments.case.as_deref(),
        overrides: overrides(arguments, device),
        jobs: arguments.jobs.jobs(),
        keep: arguments.keep,
        observer: &terminal,
    };
    let mut report = Report::default();
    for _ in 0..arguments.repeat {
        run_each(&scenarios, &context, |scenario, one| {
            if let Some(contract) = one.contract.as_ref().filter(|_| arguments.repeat > 1) {
                report.repeats.entry(scenario.name.clone()).or_default().count(contract);
            }
            report.append(one);
            Ok(())
        })?;
    }
    drop(terminal);
    if report.tests.is_empty() {
        return Ok(Some(no_such_case(arguments, &scenarios)));
    }
    print_failed(&report);
    if arguments.json {
        out_json(&report);
    } else {
        out(&report_text(&report));
    }
    // Last: a file that cannot be written costs no result.
    let unwritten = reports.write(&report);
    Ok(report.class().or(unwritten))
}

/// Warns of options about the project's card that change nothing in some scenarios, and of a card that is not confined.
fn warn_of_the_card(arguments: &RunArguments, scenarios: &[Scenario], observer: &dyn Observer) {
    let names: Vec<&str> =
        scenarios.iter().filter(|scenario| !scenario.follows_transport()).map(|scenario| &*scenario.name).collect();
    let names = names.join(", ");
    if arguments.transport.is_some() && !names.is_empty() {
        let text = format!("--transport changes nothing in what has no card of the project's, or chooses how: {names}");
        observer.event(&Event::Warning { text });
    }
    let open = |scenario: &Scenario| scenario.cases.iter().any(|case| case.sandbox == Sandbox::Off);
    match arguments.sandbox {
        Some(SandboxChoice::Off) => warn_of_no_sandbox("--sandbox off", observer),
        Some(SandboxChoice::On) => {}
        None => {
            for scenario in scenarios.iter().filter(|scenario| open(scenario)) {
                warn_of_no_sandbox(&format!("{}: sandbox = \"off\"", scenario.name), observer);
            }
        }
    }
}

/// Warns that the card is not confined, for a reason.
pub(super) fn warn_of_no_sandbox(why: &str, observer: &dyn Observer) {
    let text =
        format!("the card runs without its sandbox ({why}): what takes its process over has all rights of its user");
    observer.event(&Event::Warning { text });
}

/// Returns the options that replace what scenarios say.
fn overrides(arguments: &RunArguments, device: Device) -> Overrides {
    let first = arguments.seed.unwrap_or(FIRST_SEED);
    let count = if arguments.seed.is_some() { arguments.seeds.unwrap_or(1) } else { arguments.seeds.unwrap_or(0) };
    Overrides {
        // Delays are about what two processors do to each other.
        processors: arguments.processors.or((count > 0).then_some(PROCESSORS_WITH_SEEDS)),
        seeds: (0..u64::from(count)).map(|number| first.wrapping_add(number)).collect(),
        count: arguments.count,
        driver: arguments.driver.clone(),
        device,
        device_options: arguments.device.words(),
        policy: arguments.violations.policy(),
        transport: arguments.transport.map(Into::into),
        bars: arguments.bars,
        sandbox: arguments.sandbox.map(Into::into),
        sample_rate: arguments.rate,
        judge: arguments.judge.judge(),
        update_golden: arguments.update_golden,
    }
}

/// Returns the device that the command line names for all scenarios, which fits each of them.
///
/// # Errors
/// [`Error::Usage`] for a test of the project's card only and for options that do not belong together, and what
/// [`DeviceArguments::named`] refuses.
///
/// [`DeviceArguments::named`]: super::device::DeviceArguments::named
fn device(arguments: &RunArguments, scenarios: &[Scenario], observer: &dyn Observer) -> Result<Device, Error> {
    if arguments.device.is_named()
        && let Some(scenario) = scenarios.iter().find(|scenario| scenario.is_of_the_card())
    {
        let text = format!("{} is a test of the project's card: it has no --device", scenario.name);
        return Err(UsageError(text).into());
    }
    // A scenario that has a driver of its own needs no other.
    let named = arguments.driver.as_deref().and_then(Path::file_name);
    let own = (!scenarios.is_empty() && scenarios.iter().all(Scenario::has_driver)).then_some(OsStr::new(""));
    let device = arguments.device.named(named.or(own), observer)?.unwrap_or_default();
    for scenario in scenarios {
        let of_scenario = scenario.device.overridden_by(&device);
        of_scenario.check().map_err(|error| UsageError(error.to_string()))?;
        if !of_scenario.is_card() && named.is_none() && !scenario.has_driver() {
            return Err(TestBedError::NoDriver { device: of_scenario.name() }.into());
        }
    }
    Ok(device)
}

/// The first seed of several, and the processors of a run with seeds, where no option names them.
const FIRST_SEED: u64 = 1;
const PROCESSORS_WITH_SEEDS: u8 = 2;

/// Prints that no case has the name of the filter, and which names there are.
fn no_such_case(arguments: &RunArguments, scenarios: &[Scenario]) -> Class {
    const SHOWN_MAX: usize = 40;
    let text = arguments.case.as_deref().unwrap_or_default();
    let names: Vec<String> = scenarios.iter().flat_map(Scenario::names).collect();
    let error = format!("no case's name contains \"{text}\"");
    error_line(&format!("error (usage): {error}; there are:"));
    names.iter().take(SHOWN_MAX).for_each(|name| error_line(&format!("  {name}")));
    if names.len() > SHOWN_MAX {
        error_line(&format!("  ... and {} more", names.len() - SHOWN_MAX));
    }
    if arguments.json {
        out_json(&json!({
            "passed": 0, "failed": 0, "skipped": 0, "run_folders": [], "class": Class::Usage, "error": error, "names": names,
        }));
    }
    Class::Usage
}

/// Returns the scenario of a name: a file or folder of that name, or a shipped scenario.
fn shipped(workspace: &Workspace, named: &Path) -> PathBuf {
    let name = match named.to_str() {
        Some("broken") => "broken-drivers",
        Some("passing") => "passing-drivers",
        Some(name) => name,
        None => return named.into(),
    };
    let suite = workspace.scenarios();
    // What takes longer than a suite should is in a folder of its own.
    let places = [suite.join(name), suite.join("long").join(name)].map(|path| path.with_extension("toml"));
    if named.exists() {
        return named.into();
    }
    places.into_iter().find(|path| path.is_file()).unwrap_or_else(|| named.into())
}

/// Returns the error of a name that is no file: perhaps a misspelt scenario, so it lists which there are.
fn unknown(workspace: &Workspace, named: &Path, error: ScenarioError) -> Error {
    if named.exists() {
        return error.into();
    }
    let suite = workspace.scenarios();
    let files = [suite.clone(), suite.join("long")].into_iter().filter_map(|folder| files_in(&folder).ok()).flatten();
    let names = files.filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned())).collect();
    ScenarioError::Unknown { named: named.into(), names }.into()
}

/// Prints each failed test with the command that runs it again.
pub(super) fn print_failed(report: &Report) {
    let text = failed_tests(report);
    if !text.is_empty() {
        error_line(&text);
    }
}

/// Runs the scenario `low-resources`, all of it or one stack.
///
/// # Errors
/// [`Error::Run`] and others, as for [`run`].
pub(super) fn low_resources(arguments: &LowResourcesArguments) -> Outcome {
    run(&RunArguments {
        scenario: "low-resources".into(),
        driver: arguments.driver.clone(),
        device: arguments.device.clone(),
        case: arguments.stack.map(|stack| format!("{stack:016x}")),
        processors: None,
        seed: None,
        transport: None,
        bars: None,
        sandbox: None,
        rate: arguments.rate,
        judge: JudgeArguments::default(),
        violations: arguments.violations.clone(),
        jobs: JobsArguments::default(),
        count: None,
        seeds: None,
        soak: None,
        repeat: 1,
        keep: false,
        update_golden: false,
        reports: ReportArguments::default(),
        machine: arguments.machine.clone(),
        json: arguments.json,
    })
}
