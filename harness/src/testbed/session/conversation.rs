//! The conversation with a guest over its serial line: a request, its reply, and what the guest says meanwhile.

use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use guest_protocol::{BugCheck, BulkAccess, FindingKind, Level, Reply, Request, ToGuest, ToHost};

use super::arrival::Arrival;
use super::consequence::Consequence;
use super::error::SessionError;
use super::line::{GuestLine, Writer, listen};
use super::marks::MarksPlace;
use crate::event::{Event, Observer};
use crate::host::ended::Ended;
use crate::host::failure::Class;
use crate::host::interrupt;
use crate::machine::{Health, LostDevice, Part, guest_exit};
use crate::testbed::violations::Collected;

/// The interval at which the session checks, while the line is silent, whether the processes live.
const CHECK_PERIOD: Duration = Duration::from_millis(50);

/// The time that the session waits, after the line has ended, for the ends of the processes, which explain it; and,
/// after their ends, for the rest of the line. Both come within milliseconds, except on a busy machine.
const END_LIMIT: Duration = Duration::from_secs(20);

/// The time that the session waits, after a card has stopped answering, for the end of a process that explains it: an
/// end shows within milliseconds of the closed socket.
const ENDS_SHOW: Duration = Duration::from_secs(2);

/// The time for which the session reads on after the card has died.
const AFTER_CARD: Duration = Duration::from_millis(20);

/// When a step has taken too long. Time in which the host keeps a process from running does not count.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    /// The standstills when the deadline was set.
    stood_still: Duration,
}

/// The number of further checks before the session reports a time-out: the thread that sees whether the harness itself
/// stood still may not have had its turn yet.
const CHECKS_MORE: u32 = 4;

/// The time for which the session reads on, after a step has taken too long, from a guest that never stops talking: the
/// reply may be behind what is already on the line.
const DRAIN: Duration = Duration::from_secs(1);

/// Most lines of a guest's log and console that one session keeps and passes on: a boot has some tens at the default
/// level and some thousands at the most verbose one. A driver that prints in a loop must not fill a disk.
pub const GUEST_LINES_MAX: u64 = 100_000;

/// Most bytes of these lines.
pub const GUEST_BYTES_MAX: u64 = 16 << 20;

/// Counts the lines of a guest's log and console.
#[derive(Clone, Copy, Debug, Default)]
struct GuestOutput {
    lines: u64,
    bytes: u64,
    dropped: u64,
}

/// A session with a guest: one request at a time, with its reply.
pub struct Session<'a, H> {
    writer: Writer,
    incoming: Receiver<(Instant, Arrival)>,
    observer: &'a dyn Observer,
    console: Option<File>,
    /// The processes behind the line.
    pub health: H,
    next_id: u32,
    limit: Duration,
    /// When a step must have ended, whatever progress it makes.
    end_by: Option<(Deadline, Duration)>,
    /// When the guest's first instruction ran, if the guest has reported it.
    pub entered: Option<Instant>,
    last_seen: String,
    output: GuestOutput,
    /// What the guest has found without stopping.
    pub collected: Collected,
    /// Where the guest's marks are.
    pub marks: MarksPlace,
    /// When the processes were checked last.
    checked: Instant,
    /// How long the guest may take until it is ready, where that is another limit than a step's.
    boot_limit: Option<Duration>,
    /// How the guest's ranges are reached, once it has said so.
    pub(super) bulk_access: BulkAccess,
}

impl<'a, H: Health> Session<'a, H> {
    /// Opens a session on a serial line. Console text and log lines are also kept in a file.
    ///
    /// # Errors
    /// The error of the host, where the line cannot be cloned or the reading thread not be started.
    pub fn new(
        line: impl Into<GuestLine>,
        health: H,
        limit: Duration,
        console: Option<File>,
        observer: &'a dyn Observer,
    ) -> io::Result<Self> {
        let (writer, incoming, marks) = listen(line.into())?;
        Ok(Self {
            writer,
            incoming,
            observer,
            console,
            health,
            next_id: 1,
            limit,
            end_by: None,
            entered: None,
            last_seen: String::new(),
            output: GuestOutput::default(),
            collected: Collected::default(),
            marks,
            checked: Instant::now(),
            boot_limit: None,
            bulk_access: BulkAccess::Mapped,
        })
    }

    /// Returns the observer of what the guest says.
    #[must_use]
    pub fn observer(&self) -> &'a dyn Observer {
        self.observer
    }

    /// Sets how long a step may take, from the next one on.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Sets how long the guest, a system that starts from a disk, may take until its agent is ready.
    pub const fn set_boot_limit(&mut self, limit: Option<Duration>) {
        self.boot_limit = limit;
    }

    /// Tells whether what answers is an agent in a system that starts from a disk.
    #[must_use]
    pub const fn is_agent(&self) -> bool {
        self.boot_limit.is_some()
    }

    /// Returns how long a step may take without progress.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// Sets a limit, from now on, for all that is asked of the guest, whatever progress it makes; or none.
    pub fn end_within(&mut self, limit: Option<Duration>) {
        self.end_by = limit.map(|limit| (self.deadline(limit), limit));
    }

    /// Waits until the guest is ready for requests. Returns the moment at which it was.
    ///
    /// # Errors
    /// [`SessionError`] for a guest or a process that ended, a time-out, or an interruption.
    pub fn ready(&mut self) -> Result<Instant, SessionError> {
        let limit = self.boot_limit.unwrap_or(self.limit);
        let deadline = self.deadline(limit);
        loop {
            let (at, message) = match self.next("boot the guest", deadline) {
                // It is what is waited for, or a part of a boot: setup starts the system more than once.
                Err(SessionError::GuestRestarted { .. }) => continue,
                Err(SessionError::Timeout { .. }) if self.boot_limit.is_some() => {
                    return Err(SessionError::NoAgent { seconds: limit.as_secs() });
                }
                other => other?,
            };
            if message == ToHost::Event(guest_protocol::Event::Ready) {
                return Ok(at);
            }
        }
    }

    /// Sends a request and waits for its reply, and handles what the guest says meanwhile. Progress renews the time
    /// limit.
    ///
    /// # Errors
    /// [`SessionError::Refused`] for a request that the guest refuses; [`SessionError::Protocol`] for a reply that does
    /// not belong to it; the other variants for a guest or a process that ended, a time-out, or an interruption.
    pub fn call(
        &mut self,
        step: &str,
        request: Request,
        mut on_progress: impl FnMut(u64, u64),
    ) -> Result<Reply, SessionError> {
        let id = self.next_id;
        self.next_id += 1;
        let protocol = |what: String| SessionError::Protocol { step: step.into(), what };
        let frame = self.writer.encode(&ToGuest { id, request }).map_err(|error| protocol(error.to_string()))?;
        if let Err(error) = self.writer.send(&frame) {
            // A broken line does not explain anything; the ends of the processes do.
            return Err(if error.kind() == io::ErrorKind::BrokenPipe { self.explain_end(step) } else { error.into() });
        }
        let mut deadline = self.deadline(self.limit);
        let mut furthest = (0, 0);
        loop {
            match self.next(step, deadline)?.1 {
                ToHost::Answer { id: answered, result } if answered == id => {
                    return result.map_err(|failure| {
                        self.unless_card_died(step, SessionError::Refused { step: step.into(), failure })
                    });
                }
                ToHost::Answer { id: answered, .. } => {
                    return Err(protocol(format!("an answer to request {answered}, which is not open")));
                }
                ToHost::Event(guest_protocol::Event::Progress { frames, events }) => {
                    self.last_seen = format!(" (it had got to frame {frames}, event {events})");
                    if (frames, events) > furthest {
                        furthest = (frames, events);
                        deadline = self.deadline(self.limit);
                    }
                    on_progress(frames, events);
                }
                ToHost::Event(_) => {}
            }
        }
    }

    /// Waits for a bug check that was provoked.
    pub fn bug_check(&mut self, limit: Duration) -> Option<BugCheck> {
        let deadline = self.deadline(limit);
        loop {
            match self.next("look where the guest hangs", deadline) {
                Ok(_) => {}
                Err(SessionError::BugCheck(bug_check)) => return Some(*bug_check),
                Err(_) => return None,
            }
        }
    }

    /// Returns why the card, or another process, has fallen silent; `None` where no process has ended.
    pub fn post_mortem(&mut self, step: &str) -> Option<SessionError> {
        match self.explain_within(step, ENDS_SHOW) {
            SessionError::Line(_) => None,
            found => Some(found),
        }
    }

    /// Returns what caused an error: the end of a process that came before it, or a limit of the host that a process has
    /// reached; the error itself where neither did.
    pub fn cause<E: Consequence>(&mut self, step: &str, error: E) -> E {
        if matches!(error.class(), Class::Interrupted | Class::Host | Class::BadInput) {
            return error;
        }
        let error = if matches!(error.session_error(), Some(SessionError::Line(_))) || error.may_follow_a_death() {
            self.post_mortem(step).map_or(error, E::from)
        } else {
            error
        };
        if matches!(error.session_error(), Some(SessionError::BugCheck(_))) {
            return error;
        }
        match self.health.limit() {
            Some(limit) => limit.during(error.to_string()).into(),
            None => error,
        }
    }

    /// Returns the card's death instead of a guest's error that only followed it.
    fn unless_card_died(&mut self, step: &str, error: SessionError) -> SessionError {
        if let Err(lost) = self.expect_device(step) {
            return lost;
        }
        match self.health.death() {
            Some(death) if death.part == Part::Card => {
                SessionError::CardDied { death: Box::new(death), step: step.into() }
            }
            _ => error,
        }
    }

    /// Checks that QEMU still has its device.
    ///
    /// # Errors
    /// [`SessionError::DeviceLost`] for a device of the user's that has gone or does not answer.
    pub fn expect_device(&mut self, step: &str) -> Result<(), SessionError> {
        self.health.lost_device().map_or(Ok(()), |LostDevice { device, words }| {
            Err(SessionError::DeviceLost { device, words, step: step.into() })
        })
    }

    /// Returns the deadline of a step that begins now.
    fn deadline(&self, limit: Duration) -> Deadline {
        Deadline { at: Instant::now() + limit, stood_still: self.health.stood_still() }
    }

    /// Returns when a deadline is over, standstills left out.
    fn end_of(&self, deadline: Deadline) -> Instant {
        deadline.at + self.health.stood_still().saturating_sub(deadline.stood_still)
    }

    /// Returns how much time is left until a deadline.
    fn left(&self, deadline: Deadline) -> Duration {
        self.end_of(deadline).saturating_duration_since(Instant::now())
    }

    /// Returns how long a deadline has been over.
    fn overdue(&self, deadline: Deadline) -> Duration {
        Instant::now().saturating_duration_since(self.end_of(deadline))
    }

    /// Waits for the next message, or the death of a process, however much the guest says meanwhile. Handles logs,
    /// console text, bug checks and deaths.
    fn next(&mut self, step: &str, deadline: Deadline) -> Result<(Instant, ToHost), SessionError> {
        let mut checks = 0;
        // Since when QEMU is known to have ended.
        let mut ended = None;
        loop {
            if interrupt::requested() {
                return Err(SessionError::Interrupted(step.into()));
            }
            if self.overdue(deadline) > DRAIN {
                return Err(self.timed_out(step));
            }
            if let Some((_, limit)) = self.end_by.filter(|(deadline, _)| !self.overdue(*deadline).is_zero()) {
                let seen = format!(", the limit of the step on the host{}", self.last_seen);
                return Err(SessionError::Timeout { step: step.into(), seconds: limit.as_secs(), seen });
            }
            if self.checked.elapsed() > CHECK_PERIOD {
                self.checked = Instant::now();
                // What a QEMU that has ended said before is still read: its line ends after it.
                if self.health.death().is_some_and(|death| death.part == Part::Card) {
                    return Err(self.explain_end(step));
                }
                self.expect_device(step)?;
            }
            let mut wait = self.left(deadline);
            if !wait.is_zero() {
                checks = 0;
            } else if checks < CHECKS_MORE {
                checks += 1;
                wait = CHECK_PERIOD;
            }
            match self.incoming.recv_timeout(wait.min(CHECK_PERIOD)) {
                Ok((at, Arrival::Message(message))) => match self.handle(at, message) {
                    Ok(Some(message)) => return Ok((at, message)),
                    Ok(None) => {}
                    Err(error) => return Err(self.unless_card_died(step, error)),
                },
                Ok((_, Arrival::Text(text))) => self.console_text(&text),
                Ok((_, Arrival::Restarted)) => return Err(SessionError::GuestRestarted { step: step.into() }),
                Ok((_, Arrival::End)) | Err(RecvTimeoutError::Disconnected) => return Err(self.explain_end(step)),
                Err(RecvTimeoutError::Timeout) if wait.is_zero() => return Err(self.timed_out(step)),
                Err(RecvTimeoutError::Timeout) => match self.health.death() {
                    // What it said before, perhaps the reply, may not have been read yet, and its line ends after it.
                    Some(death) if death.part == Part::Qemu => {
                        let since = *ended.get_or_insert_with(Instant::now);
                        if since.elapsed() > DRAIN {
                            return Err(self.explain_end(step));
                        }
                    }
                    Some(_) => return Err(self.explain_end(step)),
                    None => {
                        if let Some(how) = self.health.crash() {
                            return Err(SessionError::Crashed { how, step: step.into() });
                        }
                    }
                },
            }
        }
    }

    fn timed_out(&self, step: &str) -> SessionError {
        SessionError::Timeout { step: step.into(), seconds: self.limit.as_secs(), seen: self.last_seen.clone() }
    }

    /// Counts a line of the guest's log or console. Returns whether it is kept and passed on.
    fn is_kept(&mut self, bytes: usize) -> bool {
        self.output.lines = self.output.lines.saturating_add(1);
        self.output.bytes = self.output.bytes.saturating_add(bytes as u64);
        let kept = self.output.lines <= GUEST_LINES_MAX && self.output.bytes <= GUEST_BYTES_MAX;
        if !kept && self.output.dropped == 0 {
            let text = format!(
                "the guest has said {} lines of {} bytes in all; what it says from now on is counted and not kept",
                self.output.lines, self.output.bytes
            );
            self.keep(&format!("[harness] {text}\n"));
            self.observer.event(&Event::Warning { text });
        }
        self.output.dropped = self.output.dropped.saturating_add((!kept).into());
        kept
    }

    /// Handles messages that do not concern the caller; returns the others.
    fn handle(&mut self, at: Instant, message: ToHost) -> Result<Option<ToHost>, SessionError> {
        match message {
            ToHost::Event(guest_protocol::Event::Log { level, target, text }) => {
                if self.is_kept(target.len().saturating_add(text.len())) {
                    let level = level_name(level);
                    self.keep(&format!("[{level:5} {target}] {text}\n"));
                    self.observer.event(&Event::Guest { level, target, text });
                }
                Ok(None)
            }
            ToHost::Event(guest_protocol::Event::Allocation { hash, function, stack, failed }) => {
                self.observer.event(&Event::Allocation { hash, function, stack, failed });
                Ok(None)
            }
            ToHost::Event(guest_protocol::Event::Finding(finding)) => {
                if !self.is_kept(finding.function.len().saturating_add(finding.message.len())) {
                    return Ok(None);
                }
                let kind = finding_kind(finding.kind);
                let rule = finding.rule.map_or_else(String::new, |rule| format!(" rule {rule}"));
                self.keep(&format!("[{kind}{rule}] {}: {}\n", finding.function, finding.message));
                self.observer.event(&Event::Finding {
                    kind,
                    rule: finding.rule,
                    function: finding.function.clone(),
                    irql: finding.irql,
                    message: finding.message.clone(),
                });
                if !self.collected.add(finding) {
                    let text =
                        "the guest reports more findings than are kept: the last ones are in its console log".into();
                    self.observer.event(&Event::Warning { text });
                }
                Ok(None)
            }
            ToHost::Event(guest_protocol::Event::FindingCount { id, count }) => {
                self.collected.set_count(id, count);
                Ok(None)
            }
            ToHost::Event(guest_protocol::Event::BugCheck(bug_check)) => {
                self.keep(&format!("[bug check] {:#x} {}: {}\n", bug_check.code, bug_check.name, bug_check.message));
                Err(SessionError::BugCheck(Box::new(bug_check)))
            }
            ToHost::Event(guest_protocol::Event::Entered) => {
                self.entered = Some(at);
                Ok(Some(message))
            }
            other => Ok(Some(other)),
        }
    }

    /// Finds out why the line has ended, or which process has died, and reads what the guest said last.
    fn explain_end(&mut self, step: &str) -> SessionError {
        self.explain_within(step, END_LIMIT)
    }

    /// Does so where an end shows within a limit; otherwise no process has died.
    fn explain_within(&mut self, step: &str, limit: Duration) -> SessionError {
        let deadline = Instant::now() + limit;
        let mut death = None;
        while self.health.has_processes() && Instant::now() < deadline {
            death = self.health.death();
            if death.is_some() {
                break;
            }
            match self.incoming.recv_timeout(Duration::from_millis(5)) {
                Ok((at, Arrival::Message(message))) => {
                    if let Err(error) = self.handle(at, message) {
                        return self.unless_card_died(step, error);
                    }
                }
                Ok((_, Arrival::Text(text))) => self.console_text(&text),
                // A closed channel answers at once; the processes end meanwhile.
                Ok((_, Arrival::End)) | Err(RecvTimeoutError::Disconnected) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok((_, Arrival::Restarted)) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
        // Reads the rest of the line. The line ends with QEMU; QEMU, and the line with it, may outlive the card.
        let of_card = death.as_ref().is_some_and(|death| death.part == Part::Card);
        let rest = if death.is_some() && !of_card { END_LIMIT } else { AFTER_CARD };
        let until = Instant::now() + rest;
        while let Ok((at, arrival)) = self.incoming.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if Instant::now() > until + DRAIN {
                break;
            }
            match arrival {
                Arrival::Message(message) => match self.handle(at, message) {
                    // What a guest says after its card has died is a consequence.
                    Err(error) if !of_card => return error,
                    _ => {}
                },
                Arrival::Text(text) => self.console_text(&text),
                Arrival::Restarted => {}
                Arrival::End => break,
            }
        }
        let step = step.to_owned();
        let Some(death) = death else { return SessionError::Line(io::ErrorKind::UnexpectedEof.into()) };
        if of_card {
            return SessionError::CardDied { death: Box::new(death), step };
        }
        if death.by_debugger {
            return SessionError::EndedByDebugger { step };
        }
        let how = match (guest_exit(death.ended), death.ended) {
            (Some(guest_protocol::exit::BUG_CHECK), _) => format!("a bug check without a report, during \"{step}\""),
            (Some(guest_protocol::exit::GUEST_FAILED), _) => format!("it gave up without a report, during \"{step}\""),
            (Some(code), _) => format!("it left with code {code:#x} during \"{step}\""),
            (None, Ended::Exit(0)) if self.health.is_off() => return SessionError::TurnedOff { step },
            (None, Ended::Exit(0)) if death.stopped_by.is_none() => {
                format!("it reset (a triple fault, most likely) during \"{step}\"")
            }
            _ => return SessionError::QemuFailed { death: Box::new(death), step },
        };
        SessionError::GuestEnded { how }
    }

    fn console_text(&mut self, text: &[u8]) {
        if !self.is_kept(text.len()) {
            return;
        }
        let text = String::from_utf8_lossy(text).into_owned();
        self.keep(&text);
        self.keep("\n");
        self.observer.event(&Event::Console { text });
    }

    /// Writes to the console's file.
    fn keep(&mut self, text: &str) {
        if let Some(console) = &mut self.console {
            // The log explains a run; it does not decide it.
            let _ = console.write_all(text.as_bytes());
        }
    }
}

impl<H> Drop for Session<'_, H> {
    fn drop(&mut self) {
        if self.output.dropped > 0 {
            let text = format!("{} lines of the guest's were not kept", self.output.dropped);
            self.observer.event(&Event::Warning { text });
        }
    }
}

const fn finding_kind(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Waived => "waived",
        FindingKind::Violation => "violation",
        FindingKind::Note => "note",
    }
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}
