//! Speaks with the card on its control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::host::hash::hex;
use crate::host::interrupt;

/// Longest time for an answer on the control socket. The card answers between two blocks; a busy machine makes it wait.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Lines sent to the control socket before their answers are read.
const LINES_AT_ONCE: usize = 100;

/// How often a wait for an answer is interrupted, to look whether the user wants to leave.
const SLICE: Duration = Duration::from_millis(50);

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
    /// Names the socket; it is connected to for each question.
    pub(super) const fn new(socket: PathBuf) -> Self {
        Self(socket)
    }

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
