//! The card's process, its control socket and its log.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::process::Process;

/// How long the control socket may take to answer. It answers between two slices of work, within milliseconds; a busy
/// machine makes it wait for seconds.
pub const CONTROL_LIMIT: Duration = Duration::from_secs(10);

/// How long the card may take to start, and to leave once QEMU has left.
const PROCESS_LIMIT: Duration = Duration::from_secs(30);

/// The name of the socket that QEMU connects to, in the machine's folder.
pub(crate) const MACHINE_SOCKET: &str = "card";

/// The name of the control socket.
const CONTROL_SOCKET: &str = "control";

/// The name of the log.
const LOG: &str = "card.log";

/// What moves the card's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clock {
    /// Wave buffers.
    Lockstep,
    /// The host's clock.
    Realtime,
}

impl Clock {
    const fn name(self) -> &'static str {
        match self {
            Self::Lockstep => "lockstep",
            Self::Realtime => "realtime",
        }
    }
}

/// A card.
#[derive(Debug)]
pub struct Card {
    process: Process,
    program: PathBuf,
    folder: PathBuf,
    control: BufReader<UnixStream>,
}

impl Card {
    /// Starts a card whose sockets and log are in `folder`.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn start(program: &Path, folder: &Path, clock: Clock) -> Result<Self> {
        for name in [MACHINE_SOCKET, CONTROL_SOCKET] {
            let _ = std::fs::remove_file(folder.join(name));
        }
        let host = |what: &'static str| Failure::host(what);
        let log = File::create(folder.join(LOG)).map_err(host("cannot create the card's log"))?;
        let also = log.try_clone().map_err(host("cannot create the card's log"))?;
        let mut command = Command::new(program);
        command.current_dir(folder).stdout(Stdio::from(log)).stderr(Stdio::from(also));
        command.args(["--socket-path", MACHINE_SOCKET, "--control", CONTROL_SOCKET, "--clock", clock.name()]);
        // As the harness starts it; what is logged at this level counts.
        command.env("RUST_LOG", "info");
        let mut process = Process::start("the card", command)?;
        let place = File::open(folder).map_err(host("cannot open the machine's folder"))?;
        let path = format!("/proc/self/fd/{}/{CONTROL_SOCKET}", place.as_raw_fd());
        let deadline = Instant::now() + PROCESS_LIMIT;
        let stream = loop {
            // Both sockets: QEMU does not wait for the one that it needs.
            if folder.join(MACHINE_SOCKET).exists()
                && let Ok(stream) = UnixStream::connect(&path)
            {
                break stream;
            }
            if process.ended().is_some() || Instant::now() > deadline {
                return Err(process.unanswered("its start", PROCESS_LIMIT));
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let limited =
            stream.set_read_timeout(Some(CONTROL_LIMIT)).and_then(|()| stream.set_write_timeout(Some(CONTROL_LIMIT)));
        limited.map_err(host("the control socket"))?;
        Ok(Self { process, program: program.into(), folder: folder.into(), control: BufReader::new(stream) })
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The program, for what else it can do.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A folder for files of this machine.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes that the card has logged.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        std::fs::metadata(self.folder.join(LOG)).map_or(0, |file| file.len())
    }

    /// Sends a command to the control socket; the answer, whether it is `ok` or not.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn ask(&mut self, command: &Value) -> Result<Value> {
        self.send(command)?;
        self.answer(&command.to_string())
    }

    /// Sends a command without waiting for its answer; see [`answer`](Self::answer).
    ///
    /// # Errors
    /// [`Failure`].
    pub fn send(&mut self, command: &Value) -> Result {
        let line = format!("{command}\n");
        self.control.get_ref().write_all(line.as_bytes()).map_err(|_| self.process.unanswered(&line, CONTROL_LIMIT))
    }

    /// Reads the next answer.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn answer(&mut self, question: &str) -> Result<Value> {
        let mut line = String::new();
        match self.control.read_line(&mut line) {
            Ok(bytes) if bytes > 0 => {}
            _ => return Err(self.process.unanswered(question, CONTROL_LIMIT)),
        }
        serde_json::from_str(&line).map_err(|_| Failure::Answer {
            process: "the card's control socket",
            question: question.into(),
            answer: line.trim_end().into(),
        })
    }

    /// Sends a command that must be carried out.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn order(&mut self, command: &Value) -> Result<Value> {
        let answer = self.ask(command)?;
        if answer["ok"] == true {
            return Ok(answer);
        }
        Err(Failure::Unexpected {
            what: format!("the control socket's answer to {command}"),
            expected: "ok".into(),
            found: answer.to_string(),
        })
    }

    /// What the card says about itself.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn status(&mut self) -> Result<Value> {
        self.order(&json!({"cmd": "status"}))
    }

    /// Waits for the card to leave after its QEMU.
    ///
    /// # Errors
    /// It does not, or not as it should.
    pub fn leave(mut self) -> Result {
        match self.process.wait(PROCESS_LIMIT) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(Failure::Ended { process: "the card", status: status.to_string() }),
            None => {
                let question = "QEMU's end".into();
                Err(Failure::Silent { process: "the card", question, limit: PROCESS_LIMIT })
            }
        }
    }
}
