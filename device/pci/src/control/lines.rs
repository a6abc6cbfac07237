//! Reads and writes lines, over a connection whose client may stop anywhere.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use super::LINE_BYTES_MAX;
use crate::stop::{Stop, wait};

/// Bytes that are read at once.
const READ_BYTES: usize = 4096;

/// What a client has sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line without its end, or the last one, which the end of the connection ends.
    Whole(Vec<u8>),
    /// More than [`LINE_BYTES_MAX`] bytes without an end.
    TooLong,
    /// A part of a line, for too long a time.
    TooSlow,
    /// The client has disconnected, or the server is to end.
    End,
}

/// Why a client is not served any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("the client does not read its answer")]
    Unread,
    #[error("{0}")]
    Host(#[from] io::Error),
}

/// The lines that a client sends.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The bytes that are not a whole line yet.
    buffer: Vec<u8>,
    /// When the first of them came.
    since: Option<Instant>,
    ended: bool,
}

impl Lines {
    /// Waits for the next line, whose bytes come within `time`.
    ///
    /// # Errors
    /// [`LineError::Host`], when the connection fails.
    pub(super) fn next(&mut self, stream: &UnixStream, stop: &Stop, time: Duration) -> Result<Line, LineError> {
        let mut searched = 0;
        loop {
            if stop.is_requested() {
                return Ok(Line::End);
            }
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=searched + end).collect();
                line.pop();
                self.since = (!self.buffer.is_empty()).then(Instant::now);
                return Ok(if line.len() < LINE_BYTES_MAX { Line::Whole(line) } else { Line::TooLong });
            }
            searched = self.buffer.len();
            if searched >= LINE_BYTES_MAX {
                return Ok(Line::TooLong);
            }
            if self.ended {
                let last = std::mem::take(&mut self.buffer);
                return Ok(if last.is_empty() { Line::End } else { Line::Whole(last) });
            }
            let deadline = self.since.map(|since| since + time);
            match wait(&[(stop.as_fd(), PollFlags::IN), (stream.as_fd(), PollFlags::IN)], deadline)? {
                [true, _] => return Ok(Line::End),
                [_, true] => self.read(stream)?,
                [false, false] => return Ok(Line::TooSlow),
            }
        }
    }

    fn read(&mut self, stream: &UnixStream) -> io::Result<()> {
        let mut bytes = [0; READ_BYTES];
        match recv(stream, &mut bytes[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) | Err(Errno::CONNRESET) => self.ended = true,
            Ok((count, _)) => {
                self.buffer.extend_from_slice(&bytes[..count]);
                self.since.get_or_insert_with(Instant::now);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Sends a line and its end.
///
/// # Errors
/// [`LineError::Unread`] when the client does not read it by `deadline`, [`LineError::Host`] when the connection fails.
pub(super) fn send_line(stream: &UnixStream, stop: &Stop, line: &str, deadline: Instant) -> Result<(), LineError> {
    let text = format!("{line}\n");
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match send(stream, rest, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(sent) => rest = &rest[sent..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let fds = [(stop.as_fd(), PollFlags::IN), (stream.as_fd(), PollFlags::OUT)];
                if !matches!(wait(&fds, Some(deadline))?, [false, true]) {
                    return Err(LineError::Unread);
                }
            }
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
    Ok(())
}

/// Ends the answers, and drops what the client has sent already: a socket that is closed with unread bytes takes the last
/// answer with it.
pub(super) fn drop_rest(stream: &UnixStream) {
    let _ = shutdown(stream, Shutdown::Write);
    let mut bytes = [0; READ_BYTES];
    // As much as a socket's buffer holds; a client that goes on sending loses its answer.
    for _ in 0..LINE_BYTES_MAX {
        match recv(stream, &mut bytes[..], RecvFlags::DONTWAIT) {
            Ok((count, _)) if count > 0 => {}
            _ => return,
        }
    }
}
