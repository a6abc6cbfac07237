//! Runs the card's process, with its control socket and its log.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use card_control::{AnswerError, Clock, Command, Status, Transport, answer};
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Result};
use crate::process::Process;

/// How long the control socket may take to answer. It answers between two slices of work, within milliseconds; a busy
/// machine makes it wait for seconds.
pub const CONTROL_LIMIT: Duration = Duration::from_secs(10);

/// How long the card may take to start, and to end once QEMU has ended.
const PROCESS_LIMIT: Duration = Duration::from_secs(30);

/// The name of the socket that QEMU connects to, in the machine's folder.
pub(crate) const MACHINE_SOCKET: &str = "card";

/// The name of the control socket.
const CONTROL_SOCKET: &str = "control";

/// The name of the log.
const LOG: &str = "card.log";

/// A running card.
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
    /// [`Failure::Host`] when the host gives no file or process, [`Failure::Ended`] or [`Failure::Silent`] when the card
    /// does not start.
    pub fn start(program: &Path, transport: Transport, folder: &Path, clock: Clock) -> Result<Self> {
        for name in [MACHINE_SOCKET, CONTROL_SOCKET] {
            let _ = std::fs::remove_file(folder.join(name));
        }
        let host = |what: &'static str| Failure::host(what);
        let log = File::create(folder.join(LOG)).map_err(host("cannot create the card's log"))?;
        let also = log.try_clone().map_err(host("cannot create the card's log"))?;
        let mut command = std::process::Command::new(program);
        command.current_dir(folder).stdout(Stdio::from(log)).stderr(Stdio::from(also));
        command.args(["--socket-path", MACHINE_SOCKET, "--control", CONTROL_SOCKET, "--clock", clock.name()]);
        command.args(["--transport", transport.name()]);
        // As the harness starts it: the log is measured at this level.
        command.env("RUST_LOG", "info");
        let mut process = Process::start("the card", command)?;
        let place = File::open(folder).map_err(host("cannot open the machine's folder"))?;
        let path = format!("/proc/self/fd/{}/{CONTROL_SOCKET}", place.as_raw_fd());
        let deadline = Instant::now() + PROCESS_LIMIT;
        let stream = loop {
            // Both sockets: QEMU does not wait for its own.
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

    /// Returns the process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Returns the program's path, for its other commands.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Returns a folder for files of this machine.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns how many bytes the card has logged.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        std::fs::metadata(self.folder.join(LOG)).map_or(0, |file| file.len())
    }

    /// Sends a command to the control socket, and reads the answer: the result, or why the card refuses.
    ///
    /// # Errors
    /// As for [`send`](Self::send) and [`answer`](Self::answer).
    pub fn command<T: DeserializeOwned>(&mut self, command: &Command) -> Result<std::result::Result<T, String>> {
        self.send(command)?;
        self.answer(command)
    }

    /// Sends a command without waiting for its answer; see [`answer`](Self::answer).
    ///
    /// # Errors
    /// [`Failure::Ended`] or [`Failure::Silent`], when the card has ended or does not read.
    pub fn send(&mut self, command: &Command) -> Result {
        let line = command.to_line();
        self.control.get_ref().write_all(line.as_bytes()).map_err(|_| self.process.unanswered(&line, CONTROL_LIMIT))
    }

    /// Reads the next answer, which is to `command`: the result, or why the card refuses.
    ///
    /// # Errors
    /// [`Failure::Ended`] or [`Failure::Silent`], when the card has ended or does not answer; [`Failure::Answer`], when
    /// the answer is not one to this command.
    pub fn answer<T: DeserializeOwned>(&mut self, command: &Command) -> Result<std::result::Result<T, String>> {
        let question = command.to_line();
        let mut line = String::new();
        match self.control.read_line(&mut line) {
            Ok(bytes) if bytes > 0 => {}
            _ => return Err(self.process.unanswered(&question, CONTROL_LIMIT)),
        }
        match answer::from_line(&line) {
            Ok(result) => Ok(Ok(result)),
            Err(AnswerError::Refused(why)) => Ok(Err(why)),
            Err(AnswerError::Malformed { .. }) => Err(Failure::Answer {
                process: "the card's control socket",
                question: question.trim_end().into(),
                answer: line.trim_end().into(),
            }),
        }
    }

    /// Sends a command that must be carried out, and reads its result.
    ///
    /// # Errors
    /// As for [`command`](Self::command); [`Failure::Unexpected`], when the card refuses.
    pub fn order<T: DeserializeOwned>(&mut self, command: &Command) -> Result<T> {
        self.command(command)?.map_err(|why| Failure::Unexpected {
            what: format!("the control socket's answer to {}", command.to_line().trim_end()),
            expected: "ok".into(),
            found: why,
        })
    }

    /// Reads the card's status.
    ///
    /// # Errors
    /// As for [`order`](Self::order).
    pub fn status(&mut self) -> Result<Status> {
        self.order(&Command::Status {})
    }

    /// Waits for the card's end after QEMU's, and checks that it ends with success.
    ///
    /// # Errors
    /// [`Failure::Ended`] when it ends in another way, [`Failure::Silent`] when it does not end.
    pub fn wait_for_end(mut self) -> Result {
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
