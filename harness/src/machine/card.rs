//! The card's process.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use card_control::{Clock, Sandbox, Status, Transport, log};

use super::card_exit::CARD_LEFT;
use super::control::CardControl;
use super::error::MachineError;
use super::guard::Guard;
use super::killer::ProcessKiller;
use crate::host::ended::Ended;
use crate::host::limits::{self, LimitError};
use crate::host::process::{Freezer, Process};
use crate::host::standstill::{OnPurpose, Watched, Who};

/// The longest time until a card that replaces another one answers. It takes milliseconds; only a busy host makes it take
/// seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The interval at which a wait looks whether it does.
const POLL: Duration = Duration::from_millis(2);

/// Options that the card is started with.
#[derive(Clone, Debug, Default)]
pub struct CardOptions {
    /// How the card is attached to QEMU.
    pub transport: Transport,
    /// The source of the card's time.
    pub clock: Clock,
    /// The instrument bank, instead of the built-in one.
    pub bank: Option<PathBuf>,
    /// Frames that the synthesizer renders at a time. The PCM does not depend on it.
    pub render_block: Option<u32>,
    /// A guard in a process of its own stands between QEMU and the card, so that the card can be killed and replaced.
    pub guard: bool,
    /// Whether the card's process is confined.
    pub sandbox: Sandbox,
    /// Whether the card records a trace beside its log.
    pub trace: bool,
}

/// The name of the trace of a device of the user's in a run folder.
pub const DEVICE_TRACE: &str = "device.trace";

/// The name of the trace of the guest's marks in a run folder.
pub const GUEST_TRACE: &str = "guest.trace";

/// The name of the card's trace in a run folder.
pub const CARD_TRACE: &str = "card.trace";

/// The paths of the card's sockets.
#[derive(Clone, Debug)]
pub struct CardSockets {
    /// The socket that QEMU connects to.
    pub machine: PathBuf,
    /// The control socket.
    pub control: PathBuf,
    /// The socket of a guard that the card connects to.
    pub guard: PathBuf,
}

impl CardSockets {
    /// Places both sockets in a folder that only this user can reach.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { machine: folder.join("card"), control: folder.join("control"), guard: folder.join("guard") }
    }
}

/// Stops the card's process from another thread, and lets it continue, as [`Card::freeze`] does.
#[derive(Debug)]
pub struct CardFreezer {
    stopped: OnPurpose,
    process: Freezer,
}

impl CardFreezer {
    /// Creates a handle of a process and its mark of a stop on purpose.
    pub(super) const fn new(stopped: OnPurpose, process: Freezer) -> Self {
        Self { stopped, process }
    }

    /// Stops it, or lets it continue.
    pub fn freeze(&self, frozen: bool) {
        self.stopped.set(frozen);
        self.process.freeze(frozen);
    }
}

impl Drop for CardFreezer {
    fn drop(&mut self) {
        self.freeze(false);
    }
}

/// Kills a card behind a guard from another thread, and starts the next one, as a supervisor does.
#[derive(Debug)]
pub struct CardReplacer {
    killer: ProcessKiller,
    start: Start,
}

/// A card that was started in a dead one's place. It ends with the thread that started it.
#[derive(Debug)]
pub struct Replacement {
    process: Process,
    command_line: Vec<String>,
    start: Start,
}

impl CardReplacer {
    /// Kills the card with SIGKILL and starts the next one.
    ///
    /// # Errors
    /// [`MachineError::Spawn`] where the process cannot be started.
    pub fn replace(mut self) -> Result<Replacement, MachineError> {
        self.killer.kill();
        // The next card finds the dead one's control socket unused.
        self.killer.wait(ANSWER_LIMIT);
        let (process, command_line) = self.start.process(None)?;
        Ok(Replacement { process, command_line, start: self.start })
    }
}

/// The card's process.
#[derive(Debug)]
pub struct Card {
    process: Process,
    /// A test has stopped the process.
    stopped: OnPurpose,
    control: PathBuf,
    /// The guard, and how to start another card behind it.
    guarded: Option<Box<(Guard, Start)>>,
    /// The log has level `info`, so that it tells of connections and signals.
    talks: bool,
    /// The command line, for the record.
    pub command_line: Vec<String>,
}

/// What a card is started from.
#[derive(Clone, Debug)]
struct Start {
    program: PathBuf,
    options: CardOptions,
    sockets: CardSockets,
    log: PathBuf,
    /// How many cards have been started.
    count: u32,
}

impl Start {
    /// Starts the card's process behind a guard, or on a socket that listens already. Returns its command line too.
    fn process(&mut self, listener: Option<OwnedFd>) -> Result<(Process, Vec<String>), MachineError> {
        let mut command = Command::new(&self.program);
        match &listener {
            Some(listener) => _ = command.args(["--fd", &listener.as_raw_fd().to_string()]),
            None => _ = command.arg("--guard").arg(&self.sockets.guard),
        }
        command.args(["--clock", self.options.clock.name()]);
        command.args(["--transport", self.options.transport.name()]);
        command.arg("--control").arg(&self.sockets.control);
        if self.options.sandbox != Sandbox::default() {
            command.args(["--sandbox", self.options.sandbox.name()]);
        }
        if talks() {
            // The log is a file that is read after a failure.
            command.env("RUST_LOG", "info");
        }
        if let Some(bank) = &self.options.bank {
            command.arg("--bank").arg(bank);
        }
        if let Some(frames) = self.options.render_block {
            command.args(["--render-block", &frames.to_string()]);
        }
        self.count += 1;
        let log = match self.count {
            1 => self.log.clone(),
            count => self.log.with_extension(format!("{count}.log")),
        };
        if self.options.trace {
            command.arg("--trace").arg(log.with_extension("trace"));
        }
        let command_line = words_of(&command);
        Ok((Process::spawn(command, listener.into_iter().collect(), &log)?, command_line))
    }
}

/// Tells whether the card's log has the level that the harness chooses.
fn talks() -> bool {
    std::env::var_os("RUST_LOG").is_none()
}

impl Card {
    /// Starts the card, which listens on its sockets, behind a guard if the options say so.
    ///
    /// # Errors
    /// [`MachineError::Resource`] where the socket cannot be created, [`MachineError::Spawn`] where the process cannot
    /// be started.
    pub fn start(
        program: &Path,
        options: &CardOptions,
        sockets: &CardSockets,
        log: &Path,
    ) -> Result<Self, MachineError> {
        let resource = |source| MachineError::Resource { what: "the card's socket", source };
        let mut start = Start {
            program: program.to_owned(),
            options: options.clone(),
            sockets: sockets.clone(),
            log: log.to_owned(),
            count: 0,
        };
        let guard = if options.guard {
            let log = log.with_file_name("guard.log");
            Some(Guard::start(program, &sockets.machine, &sockets.guard, &log)?)
        } else {
            None
        };
        let listener = match &guard {
            Some(_) => None,
            // The socket listens before either end runs, so that neither has to wait for the other.
            None => Some(UnixListener::bind(&sockets.machine).map_err(resource)?.into()),
        };
        let (process, command_line) = start.process(listener)?;
        let guarded = guard.map(|guard| Box::new((guard, start)));
        let stopped = OnPurpose::default();
        Ok(Self { process, stopped, control: sockets.control.clone(), guarded, talks: talks(), command_line })
    }

    /// Returns what kills the card behind a guard and starts the next one from another thread; `None` when there is no guard: QEMU
    /// would not survive it.
    ///
    /// # Errors
    /// The host's error, where it gives no descriptor of the process.
    pub fn replacer(&self) -> io::Result<Option<CardReplacer>> {
        let Some((_, start)) = self.guarded.as_deref() else { return Ok(None) };
        Ok(Some(CardReplacer { killer: self.killer()?, start: start.clone() }))
    }

    /// Takes over the card that was started in the dead one's place, once it answers.
    pub(super) fn adopt(&mut self, replacement: Replacement) {
        let Replacement { process, command_line, start } = replacement;
        (self.process, self.command_line) = (process, command_line);
        if let Some((_, before)) = self.guarded.as_deref_mut() {
            *before = start;
        }
        let begun = Instant::now();
        // The dead card's control socket stays until the new one replaces it.
        while self.ended().is_none() && begun.elapsed() < ANSWER_LIMIT && self.status().is_err() {
            std::thread::sleep(POLL);
        }
    }

    /// Reads the card's status.
    ///
    /// # Errors
    /// The socket's error, or [`io::ErrorKind::TimedOut`] where the card does not answer.
    pub fn status(&self) -> io::Result<Status> {
        self.control().status()
    }

    /// Has the card capture MIDI messages: see [`CardControl::midi_in`].
    ///
    /// # Errors
    /// The socket's error, or [`io::ErrorKind::TimedOut`] where the card does not answer.
    pub fn midi_in(&self, messages: &[Vec<u8>], group: u16) -> io::Result<Vec<Result<(), String>>> {
        self.control().midi_in(messages, group)
    }

    /// Returns a client of its control socket.
    #[must_use]
    pub fn control(&self) -> CardControl {
        CardControl::new(self.control.clone())
    }

    /// Stops the card's process where it is, on purpose, or lets it continue: a card that takes nothing for a while.
    pub fn freeze(&mut self, frozen: bool) {
        self.stopped.set(frozen);
        self.process.freeze(frozen);
    }

    /// Returns a handle that stops the card's process on purpose from another thread.
    #[must_use]
    pub fn freezer(&self) -> CardFreezer {
        CardFreezer { stopped: self.stopped.clone(), process: self.process.freezer() }
    }

    /// Returns a handle that kills the card's process from another thread.
    ///
    /// # Errors
    /// The host's error, where it gives no descriptor of the process.
    pub fn killer(&self) -> io::Result<ProcessKiller> {
        self.process.pidfd().map(ProcessKiller::new)
    }

    /// Returns a handle that stops the card's process as a busy host would, which counts as a standstill.
    #[must_use]
    pub fn staller(&self) -> Freezer {
        self.process.freezer()
    }

    /// Returns what a watch for standstills needs.
    #[must_use]
    pub fn watched(&self) -> Watched {
        Watched { who: Who::Card, pid: self.process.id(), on_purpose: self.stopped.clone() }
    }

    /// Returns how it ended, if it has.
    pub fn ended(&mut self) -> Option<Ended> {
        let guard = self.guarded.as_deref_mut().and_then(|(guard, _)| guard.ended());
        self.process.ended().or(guard)
    }

    /// Notes the limits that it has, while it lives.
    pub(super) fn note_limits(&mut self) {
        self.process.note_limits();
    }

    /// Returns the limit of the host that it has reached, by how it ended and by its log.
    pub(super) fn limit_reached(&mut self) -> Option<LimitError> {
        let found = limits::of_program(self.ended(), &self.tail())?;
        Some(found.of_process("the card", self.process.limits()))
    }

    /// Opens a descriptor that becomes readable when the process ends.
    pub(super) fn pidfd(&self) -> io::Result<OwnedFd> {
        self.process.pidfd()
    }

    /// Tells whether the card logged that QEMU had disconnected; `None` where the log has another level.
    pub(super) fn saw_qemu_leave(&self) -> Option<bool> {
        self.talks.then(|| log::says_front_end_disconnected(&self.process.said()))
    }

    /// Returns what stopped a card that ended with [`CARD_LEFT`] and that QEMU did not leave.
    pub(super) fn stopped_by(&mut self) -> Option<String> {
        if self.ended() != Some(CARD_LEFT) {
            return None;
        }
        let said = self.process.said();
        let signal = log::stopping_signal(&said);
        Some(signal.unwrap_or("a signal, or a stop over the control socket").to_owned())
    }

    /// Waits for its end, at most as long as `limit`.
    pub(super) fn wait(&mut self, limit: Duration) -> Option<Ended> {
        self.process.wait(limit)
    }

    /// Ends it with SIGTERM, and then with SIGKILL.
    pub fn stop(&mut self) -> Ended {
        self.process.stop()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) -> Ended {
        self.process.kill()
    }

    /// Returns the last lines of its log.
    #[must_use]
    pub fn tail(&self) -> String {
        self.process.tail()
    }
}

/// Returns a command as it would be typed.
pub(super) fn words_of(command: &Command) -> Vec<String> {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}
