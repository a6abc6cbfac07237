//! Runs the steps of a scenario: starts a test bed, carries the steps out, cleans up, and shuts down.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::list::Halt;
use super::play::memory_of;
use super::record::{StepRecord, StepsVerdict};
use super::side::{Handles, Side};
use super::state::Engine;
use super::stepping::goes_on;
use super::test::StepsTest;
use crate::event::{Event, Observer, Step, Timeline};
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::standstill::Standstills;
use crate::machine::Received;
use crate::machine::conditions::Conditions;
use crate::playback::{CardReport, DeviceReport, PlaybackError, PlaybackFailure, failure};
use crate::steps::plan::{Act, Music, PlannedStep};
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::SessionError;
use crate::testbed::violations::{FindingsReport, ViolationPolicy};
use crate::testbed::{Provisioned, RATE_DEFAULT, TestBed, TestBedBuilder, TestBedError, bug_check};

/// Memory of the guest beside what songs need, in bytes: the NT host, the driver's image and pool, and room.
const BASE_MEMORY: u64 = 128 << 20;

/// Memory for what a prompt may play, in bytes: an hour of music. The host has only what is used.
const PROMPT_MEMORY: u64 = 768 << 20;

/// Most memory of a guest, in bytes: what fits below 4 GiB beside the devices.
const MEMORY_MAX: u64 = 2 << 30;

/// Returns the guest memory that all songs need.
fn memory_for(test: &StepsTest<'_>, provisioned: &Provisioned) -> Result<u64, PlaybackError> {
    let mut bytes = BASE_MEMORY + test.interaction.map_or(0, |_| PROMPT_MEMORY);
    let rate = test.sample_rate.unwrap_or(RATE_DEFAULT);
    let mut wanted = Vec::new();
    collect(&test.plan.steps, &mut wanted);
    collect(&test.plan.cleanup, &mut wanted);
    for (music, tail_ms, tempo) in wanted {
        let song = match music {
            Music::OfScenario => test.song.clone(),
            Music::Events(song) => song.clone(),
            Music::Song(source) => source.read(&provisioned.artefacts.card)?.song,
        };
        let song = song.at_tempo(tempo);
        bytes += memory_of(&song, rate, tail_ms.unwrap_or(test.tail_ms));
    }
    Ok(bytes.min(MEMORY_MAX).next_multiple_of(1 << 20))
}

/// The music of steps, with the tail and the tempo of each.
type Wanted<'p> = Vec<(&'p Music, Option<u32>, u32)>;

fn collect<'p>(steps: &'p [PlannedStep], wanted: &mut Wanted<'p>) {
    for step in steps {
        match &step.act {
            Act::Play(play, music) => {
                let tempo = play.tempo_percent.as_ref().map_or(100, |percent| *percent.get_ref());
                wanted.push((music, play.tail_ms, tempo));
            }
            Act::Parallel(branches) => branches.iter().for_each(|branch| collect(&branch.steps, wanted)),
            Act::Include(steps) => collect(steps, wanted),
            _ => {}
        }
    }
}

/// `command.json`: what runs, written before anything has happened.
#[derive(Serialize)]
struct Record<'a> {
    harness: &'static str,
    time: String,
    arguments: Vec<String>,
    reproduce: &'a str,
    song: &'a str,
    #[serde(flatten)]
    conditions: Conditions,
    #[serde(skip_serializing_if = "ViolationPolicy::is_strict")]
    policy: &'a ViolationPolicy,
    card: &'a [String],
    qemu: &'a [String],
    qemu_version: &'a str,
}

/// `verdict.json`: what came of it, written last.
#[derive(Serialize)]
struct Written<'a> {
    passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<Class>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    conditions: Conditions,
    steps: &'a [StepRecord],
    failures: &'a [String],
    #[serde(skip_serializing_if = "FindingsReport::is_empty")]
    findings: &'a FindingsReport,
    reproduce: &'a str,
}

/// Carries out the steps of a scenario, and keeps what ran, the logs, the sound, every step and the verdict in a run folder.
///
/// # Errors
/// [`PlaybackFailure`] for what failed. What does not hold is in the verdict.
pub fn run_steps(
    test: &StepsTest<'_>,
    provisioned: &Provisioned,
    folder: &RunFolder,
    reproduce: &str,
    observer: &dyn Observer,
) -> Result<StepsVerdict, Box<PlaybackFailure>> {
    let mut findings = FindingsReport::default();
    let mut records = Vec::new();
    let result = run(test, provisioned, folder, reproduce, observer, &mut findings, &mut records);
    let (passed, failures, error) = match &result {
        Ok(verdict) => (verdict.failures.is_empty(), verdict.failures.as_slice(), None),
        Err(error) => (false, &[][..], Some(error)),
    };
    let written = Written {
        passed,
        class: error.map(Diagnosed::class).or_else(|| (!passed).then_some(Class::TestFailed)),
        error: error.map(ToString::to_string),
        conditions: test.conditions,
        steps: &records,
        failures,
        findings: &findings,
        reproduce,
    };
    let kept = folder.write_json("verdict.json", &written);
    let again = bug_check::again(test.conditions, reproduce);
    match (result, kept) {
        (Ok(verdict), Ok(())) => Ok(StepsVerdict { steps: records, findings, ..verdict }),
        (Ok(_), Err(error)) => Err(failure(error.into(), &again, provisioned, folder, findings)),
        // The error itself goes to the caller in any case.
        (Err(error), _) => Err(failure(error, &again, provisioned, folder, findings)),
    }
}

fn run(
    test: &StepsTest<'_>,
    provisioned: &Provisioned,
    folder: &RunFolder,
    reproduce: &str,
    observer: &dyn Observer,
    findings: &mut FindingsReport,
    records: &mut Vec<StepRecord>,
) -> Result<StepsVerdict, PlaybackError> {
    let timeline = Timeline::new(folder.create_file("timeline.jsonl")?, observer);
    let timeout = test.limits.no_progress_s.map_or(test.timeout, |seconds| Duration::from_secs(seconds.into()));
    let builder = TestBedBuilder::new()
        .provisioned(provisioned.clone())
        .run_folder(folder)
        .card(&test.card)
        .memory(memory_for(test, provisioned)?)
        .conditions(test.conditions)
        .guest_log(&test.guest_log)
        .violation_policy(&test.policy)
        .timeout(timeout)
        .observer(&timeline);
    timeline.event(&Event::StepBegun { step: Step::Card });
    let card = builder.start_card()?;
    let started = Instant::now();
    timeline.event(&Event::StepBegun { step: Step::Kernel });
    let mut bed = card.start_machine()?;
    record(&bed, test, folder, reproduce)?;
    let done = on_test_bed(&mut bed, test, timeout, folder, &timeline, records);
    *findings = bed.findings();
    let standstills = bed.standstills();
    match done {
        Ok(verdict) => {
            let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
            Ok(StepsVerdict { standstills, milliseconds, ..verdict })
        }
        Err(error) => {
            if let Some(TestBedError::Session(SessionError::Timeout { .. })) = error.testbed() {
                bed.post_mortem(reproduce);
            }
            Err(error.after(standstills))
        }
    }
}

fn record(bed: &TestBed<'_>, test: &StepsTest<'_>, folder: &RunFolder, reproduce: &str) -> Result<(), FileError> {
    let processes = &bed.session.health;
    folder.write_json(
        "command.json",
        &Record {
            harness: concat!("dmus ", env!("CARGO_PKG_VERSION")),
            time: jiff::Timestamp::now().to_string(),
            arguments: crate::host::lossy::arguments(),
            reproduce,
            song: &test.song.name,
            conditions: test.conditions,
            policy: &test.policy,
            card: processes.device.command_line(),
            qemu: &processes.machine.command_line,
            qemu_version: processes.machine.version(),
        },
    )
}

/// Carries steps out on a test bed that was started and whose guest has had no request yet
/// ([`TestBedBuilder::start`]), and shuts it down.
///
/// ```no_run
/// use dmus::steps::{Plan, StepsTest, carry_out};
/// use dmus::testbed::TestBed;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let plan = Plan::parse(
///     "tests/power.toml",
///     r#"
///     title = "plays again after D3"
///
///     [[step]]
///     power = "d3"
///
///     [[step]]
///     power = "d0"
///
///     [[step]]
///     play = { song = "siren" }
///
///     [[step]]
///     expect = { bit_identical = true, no_diagnosis = true }
///     "#,
/// )?;
/// let mut bed = TestBed::builder().driver("my.sys").name("power").start()?;
/// carry_out(&mut bed, &StepsTest::of(&plan)?)?.expect_passed()?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`PlaybackError`] for what failed. What does not hold is in the verdict.
pub fn carry_out(bed: &mut TestBed<'_>, test: &StepsTest<'_>) -> Result<StepsVerdict, PlaybackError> {
    let Some(folder) = bed.run_folder().cloned() else {
        return Err(PlaybackError::Act("steps keep what they do in a run folder: name one, not temporary_logs".into()));
    };
    let observer = bed.session.observer();
    let begun = Instant::now();
    let timeout = test.limits.no_progress_s.map_or(test.timeout, |seconds| Duration::from_secs(seconds.into()));
    let mut steps = Vec::new();
    let done = on_test_bed(bed, test, timeout, &folder, observer, &mut steps);
    let (findings, standstills) = (bed.findings(), bed.standstills());
    match done {
        Ok(verdict) => {
            let milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
            Ok(StepsVerdict { steps, findings, standstills, milliseconds, ..verdict })
        }
        Err(error) => Err(error.after(standstills)),
    }
}

/// Carries the steps out on a test bed, cleans up, and shuts it down.
fn on_test_bed(
    bed: &mut TestBed<'_>,
    test: &StepsTest<'_>,
    timeout: Duration,
    folder: &RunFolder,
    observer: &dyn Observer,
    records: &mut Vec<StepRecord>,
) -> Result<StepsVerdict, PlaybackError> {
    bed.greet().map_err(|error| bed.cause("boot the guest", PlaybackError::from(error)))?;
    let side = Side::new(handles(bed)?, folder.path(), timeout, observer);
    let mut engine = Engine {
        bed,
        test,
        side: &side,
        streams: BTreeMap::new(),
        downloads: BTreeMap::new(),
        recordings: BTreeMap::new(),
        last: None,
        received: Received::default(),
        captured_messages: 0,
        loaded: false,
        started: false,
        removed: false,
        warnings: Vec::new(),
        done: Vec::new(),
        answered: None,
        lost: None,
        cleans_up: false,
    };
    let done = begin(&mut engine).map_err(Halt::Failed).and_then(|()| engine.list(&test.plan.steps));
    let done = engine.pause_behind(done);
    let card = engine.side.status().map(CardReport::from);
    let device = engine.bed.device_control().map(DeviceReport::of).transpose();
    engine.cleans_up = true;
    // Every one of them, whatever comes of the others.
    for step in &test.plan.cleanup {
        _ = engine.list(std::slice::from_ref(step));
    }
    let ended = match &done {
        // A guest that has stopped, or a process that has gone, cannot be shut down in order.
        Err(Halt::Failed(error)) if !goes_on(error) => Ok(()),
        _ => end(&mut engine),
    };
    let last = engine.last.as_ref().and_then(|name| engine.recordings.get(name));
    let pcm_sha256 = last.and_then(|last| Some(last.pcm.as_ref()?.sha256()));
    let warnings = std::mem::take(&mut engine.warnings);
    let (steps, failures) = side.finish();
    records.extend(steps);
    if let Err(Halt::Failed(error)) = done {
        return Err(error);
    }
    ended?;
    let device = device.map_err(PlaybackError::from)?.flatten();
    Ok(StepsVerdict {
        steps: Vec::new(),
        failures,
        warnings,
        card,
        device,
        pcm_sha256,
        milliseconds: 0.0,
        standstills: Standstills::default(),
        findings: FindingsReport::default(),
    })
}

/// Loads the driver and starts its device, unless steps do that.
fn begin(engine: &mut Engine<'_, '_>) -> Result<(), PlaybackError> {
    if engine.test.plan.loads {
        return Ok(());
    }
    let started = engine.bed.load_driver().map(drop).and_then(|()| engine.bed.start_device().map(drop));
    started.map_err(|error| engine.bed.cause("start the driver", PlaybackError::from(error)))?;
    (engine.loaded, engine.started) = (true, true);
    Ok(())
}

/// Closes what is open, stops the device, unloads the driver and shuts the guest down: where leaks show.
fn end(engine: &mut Engine<'_, '_>) -> Result<(), PlaybackError> {
    // The guest closes every handle when the device is removed.
    engine.streams.clear();
    let bed = &mut *engine.bed;
    let ended = match (engine.loaded, engine.started) {
        (true, true) => bed.shut_down().map(drop),
        (true, false) => bed.unload_and_leave().map(drop),
        (false, _) => bed
            .session
            .done("shut down", guest_protocol::Request::Shutdown)
            .map_err(TestBedError::from)
            .and_then(|()| bed.leave()),
    };
    ended.map_err(|error| bed.cause("shut down", PlaybackError::from(error)))
}

fn handles(bed: &TestBed<'_>) -> Result<Handles, PlaybackError> {
    let machine = &bed.session.health.machine;
    let card = bed.card();
    let killer = card.map(crate::machine::Card::killer).transpose().map_err(TestBedError::Control)?;
    Ok(Handles {
        card: card.map(crate::machine::Card::control),
        card_killer: killer,
        qemu_killer: Some(machine.killer().map_err(TestBedError::Control)?),
        card_freezer: card.map(crate::machine::Card::staller),
        qemu_freezer: machine.staller(),
        device: bed.device_name(),
    })
}
