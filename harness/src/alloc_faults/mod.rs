//! Systematic shortage: every call stack on which the driver allocates fails once.
//!
//! The first boot learns the stacks. Then there is a boot for each, in which that one allocation fails, and one for each
//! stack that shows up only there, until none is new. A driver survives if it refuses what it cannot do, or does without,
//! and leaves nothing behind when it is unloaded; a bug check, a hang or a leak is its failure.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use guest_protocol::{Bulk, Manner, Pace, Play, Request, StackFrame};
use serde::Serialize;

use crate::event::{Event, Observer};
use crate::failure::Error;
use crate::host::failure::{Class, Diagnosed};
use crate::host::leftovers::Scratch;
use crate::machine::{Boot, Card, CardOptions, CardSockets, GuestMemory, MachineOptions, Processes};
use crate::playback::{PlaybackError, Provisioned, QUANTUM_DEFAULT, leave, open_pins};
use crate::sound::midi::{Song, write_records};
use crate::sound::pcm::FRAME_BYTES;
use crate::testbed::bug_check::{self, Place, places};
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::{Session, SessionError};

/// Memory of the guest, in bytes.
const MEMORY: u64 = 128 << 20;

/// Frames a second, and frames that are played: enough for the first notes to come and go.
const SAMPLE_RATE: u32 = 48_000;
/// See [`SAMPLE_RATE`].
const FRAMES: u64 = 24_000;

/// Number of the contract's rule that an unloaded driver leaves nothing behind.
const RULE_NOTHING_LEFT: u16 = 82;

/// Most boots: an allocation whose stack differs in every boot would never end.
const BOOTS_MAX: usize = 1000;

/// How a boot went in which an allocation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The driver did without: everything went as if nothing had happened.
    DidWithout,
    /// The driver refused what it could not do, and was stopped and unloaded without a trace.
    Refused,
    /// The stack did not come up again, so that nothing failed.
    NotReached,
    /// A bug check, a leak, a hang, a dead card.
    Failed,
}

/// A stack on which the driver allocates, and what came of its failure.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// The stack's name: the same in every boot of the same image.
    pub hash: String,
    /// What allocates.
    pub function: String,
    /// The driver's part of the stack, innermost first, with symbols where there are some.
    pub stack: Vec<String>,
    /// How it went.
    pub outcome: Outcome,
    /// What was refused, or how it failed.
    pub detail: String,
    /// Something was left behind: pool, an object, a mapping, an interrupt.
    pub leaked: bool,
}

/// How all went.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AllocFaultsReport {
    /// The driver.
    pub driver: PathBuf,
    /// Every stack.
    pub trials: Vec<Trial>,
    /// Boots, the first one included.
    pub boots: usize,
    /// How long it took.
    pub milliseconds: f64,
    /// Where everything is.
    pub artefacts: PathBuf,
}

/// Reads a stack's name, as a report gives it.
///
/// # Errors
/// What it should look like.
pub fn read_stack(text: &str) -> Result<u64, String> {
    const DIGITS: usize = 16;
    let is_name = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let hash = if is_name { u64::from_str_radix(text, 16).ok() } else { None };
    hash.ok_or_else(|| {
        format!("a stack's name is {DIGITS} hexadecimal digits, as a run without this option prints them")
    })
}

impl AllocFaultsReport {
    /// What did not go well, one a line.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        if self.trials.is_empty() {
            return vec!["the driver allocates by no stack that was seen, so nothing was tried".into()];
        }
        let failed = |trial: &&Trial| trial.outcome == Outcome::Failed;
        let line = |trial: &Trial| {
            let place = trial.stack.first().map(|place| format!(" at {place}")).unwrap_or_default();
            let Trial { hash, function, detail, .. } = trial;
            format!("when {function} is refused{place} (stack {hash}): {detail}")
        };
        self.trials.iter().filter(failed).map(line).collect()
    }

    /// Stacks whose refusal left something behind.
    #[must_use]
    pub fn leaks(&self) -> usize {
        self.trials.iter().filter(|trial| trial.leaked).count()
    }

    /// Every stack and its outcome, for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        for Trial { hash, function, stack, outcome, detail, .. } in &self.trials {
            let place = stack.first().map_or("", String::as_str);
            let _ = writeln!(text, "{hash}  {:<12} {function:<28} {place}", name(*outcome));
            if *outcome == Outcome::Failed {
                let _ = writeln!(text, "    {detail}");
                stack.iter().for_each(|place| {
                    let _ = writeln!(text, "      {place}");
                });
            }
        }
        let [without, refused, missed, failed] =
            [Outcome::DidWithout, Outcome::Refused, Outcome::NotReached, Outcome::Failed].map(|way| self.count(way));
        let _ = write!(
            text,
            "{}: {} stacks that allocate, in {} boots: {refused} refused, {without} did without, {missed} not reached, \
             {failed} failed; {} leaks; {:.1} s",
            self.driver.file_name().unwrap_or_default().to_string_lossy(),
            self.trials.len(),
            self.boots,
            self.leaks(),
            self.milliseconds / 1000.0
        );
        text
    }

    /// How many stacks went in some way.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.trials.iter().filter(|trial| trial.outcome == outcome).count()
    }
}

/// What is tried.
#[derive(Clone, Debug)]
pub struct AllocFaults {
    /// What is played.
    pub song: Song,
    /// How long a step may take.
    pub timeout: Duration,
    /// Try this stack only.
    pub only: Option<u64>,
}

#[derive(Clone)]
struct Site {
    function: String,
    stack: Vec<StackFrame>,
    refused: bool,
}

/// Collects what is reported on the line.
struct Collector<'a> {
    sites: Mutex<BTreeMap<u64, Site>>,
    next: &'a dyn Observer,
}

impl Observer for Collector<'_> {
    fn event(&self, event: &Event) {
        if let Event::Allocation { hash, function, stack, refused } = event {
            let site = Site { function: function.clone(), stack: stack.clone(), refused: *refused };
            self.sites.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(*hash, site);
        } else if !matches!(event, Event::Guest { .. } | Event::Progress { .. }) {
            self.next.event(event);
        }
    }
}

/// Runs all boots.
///
/// # Errors
/// What is nobody's failure but the surroundings': a boot without any refusal that does not go well, an interruption, a
/// full disk.
pub fn run(
    shortage: &AllocFaults,
    provisioned: &Provisioned,
    folder: &RunFolder,
    observer: &dyn Observer,
) -> Result<AllocFaultsReport, Error> {
    let begun = Instant::now();
    let mut report = AllocFaultsReport {
        driver: provisioned.artefacts.driver.clone(),
        artefacts: folder.path().into(),
        ..AllocFaultsReport::default()
    };
    let mut known: BTreeMap<u64, Site> = BTreeMap::new();
    let mut waiting = VecDeque::from([shortage.only]);
    while let Some(refuse) = waiting.pop_front() {
        if report.boots == BOOTS_MAX {
            observer.event(&Event::Warning { text: format!("stopped after {BOOTS_MAX} boots; there are more stacks") });
            break;
        }
        report.boots += 1;
        let collector = Collector { sites: Mutex::default(), next: &Quiet };
        let ended = boot(shortage, provisioned, folder, refuse, &collector);
        let sites = collector.sites.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(hash) = refuse {
            let reached = sites.get(&hash).is_some_and(|site| site.refused);
            let unknown = Site { function: "?".into(), stack: Vec::new(), refused: false };
            let site = known.get(&hash).or_else(|| sites.get(&hash)).unwrap_or(&unknown);
            let trial = judge(ended, reached, hash, site, provisioned, folder)?;
            let text = format!("{:<12} {} {}", name(trial.outcome), trial.function, trial.detail);
            observer.event(&Event::Note { text });
            report.trials.push(trial);
        } else {
            // Nothing was refused: a driver that does not pass this is not ready for the rest.
            ended?.map_or(Ok(()), Err)?;
        }
        if shortage.only.is_some() {
            break;
        }
        for (hash, site) in sites {
            if let std::collections::btree_map::Entry::Vacant(entry) = known.entry(hash) {
                entry.insert(site);
                waiting.push_back(Some(hash));
            }
        }
    }
    report.milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
    folder.write_json("shortage.json", &report)?;
    Ok(report)
}

struct Quiet;

impl Observer for Quiet {
    fn event(&self, _event: &Event) {}
}

/// How an outcome is called.
#[must_use]
pub const fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::DidWithout => "did without",
        Outcome::Refused => "refused",
        Outcome::NotReached => "not reached",
        Outcome::Failed => "FAILED",
    }
}

fn judge(
    ended: Result<Option<Error>, Error>,
    reached: bool,
    hash: u64,
    site: &Site,
    provisioned: &Provisioned,
    folder: &RunFolder,
) -> Result<Trial, Error> {
    // The contract's rule about what an unloaded driver leaves behind: the guest looks when it is unloaded.
    let leaked =
        matches!(&ended, Err(Error::Session(SessionError::BugCheck(found))) if found.rule == Some(RULE_NOTHING_LEFT));
    let (outcome, detail) = match ended {
        Err(error) if matches!(error.class(), Class::Interrupted | Class::Host | Class::HarnessBug) => {
            return Err(error);
        }
        Err(error) => {
            if let Error::Session(SessionError::BugCheck(bug_check)) = &error {
                let places =
                    places(&bug_check.stack, Some(&provisioned.artefacts.driver), Some(&provisioned.artefacts.nt_host));
                folder.write(&format!("bug-check-{hash:016x}.txt"), bug_check::report(bug_check, &places))?;
            }
            (Outcome::Failed, error.to_string())
        }
        Ok(_) if !reached => (Outcome::NotReached, String::new()),
        Ok(Some(error)) => (Outcome::Refused, error.to_string()),
        Ok(None) => (Outcome::DidWithout, String::new()),
    };
    let stack = places(&site.stack, Some(&provisioned.artefacts.driver), None).iter().map(line_of).collect();
    Ok(Trial { hash: format!("{hash:016x}"), function: site.function.clone(), stack, outcome, detail, leaked })
}

fn line_of(place: &Place) -> String {
    // What was inlined there is the allocator's business; whose code it is shows best.
    let Some(function) = place.functions.last() else { return place.offset.clone() };
    let line = function.line.as_deref().unwrap_or("");
    format!("{} {} {line}", place.offset, function.name).trim_end().to_owned()
}

/// One boot: the driver is loaded, started, played with, stopped and unloaded. What the driver refuses on the way is the
/// value; what must not happen is the error.
fn boot(
    shortage: &AllocFaults,
    provisioned: &Provisioned,
    folder: &RunFolder,
    refuse: Option<u64>,
    observer: &dyn Observer,
) -> Result<Option<Error>, Error> {
    let scratch = Scratch::new()?;
    let label = refuse.map_or_else(|| "first".to_owned(), |hash| format!("{hash:016x}"));
    let sockets = CardSockets::in_folder(scratch.path());
    let card = Card::start(
        &provisioned.artefacts.card,
        &CardOptions::default(),
        &sockets,
        &folder.file(&format!("card-{label}.log")),
    )?;
    let options = MachineOptions {
        processors: 1,
        qemu: provisioned.artefacts.qemu.clone(),
        accelerator: provisioned.accelerator.accelerator,
        firmware: provisioned.firmware,
        kernel: provisioned.artefacts.nt_host.clone(),
        driver: Some(provisioned.artefacts.driver.clone()),
        guest_options: match refuse {
            None => "log=info\ntime=run\nallocations=report\n".into(),
            Some(hash) => format!("log=info\ntime=run\nallocations=report\nrefuse={hash:016x}\n"),
        },
        card_socket: Some(sockets.machine),
    };
    let qemu_log = folder.file(&format!("qemu-{label}.log"));
    let boot = Boot { log: &qemu_log, scratch: scratch.path() };
    let processes = Processes::start(&options, GuestMemory::new(MEMORY)?, &boot, card)?;
    let line = processes.machine.line.try_clone().map_err(SessionError::Line)?;
    let console: File = folder.create_file(&format!("console-{label}.log"))?;
    let mut session =
        Session::new(line, processes, shortage.timeout, Some(console), observer).map_err(SessionError::Line)?;
    use_driver(shortage, &mut session).map_err(|error| session.cause("use the driver", error))
}

/// Loads the driver, starts it, plays, stops and unloads it, and shuts the guest down.
fn use_driver(shortage: &AllocFaults, session: &mut Session<'_, Processes>) -> Result<Option<Error>, Error> {
    session.ready()?;
    session.hello()?;
    let mut refused = None;
    match only_refusals(session.load_driver().map_err(Error::from), &mut refused)? {
        None => {}
        Some(_) => {
            let started = only_refusals(session.start_device().map_err(Error::from), &mut refused)?;
            if let Some(device) = started {
                only_refusals(play(shortage, session, &device), &mut refused)?;
                session.done("stop the device", Request::StopDevice)?;
            }
            session.unload_driver()?;
        }
    }
    session.done("shut down", Request::Shutdown)?;
    leave(session, shortage.timeout)?;
    Ok(refused)
}

/// Passes on what must not happen; keeps the first of what a driver may say for want of resources.
fn only_refusals<T>(result: Result<T, Error>, refused: &mut Option<Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            let allowed = matches!(
                &error,
                Error::Session(SessionError::Refused { .. }) | Error::PlaybackTest(PlaybackError::NoPins { .. })
            );
            if !allowed {
                return Err(error);
            }
            refused.get_or_insert(error);
            Ok(None)
        }
    }
}

fn play(
    shortage: &AllocFaults,
    session: &mut Session<'_, Processes>,
    device: &crate::testbed::session::StartedDevice,
) -> Result<(), Error> {
    let pins = open_pins(session, device, SAMPLE_RATE)?;
    let end = FRAMES * 10_000_000 / u64::from(SAMPLE_RATE);
    let events: Vec<_> = shortage.song.events.iter().filter(|event| event.time < end).cloned().collect();
    let records = write_records(&events);
    let range = session.allocate(records.len() as u64)?;
    let pcm = session.allocate(FRAMES * FRAME_BYTES)?;
    session.health.machine.memory.write(range, &records).map_err(PlaybackError::Memory)?;
    session.play(Play {
        render: pins.render,
        wave: pins.wave,
        events: Bulk { address: range.address, length: records.len() as u64 },
        event_count: events.len() as u32,
        pcm: Bulk { address: pcm.address, length: FRAMES * FRAME_BYTES },
        frames: FRAMES,
        quantum_frames: QUANTUM_DEFAULT,
        pace: Pace::Lockstep,
        manner: Manner::InOrder,
    })?;
    for (step, handle) in [("close the render pin", pins.render), ("close the wave pin", pins.wave)] {
        session.done(step, Request::Close(handle))?;
    }
    session.done("close the filter", Request::Close(pins.filter))?;
    for bulk in [range, pcm] {
        session.done("give back guest memory", Request::FreeBulk(bulk))?;
    }
    Ok(())
}
