//! `dmus run`: scenarios.

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use card_control::Sandbox;
use dmus::event::{Event, Observer};
use dmus::host::failure::{Class, Diagnosed};
use dmus::host::{interrupt, invocation};
use dmus::jobs::Slots;
use dmus::machine::Device;
use dmus::playback::live::LiveMidi;
use dmus::prompt::{Prompt, PromptOptions};
use dmus::provision::Workspace;
use dmus::report::{Progress, Report, error_line, failed_tests, out, out_json, report_text, summary};
use dmus::scenario::{Context, LastRun, Overrides, RunError, Scenario, TestKind, run_each};
use dmus::steps::Interaction;
use dmus::testbed::{Provisioned, TestBedError};
use serde_json::json;

use super::args::{
    JobsArguments, JudgeArguments, LiveArguments, LowResourcesArguments, ReportArguments, SandboxChoice,
};
use super::boot::{HISTORY, Verbose};
use super::debugger::DebuggerArguments;
use super::error::{Error, Outcome, UsageError};
use super::guest::GuestArguments;
use super::hostile;
use super::reports::Reports;
use super::run_arguments::{RunArguments, SelectionArguments};
use super::scenarios;
use super::setup::{provisioned_with, reproduce, workspace_of};

/// Runs scenarios, or the hostile driver's table, and prints their report.
///
/// # Errors
/// [`Error::Scenario`] when a file is unknown or malformed, and what keeps its tests from being run.
pub(super) fn run(arguments: &RunArguments) -> Outcome {
    if let Some(class) = of_hostile(arguments)? {
        return class;
    }
    let reports = Reports::begin(&arguments.reports)?;
    let progress = Progress::new(arguments.quiet);
    let workspace = workspace_of(&arguments.machine, &progress)?;
    // A malformed file shows before anything is built.
    let (last, named) = scenarios::last_failed(&workspace, &arguments.selection, &arguments.scenarios)?;
    let loaded = scenarios::load(&workspace, &named)?;
    if let Some(last) = last.as_ref().filter(|last| last.failed.is_empty()) {
        let text = format!("nothing failed in the last run, {} ({})", last.command, last.ended);
        progress.event(&Event::Note { text });
    }
    let names: Vec<String> = loaded.iter().flat_map(Scenario::names).collect();
    let has_named = |text: &str| loaded.iter().any(|scenario| scenario.has_case(text));
    let unknown = arguments.selection.filter.as_deref().is_some_and(|text| !has_named(text));
    let shuffle = arguments.shuffle.map(|shuffle| shuffle.0);
    let transport = arguments.transport.map(Into::into);
    let chosen = scenarios::selection(&arguments.selection, last, transport, shuffle).choose(loaded);
    if let Some(seed) = shuffle {
        let text = format!("in another order: --shuffle={seed:x} repeats it");
        progress.event(&Event::Note { text });
    }
    warn_of_options(arguments, &chosen, &progress);
    if unknown {
        drop(progress);
        return Ok(Some(no_such_case(arguments, &names)));
    }
    if chosen.is_empty() {
        drop(progress);
        return Ok(nothing_chosen(arguments));
    }
    let image = arguments.guest.open(&workspace, &progress)?;
    let device = device(arguments, &chosen, &progress)?;
    let live = live(arguments, &chosen)?;
    let prompt = prompt(arguments, &workspace, &chosen, &progress);
    // Others may need the machine's memory: an image takes some GiB.
    let alone = prompt.is_some() || image.is_some();
    let slots = Slots::new(if alone { NonZeroUsize::MIN } else { arguments.jobs.jobs(&progress) });
    let overrides = overrides(arguments, device, live);
    let planned = arguments.repeat as usize * chosen.iter().map(|it| overrides.tests_of(it)).sum::<usize>();
    arguments.debugger.expect_one(planned)?;
    let driver = arguments.driver.as_deref();
    let provisioned = provisioned_with(&workspace, &arguments.machine, &arguments.debugger, driver, &progress)?;
    let provisioned = Provisioned { image, ..provisioned };
    let context = Context {
        workspace: &workspace,
        provisioned: &provisioned,
        timeout: Duration::from_secs(arguments.machine.timeout),
        filter: arguments.selection.filter.as_deref(),
        overrides,
        slots: &slots,
        retries: arguments.retries,
        fail_fast: arguments.fail_fast,
        strict: arguments.strict,
        keep: arguments.keep,
        guest_log: None,
        interaction: prompt.as_ref().map(|prompt| prompt as &dyn Interaction),
        observer: if prompt.is_some() { &Verbose } else { &progress },
    };
    progress.plan(planned);
    let mut report = Report::default();
    let ended = repeat(arguments.repeat, &chosen, &context, &mut report);
    drop(progress);
    if report.tests.is_empty() && ended.is_ok() {
        return Ok(Some(no_such_case(arguments, &names)));
    }
    // Another run that has started this one keeps its own record.
    if arguments.machine.prepared.is_none()
        && let Err(error) = LastRun::of(&report, reproduce()).write(&workspace.cache())
    {
        error_line(&format!("warning: --last-failed will not know this run: {error}"));
    }
    print_failed(&report);
    let not_run = planned.saturating_sub(report.tests.len());
    let class = print_end(ended.err(), not_run).or(report.class());
    if arguments.json {
        let mut object = json!(report);
        object["not_run"] = not_run.into();
        object["class"] = json!(class);
        object["shuffle"] = shuffle.map(|seed| format!("{seed:x}")).into();
        out_json(&object);
    } else if arguments.quiet {
        out(&summary(&report));
    } else {
        out(&report_text(&report));
    }
    // Last: a file that cannot be written costs no result.
    let unwritten = reports.write(&report);
    Ok(class.or(unwritten))
}

/// Returns the prompt that opens where a step fails, if there is to be one.
fn prompt(
    arguments: &RunArguments,
    workspace: &Workspace,
    chosen: &[Scenario],
    observer: &dyn Observer,
) -> Option<Prompt> {
    if !arguments.prompt_on_failure {
        return None;
    }
    let has_none = |scenario: &&Scenario| {
        scenario.plan.is_empty() && !scenario.cases.iter().any(|case| scenario.song_as_steps(case).is_some())
    };
    for scenario in chosen.iter().filter(has_none) {
        let text = format!(
            "{} neither has steps nor plays songs on the card without more: --prompt-on-failure opens no prompt there",
            scenario.name
        );
        observer.event(&Event::Warning { text });
    }
    Some(Prompt::new(PromptOptions {
        on_failure_only: true,
        history: Some(workspace.cache().join(HISTORY)),
        driver: arguments.driver.clone(),
        ..PromptOptions::default()
    }))
}

/// Runs the scenarios so many times.
///
/// # Errors
/// [`RunError`] for what keeps tests from being run; what was run by then is in the report.
fn repeat(times: u32, scenarios: &[Scenario], context: &Context<'_>, report: &mut Report) -> Result<(), RunError> {
    for _ in 0..times {
        run_each(scenarios, context, |scenario, one| {
            if let Some(contract) = one.contract.as_ref().filter(|_| times > 1) {
                report.repeats.entry(scenario.name.clone()).or_default().count(contract);
            }
            report.append(one);
            Ok(())
        })?;
    }
    Ok(())
}

/// Prints why a run ended before its last test, and returns the class of that; `None` where the tests have it.
fn print_end(error: Option<RunError>, not_run: usize) -> Option<Class> {
    let error = error?;
    if matches!(error, RunError::FirstFailure(_)) {
        error_line(&format!("{error}: {not_run} tests were not run"));
        return None;
    }
    let (class, by) = match interrupt::requested() {
        true => (Class::Interrupted, format!("interrupted{}: ", interrupt::by_signal())),
        false => (error.class(), String::new()),
    };
    error_line(&format!("error ({}): {by}{error}; {not_run} tests were not run", class.name()));
    if let Some(remedy) = error.remedy().filter(|_| class != Class::Interrupted) {
        error_line(&format!("remedy: {remedy}"));
    }
    Some(class)
}

/// Runs the hostile driver's table, where the command line names it, or refuses what does not belong to it.
///
/// # Errors
/// [`Error::Usage`] for options that the hostile driver does not have.
fn of_hostile(arguments: &RunArguments) -> Result<Option<Outcome>, Error> {
    if !hostile::is_named(arguments) {
        return Ok(arguments.soak.is_some().then(|| Ok(Some(hostile::refuse_soak(arguments)))));
    }
    let selection = &arguments.selection;
    let chooses = selection.shard.is_some()
        || selection.set.is_some()
        || selection.last_failed
        || !(selection.tag.is_empty() && selection.not_tag.is_empty());
    let refused = if arguments.scenarios.len() > 1 {
        Some("`run hostile` is no scenario: it runs alone")
    } else if arguments.device.is_given() {
        Some("`run hostile` tries faults on the project's card: it has no --device")
    } else if arguments.debugger.is_given() {
        Some("`run hostile` has no driver to debug: `run hostile-driver --filter FAULT` has one")
    } else if arguments.guest.image().is_some() {
        Some("`run hostile` has a guest of its own: it has no --guest")
    } else if arguments.sandbox.is_some() {
        Some("`run hostile` tries faults on the card in its sandbox: it has no --sandbox")
    } else if chooses || arguments.shuffle.is_some() || arguments.fail_fast || arguments.retries > 0 {
        Some("`run hostile` is a table of faults: it has --filter, and no other choice or order of cases")
    } else {
        None
    };
    if let Some(text) = refused {
        return Err(UsageError(text.into()).into());
    }
    let lenient = !arguments.violations.policy().is_strict();
    if lenient || arguments.judge.judge().is_some() || arguments.rate.is_some() {
        return Ok(Some(Ok(Some(hostile::refuse_policy(arguments)))));
    }
    Ok(Some(hostile::run(arguments)))
}

/// Warns of options that change nothing in some scenarios.
fn warn_of_options(arguments: &RunArguments, scenarios: &[Scenario], observer: &dyn Observer) {
    if arguments.driver.is_some() {
        for scenario in scenarios.iter().filter(|scenario| scenario.has_driver()) {
            let text = format!("{} has drivers of its own: --driver changes nothing there", scenario.name);
            observer.event(&Event::Warning { text });
        }
    }
    if !arguments.violations.policy().is_strict() {
        for scenario in scenarios.iter().filter(|scenario| scenario.test == Some(TestKind::Kills)) {
            let text = format!("{} judges no driver: --waive and --keep-going change nothing there", scenario.name);
            observer.event(&Event::Warning { text });
        }
    }
    warn_of_the_card(arguments, scenarios, observer);
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
fn overrides(arguments: &RunArguments, device: Device, live: Option<LiveMidi>) -> Overrides {
    let first = arguments.seed.unwrap_or(FIRST_SEED);
    let count = if arguments.seed.is_some() { arguments.seeds.unwrap_or(1) } else { arguments.seeds.unwrap_or(0) };
    Overrides {
        // Delays are about what two processors do to each other.
        processors: arguments.processors.or((count > 0).then_some(PROCESSORS_WITH_SEEDS)),
        seeds: (0..u64::from(count)).map(|number| first.wrapping_add(number)).collect(),
        count: arguments.count,
        driver: arguments.driver.clone(),
        guest: arguments.guest.image().map(str::to_owned),
        device,
        device_options: arguments.device.words(),
        policy: arguments.violations.policy(),
        transport: arguments.transport.map(Into::into),
        bars: arguments.bars,
        windows: arguments.windows,
        no_marks: arguments.no_marks,
        sandbox: arguments.sandbox.map(Into::into),
        sample_rate: arguments.rate,
        judge: arguments.judge.judge(),
        live,
        update_golden: arguments.update_golden,
    }
}

/// Returns the live MIDI of the command line, which every scenario that is chosen must take.
///
/// # Errors
/// [`Error::Playback`] for a source that cannot be opened, [`Error::Usage`] for a scenario that captures no song.
fn live(arguments: &RunArguments, chosen: &[Scenario]) -> Result<Option<LiveMidi>, Error> {
    let live = arguments.live.live()?;
    match chosen.iter().find(|scenario| live.is_some() && !scenario.capture) {
        Some(other) => {
            let text = format!("--midi-in is for scenarios with `capture = true`, and {} has none", other.name);
            Err(UsageError(text).into())
        }
        None => Ok(live),
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
fn no_such_case(arguments: &RunArguments, names: &[String]) -> Class {
    const SHOWN_MAX: usize = 40;
    let text = arguments.selection.filter.as_deref().unwrap_or_default();
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

/// Prints that the options choose no case. That is wrong use, unless a part of a run may be empty, or nothing failed.
fn nothing_chosen(arguments: &RunArguments) -> Option<Class> {
    let selection = &arguments.selection;
    let class = (!selection.last_failed && selection.shard.is_none()).then_some(Class::Usage);
    let error = "no case is chosen by --filter, --tag, --not-tag, --set, --last-failed and --shard together";
    match class {
        Some(class) => error_line(&format!("error ({}): {error}", class.name())),
        None => error_line(error),
    }
    error_line(&format!("remedy: see {}", invocation::command("list")));
    if arguments.json {
        out(&json!({
            "passed": 0, "failed": 0, "skipped": 0, "not_run": 0, "run_folders": [], "tests": [], "class": class,
        })
        .to_string());
    } else if class.is_none() {
        out(&summary(&Report::default()));
    }
    class
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
        scenarios: vec!["low-resources".into()],
        selection: SelectionArguments {
            filter: arguments.stack.map(|stack| format!("{stack:016x}")),
            ..SelectionArguments::default()
        },
        shuffle: None,
        fail_fast: false,
        retries: 0,
        strict: false,
        quiet: false,
        driver: arguments.driver.clone(),
        device: arguments.device.clone(),
        guest: GuestArguments::default(),
        processors: None,
        seed: None,
        transport: None,
        bars: None,
        windows: None,
        no_marks: false,
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
        live: LiveArguments::default(),
        update_golden: false,
        prompt_on_failure: false,
        reports: ReportArguments::default(),
        machine: arguments.machine.clone(),
        debugger: DebuggerArguments::default(),
        json: arguments.json,
    })
}
