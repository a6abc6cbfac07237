//! What a step can do from any thread: it talks to the card's control socket, signals processes, reads what the guest has said.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use card_control::Status;

use super::record::StepRecord;
use super::values::of_card;
use crate::event::Observer;
use crate::host::interrupt;
use crate::host::process::Freezer;
use crate::machine::{CardControl, ProcessKiller};
use crate::playback::PlaybackError;
use crate::steps::document::{AdvanceStep, ExpectStep, FaultStep, Process, SaveStep, ValueName, WaitStep};
use crate::testbed::TestBedError;
use crate::testbed::session::SessionError;

/// The interval at which a wait looks again.
pub(super) const POLL: Duration = Duration::from_millis(2);

/// Why a step did not do what it says.
#[derive(Debug)]
pub(super) enum StepError {
    /// Something failed.
    Failed(PlaybackError),
    /// It was carried out, and something else came of it than was expected.
    Unexpected(String),
    /// Another list of a parallel step has failed.
    Abandoned,
}

impl<E: Into<PlaybackError>> From<E> for StepError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What all lists of steps share.
pub(super) struct Side<'a> {
    /// The card's control socket, where the device is the card.
    pub(super) card: Option<CardControl>,
    /// Kills the device's process.
    pub(super) card_killer: Option<ProcessKiller>,
    /// Kills QEMU.
    pub(super) qemu_killer: Option<ProcessKiller>,
    /// Stops the card.
    pub(super) card_freezer: Option<Freezer>,
    /// Stops QEMU.
    pub(super) qemu_freezer: Freezer,
    /// The name of the device.
    pub(super) device: String,
    /// The guest's log.
    pub(super) console: PathBuf,
    /// The run folder.
    pub(super) run_folder: &'a Path,
    /// The longest time of a wait, unless a step says so.
    pub(super) timeout: Duration,
    /// Receives events.
    pub(super) observer: &'a dyn Observer,
    /// When the first step began.
    pub(super) begun: Instant,
    state: Mutex<State>,
    failed: AtomicBool,
}

/// What steps leave for later ones.
#[derive(Debug, Default)]
struct State {
    saved: BTreeMap<String, i128>,
    records: Vec<StepRecord>,
    failures: Vec<String>,
    /// The card's session when the step before began, and when this one did.
    sessions: (Option<u64>, Option<u64>),
    /// How many faults had struck when one of a kind was armed last.
    armed: BTreeMap<&'static str, u64>,
    /// The card's time.
    clock: CardClock,
    /// The process that a step has killed.
    killed: Option<Process>,
}

/// The card's time: the frames that it has rendered, by their rate, over all its sessions.
#[derive(Clone, Copy, Debug, Default)]
struct CardClock {
    /// The session and its frames, as they were seen last.
    last: Option<(u64, u64)>,
    ms: f64,
}

impl CardClock {
    /// Goes on to where the card is. Returns the milliseconds since the first look.
    fn go_on(&mut self, status: &Status) -> f64 {
        if let Some(session) = status.session.as_ref().filter(|session| session.sample_rate > 0) {
            let frames = status.counters.frames_rendered;
            // A session counts from its beginning.
            let before =
                self.last.filter(|(id, before)| *id == session.id && *before <= frames).map_or(0, |(_, before)| before);
            self.ms += (frames - before) as f64 * 1000.0 / f64::from(session.sample_rate);
            self.last = Some((session.id, frames));
        }
        self.ms
    }
}

/// Where the handles of a test bed come from.
pub(super) struct Handles {
    pub(super) card: Option<CardControl>,
    pub(super) card_killer: Option<ProcessKiller>,
    pub(super) qemu_killer: Option<ProcessKiller>,
    pub(super) card_freezer: Option<Freezer>,
    pub(super) qemu_freezer: Freezer,
    pub(super) device: String,
}

impl<'a> Side<'a> {
    /// Begins with the handles of a test bed.
    pub(super) fn new(handles: Handles, run_folder: &'a Path, timeout: Duration, observer: &'a dyn Observer) -> Self {
        let Handles { card, card_killer, qemu_killer, card_freezer, qemu_freezer, device } = handles;
        Self {
            card,
            card_killer,
            qemu_killer,
            card_freezer,
            qemu_freezer,
            device,
            console: run_folder.join("console.log"),
            run_folder,
            timeout,
            observer,
            begun: Instant::now(),
            state: Mutex::default(),
            failed: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a step has killed a process.
    pub(super) fn note_kill(&self, process: Process) {
        self.state().killed = Some(process);
    }

    /// Returns the process that a step has killed.
    pub(super) fn killed(&self) -> Option<Process> {
        self.state().killed
    }

    /// Returns the card's control socket.
    ///
    /// # Errors
    /// [`TestBedError::NotTheCard`] where the driver is for another device.
    pub(super) fn the_card(&self) -> Result<&CardControl, StepError> {
        let missing = || TestBedError::NotTheCard { device: self.device.clone() };
        Ok(self.card.as_ref().ok_or_else(missing)?)
    }

    /// Reads the card's status; nothing where there is no card, or it does not answer.
    pub(super) fn status(&self) -> Option<Status> {
        self.card.as_ref()?.status().ok()
    }

    /// Returns the card's time, in milliseconds since the first step.
    pub(super) fn card_ms(&self, status: &Status) -> f64 {
        self.state().clock.go_on(status)
    }

    /// Notes the session at the beginning of a step.
    pub(super) fn begin_step(&self, status: Option<&Status>) {
        let session = status.and_then(|status| Some(status.session.as_ref()?.id));
        let mut state = self.state();
        state.sessions = (state.sessions.1, session);
    }

    /// Keeps what came of a step.
    pub(super) fn record(&self, record: StepRecord) {
        self.state().records.push(record);
    }

    /// Returns what was found in the step that ended last, or why it failed.
    pub(super) fn last_detail(&self) -> String {
        self.state().records.last().map(|record| record.detail.clone()).unwrap_or_default()
    }

    /// Adds what did not hold.
    pub(super) fn fail(&self, text: String) {
        self.state().failures.push(text);
    }

    /// Returns what did not hold last.
    pub(super) fn last_failure(&self) -> String {
        self.state().failures.last().cloned().unwrap_or_default()
    }

    /// Returns the records and the failures.
    pub(super) fn finish(&self) -> (Vec<StepRecord>, Vec<String>) {
        let mut state = self.state();
        (std::mem::take(&mut state.records), std::mem::take(&mut state.failures))
    }

    /// Has the other lists of a parallel step end.
    pub(super) fn abandon(&self, abandoned: bool) {
        self.failed.store(abandoned, Ordering::Relaxed);
    }

    /// Returns whether another list has failed.
    pub(super) fn is_abandoned(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Keeps a value.
    pub(super) fn save(&self, name: &str, value: i128) {
        self.state().saved.insert(name.to_owned(), value);
    }

    /// Counts a value from a saved one.
    pub(super) fn since(&self, value: i128, name: Option<&str>) -> i128 {
        name.and_then(|name| self.state().saved.get(name).copied()).map_or(value, |saved| value - saved)
    }

    /// Saves a value that the card knows.
    pub(super) fn save_of_card(&self, save: &SaveStep) -> Result<String, StepError> {
        let value = self.value_of_card(save.value)?;
        self.save(&save.name, value);
        Ok(format!("{} is {value}", save.value.name()))
    }

    /// Reads a value that the card knows.
    pub(super) fn value_of_card(&self, name: ValueName) -> Result<i128, StepError> {
        let status = self.the_card()?.status().map_err(TestBedError::Control)?;
        if name == ValueName::CardTimeMs {
            return Ok(self.card_ms(&status) as i128);
        }
        of_card(name, &status).ok_or_else(|| StepError::Unexpected(format!("the card does not know {}", name.name())))
    }

    /// Lets the card's time pass.
    pub(super) fn advance(&self, advance: &AdvanceStep) -> Result<String, StepError> {
        let card = self.the_card()?;
        let frames = match (advance.frames, advance.ms) {
            (Some(frames), _) => frames,
            (None, ms) => {
                let status = card.status().map_err(TestBedError::Control)?;
                let rate = status.session.map_or(0, |session| session.sample_rate);
                if rate == 0 {
                    let text = "the card has no session, so that it has no frames: name frames, or open a stream first";
                    return Err(StepError::Unexpected(text.into()));
                }
                ms.unwrap_or_default().saturating_mul(rate.into()) / 1000
            }
        };
        let position = card.advance(frames).map_err(|error| TestBedError::of_command("advance", error))?;
        Ok(format!("the card is at frame {position}"))
    }

    /// Has the card fail.
    pub(super) fn inject(&self, fault: &FaultStep) -> Result<String, StepError> {
        let card = self.the_card()?;
        let before = card.status().map_err(TestBedError::Control)?.faults.struck_count;
        self.state().armed.insert(fault.fault.kind(), before);
        let armed = card.inject_fault(fault.fault, fault.at);
        armed.map_err(|error| TestBedError::of_command("inject-fault", error))?;
        Ok(fault.at.map_or_else(|| fault.fault.to_string(), |at| format!("{} at {at}", fault.fault)))
    }

    /// Waits for what the card or the guest's log tells. `also` is asked each time: it tells what only the guest knows, and whether it
    /// lives.
    pub(super) fn wait(
        &self,
        wait: &WaitStep,
        limit: Duration,
        mut also: impl FnMut() -> Result<Option<String>, StepError>,
    ) -> Result<String, StepError> {
        let begun = Instant::now();
        let before = self.state().sessions.0;
        let since = wait.since.as_ref().map(|name| name.get_ref().as_str());
        let card_begun = self.status().map(|status| self.card_ms(&status));
        let mut log = 0;
        loop {
            if self.is_abandoned() {
                return Err(StepError::Abandoned);
            }
            if interrupt::requested() {
                return Err(TestBedError::from(SessionError::Interrupted("wait for an event".into())).into());
            }
            let status = match &self.card {
                Some(card) => Some(card.status().map_err(TestBedError::Control)?),
                None => None,
            };
            if let Some(found) = self.happened(wait, status.as_ref(), before, since, &mut log)? {
                return Ok(found);
            }
            if let Some(found) = also()? {
                return Ok(found);
            }
            let card_ms = status.zip(card_begun).map(|(status, begun)| (self.card_ms(&status) - begun) as u64);
            if let Some((limit, passed)) = wait.within_card_ms.zip(card_ms).filter(|(limit, passed)| passed > limit) {
                let text =
                    format!("{} has not come within {limit} ms of card time ({passed} ms have passed)", what(wait));
                return Err(StepError::Unexpected(text));
            }
            if begun.elapsed() > limit {
                let text = format!("{} has not come within {} s on the host", what(wait), limit.as_secs());
                return Err(StepError::Unexpected(text));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Returns what has happened of what is waited for, as far as the card and the log tell.
    fn happened(
        &self,
        wait: &WaitStep,
        status: Option<&Status>,
        before: Option<u64>,
        since: Option<&str>,
        log: &mut usize,
    ) -> Result<Option<String>, StepError> {
        if wait.new_session.is_some() {
            self.the_card()?;
            let session = status.and_then(|status| Some(status.session.as_ref()?.id));
            if let Some(id) = session.filter(|_| session != before) {
                return Ok(Some(format!("session {id}")));
            }
        }
        if let Some(kind) = &wait.struck {
            self.the_card()?;
            if let Some(text) = status.and_then(|status| self.struck(kind.get_ref(), status)) {
                return Ok(Some(text));
            }
        }
        if let Some(name) = wait.value.filter(|name| name.is_of_card()) {
            self.the_card()?;
            let time = |status: &Status| (name == ValueName::CardTimeMs).then(|| self.card_ms(status) as i128);
            if let Some(value) = status.and_then(|status| time(status).or_else(|| of_card(name, status)))
                && let value = self.since(value, since)
                && within(wait, value)
            {
                return Ok(Some(format!("{} is {value}", name.name())));
            }
        }
        if let Some(text) = &wait.log
            && let Some(line) = self.line_with(text, log)
        {
            return Ok(Some(line));
        }
        Ok(None)
    }

    /// Returns where a fault of a kind has struck since one was armed last.
    fn struck(&self, kind: &str, status: &Status) -> Option<String> {
        let from = self.state().armed.get(kind).copied().unwrap_or(0);
        let kept = &status.faults.struck;
        let first = status.faults.struck_count.saturating_sub(kept.len() as u64);
        let numbered = (first..).zip(kept);
        let (_, found) =
            numbered.filter(|(number, _)| *number >= from).find(|(_, struck)| struck.fault.kind() == kind)?;
        Some(format!("{} struck at event {}, frame {}", found.fault, found.event, found.frame))
    }

    /// Returns the first line of the guest's log from a place on that contains a text. Lines that are not whole are looked at again.
    pub(super) fn line_with(&self, text: &str, from: &mut usize) -> Option<String> {
        let bytes = std::fs::read(&self.console).ok()?;
        let rest = String::from_utf8_lossy(bytes.get(*from..)?).into_owned();
        let found = rest.lines().find(|line| line.contains(text)).map(str::to_owned);
        // What an earlier look has seen need not be read again.
        *from += rest.rfind('\n').map_or(0, |end| end + 1);
        found
    }

    /// Compares what the card has found wrong with the driver with an expectation.
    pub(super) fn expect_diagnosis(&self, expect: &ExpectStep) -> Result<Option<String>, StepError> {
        if !expect.is_of_diagnosis() {
            return Ok(None);
        }
        let first = self.the_card()?.status().map_err(TestBedError::Control)?.diagnosis.first;
        let first = first.map(|first| (first.code, first.text));
        Ok(compare_diagnosis(expect, "card", first.as_ref().map(|(code, text)| (code.as_str(), text.as_str()))))
    }

    /// Compares what the card alone tells with an expectation.
    pub(super) fn expect_of_card(&self, expect: &ExpectStep) -> Result<Vec<String>, StepError> {
        let mut wrong = Vec::new();
        if let Some(name) = expect.value.filter(|name| name.is_of_card()) {
            let value = self.value_of_card(name)?;
            wrong.extend(self.compare(expect, name, value));
        }
        if let Some(text) = &expect.log
            && self.line_with(text, &mut 0).is_none()
        {
            wrong.push(format!("no line of the guest contains \"{text}\""));
        }
        if let Some(text) = &expect.no_log
            && let Some(line) = self.line_with(text, &mut 0)
        {
            wrong.push(format!("a line of the guest contains \"{text}\": {}", line.trim()));
        }
        Ok(wrong)
    }

    /// Compares a value with what is expected of it.
    pub(super) fn compare(&self, expect: &ExpectStep, name: ValueName, value: i128) -> Option<String> {
        let since = expect.since.as_ref().map(|name| name.get_ref().as_str());
        let value = self.since(value, since);
        let what = since.map_or_else(|| name.name(), |since| format!("{} since \"{since}\"", name.name()));
        if let Some(equals) = expect.equals {
            return (value != i128::from(equals)).then(|| format!("{what} is {value}, expected {equals}"));
        }
        crate::steps::document::Bounds { min: expect.min, max: expect.max }.violation(&what, value)
    }
}

/// Returns whether a value is within the bounds of a wait.
pub(super) fn within(wait: &WaitStep, value: i128) -> bool {
    wait.min.is_none_or(|min| value >= i128::from(min)) && wait.max.is_none_or(|max| value <= i128::from(max))
}

/// Names what is waited for.
fn what(wait: &WaitStep) -> String {
    let mut parts = Vec::new();
    if wait.new_session.is_some() {
        parts.push("a new session of the driver".to_owned());
    }
    if let Some(kind) = &wait.struck {
        parts.push(format!("the fault {}", kind.get_ref()));
    }
    if let Some(text) = &wait.log {
        parts.push(format!("a line with \"{text}\""));
    }
    if let Some(rule) = wait.finding {
        parts.push(format!("a finding about rule {rule}"));
    }
    if let Some(value) = wait.value {
        parts.push(format!("{} within its bounds", value.name()));
    }
    parts.join(" or ")
}

/// Compares the first error of the driver, its code and its sentence, with the expected one.
pub(super) fn compare_diagnosis(expect: &ExpectStep, who: &str, first: Option<(&str, &str)>) -> Option<String> {
    match (&expect.diagnosis, first) {
        (None, None) => None,
        (None, Some((code, text))) => Some(format!("the {who} found something wrong with the driver: {code}: {text}")),
        (Some(expected), Some((code, _))) if code == expected => None,
        (Some(expected), Some((code, text))) => {
            Some(format!("the {who}'s first diagnosis is {code}, expected {expected}: {text}"))
        }
        (Some(expected), None) => Some(format!("the {who} found nothing wrong with the driver, expected {expected}")),
    }
}
