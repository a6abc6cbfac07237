//! The control socket: a host's test harness watches the card, and moves its time.
//!
//! A unix stream socket (`--control PATH`). Each line in is one JSON object with a `cmd`; each line out is its answer,
//! `{"ok":true, ...}` or `{"ok":false,"error":"..."}`, in order.
//!
//! | `cmd` | further members | answer |
//! |---|---|---|
//! | `status` | | `clock`, `card_time`, `session` (or null), `counters`, `diagnosis`, as [`Status`] |
//! | `stats` | | `counters`, and `statistics` of the running session as [`RunningNumbers`] (or null) |
//! | `advance` | `frames` | lockstep only: renders so many frames; `position`: the next frame |
//! | `midi-in` | `data`: a MIDI message in hexadecimal; `group`: from 1, default 1; `time`: 100 ns units of master time, default now | captured for the driver |
//! | `fault` | `fault`: a [`Misdeed`], such as `{"kind":"lose-session"}` or `{"kind":"lie","lie":"used-id","queue":3}` | done wrong, now or with the next chain |
//! | `shutdown` | | the card leaves; QEMU does not survive that |
//!
//! ```text
//! > {"cmd":"advance","frames":480}
//! < {"ok":true,"position":960}
//! ```
//!
//! A client that keeps to none of this costs the card a place for a while, and other clients nothing:
//!
//! | limit | when it is exceeded |
//! |---|---|
//! | a line has at most [`LINE_BYTES_MAX`] bytes | an answer says so, the rest of the line is dropped, the connection is closed |
//! | a line is complete [`LINE_TIME_MAX`] after its first byte | an answer says so, the connection is closed |
//! | an answer is read within [`ANSWER_TIME_MAX`] | the connection is closed |
//! | at most [`CONNECTIONS_MAX`] connections are open | the one that has been idle for the longest time is closed for the new one, with an answer that says so; one that is being answered is never closed, and when all are the new one is refused with an answer |
//! | one `advance` is for at most [`ADVANCE_FRAMES_MAX`] frames | the answer is an error |

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod line;
mod place;

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use place::ControlSocket;

use crate::engine::Link;
use crate::fault::Misdeed;
use crate::hexadecimal;
use crate::socket::{Endpoint, SocketError};
use crate::status::{Counters, RunningNumbers, Status};
use crate::stop::Stop;

/// Longest line that is accepted, with its end: twice the longest system exclusive message in hexadecimal.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// How long a line may take from its first byte to its last. A program sends it at once; a person types it.
pub const LINE_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a client may leave an answer unread that its socket has no room for.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Connections at a time. A harness needs one; a person's second terminal another.
pub const CONNECTIONS_MAX: usize = 16;

/// Frames that one `advance` may ask for: an hour at 96 kHz. More is a mistake.
pub const ADVANCE_FRAMES_MAX: u64 = 3600 * 96_000;

/// Frames rendered between two looks at the queues while time is moved by hand, so that a driver's requests are
/// answered meanwhile.
const ADVANCE_SLICE: u64 = 4096;

/// Text of `--help` about the control socket.
#[must_use]
pub fn help() -> String {
    format!(
        "Answer questions and commands, one JSON object a line, on this unix socket.\n\nAt most {CONNECTIONS_MAX} clients \
         are connected; for one more, the one that has been idle for the longest time is disconnected. A line has at most \
         {LINE_BYTES_MAX} bytes and is complete within {} s; an answer is read within {} s",
        LINE_TIME_MAX.as_secs(),
        ANSWER_TIME_MAX.as_secs()
    )
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
#[error("control socket: {0}")]
pub struct ControlSocketError(#[from] SocketError);

/// A command.
#[derive(Debug, Deserialize)]
#[serde(tag = "cmd", rename_all = "kebab-case", deny_unknown_fields)]
enum Command {
    Status {},
    Stats {},
    Advance {
        frames: u64,
    },
    MidiIn {
        data: String,
        #[serde(default = "first_group")]
        group: u16,
        time: Option<i64>,
    },
    Fault {
        fault: Misdeed,
    },
    Shutdown {},
}

const fn first_group() -> u16 {
    1
}

/// An answer.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    Done { ok: bool },
    Position { ok: bool, position: i64 },
    Status(Box<Good<Status>>),
    Stats { ok: bool, counters: Counters, statistics: Option<RunningNumbers> },
    Failed { ok: bool, error: String },
}

#[derive(Debug, Serialize)]
struct Good<T> {
    ok: bool,
    #[serde(flatten)]
    value: T,
}

impl Answer {
    fn failed(error: impl Into<String>) -> Self {
        Self::Failed { ok: false, error: error.into() }
    }
}

/// Listens on the control socket's path. What connects is answered once there is a card:
/// [`ControlSocket::start`].
///
/// # Errors
/// The socket cannot be made.
pub fn listen(path: &Path, stop: &Stop) -> Result<Endpoint, ControlSocketError> {
    Ok(crate::socket::listen(path, stop)?)
}

/// Does what a line says. `stopping` says that there is no time for more; `leave` is set when the process is to be asked
/// to stop.
fn answer(link: &Link, line: &[u8], stopping: impl Fn() -> bool, leave: &mut bool) -> Result<Answer, String> {
    let command = serde_json::from_slice(line).map_err(|error| format!("not a command: {error}"))?;
    let gone = |error: crate::engine::NoAnswer| error.to_string();
    match command {
        Command::Status {} => {
            let status = link.ask(|card| Status::of(card)).map_err(gone)?;
            Ok(Answer::Status(Box::new(Good { ok: true, value: status })))
        }
        Command::Stats {} => {
            let statistics = link.ask(|card| card.session().map(RunningNumbers::of)).map_err(gone)?;
            Ok(Answer::Stats { ok: true, counters: Counters::of(&link.registers), statistics })
        }
        Command::Advance { frames } => {
            if frames > ADVANCE_FRAMES_MAX {
                return Err(format!("{frames} frames are more than {ADVANCE_FRAMES_MAX} at once"));
            }
            let mut left = frames;
            loop {
                let most = left.min(ADVANCE_SLICE);
                let advanced = link.ask(move |card| {
                    card.service();
                    card.advance(most)
                });
                let advanced = advanced.map_err(gone)?.map_err(|error| error.to_string())?;
                left = left.saturating_sub(advanced.frames);
                if left == 0 {
                    return Ok(Answer::Position { ok: true, position: advanced.position });
                }
                if stopping() {
                    return Err(format!("the card is stopping; {left} of {frames} frames are not rendered"));
                }
            }
        }
        Command::MidiIn { data, group, time } => {
            let data = hexadecimal::read(&data).ok_or_else(|| format!("`{data}` is not a row of hexadecimal bytes"))?;
            // Whoever is answered knows that it is with the driver, if the driver has room for it.
            let captured = link.ask(move |card| {
                let captured = card.capture(group, &data, time);
                card.service();
                captured
            });
            let captured = captured.map_err(gone)?;
            captured.map_err(|error| error.to_string())?;
            Ok(Answer::Done { ok: true })
        }
        Command::Fault { fault } => {
            link.ask(move |card| card.misbehave(fault)).map_err(gone)?.map_err(|error| error.to_string())?;
            Ok(Answer::Done { ok: true })
        }
        Command::Shutdown {} => {
            *leave = true;
            Ok(Answer::Done { ok: true })
        }
    }
}
