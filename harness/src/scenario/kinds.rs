//! Runs the tests of a scenario that are no playback tests: contract, stress, recovery, low resources, hostile drivers, QEMU's limits, kills.

use std::time::Instant;

use super::case::Case;
use super::context::Context;
use super::document::TestKind;
use super::driver::{self, Unbuilt};
use super::error::RunError;
use super::file::Scenario;
use super::known_issue::{self, Evidence};
use super::overrides::Overrides;
use super::playback::{begin, go_on};
use crate::alloc_faults::{self, AllocFaults};
use crate::conformance;
use crate::event::{Event, TestResult};
use crate::host::failure::{Class, Diagnosed};
use crate::hostile::HostileError;
use crate::hostile::inside::{self, Inside};
use crate::kills::{self, Kills};
use crate::machine::CardOptions;
use crate::machine::conditions::Conditions;
use crate::qemu_limits;
use crate::report::{CountedTest, Report, TestRecord};
use crate::sound::songs;
use crate::testbed::Provisioned;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::violations::ViolationPolicy;

/// The seed of instants where no option names one.
const FIRST_SEED: u64 = 1;

/// Runs a test of a kind once for each case and seed; its rows are in the report.
///
/// # Errors
/// An interruption, or a run folder that cannot be created.
pub(super) fn run_kind(
    scenario: &Scenario,
    kind: TestKind,
    context: &Context<'_>,
    report: &mut Report,
) -> Result<(), RunError> {
    // The scenario's own name means all of it.
    let part = context.filter.filter(|filter| !scenario.has_full_name(filter));
    if !context.filter.is_none_or(|filter| scenario.has_case(filter)) {
        return Ok(());
    }
    for case in scenario.cases_over(context.overrides.transport) {
        let named = context.filter.filter(|filter| scenario.has_full_name(filter));
        if named.is_some_and(|filter| !scenario.full_name(case).contains(filter)) {
            continue;
        }
        for conditions in context.overrides.conditions_of(case) {
            let mut one = Report::default();
            let ended = run_case(scenario, kind, (case, part), conditions, context, &mut one);
            report.append(one);
            ended?;
        }
    }
    Ok(())
}

/// Runs one case of a test of a kind, or a part of it. Its test is in the report even when it was interrupted.
fn run_case(
    scenario: &Scenario,
    kind: TestKind,
    (case, part): (&Case, Option<&str>),
    conditions: Conditions,
    context: &Context<'_>,
    report: &mut Report,
) -> Result<(), RunError> {
    let begun = Instant::now();
    let full_name = scenario.full_name(case);
    begin(&full_name)?;
    let name = context.overrides.name(full_name.clone(), conditions);
    context.observer.event(&Event::TestBegun { name: name.clone() });
    // A probe's name tells no transport, so the command does.
    let transport = context.overrides.transport.unwrap_or(case.transport);
    let named = if part.is_some() && !case.name.is_empty() { Some(transport) } else { context.overrides.transport };
    let overrides = Overrides { transport: named, ..context.overrides.clone() };
    let whole = (!case.name.is_empty()).then_some(full_name.as_str());
    let reproduce = overrides.reproduce(scenario, part.or(whole), conditions);
    let mut test = TestRecord { seed: conditions.seed_text(), ..scenario.record(case, name, reproduce) };
    let ran = run_test(scenario, kind, (case, part), conditions, context, &mut test, report);
    match &ran {
        Ok(()) => {
            let evidence = match &report.contract {
                Some(contract) => Evidence::of_contract(contract, &test),
                None => Evidence::of_test(&test),
            };
            let day = jiff::Zoned::now().date();
            known_issue::apply(&scenario.known_issues, case, &evidence, (day, context.strict), &mut test);
        }
        Err(error) => {
            (test.result, test.class) = (TestResult::Failed, Some(error.class()));
            test.violations = vec![error.to_string()];
        }
    }
    if matches!(test.result, TestResult::Passed | TestResult::KnownIssuePasses) {
        let folders = test.run_folder.iter().chain(report.contract.iter().flat_map(|contract| &contract.run_folders));
        folders.for_each(|folder| context.passed(folder));
    }
    test.milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
    context.observer.event(&Event::TestEnded {
        name: test.name.clone(),
        result: test.result,
        milliseconds: test.milliseconds,
        detail: test.violations.iter().cloned().chain(known_issue::line(&test)).collect::<Vec<_>>().join("\n"),
    });
    let failed = test.result == TestResult::Failed;
    report.add(test);
    ran?;
    go_on(failed, context)
}

/// Runs the test itself.
fn run_test(
    scenario: &Scenario,
    kind: TestKind,
    (case, part): (&Case, Option<&str>),
    conditions: Conditions,
    context: &Context<'_>,
    test: &mut TestRecord,
    report: &mut Report,
) -> Result<(), RunError> {
    let policy = context.overrides.policy(scenario);
    let transport = context.overrides.transport.unwrap_or(case.transport);
    let seed = conditions.seed.unwrap_or(FIRST_SEED);
    let sandbox = context.overrides.sandbox.unwrap_or(case.sandbox);
    let built = driver::build(scenario, case, context);
    match built.map(|built| driver::provisioned_with(scenario, case, built.as_ref(), context)) {
        Err(Unbuilt { result, reason }) => {
            (test.result, test.class, test.violations) = (result, Some(Class::MissingArtefact), vec![reason]);
        }
        Ok(provisioned) if kind == TestKind::LowResources => {
            let _slot = context.slots.take();
            let card = CardOptions { transport, sandbox, ..CardOptions::default() };
            run_low_resources(&provisioned, card, part, (context, &policy), test, report)?;
        }
        Ok(provisioned) if kind == TestKind::Kills => {
            run_kills(scenario, &provisioned, seed, context, test, report)?;
        }
        Ok(provisioned) if kind == TestKind::Hostile => {
            run_hostile(scenario, &provisioned, (part, seed), context, test, report)?;
        }
        Ok(provisioned) if kind == TestKind::QemuLimits => {
            let folder = RunFolder::create(context.workspace, &test.name, None)?;
            test.run_folder = Some(folder.path().into());
            let artefacts = &provisioned.artefacts;
            let found = qemu_limits::run(&artefacts.qemu, &artefacts.card, &folder, context.observer)?;
            test.violations = found.violations();
            if !test.violations.is_empty() {
                (test.result, test.class) = (TestResult::Failed, Some(Class::TestFailed));
            }
            report.qemu_limits.push(found);
        }
        Ok(provisioned) => {
            let conformance = conformance::Context {
                workspace: context.workspace,
                provisioned: &provisioned,
                timeout: context.timeout,
                filter: part,
                conditions,
                transport,
                sandbox,
                policy: &policy,
                sample_rate: context.overrides.sample_rate.or(case.sample_rate),
                judge: context.overrides.judge(scenario),
                rounds: scenario.rounds,
                jobs: context.slots.count(),
                slots: Some(context.slots),
                reproduce: test.reproduce.clone(),
                observer: context.observer,
            };
            if kind == TestKind::CardKills {
                let count = context.overrides.count.unwrap_or(scenario.rounds);
                if let Some(count) = context.overrides.count {
                    test.reproduce += &format!(" --count {count}");
                }
                let conditions = Conditions { seed: None, ..conditions };
                let conformance = conformance::Context { conditions, ..conformance };
                run_card_kills(&conformance, (count, seed), test, report)?;
            } else {
                run_contract(kind, &conformance, test, report)?;
            }
        }
    }
    Ok(())
}

/// Kills harness, card and QEMU, and checks whom the verdict names.
fn run_kills(
    scenario: &Scenario,
    provisioned: &Provisioned,
    seed: u64,
    context: &Context<'_>,
    test: &mut TestRecord,
    report: &mut Report,
) -> Result<(), RunError> {
    let count = context.overrides.count.unwrap_or(scenario.rounds);
    if let Some(count) = context.overrides.count {
        test.reproduce += &format!(" --count {count}");
    }
    let kills = Kills {
        workspace: context.workspace,
        provisioned,
        count,
        seed,
        parallel: scenario.parallel,
        observer: context.observer,
    };
    let folder = RunFolder::create(context.workspace, &test.name, None)?;
    test.run_folder = Some(folder.path().into());
    let found = kills::run(&kills, &folder)?;
    test.violations = found.violations();
    if !test.violations.is_empty() {
        (test.result, test.class) = (TestResult::Failed, Some(Class::TestFailed));
    }
    report.kills.push(found);
    Ok(())
}

/// Runs the probes of the contract, or those of one topic.
fn run_contract(
    kind: TestKind,
    context: &conformance::Context<'_>,
    test: &mut TestRecord,
    report: &mut Report,
) -> Result<(), RunError> {
    let found = match kind {
        TestKind::Stress => conformance::stress(context)?,
        TestKind::Recovery => conformance::recover(context)?,
        TestKind::CardKills
        | TestKind::Contract
        | TestKind::LowResources
        | TestKind::Hostile
        | TestKind::QemuLimits
        | TestKind::Kills => conformance::run_probes(context)?,
    };
    // A filter leaves most rules not exercised.
    test.violations = if context.filter.is_some() { found.breaches() } else { found.complaints() };
    if !test.violations.is_empty() {
        test.result = TestResult::Failed;
        test.class = Some(found.class.unwrap_or(Class::TestFailed));
    }
    test.findings = found.findings.clone();
    report.run_folders.extend(found.run_folders.clone());
    report.contract = Some(found);
    Ok(())
}

/// Kills cards at instants of a seed.
fn run_card_kills(
    context: &conformance::Context<'_>,
    (count, seed): (u32, u64),
    test: &mut TestRecord,
    report: &mut Report,
) -> Result<(), RunError> {
    let found = conformance::kill_cards(context, count, seed)?;
    test.violations = found.violations();
    if !test.violations.is_empty() {
        (test.result, test.class) = (TestResult::Failed, Some(Class::TestFailed));
    }
    report.run_folders.extend(found.run_folders.clone());
    report.card_kills.push(found);
    Ok(())
}

/// Runs the driver that is hostile to the card, or a part of its faults.
fn run_hostile(
    scenario: &Scenario,
    provisioned: &Provisioned,
    (part, seed): (Option<&str>, u64),
    context: &Context<'_>,
    test: &mut TestRecord,
    report: &mut Report,
) -> Result<(), RunError> {
    let folder = RunFolder::create(context.workspace, &test.name, None)?;
    test.run_folder = Some(folder.path().into());
    if let Some(count) = context.overrides.count {
        test.reproduce += &format!(" --count {count}");
    }
    let only = context.overrides.transport.map(|transport| [transport]);
    let inside = Inside {
        source: &scenario.hostile_driver().unwrap_or_default(),
        provisioned,
        transports: only.as_ref().map_or(&inside::TRANSPORTS, |only| only),
        filter: part,
        count: context.overrides.count.unwrap_or(scenario.rounds) as usize,
        seed,
        jobs: context.slots.count(),
        timeout: context.timeout,
        observer: context.observer,
    };
    match inside::run(&inside, &folder) {
        Ok(found) => {
            test.violations = found.violations();
            if !test.violations.is_empty() {
                (test.result, test.class) = (TestResult::Failed, Some(Class::TestFailed));
            }
            report.counted_tests.extend(CountedTest::of_faults(&found, &test.name));
            report.hostile.push(found);
        }
        Err(error) if error.class() == Class::Interrupted => return Err(HostileError::Interrupted.into()),
        // Other scenarios can run.
        Err(error) => {
            (test.result, test.class) = (TestResult::Failed, Some(error.class()));
            test.violations = vec![error.to_string()];
        }
    }
    Ok(())
}

/// Fails the allocation of each stack once, or of one stack.
fn run_low_resources(
    provisioned: &Provisioned,
    card: CardOptions,
    part: Option<&str>,
    (context, policy): (&Context<'_>, &ViolationPolicy),
    test: &mut TestRecord,
    report: &mut Report,
) -> Result<(), RunError> {
    let folder = RunFolder::create(context.workspace, &test.name, None)?;
    test.run_folder = Some(folder.path().into());
    let faults = AllocFaults {
        song: songs::ALL[0].song()?,
        card,
        timeout: context.timeout,
        policy: policy.clone(),
        sample_rate: context.overrides.sample_rate,
        only: part.and_then(|part| alloc_faults::read_stack(part).ok()),
    };
    match alloc_faults::run(&faults, provisioned, &folder, context.observer) {
        Ok(found) => {
            test.violations = found.complaints();
            test.findings = found.findings.clone();
            if !test.violations.is_empty() {
                (test.result, test.class) = (TestResult::Failed, Some(Class::TestFailed));
            }
            report.low_resources.push(found);
        }
        Err(error) if error.class() == Class::Interrupted => return Err(error.into()),
        // It fails without an allocation fault: that is the driver's failure, and other scenarios can run.
        Err(error) => {
            (test.result, test.class) = (TestResult::Failed, Some(error.class()));
            test.violations = vec![format!("before any allocation was failed: {error}")];
        }
    }
    Ok(())
}
