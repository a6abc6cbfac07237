//! The verbs, each in terms of the library.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dmus::bench;
use dmus::event::{Event, Observer, TestResult};
use dmus::host::failure::{Class, Diagnosed};
use dmus::host::file_error::FileError;
use dmus::host::leftovers;
use dmus::kills::Prepared;
use dmus::machine::CardOptions;
use dmus::machine::conditions::Conditions;
use dmus::playback::{PlaybackFailure, PlaybackTest, Verdict, run_playback};
use dmus::provision::doctor::{self, State};
use dmus::provision::driver_file;
use dmus::provision::{Artefact, Overrides, Provisioner, Workspace};
use dmus::scenario::suite::{SCENARIOS, Suite};
use dmus::scenario::{Context, Report, Scenario, ScenarioError, Wishes, files_in, run as run_scenario};
use dmus::sound::midi::Song;
use dmus::sound::songs::{self, BuiltIn};
use dmus::testbed::run_folder::RunFolder;
use dmus::testbed::{HOST_STALLED_REMEDY, Provisioned, TestBedError, measured, provision};
use serde_json::json;

use super::Outcome;
use super::args::{
    BenchArguments, DemoArguments, DoctorArguments, MachineArguments, RunArguments, ShortageArguments, TestArguments,
};
use super::error::Error;
use super::hostile;
use super::print::{error_line, out};
use super::terminal::Terminal;

/// Finds the project, and takes away what earlier runs have left that were ended by force.
pub(super) fn workspace(observer: &dyn Observer) -> Result<Workspace, Error> {
    swept(Workspace::find()?, observer)
}

/// The same, for a verb that may have been given what another run has found.
pub(super) fn workspace_of(machine: &MachineArguments, observer: &dyn Observer) -> Result<Workspace, Error> {
    match &machine.prepared {
        Some(path) => swept(Prepared::read(path)?.workspace, observer),
        None => workspace(observer),
    }
}

fn swept(workspace: Workspace, observer: &dyn Observer) -> Result<Workspace, Error> {
    for what in leftovers::sweep(Some(&workspace.cache())) {
        observer.event(&Event::Note { text: format!("left over from a run that was ended by force: {what}") });
    }
    Ok(workspace)
}

/// Provisions everything that a guest needs, and chooses the accelerator.
pub(super) fn provisioned(
    workspace: &Workspace,
    machine: &MachineArguments,
    driver: Option<&Path>,
    observer: &dyn Observer,
) -> Result<Provisioned, TestBedError> {
    if let Some(path) = &machine.prepared {
        driver.map_or(Ok(()), driver_file::check)?;
        return Ok(Prepared::read(path)?.provisioned);
    }
    let overrides = Overrides { qemu: machine.qemu.clone(), driver: driver.map(Path::to_path_buf) };
    provision(workspace, overrides, machine.accel.wish(), observer)
}

/// A song by its file, or by a built-in one's name.
pub(super) fn read_song(path: Option<&Path>, observer: &dyn Observer) -> Result<Song, Error> {
    let Some(path) = path else { return Ok(songs::ALL[0].song()?) };
    if !path.exists()
        && let Some(built_in) = path.to_str().and_then(BuiltIn::by_name)
    {
        return Ok(built_in.song()?);
    }
    let file = std::fs::read(path).map_err(FileError::input(path))?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let song = Song::parse(&name, &file)?;
    for notice in &song.notices {
        observer.event(&Event::Warning { text: format!("{name}: {notice}") });
    }
    Ok(song)
}

/// The command as it was typed, to be typed again.
pub(super) fn reproduce() -> String {
    let words = std::env::args().skip(1).map(|word| {
        if word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:".contains(c)) {
            word
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    std::iter::once("cargo dmus".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

pub(super) fn demo(arguments: &DemoArguments) -> Outcome {
    let terminal = Terminal::new();
    let song = read_song(arguments.song.as_deref(), &terminal)?;
    if let Some(bank) = &arguments.bank {
        std::fs::metadata(bank).map_err(FileError::input(bank))?;
    }
    let workspace = workspace_of(&arguments.machine, &terminal)?;
    let provisioned = provisioned(&workspace, &arguments.machine, arguments.driver.as_deref(), &terminal)?;
    let folder = RunFolder::create(&workspace, &format!("demo-{}", song.name), arguments.artefacts.as_deref())?;
    let performance = PlaybackTest {
        card: CardOptions {
            clock: arguments.clock.into(),
            bank: arguments.bank.clone(),
            render_block: arguments.render_block,
        },
        sample_rate: arguments.rate,
        quantum_frames: arguments.quantum,
        timeout: Duration::from_secs(arguments.machine.timeout),
        guest_log: arguments.guest_log.clone(),
        out: arguments.out.clone(),
        conditions: Conditions {
            processors: arguments.processors,
            seed: arguments.seed,
            interrupts: arguments.interrupts,
            ..Conditions::default()
        },
        restarts: arguments.restarts,
        ..PlaybackTest::of(song)
    };
    let reproduce = reproduce();
    let result = run_playback(&performance, &provisioned, &folder, &reproduce, &terminal);
    drop(terminal);
    match result {
        Ok(verdict) => {
            show_verdict(&verdict, arguments, &reproduce);
            Ok((!verdict.passed()).then(|| verdict.class_of_failure()))
        }
        Err(failure) => {
            show_failure(&failure, performance.conditions, &reproduce, arguments.json);
            Ok(Some(failure.error.class()))
        }
    }
}

fn show_verdict(verdict: &Verdict, arguments: &DemoArguments, reproduce: &str) {
    if arguments.json {
        out(&json!({
            "passed": usize::from(verdict.passed()),
            "failed": usize::from(!verdict.passed()),
            "skipped": 0,
            "artefacts": [verdict.artefacts],
            "bit_identical": verdict.bit_identical,
            "class": (!verdict.passed()).then(|| verdict.class_of_failure()),
            "frames": verdict.frames,
            "peak": verdict.peak,
            "interrupts": verdict.counters.interrupts,
            "events": verdict.events,
            "pcm_sha256": verdict.pcm_sha256,
            "verdict": verdict,
            "conditions": verdict.conditions,
            "reproduce": reproduce,
        })
        .to_string());
        return;
    }
    let accelerator = &verdict.accelerator;
    let decibels = 20.0 * (f64::from(verdict.peak.max(1)) / 32_768.0).log10();
    out(&format!("QEMU         {}", verdict.qemu));
    out(&format!("accelerator  {}: {}", accelerator.accelerator.name(), accelerator.reason));
    out(&format!("guest        {}", verdict.guest));
    if !verdict.conditions.are_usual() {
        out(&format!("             {}", verdict.conditions));
    }
    out(&format!("device       {}", verdict.device));
    out(&format!("driver       {} ({})", verdict.driver.sha256, verdict.driver.path.display()));
    out(&format!("             the guest loaded {}: the same", verdict.driver.sha256_in_guest));
    out(&format!("song         {}: {} events streamed", verdict.song, verdict.events));
    out(&format!("interrupts   {}", verdict.counters.interrupts));
    let seconds = verdict.frames as f64 / f64::from(verdict.sample_rate);
    out(&format!("frames       {} ({seconds:.2} s at {} Hz)", verdict.frames, verdict.sample_rate));
    out(&format!("peak         {} ({decibels:.1} dBFS)", verdict.peak));
    out(&format!("pcm          {}", verdict.pcm_sha256));
    let counted = &verdict.card.counters;
    out(&format!(
        "card         {} underruns, {} events late, {} notes lost",
        counted.underruns, counted.events_late, counted.notes_lost
    ));
    let findings = &verdict.card.diagnosis;
    if let Some(first) = findings.first_text() {
        out(&format!(
            "diagnoses    {}: the card found something wrong with the driver, first: {first}",
            findings.count
        ));
    }
    out(&format!("time         {:.0} ms from QEMU's start to the verdict", verdict.milliseconds));
    if let Some(path) = &arguments.out {
        out(&format!("written      {}", path.display()));
    }
    out(&format!("artefacts    {}", verdict.artefacts.display()));
    if !verdict.passed() && verdict.class_of_failure() == Class::HostStalled {
        out(&format!("verdict      FAILED: {}", verdict.standstills));
        out("             a time-out of the driver's may have run out meanwhile, and what it played is not compared");
        out(&format!("remedy       {HOST_STALLED_REMEDY}"));
        out(&format!("reproduce    {reproduce}"));
        return;
    }
    match verdict.difference {
        None if verdict.audible => out("verdict      bit-identical to the offline render"),
        None => out("verdict      FAILED: bit-identical to the offline render, but silent"),
        Some(difference) => {
            let sample = |sample: Option<i16>| sample.map_or_else(|| "nothing".into(), |value| value.to_string());
            out(&format!(
                "verdict      FAILED: differs from the offline render from frame {}, channel {} on (guest {}, offline {}); \
                 {} samples differ, by at most {}",
                difference.frame,
                difference.channel,
                sample(difference.guest),
                sample(difference.offline),
                difference.samples,
                difference.largest
            ));
            out("             guest.wav and offline.wav are among the artefacts");
            out(&format!("reproduce    {reproduce}"));
        }
    }
}

fn show_failure(failure: &PlaybackFailure, conditions: Conditions, reproduce: &str, json: bool) {
    let error = &failure.error;
    if !failure.evidence.is_empty() {
        error_line(failure.evidence.trim_end());
    }
    error_line(&format!("error ({}): {error}", error.class().name()));
    if let Some(remedy) = error.remedy() {
        error_line(&format!("remedy: {remedy}"));
    }
    if !conditions.are_usual() {
        error_line(&format!("with: {conditions}"));
    }
    error_line(&format!("artefacts: {}", failure.artefacts.display()));
    error_line(&format!("reproduce: {reproduce}"));
    if json {
        out(&json!({
            "passed": 0,
            "failed": 1,
            "skipped": 0,
            "artefacts": [failure.artefacts],
            "bit_identical": false,
            "class": error.class(),
            "error": error.to_string(),
            "remedy": error.remedy(),
            "conditions": conditions,
            "reproduce": reproduce,
        })
        .to_string());
    }
}

pub(super) fn run(arguments: &RunArguments) -> Outcome {
    if hostile::is_meant(arguments) {
        return hostile::run(arguments);
    }
    if arguments.soak.is_some() {
        return Ok(Some(hostile::refuse_soak(arguments)));
    }
    let terminal = Terminal::new();
    let workspace = workspace_of(&arguments.machine, &terminal)?;
    // A mistake in a file shows before anything is built.
    let path = shipped(&workspace, &arguments.scenario);
    let scenarios = files_in(&path)
        .map_err(|error| not_shipped(&workspace, &arguments.scenario, error))?
        .iter()
        .map(|path| Scenario::load(path))
        .collect::<Result<Vec<_>, _>>()?;
    if arguments.driver.is_some() {
        for scenario in scenarios.iter().filter(|scenario| scenario.brings_driver()) {
            let text = format!("{} brings drivers of its own: --driver changes nothing there", scenario.name);
            terminal.event(&Event::Warning { text });
        }
    }
    if arguments.case.as_deref().is_some_and(|case| !scenarios.iter().any(|scenario| scenario.has_case(case))) {
        drop(terminal);
        return Ok(Some(no_such_case(arguments, &scenarios)));
    }
    let provisioned = provisioned(&workspace, &arguments.machine, arguments.driver.as_deref(), &terminal)?;
    let context = Context {
        workspace: &workspace,
        provisioned: &provisioned,
        timeout: Duration::from_secs(arguments.machine.timeout),
        filter: arguments.case.as_deref(),
        wishes: wishes(arguments),
        observer: &terminal,
    };
    let mut report = Report::default();
    for _ in 0..arguments.repeat {
        for scenario in &scenarios {
            terminal.event(&Event::Note { text: format!("{}: {}", scenario.name, scenario.title) });
            let one = run_scenario(scenario, &context)?;
            if let Some(contract) = one.contract.as_ref().filter(|_| arguments.repeat > 1) {
                report.repeats.entry(scenario.name.clone()).or_default().count(contract);
            }
            report.append(one);
        }
    }
    drop(terminal);
    if report.tests.is_empty() {
        return Ok(Some(no_such_case(arguments, &scenarios)));
    }
    show_reproduction(&report);
    if arguments.json {
        out(&serde_json::to_string(&report).unwrap_or_default());
    } else {
        show_report(&report);
    }
    Ok(report.class())
}

/// What guests run under, by the command line.
fn wishes(arguments: &RunArguments) -> Wishes {
    let first = arguments.seed.unwrap_or(FIRST_SEED);
    let count = if arguments.seed.is_some() { arguments.seeds.unwrap_or(1) } else { arguments.seeds.unwrap_or(0) };
    Wishes {
        // Seeds without a word on processors are about what two of them do to each other.
        processors: arguments.processors.or((count > 0).then_some(PROCESSORS_WITH_SEEDS)),
        seeds: (0..u64::from(count)).map(|number| first.wrapping_add(number)).collect(),
        count: arguments.count,
        driver: arguments.driver.clone(),
    }
}

/// The first seed of several, and the processors of a run with seeds, unless told otherwise.
const FIRST_SEED: u64 = 1;
const PROCESSORS_WITH_SEEDS: u8 = 2;

/// Nothing was run: says which names there are.
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
        out(&json!({
            "passed": 0, "failed": 0, "skipped": 0, "artefacts": [], "class": Class::Usage, "error": error, "names": names,
        })
        .to_string());
    }
    Class::Usage
}

/// A report, for people.
fn show_report(report: &Report) {
    if let Some(contract) = &report.contract {
        out(&contract.table());
        for counted in &contract.figures {
            out(&format!("{:<14} {:>12}  {}", counted.probe, counted.value, counted.name));
        }
        if !contract.conditions.are_usual() {
            out(&format!("with {}", contract.conditions));
        }
    }
    for (scenario, repeats) in &report.repeats {
        out(&format!("{scenario}:\n{}", repeats.table()));
    }
    report.low_resources.iter().for_each(|shortage| out(&shortage.table()));
    report.kills.iter().for_each(|kills| out(&kills.table()));
    for row in &report.variants {
        let verdict = if row.caught { "caught" } else { "MISSED" };
        out(&format!("{verdict}  {:<40} expected {:<16} fired {}", row.variant, row.expected, row.fired));
    }
    out(&summary(report));
}

/// The scenario that a name means: a file or folder of that name, or a shipped scenario.
fn shipped(workspace: &Workspace, named: &Path) -> PathBuf {
    let name = match named.to_str() {
        Some("broken") => "broken-drivers",
        Some("shortage") => "low-resources",
        Some(name) => name,
        None => return named.into(),
    };
    let suite = workspace.root.join(SCENARIOS);
    // What takes longer than a suite should lies apart.
    let places = [suite.join(name), suite.join("long").join(name)].map(|path| path.with_extension("toml"));
    if named.exists() {
        return named.into();
    }
    places.into_iter().find(|path| path.is_file()).unwrap_or_else(|| named.into())
}

/// A name that is no file is perhaps a misspelt scenario: says which there are.
fn not_shipped(workspace: &Workspace, named: &Path, error: ScenarioError) -> Error {
    if named.exists() {
        return error.into();
    }
    let suite = workspace.root.join(SCENARIOS);
    let files = [suite.clone(), suite.join("long")].into_iter().filter_map(|folder| files_in(&folder).ok()).flatten();
    let names = files.filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned())).collect();
    ScenarioError::Unknown { named: named.into(), names }.into()
}

fn summary(report: &Report) -> String {
    format!("{} passed, {} failed, {} skipped", report.passed, report.failed, report.skipped)
}

/// How to run each failed test again, where it can be run by itself.
fn show_reproduction(report: &Report) {
    for test in report.tests.iter().filter(|test| test.result == TestResult::Failed) {
        if let Some(artefacts) = &test.artefacts {
            error_line(&format!("{}: {}", test.name, artefacts.display()));
            error_line(&format!("  reproduce: {}", test.reproduce));
        }
    }
}

pub(super) fn test(arguments: &TestArguments) -> Outcome {
    let terminal = Terminal::new();
    let workspace = workspace(&terminal)?;
    let suite = Suite {
        workspace: &workspace,
        driver_x86: &|| {
            let provisioner = Provisioner::new(&workspace, Overrides::default(), &terminal)?;
            Ok(provisioner.resolve(Artefact::DriverX86)?)
        },
        provisioned: &|| Ok(provisioned(&workspace, &arguments.machine, None, &terminal)?),
        timeout: Duration::from_secs(arguments.machine.timeout),
        observer: &terminal,
    };
    let report = suite.run()?;
    drop(terminal);
    show_reproduction(&report);
    // Where nobody looks at the lines, a test that was not run must not look like one that passed.
    let strict = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    let skips_fail = strict && report.skipped > 0;
    if skips_fail {
        error_line("in CI (the variable CI is set) a skipped test is a failure");
    }
    if arguments.json {
        out(&serde_json::to_string(&report).unwrap_or_default());
    }
    out(&summary(&report));
    let counted = (report.failed > 0).then_some(Class::TestFailed);
    Ok(report.class().or(counted).or(skips_fail.then_some(Class::TestFailed)))
}

pub(super) fn bench(arguments: &BenchArguments) -> Outcome {
    let wanted =
        |name: &str| arguments.name.as_deref().is_none_or(|part| name.contains(part) || part.starts_with(name));
    let chosen: Vec<_> = bench::ALL.iter().filter(|benchmark| wanted(benchmark.name)).collect();
    if chosen.is_empty() {
        error_line("there is no such benchmark; there are:");
        for benchmark in bench::ALL {
            error_line(&format!("  {}: {}", benchmark.name, benchmark.text));
        }
        return Ok(Some(Class::Usage));
    }
    let terminal = Terminal::new();
    let workspace = workspace_of(&arguments.machine, &terminal)?;
    let bring = || Ok(provisioned(&workspace, &arguments.machine, arguments.driver.as_deref(), &terminal)?);
    let context = bench::Context::new(&workspace, &terminal, arguments.quick, arguments.driver.is_none(), &bring);
    for benchmark in chosen {
        terminal.event(&Event::TestBegun { name: format!("benchmark {}", benchmark.name) });
        benchmark.run(&context, &mut |measurement| {
            let part = arguments.name.as_deref();
            if part.is_some_and(|part| !benchmark.name.contains(part) && !measurement.name.contains(part)) {
                return;
            }
            if arguments.json {
                out(&serde_json::to_string(&measurement).unwrap_or_default());
            } else {
                out(&measurement.to_string());
            }
        })?;
    }
    Ok(None)
}

pub(super) fn doctor(arguments: &DoctorArguments) -> Outcome {
    let workspace = Workspace::find_anyhow();
    let swept = leftovers::sweep(Some(&workspace.cache()));
    if arguments.sweep {
        swept.iter().for_each(|what| out(&format!("swept     {what}")));
        return Ok(None);
    }
    let measured = measured(&workspace)
        .map(|(choice, qemu)| format!("{}: {} (with {})", choice.accelerator.name(), choice.reason, qemu.display()));
    let findings = doctor::examine(&workspace, measured);
    let class = doctor::class(&findings);
    if arguments.json {
        out(&json!({ "findings": findings, "healthy": class.is_none(), "swept": swept }).to_string());
    } else {
        for finding in &findings {
            let word = match finding.state {
                State::Found => "ok      ",
                State::BroughtIn => "later   ",
                State::Optional => "optional",
                State::Missing => "MISSING ",
            };
            out(&format!("{word}  {:<21} {}", finding.what, finding.detail));
            if let Some(remedy) = &finding.remedy {
                out(&format!("{:10}{:<21} fix: {remedy}", "", ""));
            }
        }
    }
    if !arguments.json {
        swept.iter().for_each(|what| out(&format!("swept     {what}")));
    }
    Ok(class)
}

pub(super) fn shortage(arguments: &ShortageArguments) -> Outcome {
    run(&RunArguments {
        scenario: "low-resources".into(),
        driver: arguments.driver.clone(),
        case: arguments.stack.map(|stack| format!("{stack:016x}")),
        processors: None,
        seed: None,
        count: None,
        seeds: None,
        soak: None,
        repeat: 1,
        machine: arguments.machine.clone(),
        json: arguments.json,
    })
}
