//! A conversation with a guest over its serial line: requests, answers, and everything that can go wrong in between.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use guest_protocol::{
    BugCheck, Bulk, Caller, CapturedEvent, Deframer, DriverInfo, Examination, Failure, FailureKind, Figure, Handle,
    Level, PinFactory, Play, Received, Reply, Request, RuleState, Statistics, StreamFormat, ToGuest, ToHost, VERSION,
    encode,
};

use crate::event::{Event, Observer};
use crate::failure::Error;
use crate::host::ended::Ended;
use crate::host::failure::{Class, Diagnosed};
use crate::host::interrupt;
use crate::host::limits::LimitError;
use crate::machine::{Death, NOT_OURS, Part, guest_exit};

/// How often a silent line makes us look whether everything still lives.
const LOOK_AROUND: Duration = Duration::from_millis(50);

/// How long after the line has ended we wait for the processes' ends, which say why; and how long after their ends for the
/// rest of what was said on the line. Both come within milliseconds, but on a busy machine.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// How long after a card has stopped answering we wait for the end of a process that says why: an end shows within
/// milliseconds of the closed socket.
const ENDS_SHOW: Duration = Duration::from_secs(2);

/// How long we listen to a line that goes on after the card has died.
const ON_ITS_WAY: Duration = Duration::from_millis(20);

/// Why a conversation ended early.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The guest stopped with a bug check.
    #[error("the guest stopped with bug check {:#x} {}: {}", .0.code, .0.name, .0.message)]
    BugCheck(Box<BugCheck>),
    /// The guest ended without a report.
    #[error("the guest fell over: {how}")]
    GuestFell {
        /// What its end looked like.
        how: String,
    },
    /// A step took too long.
    #[error("no end of \"{step}\" after {seconds} s{seen}")]
    Timeout {
        /// What we waited for.
        step: String,
        /// For how long.
        seconds: u64,
        /// What the guest last did.
        seen: String,
    },
    /// The card's process ended.
    #[error("the card died during \"{step}\": {death}")]
    CardDied {
        /// How, and what followed.
        death: Box<Death>,
        /// What was going on.
        step: String,
    },
    /// QEMU ended by itself.
    #[error("QEMU failed during \"{step}\": {death}")]
    QemuFailed {
        /// How, and what followed.
        death: Box<Death>,
        /// What was going on.
        step: String,
    },
    /// The guest answered that it cannot.
    #[error("the guest refused \"{step}\": {}", refusal(.failure))]
    Refused {
        /// What was asked.
        step: String,
        /// What it said.
        failure: Failure,
    },
    /// The guest does not speak our language.
    #[error("guest and harness disagree at \"{step}\": {what}")]
    Protocol {
        /// What was asked.
        step: String,
        /// What is wrong.
        what: String,
    },
    /// The line failed on our side.
    #[error("the serial line failed: {0}")]
    Line(#[from] io::Error),
    /// The user ended it.
    #[error("interrupted{by} during \"{0}\"", by = interrupt::by_signal())]
    Interrupted(String),
}

fn refusal(failure: &Failure) -> String {
    let mut text = failure.message.clone();
    match &failure.kind {
        FailureKind::Status(status) => {
            let _ = write!(text, " (NTSTATUS {status:#010x})");
        }
        FailureKind::MissingImports(imports) => {
            for import in imports {
                let _ = write!(text, "\n  {}!{}", import.module, import.name);
            }
        }
        _ => {}
    }
    text
}

impl Diagnosed for SessionError {
    fn class(&self) -> Class {
        match self {
            Self::BugCheck(_) | Self::GuestFell { .. } => Class::GuestCrashed,
            Self::Timeout { .. } => Class::Timeout,
            Self::CardDied { .. } => Class::CardDied,
            Self::QemuFailed { .. } => Class::QemuFailed,
            Self::Refused { failure, .. } => match failure.kind {
                FailureKind::Image | FailureKind::MissingImports(_) => Class::BadInput,
                FailureKind::NoDevice | FailureKind::Status(_) => Class::TestFailed,
                FailureKind::Memory | FailureKind::Request => Class::HarnessBug,
                FailureKind::Timeout => Class::Timeout,
            },
            Self::Protocol { .. } => Class::HarnessBug,
            Self::Line(_) => Class::Host,
            Self::Interrupted(_) => Class::Interrupted,
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::BugCheck(_) => "the stack below says where; fix the driver, or report it if the driver is right",
            Self::GuestFell { .. } => "console.log and qemu.log in the artefacts say what came before",
            Self::Timeout { .. } => {
                "post-mortem.txt in the artefacts says where the guest hangs; --timeout gives more time"
            }
            Self::CardDied { death, .. } | Self::QemuFailed { death, .. } if death.from_outside() => NOT_OURS,
            Self::CardDied { .. } => "card.log in the artefacts says why; the card must survive any guest: report it",
            Self::QemuFailed { .. } => "qemu.log in the artefacts has QEMU's words; try another --qemu",
            Self::Refused { failure, .. } => match failure.kind {
                FailureKind::MissingImports(_) => "the NT host has no such functions: report the list",
                FailureKind::Image => "give a 64-bit Windows driver image (.sys)",
                _ => return None,
            },
            Self::Protocol { .. } => "build guest and harness from one checkout; if they are, report it",
            Self::Line(_) | Self::Interrupted(_) => return None,
        };
        Some(text.into())
    }
}

/// Knows whether those behind the line live.
pub trait Health {
    /// The first death, if one of them has died.
    fn death(&mut self) -> Option<Death>;

    /// The limit of the host that one of them has reached, if one has.
    fn limit(&mut self) -> Option<LimitError> {
        None
    }

    /// How long something behind the line, or the harness, was not let run by the host so far.
    fn stood_still(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether there is anybody who could.
    fn is_mortal(&self) -> bool {
        true
    }
}

/// Nothing that could die.
#[derive(Clone, Copy, Debug)]
pub struct Immortal;

impl Health for Immortal {
    fn death(&mut self) -> Option<Death> {
        None
    }

    fn is_mortal(&self) -> bool {
        false
    }
}

/// When a step has taken too long. Time in which the host did not let it run does not count.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    /// What had stood still when it was set.
    stood_still: Duration,
}

/// How often we look again when a step has taken too long, before it is said: the thread that sees whether the harness
/// itself stood still may not have had its turn yet.
const LOOKS_AGAIN: u32 = 4;

enum Arrival {
    Message(ToHost),
    Text(Vec<u8>),
    End,
}

/// How long a guest that never stops talking is heard out after a step has taken too long, so that an answer behind what
/// it has said already is found.
const DRAIN: Duration = Duration::from_secs(1);

/// What has come in from a guest and waits to be heard. A line that waits keeps its guest from saying more.
const ARRIVALS_MAX: usize = 16_384;

/// Most lines of a guest's log and console that one session keeps and passes on: a boot has some tens at the default level
/// and some thousands at the most talkative one. A driver that prints in a loop must not fill a disk.
pub const GUEST_LINES_MAX: u64 = 100_000;

/// Most bytes of them.
pub const GUEST_BYTES_MAX: u64 = 16 << 20;

/// What a guest has said without being asked.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    lines: u64,
    bytes: u64,
    dropped: u64,
}

/// A conversation.
pub struct Session<'a, H> {
    writer: UnixStream,
    incoming: Receiver<(Instant, Arrival)>,
    observer: &'a dyn Observer,
    console: Option<File>,
    /// Those behind the line.
    pub health: H,
    next_id: u32,
    limit: Duration,
    /// When the guest's first instruction ran, if it has said so.
    pub entered: Option<Instant>,
    last_seen: String,
    said: Said,
    /// When it was last looked whether everything still lives.
    looked: Instant,
}

/// What [`Request::StartDevice`] brings.
#[derive(Clone, Debug)]
pub struct StartedDevice {
    /// Where it is, and its ids.
    pub device: String,
    /// Its resources.
    pub resources: Vec<String>,
    /// The subdevices that the driver registered.
    pub subdevices: Vec<String>,
}

/// What [`Request::OpenFilter`] brings.
#[derive(Clone, Debug)]
pub struct OpenedFilter {
    /// Its handle.
    pub handle: Handle,
    /// Its pin factories.
    pub pins: Vec<PinFactory>,
    /// Its nodes' types, as GUIDs lie in memory.
    pub nodes: Vec<[u8; 16]>,
}

/// What [`Request::Play`] brings.
#[derive(Clone, Copy, Debug)]
pub struct Played {
    /// Frames in the PCM range.
    pub frames: u64,
    /// Events given to the miniport.
    pub events: u64,
    /// What was counted.
    pub statistics: Statistics,
}

/// A guest that is there.
#[derive(Clone, Debug)]
pub struct Hello {
    /// What kind of guest.
    pub guest: String,
    /// Its memory in bytes.
    pub memory: u64,
}

impl<'a, H: Health> Session<'a, H> {
    /// Listens to a line. Console text and log lines are also kept in a file.
    ///
    /// # Errors
    /// When the line cannot be read from two sides.
    pub fn new(
        line: UnixStream,
        health: H,
        limit: Duration,
        console: Option<File>,
        observer: &'a dyn Observer,
    ) -> io::Result<Self> {
        let reader = line.try_clone()?;
        let (sender, incoming) = sync_channel(ARRIVALS_MAX);
        // Ends with the line, which ends with the guest or with this session.
        std::thread::Builder::new().name("line".into()).spawn(move || read_line(reader, &sender))?;
        Ok(Self {
            writer: line,
            incoming,
            observer,
            console,
            health,
            next_id: 1,
            limit,
            entered: None,
            last_seen: String::new(),
            said: Said::default(),
            looked: Instant::now(),
        })
    }

    /// Changes how long a step may take, from the next one on.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Waits until the guest serves. Gives the moment.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn ready(&mut self) -> Result<Instant, SessionError> {
        let deadline = self.deadline(self.limit);
        loop {
            let (at, message) = self.next("boot the guest", deadline)?;
            if let ToHost::Event(guest_protocol::Event::Ready) = message {
                return Ok(at);
            }
        }
    }

    /// Sends a request and waits for its answer, listening to what happens meanwhile. Progress renews the time limit.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn call(
        &mut self,
        step: &str,
        request: Request,
        mut on_progress: impl FnMut(u64, u64),
    ) -> Result<Reply, SessionError> {
        let id = self.next_id;
        self.next_id += 1;
        let protocol = |what: String| SessionError::Protocol { step: step.into(), what };
        let frame = encode(&ToGuest { id, request }).map_err(|error| protocol(error.to_string()))?;
        if let Err(error) = self.writer.write_all(&frame) {
            // A line that broke says nothing about why; those behind it do.
            return Err(if error.kind() == io::ErrorKind::BrokenPipe { self.last_words(step) } else { error.into() });
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

    /// What happened behind the line that another of its ends has fallen silent; `None`: nobody has died.
    pub fn post_mortem(&mut self, step: &str) -> Option<SessionError> {
        match self.words_within(step, ENDS_SHOW) {
            SessionError::Line(_) => None,
            found => Some(found),
        }
    }

    /// What is behind an error: the end of a process, where one came before, or a limit of the host that a process reached.
    pub fn cause(&mut self, step: &str, error: Error) -> Error {
        if matches!(error.class(), Class::Interrupted | Class::Host | Class::BadInput) {
            return error;
        }
        let error = match error {
            Error::Session(SessionError::Line(_)) | Error::PlaybackTest(_) => match self.post_mortem(step) {
                Some(found) => found.into(),
                None => error,
            },
            error => error,
        };
        if matches!(&error, Error::Session(SessionError::BugCheck(_))) {
            return error;
        }
        match self.health.limit() {
            Some(limit) => limit.during(error.to_string()).into(),
            None => error,
        }
    }

    /// An error of the guest's, unless its card had died before: then it only followed.
    fn unless_card_died(&mut self, step: &str, error: SessionError) -> SessionError {
        match self.health.death() {
            Some(death) if death.part == Part::Card => {
                SessionError::CardDied { death: Box::new(death), step: step.into() }
            }
            _ => error,
        }
    }

    /// So long from now.
    fn deadline(&self, limit: Duration) -> Deadline {
        Deadline { at: Instant::now() + limit, stood_still: self.health.stood_still() }
    }

    /// When the time is over, what stood still left out.
    fn end_of(&self, deadline: Deadline) -> Instant {
        deadline.at + self.health.stood_still().saturating_sub(deadline.stood_still)
    }

    /// How much of the time is left.
    fn left(&self, deadline: Deadline) -> Duration {
        self.end_of(deadline).saturating_duration_since(Instant::now())
    }

    /// How long the time has been over.
    fn overdue(&self, deadline: Deadline) -> Duration {
        Instant::now().saturating_duration_since(self.end_of(deadline))
    }

    /// The next message, or the death of a process, however much the guest has to say meanwhile. Logs, console text, bug
    /// checks and deaths are dealt with here.
    fn next(&mut self, step: &str, deadline: Deadline) -> Result<(Instant, ToHost), SessionError> {
        let mut looks_again = 0;
        loop {
            if interrupt::asked() {
                return Err(SessionError::Interrupted(step.into()));
            }
            if self.overdue(deadline) > DRAIN {
                return Err(self.timed_out(step));
            }
            if self.looked.elapsed() > LOOK_AROUND {
                self.looked = Instant::now();
                if self.health.death().is_some() {
                    return Err(self.last_words(step));
                }
            }
            let mut wait = self.left(deadline);
            if !wait.is_zero() {
                looks_again = 0;
            } else if looks_again < LOOKS_AGAIN {
                looks_again += 1;
                wait = LOOK_AROUND;
            }
            match self.incoming.recv_timeout(wait.min(LOOK_AROUND)) {
                Ok((at, Arrival::Message(message))) => match self.hear(at, message) {
                    Ok(Some(message)) => return Ok((at, message)),
                    Ok(None) => {}
                    Err(error) => return Err(self.unless_card_died(step, error)),
                },
                Ok((_, Arrival::Text(text))) => self.console_text(&text),
                Ok((_, Arrival::End)) | Err(RecvTimeoutError::Disconnected) => return Err(self.last_words(step)),
                Err(RecvTimeoutError::Timeout) if wait.is_zero() => return Err(self.timed_out(step)),
                Err(RecvTimeoutError::Timeout) => {
                    if self.health.death().is_some() {
                        return Err(self.last_words(step));
                    }
                }
            }
        }
    }

    fn timed_out(&self, step: &str) -> SessionError {
        SessionError::Timeout { step: step.into(), seconds: self.limit.as_secs(), seen: self.last_seen.clone() }
    }

    /// Counts a line that the guest says without being asked. Whether it is kept and passed on.
    fn is_kept(&mut self, bytes: usize) -> bool {
        self.said.lines = self.said.lines.saturating_add(1);
        self.said.bytes = self.said.bytes.saturating_add(bytes as u64);
        let kept = self.said.lines <= GUEST_LINES_MAX && self.said.bytes <= GUEST_BYTES_MAX;
        if !kept && self.said.dropped == 0 {
            let text = format!(
                "the guest has said {} lines of {} bytes in all; what it says from now on is counted and not kept",
                self.said.lines, self.said.bytes
            );
            self.keep(&format!("[harness] {text}\n"));
            self.observer.event(&Event::Warning { text });
        }
        self.said.dropped = self.said.dropped.saturating_add((!kept).into());
        kept
    }

    /// Takes what is no answer and no concern of the caller.
    fn hear(&mut self, at: Instant, message: ToHost) -> Result<Option<ToHost>, SessionError> {
        match message {
            ToHost::Event(guest_protocol::Event::Log { level, target, text }) => {
                if self.is_kept(target.len().saturating_add(text.len())) {
                    let level = level_name(level);
                    self.keep(&format!("[{level:5} {target}] {text}\n"));
                    self.observer.event(&Event::Guest { level, target, text });
                }
                Ok(None)
            }
            ToHost::Event(guest_protocol::Event::Allocation { hash, function, stack, refused }) => {
                self.observer.event(&Event::Allocation { hash, function, stack, refused });
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

    /// The line has ended, or somebody has died: finds out who, and what the guest last said.
    fn last_words(&mut self, step: &str) -> SessionError {
        self.words_within(step, LAST_WORDS)
    }

    /// The same; an end shows within this time, or nobody has died.
    fn words_within(&mut self, step: &str, limit: Duration) -> SessionError {
        let deadline = Instant::now() + limit;
        let mut death = None;
        while self.health.is_mortal() && Instant::now() < deadline {
            death = self.health.death();
            if death.is_some() {
                break;
            }
            match self.incoming.recv_timeout(Duration::from_millis(5)) {
                Ok((at, Arrival::Message(message))) => {
                    if let Err(error) = self.hear(at, message) {
                        return self.unless_card_died(step, error);
                    }
                }
                Ok((_, Arrival::Text(text))) => self.console_text(&text),
                // A closed channel answers at once; let the processes end meanwhile.
                Ok((_, Arrival::End)) | Err(RecvTimeoutError::Disconnected) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        // What was still on its way. The line ends with QEMU; QEMU may outlive its card, and the line with it.
        let of_card = death.as_ref().is_some_and(|death| death.part == Part::Card);
        let rest = if death.is_some() && !of_card { LAST_WORDS } else { ON_ITS_WAY };
        let until = Instant::now() + rest;
        while let Ok((at, arrival)) = self.incoming.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if Instant::now() > until + DRAIN {
                break;
            }
            match arrival {
                Arrival::Message(message) => match self.hear(at, message) {
                    // What a guest says after its card has died follows from that.
                    Err(error) if !of_card => return error,
                    _ => {}
                },
                Arrival::Text(text) => self.console_text(&text),
                Arrival::End => break,
            }
        }
        let step = step.to_owned();
        let Some(death) = death else { return SessionError::Line(io::ErrorKind::UnexpectedEof.into()) };
        if of_card {
            return SessionError::CardDied { death: Box::new(death), step };
        }
        let how = match (guest_exit(death.ended), death.ended) {
            (Some(guest_protocol::exit::BUG_CHECK), _) => format!("a bug check without a report, during \"{step}\""),
            (Some(guest_protocol::exit::GUEST_FAILED), _) => format!("it gave up without a report, during \"{step}\""),
            (Some(code), _) => format!("it left with code {code:#x} during \"{step}\""),
            (None, Ended::Exit(0)) if death.asked.is_none() => {
                format!("it reset (a triple fault, most likely) during \"{step}\"")
            }
            _ => return SessionError::QemuFailed { death: Box::new(death), step },
        };
        SessionError::GuestFell { how }
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
        if self.said.dropped > 0 {
            let text = format!("{} lines of the guest's were not kept", self.said.dropped);
            self.observer.event(&Event::Warning { text });
        }
    }
}

/// The requests, one by one.
impl<H: Health> Session<'_, H> {
    /// [`Request::Hello`].
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn hello(&mut self) -> Result<Hello, SessionError> {
        match self.simple("say hello", Request::Hello { version: VERSION })? {
            Reply::Hello { version: VERSION, guest, memory } => Ok(Hello { guest, memory }),
            Reply::Hello { version, guest, .. } => Err(SessionError::Protocol {
                step: "say hello".into(),
                what: format!("{guest} speaks version {version}, the harness version {VERSION}"),
            }),
            other => Err(unexpected("say hello", &other)),
        }
    }

    /// [`Request::LoadDriver`].
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn load_driver(&mut self) -> Result<DriverInfo, SessionError> {
        match self.simple("load the driver", Request::LoadDriver)? {
            Reply::DriverLoaded(info) => Ok(info),
            other => Err(unexpected("load the driver", &other)),
        }
    }

    /// [`Request::StartDevice`].
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn start_device(&mut self) -> Result<StartedDevice, SessionError> {
        match self.simple("start the device", Request::StartDevice)? {
            Reply::DeviceStarted { device, resources, subdevices } => {
                Ok(StartedDevice { device, resources, subdevices })
            }
            other => Err(unexpected("start the device", &other)),
        }
    }

    /// [`Request::RestartDevice`].
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn restart_device(&mut self) -> Result<StartedDevice, SessionError> {
        match self.simple("stop the device and start it again", Request::RestartDevice)? {
            Reply::DeviceStarted { device, resources, subdevices } => {
                Ok(StartedDevice { device, resources, subdevices })
            }
            other => Err(unexpected("stop the device and start it again", &other)),
        }
    }

    /// [`Request::OpenFilter`].
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn open_filter(&mut self, subdevice: &str) -> Result<OpenedFilter, SessionError> {
        let step = format!("open filter {subdevice}");
        match self.simple(&step, Request::OpenFilter { subdevice: subdevice.into() })? {
            Reply::FilterOpened { handle, pins, nodes } => Ok(OpenedFilter { handle, pins, nodes }),
            other => Err(unexpected(&step, &other)),
        }
    }

    /// [`Request::CreatePin`].
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn create_pin(&mut self, filter: Handle, pin: u32, format: StreamFormat) -> Result<Handle, SessionError> {
        let step = format!("create pin {pin}");
        match self.simple(&step, Request::CreatePin { filter, pin, format })? {
            Reply::PinCreated { handle, .. } => Ok(handle),
            other => Err(unexpected(&step, &other)),
        }
    }

    /// [`Request::AllocateBulk`].
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn allocate(&mut self, bytes: u64) -> Result<Bulk, SessionError> {
        let step = format!("reserve {bytes} bytes of guest memory");
        match self.simple(&step, Request::AllocateBulk { bytes })? {
            Reply::Bulk(bulk) if bulk.length >= bytes => Ok(bulk),
            other => Err(unexpected(&step, &other)),
        }
    }

    /// [`Request::Play`].
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn play(&mut self, play: Play) -> Result<Played, SessionError> {
        let of_frames = play.frames;
        self.stream(of_frames, Request::Play(play))
    }

    /// [`Request::PlayOn`].
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn play_on(&mut self, play: Play) -> Result<Played, SessionError> {
        let of_frames = play.frames;
        self.stream(of_frames, Request::PlayOn(play))
    }

    fn stream(&mut self, of_frames: u64, request: Request) -> Result<Played, SessionError> {
        let observer = self.observer;
        let report = |frames, events| observer.event(&Event::Progress { frames, of_frames, events });
        match self.call("stream the song", request, report)? {
            Reply::Played { frames, events, statistics } => Ok(Played { frames, events, statistics }),
            other => Err(unexpected("stream the song", &other)),
        }
    }

    /// A request whose answer is [`Reply::Done`].
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn done(&mut self, step: &str, request: Request) -> Result<(), SessionError> {
        match self.simple(step, request)? {
            Reply::Done => Ok(()),
            other => Err(unexpected(step, &other)),
        }
    }

    /// [`Request::UnloadDriver`].
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn unload_driver(&mut self) -> Result<(), SessionError> {
        match self.simple("unload the driver", Request::UnloadDriver)? {
            Reply::DriverUnloaded => Ok(()),
            other => Err(unexpected("unload the driver", &other)),
        }
    }

    /// [`Request::Contract`].
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn contract(&mut self) -> Result<Vec<RuleState>, SessionError> {
        match self.simple("read the contract", Request::Contract)? {
            Reply::Contract(rules) => Ok(rules),
            other => Err(unexpected("read the contract", &other)),
        }
    }

    /// [`Request::Examine`].
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn examine(&mut self, examination: Examination) -> Result<Vec<Figure>, SessionError> {
        let step = format!("examine {examination:?}");
        match self.simple(&step, Request::Examine(examination))? {
            Reply::Examined { figures } => Ok(figures),
            other => Err(unexpected(&step, &other)),
        }
    }

    /// [`Request::TakeCaptured`]. Gives the events, and how many were dropped since the pin was opened.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn take_captured(&mut self, pin: Handle) -> Result<(Vec<CapturedEvent>, u64), SessionError> {
        match self.simple("take what was captured", Request::TakeCaptured { pin })? {
            Reply::Captured { events, discarded } => Ok((events, discarded)),
            other => Err(unexpected("take what was captured", &other)),
        }
    }

    /// [`Request::Property`] or [`Request::UserProperty`]. Gives the status and the value.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn property(&mut self, step: &str, request: Request) -> Result<(u32, Vec<u8>), SessionError> {
        match self.simple(step, request)? {
            Reply::Property { status, value, .. } => Ok((status, value)),
            other => Err(unexpected(step, &other)),
        }
    }

    /// [`Request::BeginProperty`] or [`Request::TakeProperty`]. Gives the status and the value, or the handle of a request
    /// that the driver keeps.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn kept_property(
        &mut self,
        step: &str,
        request: Request,
    ) -> Result<Result<(u32, Vec<u8>), Handle>, SessionError> {
        match self.simple(step, request)? {
            Reply::Property { status, value, .. } => Ok(Ok((status, value))),
            Reply::PropertyPending(handle) => Ok(Err(handle)),
            other => Err(unexpected(step, &other)),
        }
    }

    /// [`Request::MapUser`].
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn map_user(&mut self, bulk: Bulk, caller: Caller) -> Result<u64, SessionError> {
        match self.simple("map memory for a process", Request::MapUser { bulk, caller })? {
            Reply::UserMapping { address } => Ok(address),
            other => Err(unexpected("map memory for a process", &other)),
        }
    }

    /// [`Request::Statistics`].
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn statistics(&mut self) -> Result<Statistics, SessionError> {
        match self.simple("read the counters", Request::Statistics)? {
            Reply::Statistics(statistics) => Ok(statistics),
            other => Err(unexpected("read the counters", &other)),
        }
    }

    fn simple(&mut self, step: &str, request: Request) -> Result<Reply, SessionError> {
        self.call(step, request, |_, _| {})
    }
}

fn unexpected(step: &str, reply: &Reply) -> SessionError {
    SessionError::Protocol { step: step.into(), what: format!("the answer is {reply:?}") }
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

fn read_line(mut reader: UnixStream, arrivals: &SyncSender<(Instant, Arrival)>) {
    let mut deframer = Deframer::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let at = Instant::now();
        for received in deframer.push(&buffer[..count]) {
            let arrival = match received {
                Received::Message(message) => Arrival::Message(message),
                Received::Text(text) => Arrival::Text(text),
            };
            if arrivals.send((at, arrival)).is_err() {
                return;
            }
        }
    }
    let rest = deframer.rest().to_vec();
    if !rest.is_empty() {
        let _ = arrivals.send((Instant::now(), Arrival::Text(rest)));
    }
    let _ = arrivals.send((Instant::now(), Arrival::End));
}
