//! The card's process.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use card_control::{Clock, Status, log};

use super::card_exit::CARD_LEFT;
use super::control::CardControl;
use super::error::MachineError;
use crate::host::ended::Ended;
use crate::host::limits::{self, LimitError};
use crate::host::process::{Freezer, Process};
use crate::host::standstill::{OnPurpose, Watched, Who};

/// What the card is started with.
#[derive(Clone, Debug, Default)]
pub struct CardOptions {
    /// How it keeps time.
    pub clock: Clock,
    /// Instruments instead of the built-in ones.
    pub bank: Option<PathBuf>,
    /// Frames that the synthesizer renders at a time; nothing that is heard may depend on it.
    pub render_block: Option<u32>,
}

/// Where the card's sockets are.
#[derive(Clone, Debug)]
pub struct CardSockets {
    /// QEMU connects here.
    pub machine: PathBuf,
    /// The card answers questions here.
    pub control: PathBuf,
}

impl CardSockets {
    /// In a folder of our own.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { machine: folder.join("card"), control: folder.join("control") }
    }
}

/// Stops the card's process and lets it go on, as [`Card::freeze`] does.
#[derive(Debug)]
pub struct CardFreezer {
    stopped: OnPurpose,
    process: Freezer,
}

impl CardFreezer {
    /// Stops it, or lets it go on.
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

/// The card's process.
#[derive(Debug)]
pub struct Card {
    process: Process,
    /// A test has stopped it.
    stopped: OnPurpose,
    control: PathBuf,
    /// Its log tells of connections.
    talks: bool,
    /// The command line, for the record.
    pub command_line: Vec<String>,
}

impl Card {
    /// Starts the card, listening on its sockets.
    ///
    /// # Errors
    /// When socket or process cannot be made.
    pub fn start(
        program: &Path,
        options: &CardOptions,
        sockets: &CardSockets,
        log: &Path,
    ) -> Result<Self, MachineError> {
        let resource = |source| MachineError::Resource { what: "the card's socket", source };
        // The socket listens before either side runs, so there is nothing to wait for.
        let listener: OwnedFd = UnixListener::bind(&sockets.machine).map_err(resource)?.into();
        let mut command = Command::new(program);
        command.args(["--fd", &listener.as_raw_fd().to_string(), "--clock", options.clock.name()]);
        command.arg("--control").arg(&sockets.control);
        let talks = std::env::var_os("RUST_LOG").is_none();
        if talks {
            // The log is a file that is read when something went wrong.
            command.env("RUST_LOG", "info");
        }
        if let Some(bank) = &options.bank {
            command.arg("--bank").arg(bank);
        }
        if let Some(frames) = options.render_block {
            command.args(["--render-block", &frames.to_string()]);
        }
        let command_line = words_of(&command);
        let process = Process::spawn(command, vec![listener], log)?;
        let stopped = OnPurpose::default();
        Ok(Self { process, stopped, control: sockets.control.clone(), talks, command_line })
    }

    /// Asks the card how it is.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn status(&self) -> io::Result<Status> {
        self.control().status()
    }

    /// As [`CardControl::midi_in`].
    ///
    /// # Errors
    /// When the card does not answer.
    pub fn midi_in(&self, messages: &[Vec<u8>], group: u16) -> io::Result<Vec<Result<(), String>>> {
        self.control().midi_in(messages, group)
    }

    /// The control socket, for somebody else to speak on.
    #[must_use]
    pub fn control(&self) -> CardControl {
        CardControl::new(self.control.clone())
    }

    /// Stops the card's process where it is, or lets it go on: a card that takes nothing for a while.
    pub fn freeze(&mut self, frozen: bool) {
        self.stopped.set(frozen);
        self.process.freeze(frozen);
    }

    /// Stops and goes on with the card's process from another thread.
    #[must_use]
    pub fn freezer(&self) -> CardFreezer {
        CardFreezer { stopped: self.stopped.clone(), process: self.process.freezer() }
    }

    /// Stops the card's process as a busy host would.
    #[must_use]
    pub fn staller(&self) -> Freezer {
        self.process.freezer()
    }

    /// What a watch needs of it.
    #[must_use]
    pub fn watched(&self) -> Watched {
        Watched { who: Who::Card, pid: self.process.id(), on_purpose: self.stopped.clone() }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<Ended> {
        self.process.ended()
    }

    /// Notes which limits it has, while it lives.
    pub(super) fn note_limits(&mut self) {
        self.process.note_limits();
    }

    /// The limit of the host that it has reached, by its end and its words.
    pub(super) fn limit_reached(&mut self) -> Option<LimitError> {
        let found = limits::of_program(self.ended(), &self.tail())?;
        Some(found.of_process("the card", self.process.limits()))
    }

    /// A descriptor that becomes readable when it ends.
    pub(super) fn pidfd(&self) -> io::Result<OwnedFd> {
        self.process.pidfd()
    }

    /// Whether the card said that QEMU had left; `None` where it says no such things.
    pub(super) fn saw_qemu_leave(&self) -> Option<bool> {
        self.talks.then(|| log::says_front_end_disconnected(&self.process.said()))
    }

    /// What made a card leave that has ended with [`CARD_LEFT`], for a card that was not left by QEMU.
    pub(super) fn asked(&mut self) -> Option<String> {
        if self.ended() != Some(CARD_LEFT) {
            return None;
        }
        let said = self.process.said();
        let signal = log::stopping_signal(&said);
        Some(signal.unwrap_or("a signal, or a stop over the control socket").to_owned())
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self, limit: Duration) -> Option<Ended> {
        self.process.wait(limit)
    }

    /// Ends it.
    pub fn stop(&mut self) -> Ended {
        self.process.stop()
    }

    /// Kills it, without a word.
    pub fn kill(&mut self) -> Ended {
        self.process.kill()
    }

    /// The last lines of its log.
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
