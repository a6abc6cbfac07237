//! Runs the playback tests of a scenario: each case under each of its conditions.

use std::num::NonZeroUsize;
use std::time::Instant;

use card_control::Clock;

use super::case::Case;
use super::context::Context;
use super::driver::{self, Unbuilt};
use super::error::{FirstFailure, RunError};
use super::expect::Expectations;
use super::file::Scenario;
use super::inputs::song_and_card;
use super::known_issue::{self, Evidence};
use super::steps_run::{self, Stepped};
use super::unsupported;
use super::variant::{self, VariantProbe};
use crate::event::{Event, Observer, TestResult};
use crate::host::failure::{Class, Diagnosed};
use crate::host::interrupt;
use crate::jobs::in_order;
use crate::machine::conditions::Conditions;
use crate::playback::{PlaybackFailure, PlaybackTest, Verdict, run_playback};
use crate::report::{Report, TestRecord};
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::SessionError;
use crate::testbed::{Provisioned, TestBedError};

/// A case under one of its conditions.
struct Run<'a> {
    case: &'a Case,
    conditions: Conditions,
    name: String,
    reproduce: String,
}

/// A song that was played.
struct Played {
    result: Result<Verdict, Box<PlaybackFailure>>,
    folder: RunFolder,
}

/// What came of a run.
enum Ran {
    /// The guest has nothing to show of it, for a reason.
    NotHosted(String),
    /// The case's driver was not built.
    Unbuilt(Unbuilt),
    /// A probe was run; its test and its row.
    Probed(Box<Report>),
    /// A song was played.
    Played(Box<Played>),
    /// Steps were carried out.
    Stepped(Box<Stepped>),
}

/// Runs every case that the filter names, side by side where none keeps time by the host's clock.
///
/// # Errors
/// What keeps a case from being run: an unreadable song, a run folder that cannot be created, an interruption.
pub(super) fn run_cases(scenario: &Scenario, context: &Context<'_>, report: &mut Report) -> Result<(), RunError> {
    let runs: Vec<Run<'_>> = runs(scenario, context);
    let jobs = if scenario.needs_the_host() { NonZeroUsize::MIN } else { context.slots.count() };
    let mut first_pcm = None;
    let job = |run: &Run<'_>, observer: &dyn Observer| {
        let _slot = context.slots.take();
        let begun = Instant::now();
        let ran = run_one(scenario, run, &Context { observer, overrides: context.overrides.clone(), ..*context });
        (ran, begun.elapsed().as_secs_f64() * 1000.0)
    };
    in_order(jobs, &runs, context.observer, job, |run, (ran, milliseconds)| {
        add(scenario, run, ran?, milliseconds, context, &mut first_pcm, report)
    })
}

/// Returns the runs of the cases that the filter names.
fn runs<'a>(scenario: &'a Scenario, context: &Context<'_>) -> Vec<Run<'a>> {
    let mut runs = Vec::new();
    for case in scenario.cases_over(context.overrides.transport) {
        let case_name = scenario.full_name(case);
        if context.filter.is_some_and(|filter| !case_name.contains(filter)) {
            continue;
        }
        for conditions in context.overrides.conditions_of(case) {
            let reproduce = context.overrides.reproduce(scenario, Some(&case_name), conditions);
            let name = context.overrides.name(case_name.clone(), conditions);
            runs.push(Run { case, conditions, name, reproduce });
        }
    }
    runs
}

/// Builds a case's driver, and plays it or has a probe show it.
fn run_one(scenario: &Scenario, run: &Run<'_>, context: &Context<'_>) -> Result<Ran, RunError> {
    let Run { case, conditions, name, reproduce } = run;
    begin(name)?;
    context.observer.event(&Event::TestBegun { name: name.clone() });
    if let Some(reason) = context.provisioned.image.as_ref().and_then(|_| unsupported::of_image(scenario, *conditions))
    {
        return Ok(Ran::NotHosted(reason));
    }
    let built = match driver::build(scenario, case, context) {
        Ok(built) => built,
        Err(unbuilt) => return Ok(Ran::Unbuilt(unbuilt)),
    };
    let provisioned = driver::provisioned_with(scenario, case, built.as_ref(), context);
    // A prompt opens between steps, so that a song is played by some where one is to open.
    let of_song = context.interaction.and_then(|_| scenario.song_as_steps(case));
    let plan = of_song.as_ref().or_else(|| (!scenario.plan.is_empty()).then_some(&scenario.plan));
    if let Some(plan) = plan {
        let stepped = steps_run::run((scenario, case, plan), &provisioned, context, *conditions, name, reproduce)?;
        return Ok(Ran::Stepped(Box::new(stepped)));
    }
    if let Some(probe) = case.driver.as_ref().and_then(|driver| driver.probe.as_deref()) {
        let policy = &context.overrides.policy(scenario);
        let conditions = *conditions;
        let record = scenario.record(case, name.clone(), reproduce.clone());
        let variant = VariantProbe { scenario, policy, case, probe, provisioned: &provisioned, conditions, record };
        return Ok(Ran::Probed(Box::new(variant.run(context)?)));
    }
    let folder = RunFolder::create(context.workspace, name, None)?;
    let result = play_in_time(scenario, case, &provisioned, context, *conditions, &folder, reproduce)?;
    Ok(Ran::Played(Box::new(Played { result, folder })))
}

/// Judges a run and adds its test to the report.
///
/// # Errors
/// [`RunError`] when the user has interrupted the run, or it failed and is to be the last; its test is in the report by then.
fn add(
    scenario: &Scenario,
    run: &Run<'_>,
    ran: Ran,
    milliseconds: f64,
    context: &Context<'_>,
    first_pcm: &mut Option<(String, String)>,
    report: &mut Report,
) -> Result<(), RunError> {
    let record = scenario.record(run.case, run.name.clone(), run.reproduce.clone());
    let mut test = TestRecord { milliseconds, ..record };
    let Played { result, folder } = match ran {
        Ran::Probed(probed) => {
            let failed = probed.failed > 0;
            report.append(*probed);
            return go_on(failed, context);
        }
        Ran::NotHosted(reason) => {
            (test.result, test.class) = (TestResult::Skipped, Some(Class::NotHosted));
            test.violations = vec![reason.clone()];
            ended(&test, reason, context);
            report.add(test);
            return Ok(());
        }
        Ran::Unbuilt(Unbuilt { result, reason }) => {
            (test.result, test.class, test.violations) = (result, Some(Class::MissingArtefact), vec![reason.clone()]);
            let failed = result == TestResult::Failed;
            ended(&test, reason, context);
            report.add(test);
            return go_on(failed, context);
        }
        Ran::Stepped(stepped) => {
            test.seed = run.conditions.seed_text();
            let issues = (scenario.known_issues.as_slice(), context.strict);
            let detail = steps_run::judge(scenario, run.case, &stepped, issues, &mut test, &mut report.warnings);
            if matches!(test.result, TestResult::Passed | TestResult::KnownIssuePasses) {
                context.passed(stepped.folder.path());
            }
            report.variants.extend(variant::row(run.case, &stepped.result, &test));
            let failed = test.result == TestResult::Failed;
            ended(&test, detail, context);
            report.add(test);
            return match stepped.result {
                Err(failure) if failure.error.class() == Class::Interrupted => Err(failure.error.into()),
                _ => go_on(failed, context),
            };
        }
        Ran::Played(played) => *played,
    };
    test.seed = run.conditions.seed_text();
    test.findings = match &result {
        Ok(verdict) => verdict.findings.clone(),
        Err(failure) => failure.findings.clone(),
    };
    test.run_folder = Some(folder.path().into());
    let mut expect = scenario.expect.clone();
    if let Some(bug_check) = run.case.driver.as_ref().and_then(|driver| driver.bug_check.clone()) {
        expect.bug_check = Some(bug_check);
    }
    judge(&expect, &result, &mut test, first_pcm);
    if test.class != Some(Class::Interrupted) {
        let evidence = match &result {
            Ok(_) => Evidence::of_findings(&test),
            Err(failure) => Evidence::of_failure(failure, &test),
        };
        let day = jiff::Zoned::now().date();
        known_issue::apply(&scenario.known_issues, run.case, &evidence, (day, context.strict), &mut test);
    }
    if let Ok(Verdict { song, warnings, .. }) = &result {
        report.warnings.extend(warnings.iter().map(|text| format!("{song}: {text}")));
    }
    if matches!(test.result, TestResult::Passed | TestResult::KnownIssuePasses) {
        context.passed(folder.path());
    }
    report.variants.extend(variant::row(run.case, &result, &test));
    let findings = test.findings.lines();
    let known = known_issue::line(&test);
    let mut detail = test.violations.iter().chain(&known).chain(&findings).cloned().collect::<Vec<_>>().join("\n");
    if test.result == TestResult::Failed
        && let Err(failure) = &result
    {
        detail = format!("{detail}\n{}", failure.evidence.trim_end());
    }
    let failed = test.result == TestResult::Failed;
    ended(&test, detail, context);
    report.add(test);
    match result {
        Err(failure) if failure.error.class() == Class::Interrupted => Err(failure.error.into()),
        _ => go_on(failed, context),
    }
}

/// Returns the error of a test that does not begin because the user has interrupted the run.
pub(super) fn begin(name: &str) -> Result<(), RunError> {
    if interrupt::requested() {
        return Err(TestBedError::from(SessionError::Interrupted(format!("{name}, which had not begun"))).into());
    }
    Ok(())
}

/// Returns the error that keeps further tests from beginning, where one has failed and is to be the last.
pub(super) fn go_on(failed: bool, context: &Context<'_>) -> Result<(), RunError> {
    if failed && context.fail_fast { Err(FirstFailure.into()) } else { Ok(()) }
}

/// Tells the observer that a test has ended.
fn ended(test: &TestRecord, detail: String, context: &Context<'_>) {
    context.observer.event(&Event::TestEnded {
        name: test.name.clone(),
        result: test.result,
        milliseconds: test.milliseconds,
        detail,
    });
}

/// Most attempts of a playback under the realtime clock. One in which the host stalled for longer than the lead or the card's
/// FIFO last says nothing about the driver; a driver that is late by itself is late each time.
const PLAYBACKS_MAX: u32 = 6;

/// Plays; under the realtime clock again, while the card counts events or buffers that came too late.
fn play_in_time(
    scenario: &Scenario,
    case: &Case,
    provisioned: &Provisioned,
    context: &Context<'_>,
    conditions: Conditions,
    folder: &RunFolder,
    reproduce: &str,
) -> Result<Result<Verdict, Box<PlaybackFailure>>, RunError> {
    let mut number = 1;
    loop {
        let result = play(scenario, case, provisioned, context, conditions, folder, reproduce)?;
        let why = match &result {
            Ok(Verdict { card: Some(card), .. }) if card.counters.underruns > 0 || card.counters.events_late > 0 => {
                format!("{} underruns, {} events late", card.counters.underruns, card.counters.events_late)
            }
            Ok(verdict) if !verdict.passed() && verdict.class_of_failure() == Class::HostStalled => {
                verdict.standstills.to_string()
            }
            Err(failure) if failure.error.class() == Class::HostStalled => failure.error.to_string(),
            _ => return Ok(result),
        };
        if case.clock != Clock::Realtime || number == PLAYBACKS_MAX {
            return Ok(result);
        }
        context
            .observer
            .event(&Event::Warning { text: format!("playback {number} was not in time ({why}): repeated") });
        number += 1;
    }
}

fn play(
    scenario: &Scenario,
    case: &Case,
    provisioned: &Provisioned,
    context: &Context<'_>,
    conditions: Conditions,
    folder: &RunFolder,
    reproduce: &str,
) -> Result<Result<Verdict, Box<PlaybackFailure>>, RunError> {
    let (song, mut card) = song_and_card(case, provisioned, context)?;
    if context.overrides.live.is_some() {
        card.clock = Clock::Realtime;
    }
    let playback = PlaybackTest {
        card,
        sample_rate: context.overrides.sample_rate.or(case.sample_rate),
        capture: scenario.capture,
        live: context.overrides.live.clone(),
        judge: case
            .driver
            .as_ref()
            .and_then(|driver| driver.judge.as_ref())
            .or_else(|| context.overrides.judge(scenario))
            .cloned(),
        policy: context.overrides.policy(scenario),
        quantum_frames: case.quantum,
        tail_ms: case.tail_ms,
        lead_ms: case.lead_ms,
        timeout: context.timeout,
        kill: scenario.kill,
        stalls: scenario.stalls.clone(),
        conditions,
        restarts: case.machine.restarts,
        ..PlaybackTest::of(song)
    };
    Ok(run_playback(&playback, provisioned, folder, reproduce, context.observer))
}

/// Compares a result with the expectations, and records what does not hold.
fn judge(
    expect: &Expectations,
    result: &Result<Verdict, Box<PlaybackFailure>>,
    test: &mut TestRecord,
    first_pcm: &mut Option<(String, String)>,
) {
    match result {
        Ok(verdict) => {
            test.violations = expect.violations(verdict);
            test.pcm_sha256.clone_from(&verdict.pcm_sha256);
            if expect.same_pcm {
                match (&*first_pcm, &verdict.pcm_sha256) {
                    (_, None) => test.violations.push("same_pcm compares PCM, and there is none".into()),
                    (Some((name, hash)), Some(own)) if hash != own => {
                        test.violations.push(format!("its PCM {own} is not that of {name}, {hash}"));
                    }
                    (Some(_), Some(_)) => {}
                    (None, Some(own)) => *first_pcm = Some((test.name.clone(), own.clone())),
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
        Err(failure) if unsupported::skip(&failure.error, test) => return,
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
