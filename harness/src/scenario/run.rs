//! Runs a scenario's cases and compares them with its expectations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use card_control::Clock;
use serde::Serialize;

use super::error::RunError;
use super::expect::Expectations;
use super::file::MachineTable;
use super::{BuiltDriver, Case, Scenario, Trial};
use crate::alloc_faults::{self, AllocFaults, AllocFaultsReport};
use crate::conformance::{self, Contract, Repeats};
use crate::event::{Event, Observer, TestResult};
use crate::host::failure::{Class, Diagnosed};
use crate::kills::{self, Kills, KillsReport};
use crate::machine::CardOptions;
use crate::machine::conditions::Conditions;
use crate::playback::{PlaybackError, PlaybackFailure, PlaybackTest, Verdict, run_playback};
use crate::provision::{Workspace, capture};
use crate::sound::songs;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::SessionError;
use crate::testbed::{Provisioned, TestBedError};

/// What all scenarios of a run share.
pub struct Context<'a> {
    /// Where artefacts go.
    pub workspace: &'a Workspace,
    /// Programs, images, accelerator.
    pub provisioned: &'a Provisioned,
    /// How long a step may take.
    pub timeout: Duration,
    /// Only cases whose full name contains this.
    pub filter: Option<&'a str>,
    /// What guests run under instead of what the scenario says.
    pub wishes: Wishes,
    /// Who listens.
    pub observer: &'a dyn Observer,
}

/// What guests run under, where the scenario's own word does not hold.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// How many processors.
    pub processors: Option<u8>,
    /// Seeds of delays: each case runs once with each. Repetitions of a case, which are there for their seeds, are then not.
    pub seeds: Vec<u64>,
    /// How many kills, instead of the scenario's rounds.
    pub count: Option<u32>,
    /// A driver image was named on the command line, which takes the place of the scenario's.
    pub driver: Option<PathBuf>,
}

impl Wishes {
    /// The conditions of each run of a case; none if it does not run.
    fn conditions(&self, scenario: &Scenario, repetition: u32) -> Vec<Conditions> {
        let MachineTable { processors, delays, interrupts, .. } = scenario.machine;
        let own = Conditions {
            processors: self.processors.unwrap_or(processors),
            // A trial has no repetitions: it begins with the first seed.
            seed: delays.then_some(u64::from(repetition.max(1))),
            watched: true,
            interrupts,
        };
        if self.seeds.is_empty() {
            return vec![own];
        }
        if repetition > 1 {
            return Vec::new();
        }
        self.seeds.iter().map(|&seed| Conditions { seed: Some(seed), ..own }).collect()
    }

    /// A test's name: where seeds are asked for, with its own.
    fn name(&self, test: String, conditions: Conditions) -> String {
        match conditions.seed_text().filter(|_| !self.seeds.is_empty()) {
            Some(seed) => format!("{test} seed={seed}"),
            None => test,
        }
    }

    /// The command that runs one test again, alone.
    fn reproduce(&self, scenario: &Scenario, case: Option<&str>, conditions: Conditions) -> String {
        let case = case.map_or_else(String::new, |case| format!(" --case '{case}'"));
        let driver =
            self.driver.as_ref().map_or_else(String::new, |driver| format!(" --driver '{}'", driver.display()));
        // What the scenario says itself need not be said again.
        let conditions =
            if self.seeds.is_empty() && self.processors.is_none() { String::new() } else { conditions.arguments() };
        format!("cargo dmus run {}{case}{driver}{conditions}", scenario.path.display())
    }
}

/// How one test went.
#[derive(Clone, Debug, Serialize)]
pub struct TestRecord {
    /// Scenario and case.
    pub name: String,
    /// How it ended.
    pub result: TestResult,
    /// The class of its failure.
    pub class: Option<Class>,
    /// What did not hold.
    pub violations: Vec<String>,
    /// How long it took.
    pub milliseconds: f64,
    /// SHA-256 of the PCM, where there is some.
    pub pcm_sha256: Option<String>,
    /// The seed of the delays, where there were some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
    /// Where everything is.
    pub artefacts: Option<PathBuf>,
    /// How to run it again.
    pub reproduce: String,
}

/// How all went.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Tests that hold.
    pub passed: usize,
    /// Tests that do not.
    pub failed: usize,
    /// Tests that could not be tried.
    pub skipped: usize,
    /// Where the artefacts of each run are.
    pub artefacts: Vec<PathBuf>,
    /// Every test.
    pub tests: Vec<TestRecord>,
    /// The contract, rule by rule, where it was put to the test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// The contract over several runs, rule by rule, of each scenario that puts it to the test.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub repeats: BTreeMap<String, Repeats>,
    /// Low resources: each stack of a driver that allocates, and what came of its failure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub low_resources: Vec<AllocFaultsReport>,
    /// Kills of harness, card and QEMU: which verdict was expected after each, and which was found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kills: Vec<KillsReport>,
    /// Broken variants of the C++ driver: what had to stop each, and what did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<VariantRow>,
}

/// A broken variant of the C++ driver.
#[derive(Clone, Debug, Serialize)]
pub struct VariantRow {
    /// Its name.
    pub variant: String,
    /// The check that must name it: a rule's number, or a bug check.
    pub expected: String,
    /// The check that did.
    pub fired: String,
    /// Whether they are the same.
    pub caught: bool,
}

impl Report {
    /// Adds a test.
    pub fn add(&mut self, test: TestRecord) {
        match test.result {
            TestResult::Passed => self.passed += 1,
            TestResult::Failed => self.failed += 1,
            TestResult::Skipped => self.skipped += 1,
        }
        self.artefacts.extend(test.artefacts.clone());
        self.tests.push(test);
    }

    /// Adds all tests of another report.
    pub fn append(&mut self, other: Self) {
        for test in other.tests {
            self.add(test);
        }
        // Artefacts of a trial are of no single test.
        for folder in other.artefacts {
            if !self.artefacts.contains(&folder) {
                self.artefacts.push(folder);
            }
        }
        self.contract = other.contract.or(self.contract.take());
        self.low_resources.extend(other.low_resources);
        self.kills.extend(other.kills);
        self.variants.extend(other.variants);
    }

    /// The class of the failures: their own if they agree, else [`Class::TestFailed`].
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        let mut classes = self
            .tests
            .iter()
            .filter(|test| test.result == TestResult::Failed)
            .map(|test| test.class.unwrap_or(Class::TestFailed));
        let first = classes.next()?;
        Some(if classes.all(|class| class == first) { first } else { Class::TestFailed })
    }
}

/// Runs a scenario.
///
/// # Errors
/// What keeps cases from being run at all, such as a song that cannot be read or an interruption.
pub fn run(scenario: &Scenario, context: &Context<'_>) -> Result<Report, RunError> {
    if let Some(trial) = scenario.trial {
        return try_driver(scenario, trial, context);
    }
    let mut report = Report::default();
    let mut first_pcm: Option<(String, String)> = None;
    let runs = scenario.cases.iter().flat_map(|case| {
        let wishes = context.wishes.conditions(scenario, case.repetition);
        wishes.into_iter().map(move |conditions| (case, conditions))
    });
    for (case, conditions) in runs {
        let case_name = full_name(scenario, case);
        if context.filter.is_some_and(|filter| !case_name.contains(filter)) {
            continue;
        }
        let reproduce = context.wishes.reproduce(scenario, Some(&case_name), conditions);
        let name = context.wishes.name(case_name, conditions);
        context.observer.event(&Event::TestBegun { name: name.clone() });
        let begun = Instant::now();
        let folder = RunFolder::create(context.workspace, &name, None)?;
        let driver = match build_driver(case, context.workspace) {
            Ok(driver) => driver,
            Err(Unbuilt { result, reason }) => {
                let detail = reason.clone();
                let milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
                context.observer.event(&Event::TestEnded { name: name.clone(), result, milliseconds, detail });
                report.add(TestRecord {
                    name,
                    result,
                    class: Some(Class::MissingArtefact),
                    violations: vec![reason],
                    milliseconds,
                    pcm_sha256: None,
                    seed: None,
                    artefacts: None,
                    reproduce,
                });
                continue;
            }
        };
        if let Some(wanted) = case.driver.as_ref().and_then(|built| built.examination.as_deref()) {
            let built = driver.as_deref();
            examine_variant(&mut report, case, &name, wanted, built, context, conditions, begun, &reproduce)?;
            continue;
        }
        let result = play_in_time(scenario, case, driver, context, conditions, &folder, &reproduce)?;
        let mut test = TestRecord {
            name,
            result: TestResult::Passed,
            class: None,
            violations: Vec::new(),
            milliseconds: 0.0,
            pcm_sha256: None,
            seed: conditions.seed_text(),
            artefacts: Some(folder.path().into()),
            reproduce,
        };
        let mut expect = scenario.expect.clone();
        if let Some(bug_check) = case.driver.as_ref().and_then(|driver| driver.bug_check.clone()) {
            expect.bug_check = Some(bug_check);
        }
        judge(&expect, &result, &mut test, &mut first_pcm);
        report.variants.extend(variant_row(case, &result, &test));
        test.milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
        let mut detail = test.violations.join("\n");
        if test.result == TestResult::Failed
            && let Err(failure) = &result
        {
            detail = format!("{detail}\n{}", failure.evidence.trim_end());
        }
        context.observer.event(&Event::TestEnded {
            name: test.name.clone(),
            result: test.result,
            milliseconds: test.milliseconds,
            detail,
        });
        report.add(test);
        if let Err(failure) = result
            && failure.error.class() == Class::Interrupted
        {
            return Err(failure.error.into());
        }
    }
    Ok(report)
}

/// Puts a broken variant to the examination that it must fail, by its own rule and no other.
#[allow(clippy::too_many_arguments, reason = "the pieces of one case")]
fn examine_variant(
    report: &mut Report,
    case: &Case,
    name: &str,
    examination: &str,
    driver: Option<&std::path::Path>,
    context: &Context<'_>,
    conditions: Conditions,
    begun: Instant,
    reproduce: &str,
) -> Result<(), RunError> {
    let mut provisioned = context.provisioned.clone();
    if let Some(driver) = driver {
        provisioned.artefacts.driver = driver.into();
    }
    let found = conformance::run_probes(&conformance::Context {
        workspace: context.workspace,
        provisioned: &provisioned,
        timeout: context.timeout,
        filter: Some(examination),
        conditions,
        rounds: 0,
        reproduce: reproduce.into(),
        observer: &crate::event::Silent,
    })?;
    let broken: Vec<u16> =
        found.rows.iter().filter(|row| row.verdict == conformance::Verdict::Violated).map(|row| row.number).collect();
    let expected = case.driver.as_ref().and_then(|driver| driver.bug_check.as_ref()?.rule);
    let caught = found.failures.is_empty() && expected.is_some_and(|rule| broken == [rule]);
    let text = |rules: &[u16]| {
        let named: Vec<String> = rules.iter().map(|rule| format!("rule {rule}")).collect();
        if named.is_empty() { "nothing".to_owned() } else { named.join(", ") }
    };
    let (wanted, fired) = (text(&expected.into_iter().collect::<Vec<_>>()), text(&broken));
    let violations = if caught {
        Vec::new()
    } else {
        let mut lines = vec![format!("{wanted} was to be broken in examination {examination}, and {fired} was")];
        lines.extend(found.breaches());
        lines
    };
    let (result, class) =
        if caught { (TestResult::Passed, None) } else { (TestResult::Failed, Some(Class::TestFailed)) };
    let milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
    let detail = violations.join("\n");
    context.observer.event(&Event::TestEnded { name: name.into(), result, milliseconds, detail });
    if let Some(variant) = case.driver.as_ref().and_then(|driver| driver.variant.clone()) {
        report.variants.push(VariantRow { variant, expected: wanted, fired, caught });
    }
    report.add(TestRecord {
        name: name.into(),
        result,
        class,
        violations,
        milliseconds,
        pcm_sha256: None,
        seed: conditions.seed_text(),
        artefacts: found.artefacts.first().cloned(),
        reproduce: reproduce.into(),
    });
    Ok(())
}

/// The row of a broken variant.
fn variant_row(case: &Case, result: &Result<Verdict, Box<PlaybackFailure>>, test: &TestRecord) -> Option<VariantRow> {
    let driver = case.driver.as_ref()?;
    let (variant, expected) = (driver.variant.clone()?, driver.bug_check.as_ref()?);
    let text = |rule: Option<u16>, code: Option<u32>| match (rule, code) {
        (Some(rule), _) => format!("rule {rule}"),
        (None, Some(code)) => format!("bug check {code:#x}"),
        (None, None) => "nothing".to_owned(),
    };
    let fired = match result.as_ref().map_err(|failure| &failure.error) {
        Err(PlaybackError::TestBed(TestBedError::Session(SessionError::BugCheck(found)))) => {
            text(found.rule, Some(found.code))
        }
        Err(error) => error.class().name().to_owned(),
        Ok(_) => "nothing".to_owned(),
    };
    let caught = test.result == TestResult::Passed;
    Some(VariantRow { variant, expected: text(expected.rule, expected.code), fired, caught })
}

/// Puts the driver to a trial: the contract, stress, low resources. One test for each seed; its rows are in the report.
fn try_driver(scenario: &Scenario, trial: Trial, context: &Context<'_>) -> Result<Report, RunError> {
    let mut report = Report::default();
    // The trial's own name means all of it.
    let part = context.filter.filter(|filter| !scenario.name.contains(filter));
    if !context.filter.is_none_or(|filter| scenario.has_case(filter)) {
        return Ok(report);
    }
    for conditions in context.wishes.conditions(scenario, 0) {
        let begun = Instant::now();
        let name = context.wishes.name(scenario.name.clone(), conditions);
        context.observer.event(&Event::TestBegun { name: name.clone() });
        let mut test = TestRecord {
            reproduce: context.wishes.reproduce(scenario, part, conditions),
            name,
            result: TestResult::Passed,
            class: None,
            violations: Vec::new(),
            milliseconds: 0.0,
            pcm_sha256: None,
            seed: conditions.seed_text(),
            artefacts: None,
        };
        match driver_of(scenario, context) {
            Err(Unbuilt { result, reason }) => {
                (test.result, test.class, test.violations) = (result, Some(Class::MissingArtefact), vec![reason]);
            }
            Ok(provisioned) if trial == Trial::LowResources => {
                try_shortage(&provisioned, part, context, &mut test, &mut report)?;
            }
            Ok(provisioned) if trial == Trial::Kills => {
                let count = context.wishes.count.unwrap_or(scenario.rounds);
                if let Some(count) = context.wishes.count {
                    test.reproduce += &format!(" --count {count}");
                }
                let seed = conditions.seed.unwrap_or(1);
                let kills = Kills {
                    workspace: context.workspace,
                    provisioned: &provisioned,
                    count,
                    seed,
                    observer: context.observer,
                };
                let folder = RunFolder::create(context.workspace, &test.name, None)?;
                test.artefacts = Some(folder.path().into());
                let found = kills::run(&kills, &folder)?;
                test.violations = found.complaints();
                if !test.violations.is_empty() {
                    (test.result, test.class) = (TestResult::Failed, Some(Class::TestFailed));
                }
                report.kills.push(found);
            }
            Ok(provisioned) => {
                let examined = conformance::Context {
                    workspace: context.workspace,
                    provisioned: &provisioned,
                    timeout: context.timeout,
                    filter: part,
                    conditions,
                    rounds: scenario.rounds,
                    reproduce: test.reproduce.clone(),
                    observer: context.observer,
                };
                try_contract(trial, &examined, &mut test, &mut report)?;
            }
        }
        test.milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
        context.observer.event(&Event::TestEnded {
            name: test.name.clone(),
            result: test.result,
            milliseconds: test.milliseconds,
            detail: test.violations.join("\n"),
        });
        report.add(test);
    }
    Ok(report)
}

/// What is provisioned, with the trial's driver.
fn driver_of(scenario: &Scenario, context: &Context<'_>) -> Result<Provisioned, Unbuilt> {
    let mut provisioned = context.provisioned.clone();
    let built = scenario.cases.first().map_or(Ok(None), |case| build_driver(case, context.workspace))?;
    if let Some(driver) = built.as_ref().or(scenario.driver.as_ref()) {
        provisioned.artefacts.driver.clone_from(driver);
    }
    Ok(provisioned)
}

fn try_contract(
    trial: Trial,
    context: &conformance::Context<'_>,
    test: &mut TestRecord,
    report: &mut Report,
) -> Result<(), RunError> {
    let found = match trial {
        Trial::Stress => conformance::stress(context)?,
        Trial::Trouble => conformance::recover(context)?,
        Trial::Contract | Trial::LowResources | Trial::Kills => conformance::run_probes(context)?,
    };
    // One examination alone leaves most rules untried, as was asked.
    test.violations = if context.filter.is_some() { found.breaches() } else { found.complaints() };
    if !test.violations.is_empty() {
        test.result = TestResult::Failed;
        test.class = Some(found.class.unwrap_or(Class::TestFailed));
    }
    report.artefacts.extend(found.artefacts.clone());
    report.contract = Some(found);
    Ok(())
}

/// Refuses each stack's allocation once, or one stack's alone.
fn try_shortage(
    provisioned: &Provisioned,
    part: Option<&str>,
    context: &Context<'_>,
    test: &mut TestRecord,
    report: &mut Report,
) -> Result<(), RunError> {
    let folder = RunFolder::create(context.workspace, &test.name, None)?;
    test.artefacts = Some(folder.path().into());
    let shortage = AllocFaults {
        song: songs::ALL[0].song()?,
        timeout: context.timeout,
        only: part.and_then(|part| alloc_faults::read_stack(part).ok()),
    };
    match alloc_faults::run(&shortage, provisioned, &folder, context.observer) {
        Ok(found) => {
            test.violations = found.complaints();
            if !test.violations.is_empty() {
                (test.result, test.class) = (TestResult::Failed, Some(Class::TestFailed));
            }
            report.low_resources.push(found);
        }
        Err(error) if error.class() == Class::Interrupted => return Err(error.into()),
        // Without any refusal it does not go well: that is the driver's failure, and other scenarios can go on.
        Err(error) => {
            (test.result, test.class) = (TestResult::Failed, Some(error.class()));
            test.violations = vec![format!("before anything was refused: {error}")];
        }
    }
    Ok(())
}

fn full_name(scenario: &Scenario, case: &Case) -> String {
    if case.name.is_empty() { scenario.name.clone() } else { format!("{} [{}]", scenario.name, case.name) }
}

/// Why a case's driver could not be built.
struct Unbuilt {
    result: TestResult,
    reason: String,
}

/// How the build script ends when a compiler is missing.
const TOOL_MISSING: i32 = 3;

/// Builds the C++ driver.
///
/// # Errors
/// Why it cannot be built, in words.
pub fn cpp_driver(workspace: &Workspace) -> Result<PathBuf, String> {
    build(&workspace.root.join(CPP_DRIVER_SCRIPT), None, workspace).map_err(|unbuilt| unbuilt.reason)
}

/// What builds it, from the workspace's root.
const CPP_DRIVER_SCRIPT: &str = "guest-driver/fixture/build.sh";

/// Builds a case's own driver, if it has one.
fn build_driver(case: &Case, workspace: &Workspace) -> Result<Option<PathBuf>, Unbuilt> {
    let build = |driver: &BuiltDriver| build(&driver.script, driver.variant.as_deref(), workspace);
    case.driver.as_ref().map(build).transpose()
}

fn build(script: &Path, variant: Option<&str>, workspace: &Workspace) -> Result<PathBuf, Unbuilt> {
    let failed = |reason: String| Unbuilt { result: TestResult::Failed, reason };
    let mut command = Command::new(script);
    command.arg(workspace.cache().join("drivers")).args(variant);
    let said = capture(&mut command).ok_or_else(|| failed(format!("{} does not run", script.display())))?;
    match said.status.code() {
        Some(0) => Ok(PathBuf::from(said.stdout.trim())),
        Some(TOOL_MISSING) => Err(Unbuilt { result: TestResult::Skipped, reason: said.stderr.trim().to_owned() }),
        _ => Err(failed(format!("the C++ driver does not build: {}", said.stderr.trim()))),
    }
}

/// How often a performance in real time is given at most. One in which the host held the machine up for longer than the
/// lead or the card's FIFO last says nothing about the driver; a driver that is late by itself is late each time.
const PERFORMANCES_MAX: u32 = 6;

/// Plays; in real time again, while the card says that something came too late.
fn play_in_time(
    scenario: &Scenario,
    case: &Case,
    built: Option<PathBuf>,
    context: &Context<'_>,
    conditions: Conditions,
    folder: &RunFolder,
    reproduce: &str,
) -> Result<Result<Verdict, Box<PlaybackFailure>>, RunError> {
    let mut number = 1;
    loop {
        let result = play(scenario, case, built.clone(), context, conditions, folder, reproduce)?;
        let why = match &result {
            Ok(verdict) if verdict.card.counters.underruns > 0 || verdict.card.counters.events_late > 0 => {
                let counters = verdict.card.counters;
                format!("{} underruns, {} events late", counters.underruns, counters.events_late)
            }
            Ok(verdict) if !verdict.passed() && verdict.class_of_failure() == Class::HostStalled => {
                verdict.standstills.to_string()
            }
            Err(failure) if failure.error.class() == Class::HostStalled => failure.error.to_string(),
            _ => return Ok(result),
        };
        if case.clock != Clock::Realtime || number == PERFORMANCES_MAX {
            return Ok(result);
        }
        context
            .observer
            .event(&Event::Warning { text: format!("performance {number} was not in time ({why}): once more") });
        number += 1;
    }
}

fn play(
    scenario: &Scenario,
    case: &Case,
    built: Option<PathBuf>,
    context: &Context<'_>,
    conditions: Conditions,
    folder: &RunFolder,
    reproduce: &str,
) -> Result<Result<Verdict, Box<PlaybackFailure>>, RunError> {
    let mut provisioned = context.provisioned.clone();
    if let Some(driver) = built.as_ref().or(scenario.driver.as_ref()) {
        provisioned.artefacts.driver.clone_from(driver);
    }
    let performance = PlaybackTest {
        card: CardOptions { clock: case.clock, bank: case.bank.clone(), render_block: case.render_block },
        sample_rate: case.sample_rate,
        quantum_frames: case.quantum,
        tail_ms: case.tail_ms,
        lead_ms: case.lead_ms,
        timeout: context.timeout,
        kill: scenario.fault,
        stalls: scenario.stalls.clone(),
        conditions,
        restarts: scenario.machine.restarts,
        ..PlaybackTest::of(case.song.read()?)
    };
    Ok(run_playback(&performance, &provisioned, folder, reproduce, context.observer))
}

fn judge(
    expect: &Expectations,
    result: &Result<Verdict, Box<PlaybackFailure>>,
    test: &mut TestRecord,
    first_pcm: &mut Option<(String, String)>,
) {
    match result {
        Ok(verdict) => {
            test.violations = expect.violations(verdict);
            test.pcm_sha256 = Some(verdict.pcm_sha256.clone());
            if expect.same_pcm {
                match first_pcm {
                    Some((name, hash)) if *hash != verdict.pcm_sha256 => {
                        test.violations.push(format!("its PCM {} is not that of {name}, {hash}", verdict.pcm_sha256));
                    }
                    Some(_) => {}
                    None => *first_pcm = Some((test.name.clone(), verdict.pcm_sha256.clone())),
                }
            }
            if !test.violations.is_empty() {
                let class = verdict.class_of_failure();
                if class == Class::HostStalled {
                    let violations = std::mem::take(&mut test.violations).join("; ");
                    test.violations = vec![format!("{}, and then: {violations}", verdict.standstills)];
                }
                test.class = Some(class);
            }
        }
        Err(failure) => {
            test.violations = expect.violations_of_failure(failure);
            if !test.violations.is_empty() {
                test.class = Some(failure.error.class());
            }
        }
    }
    if !test.violations.is_empty() {
        test.result = TestResult::Failed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(result: TestResult, class: Option<Class>) -> TestRecord {
        TestRecord {
            name: String::new(),
            result,
            class,
            violations: Vec::new(),
            milliseconds: 0.0,
            pcm_sha256: None,
            seed: None,
            artefacts: None,
            reproduce: String::new(),
        }
    }

    #[test]
    fn failures_that_agree_keep_their_class() {
        let mut report = Report::default();
        report.add(test(TestResult::Passed, None));
        assert_eq!(report.class(), None);
        report.add(test(TestResult::Failed, Some(Class::CardDied)));
        assert_eq!(report.class(), Some(Class::CardDied));
        report.add(test(TestResult::Failed, Some(Class::Timeout)));
        assert_eq!(report.class(), Some(Class::TestFailed));
        assert_eq!((report.passed, report.failed, report.skipped), (1, 2, 0));
    }
}
