//! The card's process.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::MachineError;
use crate::host::ended::Ended;
use crate::host::hash::hex;
use crate::host::interrupt;
use crate::host::limits::{self, LimitError};
use crate::host::process::{Freezer, Process};
use crate::host::standstill::{OnPurpose, Watched, Who};

/// How the card keeps time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Time moves when a wave buffer is filled: output depends on the events alone.
    #[default]
    Lockstep,
    /// Frames follow the host's clock.
    Realtime,
}

impl Clock {
    /// As the card's command line has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lockstep => "lockstep",
            Self::Realtime => "realtime",
        }
    }
}

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

/// Longest time for an answer on the control socket. The card answers between two blocks; a busy machine makes it wait.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Lines sent to the control socket before their answers are read.
const LINES_AT_ONCE: usize = 100;

/// How the card ends when QEMU has left, or when it was asked to leave itself.
pub(super) const CARD_LEFT: Ended = Ended::Exit(0);

/// How the card ends when the connection broke, by whosever fault.
pub(super) const CARD_LOST_CONNECTION: Ended = Ended::Exit(4);

/// What the card says, at the level `info`, when QEMU has left.
const SAYS_QEMU_LEFT: &str = "the machine has left";

/// What the card says, at the level `info`, when a signal has made it leave: before the signal's name.
const SAYS_ASKED: &str = "leaving, as asked by ";

/// How often a wait for an answer is interrupted, to look whether the user wants to leave.
const SLICE: Duration = Duration::from_millis(50);

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

/// What the card counted in its session, and what it found wrong with the driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CardStatus {
    /// Counters.
    pub counters: CardCounters,
    /// Findings.
    pub diagnosis: CardDiagnosis,
}

/// The card's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CardCounters {
    /// Kicks received.
    pub kicks: u64,
    /// Interrupts raised.
    pub interrupts: u64,
    /// Frames rendered.
    pub frames_rendered: u64,
    /// Events taken.
    pub events: u64,
    /// Events that came after their frame.
    pub events_late: u64,
    /// Notes that found no voice.
    pub notes_lost: u64,
    /// Times that frames were lost for want of a wave buffer.
    pub underruns: u64,
}

/// What the card found wrong with the driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CardDiagnosis {
    /// How often.
    pub count: u64,
    /// The first finding, as the card words it.
    pub first: Option<Value>,
}

/// A card's control socket.
#[derive(Clone, Debug)]
pub struct CardControl(PathBuf);

impl CardControl {
    /// Has the card take in MIDI messages now, one after another, as if they came from outside. Gives the card's word on
    /// each that it does not take.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn midi_in(&self, messages: &[Vec<u8>], group: u16) -> io::Result<Vec<Result<(), String>>> {
        let mut stream = self.connect()?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut taken = Vec::with_capacity(messages.len());
        // As many at a time as fit the socket both ways: the card answers while it reads.
        for some in messages.chunks(LINES_AT_ONCE) {
            let lines = some.iter().fold(String::new(), |text, message| {
                text + &json!({ "cmd": "midi-in", "data": hex(message), "group": group }).to_string() + "\n"
            });
            stream.write_all(lines.as_bytes())?;
            for _ in some {
                let answer: Value = serde_json::from_str(&read_line(&mut reader)?)?;
                let error = answer["error"].as_str().unwrap_or_default().to_owned();
                taken.push(if answer["ok"] == true { Ok(()) } else { Err(error) });
            }
        }
        Ok(taken)
    }

    /// Asks the card how it is.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn status(&self) -> io::Result<CardStatus> {
        let answer = self.ask(&json!({ "cmd": "status" }))?;
        serde_json::from_value(answer).map_err(io::Error::other)
    }

    /// Has the card do something wrong, by the card's own name for it.
    ///
    /// # Errors
    /// When it does not answer, or knows no such misdeed.
    pub fn misbehave(&self, misdeed: &Value) -> io::Result<()> {
        let answer = self.ask(&json!({ "cmd": "fault", "fault": misdeed }))?;
        if answer["ok"] == true { Ok(()) } else { Err(io::Error::other(answer["error"].to_string())) }
    }

    /// Asks on the control socket.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask(&self, question: &Value) -> io::Result<Value> {
        let mut stream = self.connect()?;
        stream.write_all(format!("{question}\n").as_bytes())?;
        // An empty answer, the card's end, stays an end of file.
        Ok(serde_json::from_str(&read_line(&mut BufReader::new(stream))?)?)
    }

    fn connect(&self) -> io::Result<UnixStream> {
        let stream = UnixStream::connect(&self.0)?;
        stream.set_read_timeout(Some(SLICE))?;
        Ok(stream)
    }
}

/// Reads a line within [`ANSWER_LIMIT`], unless the user wants to leave before.
fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let deadline = Instant::now() + ANSWER_LIMIT;
    let mut line = Vec::new();
    loop {
        match reader.read_until(b'\n', &mut line) {
            Ok(_) => return String::from_utf8(line).map_err(io::Error::other),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                if interrupt::asked() || Instant::now() > deadline {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            Err(error) => return Err(error),
        }
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
        let command_line = super::qemu::command_line(&command);
        let process = Process::spawn(command, &[&listener], log)?;
        let stopped = OnPurpose::default();
        Ok(Self { process, stopped, control: sockets.control.clone(), talks, command_line })
    }

    /// Asks the card how it is.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn status(&self) -> io::Result<CardStatus> {
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
        CardControl(self.control.clone())
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
        self.talks.then(|| self.process.said().contains(SAYS_QEMU_LEFT))
    }

    /// What made a card leave that has ended with [`CARD_LEFT`], for a card that was not left by QEMU.
    pub(super) fn asked(&mut self) -> Option<String> {
        if self.ended() != Some(CARD_LEFT) {
            return None;
        }
        let said = self.process.said();
        let name = said.rsplit_once(SAYS_ASKED).and_then(|(_, words)| words.lines().next());
        Some(name.unwrap_or("a signal, or a stop over the control socket").to_owned())
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
