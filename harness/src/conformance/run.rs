//! Runs the probes, each in a guest of its own, and judges the rules by what they found.

use std::time::Instant;

use super::context::Context;
use super::error::{ConformanceError, ProbeError, is_about_the_device};
use super::findings::Findings;
use super::ledger::Ledger;
use super::probe::Probe;
use super::probes;
use super::recovery::PROBE as RECOVERY;
use super::report::{Contract, Counted, Verdict};
use super::stress::PROBE as STRESS;
use crate::event::{Event, Observer};
use crate::host::failure::{Class, Diagnosed};
use crate::jobs::{Slots, in_order};
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::{Consequence, SessionError};

/// Rules about what a driver need not do, with the reason why they do not apply where the driver never did it.
const ABOUT_CHOICES: [(u16, &str); 10] = [
    (15, NO_POWER),
    (16, "the driver registers no physical connection"),
    (19, NO_INTERRUPT),
    (21, NO_INTERRUPT),
    (56, NO_INTERRUPT),
    (60, NO_INTERRUPT),
    (61, "the driver has no interrupt sync object in Repeat mode"),
    (63, NO_INTERRUPT),
    (73, "the synthesizer has no channel groups, voice priorities, volumes or statistics to set or read"),
    (79, NO_POWER),
];

/// See [`ABOUT_CHOICES`].
const NO_POWER: &str = "the driver registers no power management";
/// See [`ABOUT_CHOICES`].
const NO_INTERRUPT: &str = "the driver connects no interrupt";
/// The same of a card with more filters than one for music.
const ABOUT_OTHER_PORTS: [(u16, &str); 9] = [
    (322, "the driver has no Topology filter"),
    (324, "the driver registers no physical connection"),
    (325, "the driver unregisters no physical connection"),
    (326, "the driver has no WavePci filter with a service group"),
    (327, "the driver has no WaveRT filter"),
    (328, "the driver registers no stream resource"),
    (329, "the driver registers no plug and play management"),
    (330, "the driver notifies no port of a wave filter"),
    (331, "the driver makes no DMA channel of a WavePci port"),
];

/// Returns the names of all probes.
pub fn probe_names() -> impl Iterator<Item = &'static str> {
    probes::ALL.iter().map(|probe| probe.name)
}

/// Runs the probes of the contract on the driver.
///
/// # Errors
/// [`ConformanceError`] for an interruption, or a run folder that cannot be created. What else fails is in the report.
pub fn run_probes(context: &Context<'_>) -> Result<Contract, ConformanceError> {
    let wanted = |probe: &&Probe| context.filter.is_none_or(|part| probe.name.contains(part));
    run_all(context, &probes::ALL.iter().filter(wanted).collect::<Vec<_>>())
}

/// Runs the stress test: opens, runs, stops and closes streams over and over, with a card that stalls, an allocator
/// that is empty, and input that overflows; every event must have come back, or have been counted as lost.
///
/// # Errors
/// [`ConformanceError`] for an interruption, or a run folder that cannot be created. What else fails is in the report.
pub fn stress(context: &Context<'_>) -> Result<Contract, ConformanceError> {
    Ok(without_not_exercised(run_all(context, &[&STRESS])?))
}

/// Has the card lose its session and corrupt its used rings while the driver plays: the driver resets it and plays on, or
/// fails cleanly.
///
/// # Errors
/// [`ConformanceError`] for an interruption, or a run folder that cannot be created. What else fails is in the report.
pub fn recover(context: &Context<'_>) -> Result<Contract, ConformanceError> {
    Ok(without_not_exercised(run_all(context, &[&RECOVERY])?))
}

/// Leaves out the rules that were not exercised: stress and recovery are about circumstances, not about each rule.
fn without_not_exercised(mut contract: Contract) -> Contract {
    contract.rows.retain(|row| row.verdict != Verdict::NotExercised);
    contract.not_exercised = 0;
    contract
}

/// Notes that the rest of a probe has no stimulus with this device.
fn not_exercised(context: &Context<'_>, ledger: &mut Ledger, probe: &Probe, reason: &str) {
    ledger.cannot_exercise(probe.name, reason);
    let text = format!("probe {}: not exercised from here on: {reason}", probe.name);
    context.observer.event(&Event::Note { text });
}

fn run_all(context: &Context<'_>, probes: &[&Probe]) -> Result<Contract, ConformanceError> {
    let begun = Instant::now();
    let mut ledger = Ledger::default();
    let mut contract = Contract { conditions: context.conditions, ..Contract::default() };
    let job = |probe: &&Probe, observer: &dyn Observer| {
        let _slot = context.slots.map(Slots::take);
        observer.event(&Event::Note { text: format!("probe {}: {}", probe.name, probe.text) });
        let folder = RunFolder::create(context.workspace, &format!("contract-{}", probe.name), None)?;
        let mut findings = Findings::default();
        let reproduce = context.reproduce.clone();
        let ended = (probe.run)(&Context { observer, reproduce, ..*context }, &folder, &mut findings);
        Ok::<_, ConformanceError>((folder, findings, ended))
    };
    in_order(context.jobs, probes, context.observer, job, |probe, ran| {
        let (folder, findings, ended) = ran?;
        contract.run_folders.push(folder.path().into());
        ledger.count(&findings.rules);
        findings.held.iter().for_each(|rule| ledger.judge(*rule));
        ledger.inapplicable.extend(findings.inapplicable);
        ledger.not_exercised.extend(findings.not_exercised);
        ledger.report.add(findings.report);
        contract.figures.extend(findings.figures.into_iter().map(|(name, value)| Counted {
            probe: probe.name,
            name,
            value,
        }));
        match ended {
            Ok(()) => {}
            Err(ProbeError::Violated { rule, what }) => {
                _ = ledger.violated.entry(rule).or_insert(what);
                ledger.classes.push(Class::TestFailed);
            }
            Err(ProbeError::Inapplicable(reason)) => {
                for rule in probe.rules {
                    ledger.inapplicable.entry(*rule).or_insert_with(|| reason.clone());
                }
            }
            Err(ProbeError::NotExercised(reason)) => not_exercised(context, &mut ledger, probe, &reason),
            Err(ProbeError::Failed(error)) if is_about_the_device(&error) => {
                not_exercised(context, &mut ledger, probe, &error.to_string());
            }
            Err(ProbeError::Failed(error)) => {
                if error.class() == Class::Interrupted {
                    return Err(error);
                }
                match error.session_error() {
                    Some(SessionError::BugCheck(found)) if found.rule.is_some() => {
                        let rule = found.rule.unwrap_or(0);
                        _ = ledger.violated.entry(rule).or_insert_with(|| found.message.clone());
                    }
                    _ => ledger.failures.push(format!(
                        "probe {} ended with: {error} ({})",
                        probe.name,
                        folder.path().display()
                    )),
                }
                ledger.classes.push(error.class());
            }
        }
        Ok(())
    })?;
    // Only where everything was tried is what a driver did not do what it never does.
    if probes.len() == probes::ALL.len() {
        for (rule, reason) in ABOUT_CHOICES.into_iter().chain(ABOUT_OTHER_PORTS) {
            ledger.inapplicable.entry(rule).or_insert_with(|| reason.to_owned());
        }
    }
    ledger.add_kept_going();
    contract.rows = ledger.rows();
    contract.findings = ledger.report.clone();
    contract.count();
    contract.failures = ledger.failures;
    contract.class = ledger.classes.first().copied();
    contract.milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
    Ok(contract)
}
