//! The control socket: a host's test harness watches the card, and moves its time.
//!
//! A unix stream socket (`--control PATH`). Each line in is one JSON object with a `cmd`; each line out is its answer,
//! `{"ok":true, ...}` or `{"ok":false,"error":"..."}`, in order. Any number of connections may be open.
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

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use crate::engine::Link;
use crate::fault::Misdeed;
use crate::hexadecimal;
use crate::socket::{Endpoint, SocketError};
use crate::status::{Counters, RunningNumbers, Status};
use crate::stop::Stop;

/// Longest line that is accepted.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Frames that one `advance` may ask for: an hour at 96 kHz. More is a mistake.
const ADVANCE_FRAMES_MAX: u64 = 3600 * 96_000;

/// Frames rendered between two looks at the queues while time is moved by hand, so that a driver's requests are
/// answered meanwhile.
const ADVANCE_SLICE: u64 = 4096;

/// Connections at a time. A harness needs one; a person's second terminal another.
const CONNECTIONS_MAX: usize = 16;

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

/// The control socket, served until it is dropped.
pub struct ControlSocket {
    leave: Stop,
    thread: Option<JoinHandle<()>>,
}

impl ControlSocket {
    /// Serves `path`. `shutdown` requests `stop`.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn start(path: &Path, link: Link, stop: Stop) -> Result<Self, ControlSocketError> {
        let endpoint = crate::socket::listen(path)?;
        let spawn = || -> io::Result<Self> {
            let leave = Stop::new()?;
            let acceptor = Acceptor { link, stop, leave: leave.clone() };
            let builder = std::thread::Builder::new().name("control".into());
            let thread = builder.spawn(move || acceptor.run(endpoint))?;
            Ok(Self { leave, thread: Some(thread) })
        };
        spawn().map_err(|source| ControlSocketError(SocketError::Bind { path: PathBuf::from(path), source }))
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.leave.request();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Acceptor {
    link: Link,
    stop: Stop,
    leave: Stop,
}

impl Acceptor {
    fn run(self, mut endpoint: Endpoint) {
        // Each with a second handle on its connection, to end it with.
        let mut threads: Vec<(JoinHandle<()>, UnixStream)> = Vec::new();
        loop {
            let stream = match endpoint.next(&self.leave) {
                Ok(Some(stream)) => stream,
                Ok(None) => break,
                Err(error) => {
                    log::error!("control socket: {error}");
                    break;
                }
            };
            threads.retain(|(thread, _)| !thread.is_finished());
            if threads.len() >= CONNECTIONS_MAX {
                log::warn!("control socket: more than {CONNECTIONS_MAX} connections; the newest is closed");
                continue;
            }
            let Ok(handle) = stream.try_clone() else { continue };
            let (link, stop) = (self.link.clone(), self.stop.clone());
            match std::thread::Builder::new().name("control-line".into()).spawn(move || {
                if let Err(error) = talk(&link, &stop, &stream) {
                    log::debug!("control socket: {error}");
                }
                let _ = stream.shutdown(Shutdown::Both);
            }) {
                Ok(thread) => threads.push((thread, handle)),
                Err(error) => log::error!("control socket: no thread for a connection: {error}"),
            }
        }
        for (thread, connection) in threads {
            let _ = connection.shutdown(Shutdown::Both);
            let _ = thread.join();
        }
    }
}

fn talk(link: &Link, stop: &Stop, mut stream: &UnixStream) -> io::Result<()> {
    let mut input = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let whole = line.ends_with(b"\n") || (line.len() as u64) < LINE_BYTES_MAX;
        let mut leave = false;
        let answer = if whole {
            answer(link, &line, &mut leave)
        } else {
            Err(format!("the line is longer than {LINE_BYTES_MAX} bytes; the connection is closed"))
        };
        let answer = answer.unwrap_or_else(|error| Answer::Failed { ok: false, error });
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        stream.write_all(&text)?;
        if leave {
            // Not before the answer is on its way: this connection ends with the process.
            stop.request();
        }
        if !whole {
            return Ok(());
        }
    }
}

fn answer(link: &Link, line: &[u8], leave: &mut bool) -> Result<Answer, String> {
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
