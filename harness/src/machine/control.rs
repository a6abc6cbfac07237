//! The client of the card's control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use card_control::answer::{self, Advanced, Disarmed, Done, TakenEvents, Voices};
use card_control::{AnswerError, Command, InjectedFault, Status, Trigger};
use serde::de::DeserializeOwned;

use super::device_control::{Received, ReceivedBytes};
use crate::host::interrupt;

/// Longest time for an answer. The card answers between two blocks; a busy machine makes it wait.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Lines sent to the control socket before their answers are read.
const LINES_AT_ONCE: usize = 100;

/// The interval at which a wait for an answer checks whether the user has interrupted the run.
const SLICE: Duration = Duration::from_millis(50);

/// Nanoseconds of a unit of master time.
const NS_A_UNIT: u64 = 100;

/// A client of a card's control socket. It connects for each command.
#[derive(Clone, Debug)]
pub struct CardControl(PathBuf);

impl CardControl {
    /// Names the socket.
    pub(super) const fn new(socket: PathBuf) -> Self {
        Self(socket)
    }

    /// Has the card capture MIDI messages now, one after another, as if they came in at its MIDI input, on a channel group
    /// (from 1). Returns the card's answer to each.
    ///
    /// # Errors
    /// The socket's error, or [`io::ErrorKind::TimedOut`] where the card does not answer.
    pub fn midi_in(&self, messages: &[Vec<u8>], group: u16) -> io::Result<Vec<Result<(), String>>> {
        let mut stream = self.connect()?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut answers = Vec::with_capacity(messages.len());
        // As many at a time as fit the socket both ways: the card answers while it reads.
        for some in messages.chunks(LINES_AT_ONCE) {
            let lines: String = some.iter().map(|message| Command::midi_in(message, group).to_line()).collect();
            stream.write_all(lines.as_bytes())?;
            for _ in some {
                answers.push(match answer::from_line::<Done>(&read_line(&mut reader)?) {
                    Ok(Done {}) => Ok(()),
                    Err(AnswerError::Refused(error)) => Err(error),
                    Err(error) => return Err(io::Error::other(error)),
                });
            }
        }
        Ok(answers)
    }

    /// Takes the events that the card has taken from the driver since the last call.
    ///
    /// # Errors
    /// The socket's error, [`io::ErrorKind::InvalidData`] for bytes that are no hexadecimal digits, or
    /// [`io::ErrorKind::TimedOut`] where the card does not answer.
    pub fn events(&self) -> io::Result<Received> {
        let mut received = Received::default();
        loop {
            let answer: TakenEvents = self.execute(&Command::Events {})?;
            received.lost += answer.lost;
            for event in answer.events {
                let data =
                    hex::decode(&event.data).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                // Times of music are from 0.
                let time_ns = event.time.max(0).unsigned_abs().saturating_mul(NS_A_UNIT);
                received.bytes.push(ReceivedBytes { time_ns, data });
            }
            if !answer.more {
                return Ok(received);
            }
        }
    }

    /// Reads the card's status.
    ///
    /// # Errors
    /// The socket's error, or [`io::ErrorKind::TimedOut`] where the card does not answer.
    pub fn status(&self) -> io::Result<Status> {
        self.execute(&Command::Status {})
    }

    /// Reads the voices that sound.
    ///
    /// # Errors
    /// The socket's error, the card's refusal, or [`io::ErrorKind::TimedOut`] where the card does not answer.
    pub fn voices(&self) -> io::Result<Voices> {
        self.execute(&Command::Voices {})
    }

    /// Stops the recording of the card's trace, or goes on with it.
    ///
    /// # Errors
    /// The socket's error, the card's refusal, or [`io::ErrorKind::TimedOut`] where the card does not answer.
    pub fn record(&self, on: bool) -> io::Result<()> {
        self.execute::<Done>(&Command::Record { on }).map(|Done {}| ())
    }

    /// Arms a fault of the card, which is live at the trigger, or at once without one.
    ///
    /// # Errors
    /// The socket's error, the card's refusal, or [`io::ErrorKind::TimedOut`] where the card does not answer.
    pub fn inject_fault(&self, fault: InjectedFault, at: Option<Trigger>) -> io::Result<()> {
        self.execute::<Done>(&Command::InjectFault { fault, at }).map(|Done {}| ())
    }

    /// Disarms every fault that has not struck. Returns how many were armed.
    ///
    /// # Errors
    /// The socket's error, or [`io::ErrorKind::TimedOut`] where the card does not answer.
    pub fn disarm_faults(&self) -> io::Result<usize> {
        self.execute(&Command::DisarmFaults {}).map(|Disarmed { disarmed }| disarmed)
    }

    /// Has a card in lockstep render frames. Returns the next frame to render.
    ///
    /// # Errors
    /// The socket's error, the card's refusal, or [`io::ErrorKind::TimedOut`] where the card does not answer.
    pub fn advance(&self, frames: u64) -> io::Result<i64> {
        self.execute(&Command::Advance { frames }).map(|Advanced { position }| position)
    }

    /// Sends a line, whatever it says. Returns the answer of a command that was carried out.
    ///
    /// # Errors
    /// The socket's error, the card's refusal, or [`io::ErrorKind::TimedOut`] where the card does not answer.
    pub fn raw(&self, line: &str) -> io::Result<String> {
        let mut stream = self.connect()?;
        stream.write_all(format!("{}\n", line.trim_end()).as_bytes())?;
        let answer = read_line(&mut BufReader::new(stream))?;
        if answer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer::from_line::<Done>(&answer).map_err(io::Error::other)?;
        Ok(answer)
    }

    fn execute<T: DeserializeOwned>(&self, command: &Command) -> io::Result<T> {
        let mut stream = self.connect()?;
        stream.write_all(command.to_line().as_bytes())?;
        let line = read_line(&mut BufReader::new(stream))?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer::from_line(&line).map_err(io::Error::other)
    }

    fn connect(&self) -> io::Result<UnixStream> {
        let stream = UnixStream::connect(&self.0)?;
        stream.set_read_timeout(Some(SLICE))?;
        Ok(stream)
    }
}

/// Reads a line within [`ANSWER_LIMIT`], unless the user interrupts the run before.
fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let deadline = Instant::now() + ANSWER_LIMIT;
    let mut line = Vec::new();
    loop {
        match reader.read_until(b'\n', &mut line) {
            Ok(_) => return String::from_utf8(line).map_err(io::Error::other),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                if interrupt::requested() || Instant::now() > deadline {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            Err(error) => return Err(error),
        }
    }
}
