//! Serves the control socket: a host's test harness watches the card, and moves its time.
//!
//! [`card_control`] defines the protocol and its limits.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod commands;
mod connections;
mod lines;

use std::path::Path;

use card_control::limits::{ANSWER_TIME_MAX, CONNECTIONS_MAX, LINE_BYTES_MAX, LINE_TIME_MAX};

pub use connections::ControlSocket;

use crate::stop::Stop;
use crate::transport::{Endpoint, SocketError};

/// Text of `--help` about the control socket.
#[must_use]
pub fn help() -> String {
    format!(
        "Answer commands, one JSON object a line, on this unix socket.\n\nAt most {CONNECTIONS_MAX} clients \
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

/// Listens on the control socket's path. [`ControlSocket::start`] serves the connections.
///
/// # Errors
/// [`ControlSocketError`], when the socket is in use or cannot be made.
pub fn listen(path: &Path, stop: &Stop) -> Result<Endpoint, ControlSocketError> {
    Ok(crate::transport::listen(path, stop)?)
}
