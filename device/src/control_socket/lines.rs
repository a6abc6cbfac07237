//! Reads lines and writes answers, over a connection whose client may stop anywhere.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use card_control::limits::{LINE_BYTES_MAX, LINE_TIME_MAX};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::stop::{Stop, Waited};

/// Bytes that are read at once.
const READ_BYTES: usize = 4096;

/// Bytes of a line that is too long that are dropped, so that a client which sends before it reads sees the answer:
/// 1000 times what is accepted. Beyond it the client is hostile.
const DROPPED_BYTES_MAX: usize = 1000 * LINE_BYTES_MAX;

/// A line of a client, or the reason for which none can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A whole line, or the last one, which the end of the connection ends.
    Whole(Vec<u8>),
    /// More than [`LINE_BYTES_MAX`] bytes without an end.
    TooLong,
    /// A part of a line, for [`LINE_TIME_MAX`].
    TooSlow,
    /// The client has disconnected, or the control socket is to end.
    End,
}

/// The lines that a client sends.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The bytes that are not a whole line yet.
    buffer: Vec<u8>,
    /// When the first of them came.
    since: Option<Instant>,
    /// The client sends no more.
    ended: bool,
}

impl Lines {
    /// Waits for the next line.
    ///
    /// # Errors
    /// The host's error, when the connection fails.
    pub(super) fn next(&mut self, stream: &UnixStream, closing: &Stop) -> io::Result<Line> {
        let mut searched = 0;
        loop {
            // Here too, because a client that never pauses has always sent another line.
            if closing.is_requested() {
                return Ok(Line::End);
            }
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=searched.saturating_add(end)).collect();
                self.since = (!self.buffer.is_empty()).then(Instant::now);
                return Ok(if line.len() > LINE_BYTES_MAX { Line::TooLong } else { Line::Whole(line) });
            }
            searched = self.buffer.len();
            if searched >= LINE_BYTES_MAX {
                return Ok(Line::TooLong);
            }
            if self.ended {
                let last = std::mem::take(&mut self.buffer);
                return Ok(if last.is_empty() { Line::End } else { Line::Whole(last) });
            }
            let deadline = self.since.and_then(|since| since.checked_add(LINE_TIME_MAX));
            match closing.wait(stream, PollFlags::IN, deadline)? {
                Waited::Ready => self.read(stream)?,
                Waited::Stopped => return Ok(Line::End),
                Waited::TimedOut => return Ok(Line::TooSlow),
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

    /// Reads and drops the rest of a line that was too long, as far as it comes within [`LINE_TIME_MAX`].
    ///
    /// # Errors
    /// The host's error, when the connection fails.
    pub(super) fn drop_rest(&mut self, stream: &UnixStream, closing: &Stop) -> io::Result<()> {
        let deadline = Instant::now().checked_add(LINE_TIME_MAX);
        let mut dropped = 0;
        while !self.ended && dropped < DROPPED_BYTES_MAX && !self.buffer.contains(&b'\n') {
            dropped = dropped.saturating_add(self.buffer.len());
            self.buffer.clear();
            if closing.wait(stream, PollFlags::IN, deadline)? != Waited::Ready {
                break;
            }
            self.read(stream)?;
        }
        Ok(())
    }
}

/// Reads and drops what a client has already sent, because a connection that is closed before loses the last answer.
pub(super) fn drop_sent(stream: &UnixStream) {
    let mut bytes = [0; READ_BYTES];
    for _ in 0..=LINE_BYTES_MAX / READ_BYTES {
        match recv(stream, &mut bytes[..], RecvFlags::DONTWAIT) {
            Ok((1.., _)) => {}
            _ => break,
        }
    }
}

/// Writes as much of an answer as the connection has room for, and returns the rest.
///
/// # Errors
/// The host's error, when the connection fails.
pub(super) fn send_some<'a>(stream: &UnixStream, mut bytes: &'a [u8]) -> io::Result<&'a [u8]> {
    while !bytes.is_empty() {
        match send(stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

/// Writes an answer as the client reads, for `time` at most.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] when the client does not read; the host's error when the connection fails.
pub(super) fn send_all(stream: &UnixStream, closing: &Stop, mut bytes: &[u8], time: Duration) -> io::Result<()> {
    let deadline = Instant::now().checked_add(time);
    loop {
        bytes = send_some(stream, bytes)?;
        if bytes.is_empty() {
            return Ok(());
        }
        if closing.wait(stream, PollFlags::OUT, deadline)? != Waited::Ready {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn reads_whole_lines_and_the_last_one_without_an_end() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let (closing, mut lines) = (Stop::new().unwrap(), Lines::default());
        far.write_all(b"one\ntwo\n\nthr").unwrap();
        far.write_all(b"ee").unwrap();
        drop(far);
        let mut next = || lines.next(&near, &closing).unwrap();
        for line in [&b"one\n"[..], b"two\n", b"\n", b"three"] {
            assert_eq!(next(), Line::Whole(line.to_vec()));
        }
        assert_eq!(next(), Line::End);
    }

    #[test]
    fn a_line_is_too_long_from_its_first_byte_beyond_the_bound() {
        for (length, whole) in [(LINE_BYTES_MAX, true), (LINE_BYTES_MAX + 1, false)] {
            let (near, mut far) = UnixStream::pair().unwrap();
            let (closing, mut lines) = (Stop::new().unwrap(), Lines::default());
            let writer = std::thread::spawn(move || {
                let mut line = vec![b'x'; length];
                line[length - 1] = b'\n';
                far.write_all(&line).unwrap();
                far
            });
            let line = lines.next(&near, &closing).unwrap();
            assert_eq!(matches!(line, Line::Whole(_)), whole, "{length}");
            if !whole {
                lines.drop_rest(&near, &closing).unwrap();
            }
            writer.join().unwrap();
        }
    }
}
