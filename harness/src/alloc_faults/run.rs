//! Boots a guest for each stack on which the driver allocates, and has that allocation fail.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use card_control::Clock;
use guest_protocol::options::{ALLOCATIONS, FAIL_ALLOCATION};
use guest_protocol::{Delivery, Pace, Request, StackFrame};

use super::error::AllocFaultsError;
use super::report::{AllocFaultsReport, Outcome, SiteReport, name};
use crate::event::{Event, Observer};
use crate::host::failure::{Class, Diagnosed};
use crate::machine::CardOptions;
use crate::machine::conditions::Conditions;
use crate::sound::midi::{Song, TICKS_A_SECOND};
use crate::testbed::bug_check::{self, Place, places};
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::{SessionError, StartedDevice};
use crate::testbed::violations::{FindingRow, FindingsReport, ViolationPolicy};
use crate::testbed::{
    PinOptions, Provisioned, QUANTUM_DEFAULT, RATE_DEFAULT, StreamMemory, TestBed, TestBedBuilder, TestBedError,
    open_song_pins,
};

/// Memory of the guest, in bytes.
const MEMORY: u64 = 128 << 20;

/// Frames that are played: enough for the first notes to come and go.
const FRAMES: u64 = 24_000;

/// Number of the contract's rule that an unloaded driver leaves nothing behind.
const RULE_NOTHING_LEFT: u16 = 82;

/// Most boots: an allocation whose stack differs in every boot would never end.
const BOOTS_MAX: usize = 1000;

/// The options of a low-resources simulation.
#[derive(Clone, Debug)]
pub struct AllocFaults {
    /// The song that is played.
    pub song: Song,
    /// The card's options.
    pub card: CardOptions,
    /// The longest time for a step.
    pub timeout: Duration,
    /// Which violations do not stop the guests.
    pub policy: ViolationPolicy,
    /// Frames a second; without, the pin's data ranges decide.
    pub sample_rate: Option<u32>,
    /// The only stack to try, instead of all.
    pub only: Option<u64>,
}

/// A stack on which the driver allocates.
#[derive(Clone)]
struct Site {
    function: String,
    stack: Vec<StackFrame>,
    failed: bool,
}

/// Collects the stacks that the guest reports.
#[derive(Default)]
struct Collector {
    sites: Mutex<BTreeMap<u64, Site>>,
}

impl Observer for Collector {
    fn event(&self, event: &Event) {
        if let Event::Allocation { hash, function, stack, failed } = event {
            let site = Site { function: function.clone(), stack: stack.clone(), failed: *failed };
            self.sites.lock().unwrap_or_else(PoisonError::into_inner).insert(*hash, site);
        }
    }
}

/// Runs all boots.
///
/// # Errors
/// [`AllocFaultsError::TestBed`] for a boot without any allocation fault that fails, an interruption, or the host;
/// [`AllocFaultsError::File`] for a report that cannot be written.
pub fn run(
    options: &AllocFaults,
    provisioned: &Provisioned,
    folder: &RunFolder,
    observer: &dyn Observer,
) -> Result<AllocFaultsReport, AllocFaultsError> {
    let begun = Instant::now();
    let mut report = AllocFaultsReport {
        driver: provisioned.artefacts.driver.clone(),
        run_folder: folder.path().into(),
        ..AllocFaultsReport::default()
    };
    let mut known: BTreeMap<u64, Site> = BTreeMap::new();
    let mut waiting = VecDeque::from([options.only]);
    while let Some(fail) = waiting.pop_front() {
        if report.boots == BOOTS_MAX {
            observer.event(&Event::Warning { text: format!("stopped after {BOOTS_MAX} boots; there are more stacks") });
            break;
        }
        report.boots += 1;
        let collector = Collector::default();
        let mut findings = FindingsReport::default();
        let ended = boot(options, provisioned, folder, (fail, &mut findings), &collector);
        let went_on: Vec<String> = findings.violations.iter().map(FindingRow::text).collect();
        report.findings.add(findings);
        let sites = collector.sites.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(hash) = fail {
            let reached = sites.get(&hash).is_some_and(|site| site.failed);
            let unknown = Site { function: "?".into(), stack: Vec::new(), failed: false };
            let site = known.get(&hash).or_else(|| sites.get(&hash)).unwrap_or(&unknown);
            let mut site = judge(ended, reached, hash, site, provisioned, folder)?;
            if !went_on.is_empty() && site.outcome != Outcome::Failed {
                (site.outcome, site.detail) =
                    (Outcome::Failed, format!("violated, and went on: {}", went_on.join("; ")));
            }
            let text = format!("{:<12} {} {}", name(site.outcome), site.function, site.detail);
            observer.event(&Event::Note { text });
            report.sites.push(site);
        } else {
            // No allocation failed: a driver that does not pass this is not ready for the rest.
            ended?.map_or(Ok(()), Err)?;
        }
        if options.only.is_some() {
            break;
        }
        for (hash, site) in sites {
            if let Entry::Vacant(entry) = known.entry(hash) {
                entry.insert(site);
                waiting.push_back(Some(hash));
            }
        }
    }
    report.milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
    folder.write_json("alloc-faults.json", &report)?;
    Ok(report)
}

/// Judges how a boot ended in which an allocation was to fail.
fn judge(
    ended: Result<Option<TestBedError>, TestBedError>,
    reached: bool,
    hash: u64,
    site: &Site,
    provisioned: &Provisioned,
    folder: &RunFolder,
) -> Result<SiteReport, AllocFaultsError> {
    // The guest applies the contract's rule about what an unloaded driver leaves behind when it unloads the driver.
    let leaked = matches!(
        &ended,
        Err(TestBedError::Session(SessionError::BugCheck(found))) if found.rule == Some(RULE_NOTHING_LEFT)
    );
    let artefacts = &provisioned.artefacts;
    let (outcome, detail) = match ended {
        Err(error) if matches!(error.class(), Class::Interrupted | Class::Host | Class::HarnessBug) => {
            return Err(error.into());
        }
        Err(error) => {
            if let TestBedError::Session(SessionError::BugCheck(bug_check)) = &error {
                let places = places(&bug_check.stack, Some(&artefacts.driver), Some(&artefacts.nt_host));
                folder.write(&format!("bug-check-{hash:016x}.txt"), bug_check::report(bug_check, &places))?;
            }
            (Outcome::Failed, error.to_string())
        }
        Ok(_) if !reached => (Outcome::NotReached, String::new()),
        Ok(Some(error)) => (Outcome::Refused, error.to_string()),
        Ok(None) => (Outcome::DidWithout, String::new()),
    };
    let stack = places(&site.stack, Some(&artefacts.driver), None).places.iter().map(line_of).collect();
    Ok(SiteReport { hash: format!("{hash:016x}"), function: site.function.clone(), stack, outcome, detail, leaked })
}

fn line_of(place: &Place) -> String {
    // What was inlined there belongs to the allocator; the outermost function shows best whose code it is.
    let Some(function) = place.functions.last() else { return place.offset.clone() };
    let line = function.line.as_deref().unwrap_or("");
    format!("{} {} {line}", place.offset, function.name).trim_end().to_owned()
}

/// Boots once: loads the driver, starts it, plays, stops and unloads it. Returns what the driver refused on the way.
fn boot(
    options: &AllocFaults,
    provisioned: &Provisioned,
    folder: &RunFolder,
    (fail, findings): (Option<u64>, &mut FindingsReport),
    observer: &dyn Observer,
) -> Result<Option<TestBedError>, TestBedError> {
    let label = fail.map_or_else(|| "first".to_owned(), |hash| format!("{hash:016x}"));
    let reported = Conditions::default().guest_options("info", Clock::Lockstep) + ALLOCATIONS + "=report\n";
    let guest_options = match fail {
        None => reported,
        Some(hash) => format!("{reported}{FAIL_ALLOCATION}={hash:016x}\n"),
    };
    let mut bed = TestBedBuilder::new()
        .provisioned(provisioned.clone())
        .labelled_run_folder(folder, label)
        .memory(MEMORY)
        .card(&options.card)
        .guest_options(guest_options)
        .violation_policy(&options.policy)
        .timeout(options.timeout)
        .observer(observer)
        .start()?;
    let used = use_driver(options, &mut bed).map_err(|error| bed.cause("use the driver", error));
    *findings = bed.findings();
    used
}

/// Loads the driver, starts it, plays, stops and unloads it, and shuts the guest down.
fn use_driver(options: &AllocFaults, bed: &mut TestBed<'_>) -> Result<Option<TestBedError>, TestBedError> {
    bed.session.ready()?;
    bed.session.hello()?;
    let mut refused = None;
    let loaded = bed.session.load_driver().map_err(TestBedError::from);
    if only_refusals(loaded, &mut refused)?.is_some() {
        let started = bed.session.start_device().map_err(TestBedError::from);
        if let Some(device) = only_refusals(started, &mut refused)? {
            only_refusals(play(options, bed, &device), &mut refused)?;
            bed.session.done("stop the device", Request::StopDevice)?;
        }
        bed.session.unload_driver()?;
    }
    bed.session.done("shut down", Request::Shutdown)?;
    bed.leave()?;
    Ok(refused)
}

/// Passes on errors that must not happen; keeps the first of those that a driver may answer with for want of resources.
fn only_refusals<T>(
    result: Result<T, TestBedError>,
    refused: &mut Option<TestBedError>,
) -> Result<Option<T>, TestBedError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error @ (TestBedError::Session(SessionError::Refused { .. }) | TestBedError::NoPins { .. })) => {
            refused.get_or_insert(error);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn play(options: &AllocFaults, bed: &mut TestBed<'_>, device: &StartedDevice) -> Result<(), TestBedError> {
    let wanted = PinOptions { sample_rate: options.sample_rate, without_wave: true, ..PinOptions::default() };
    let pins = open_song_pins(&mut bed.session, device, wanted)?;
    let rate = pins.wave.map_or(RATE_DEFAULT, |(_, format)| format.sample_rate);
    let end = FRAMES * TICKS_A_SECOND / u64::from(rate);
    let events: Vec<_> = options.song.events.iter().filter(|event| event.time < end).cloned().collect();
    let frames = pins.wave.map(|(_, format)| (FRAMES, format));
    let memory = StreamMemory::prepare(bed, &pins.music.records(&events), events.len() as u32, frames)?;
    match pins.sounding() {
        Some(pins) => bed.session.play(memory.play(&pins, QUANTUM_DEFAULT, Pace::Lockstep, Delivery::InOrder))?,
        None => bed.session.play_midi(memory.play_midi(pins.render, end, Pace::Lockstep, Delivery::InOrder))?,
    };
    pins.close(bed)?;
    memory.free(bed)
}
