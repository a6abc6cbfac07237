//! Serves the control socket: a host's test harness watches the card, and moves its time.
//!
//! [`card_control`] defines the protocol and its limits.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod line;
mod place;

use std::path::Path;

use card_control::Command;
use card_control::answer::{Advanced, Done};
use card_control::limits::{ADVANCE_FRAMES_MAX, ANSWER_TIME_MAX, CONNECTIONS_MAX, LINE_BYTES_MAX, LINE_TIME_MAX};
use card_control::status::Statistics;
use serde::Serialize;

pub use place::ControlSocket;

use crate::engine::Link;
use crate::socket::{Endpoint, SocketError};
use crate::status;
use crate::stop::Stop;

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

/// Why the control socket cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("control socket: {0}")]
pub struct ControlSocketError(#[from] SocketError);

/// Listens on the control socket's path. What connects is answered once there is a card:
/// [`ControlSocket::start`].
///
/// # Errors
/// [`ControlSocketError`], when the socket is in use or cannot be made.
pub fn listen(path: &Path, stop: &Stop) -> Result<Endpoint, ControlSocketError> {
    Ok(crate::socket::listen(path, stop)?)
}

/// Carries out the command in a line, and encodes its answer. `stopping` tells whether the process is about to end;
/// `leave` is set when the command ends it.
fn answer(link: &Link, line: &[u8], stopping: impl Fn() -> bool, leave: &mut bool) -> Result<Vec<u8>, String> {
    let command = Command::from_line(line).map_err(|error| format!("not a command: {error}"))?;
    let gone = |error: crate::engine::NoAnswer| error.to_string();
    match command {
        Command::Status {} => accepted(&link.ask(|card| status::status(card)).map_err(gone)?),
        Command::Stats {} => {
            let statistics = link.ask(|card| card.session().map(status::running_statistics)).map_err(gone)?;
            accepted(&Statistics { counters: status::counters(&link.registers), statistics })
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
                    return accepted(&Advanced { position: advanced.position });
                }
                if stopping() {
                    return Err(format!("the card is stopping; {left} of {frames} frames are not rendered"));
                }
            }
        }
        Command::MidiIn { data, group, time } => {
            let data = hex::decode(&data).map_err(|_| format!("`{data}` is not a row of hexadecimal bytes"))?;
            // When the client has its answer the driver has the message, if it has posted a buffer.
            let captured = link.ask(move |card| {
                let captured = card.capture(group, &data, time);
                card.service();
                captured
            });
            let captured = captured.map_err(gone)?;
            captured.map_err(|error| error.to_string())?;
            accepted(&Done {})
        }
        Command::InjectFault { fault } => {
            link.ask(move |card| card.inject(fault)).map_err(gone)?.map_err(|error| error.to_string())?;
            accepted(&Done {})
        }
        Command::Shutdown {} => {
            *leave = true;
            accepted(&Done {})
        }
    }
}

fn accepted(result: &impl Serialize) -> Result<Vec<u8>, String> {
    card_control::answer::accepted(result).map_err(|error| error.to_string())
}
