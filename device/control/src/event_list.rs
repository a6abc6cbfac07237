//! Reads and writes event lists: a text format for what a driver would send.
//!
//! ```text
//! # dmus event list 1
//! # time in 100 ns, channel group, message
//! 0        1  c0 05
//! 0        1  90 3c 64
//! 5000000  1  80 3c 40
//! 5000000  0  f0 7e 7f 09 01 f7
//! ```
//!
//! The first line is [`MAGIC`]. Then one event a line: its time in units of 100 ns, in decimal, from 0; its channel
//! group, from 1, or 0 for all of them; and the bytes of exactly one MIDI message in hexadecimal, with or without
//! spaces. Times ascend; events of one time play in the order of their lines. Empty lines and lines that begin with `#`
//! are passed over.

use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};

use card_spec::limits::SYSEX_BYTES_MAX;

pub use card_spec::midi::is_one_message;

/// The first line.
pub const MAGIC: &str = "# dmus event list 1";

/// Longest line: the longest message, with a space after each byte, and its time and group.
const LINE_BYTES_MAX: usize = 3 * SYSEX_BYTES_MAX + 64;

/// An event of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// In 100 ns units, from 0.
    pub time: i64,
    /// The channel group, from 1; 0 is all of them.
    pub group: u16,
    /// One MIDI message.
    pub message: Vec<u8>,
}

/// Why an event list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventListError {
    /// The file cannot be opened or read.
    #[error("cannot read the event list {}: {source}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line breaks the format.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// The list's path.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what is expected.
        reason: LineError,
    },
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is the first, and not [`MAGIC`].
    #[error("the first line must be `{MAGIC}`")]
    Magic,
    /// It is longer than the longest message can be.
    #[error("the line is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// It is not UTF-8 text.
    #[error("the line is not UTF-8 text")]
    Text,
    /// It has less than three fields.
    #[error("expected a time, a channel group and a message, such as `0 1 90 3c 64`")]
    Fields,
    /// The time is no number from 0.
    #[error("`{0}` is not a time: expected a number of 100 ns units from 0")]
    Time(String),
    /// The time is before that of the line before.
    #[error("time {0} is before {1}, the time of the event before; times must ascend")]
    Order(i64, i64),
    /// The group is beyond the card's.
    #[error("`{0}` is not a channel group: expected 0 for all groups, or 1 to {1}")]
    Group(String, u16),
    /// The message is not hexadecimal.
    #[error("`{0}` is not a row of hexadecimal bytes")]
    Hexadecimal(String),
    /// The bytes are not one complete MIDI message.
    #[error("the bytes {0:02x?} are not exactly one MIDI message with its status byte")]
    Message(Vec<u8>),
}

/// Opens the list at `path`, or standard input for `-`. [`parse`] reads it.
///
/// # Errors
/// [`EventListError::Read`], when the file cannot be opened.
pub fn open(path: &Path) -> Result<Box<dyn BufRead>, EventListError> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let file = std::fs::File::open(path).map_err(|source| EventListError::Read { path: path.to_owned(), source })?;
    Ok(Box::new(std::io::BufReader::new(file)))
}

/// Reads a list from `input`, for a card of `groups` channel groups; errors name it by `path`.
///
/// # Errors
/// [`EventListError::Read`] when `input` cannot be read, [`EventListError::Line`] at the first line that breaks the
/// format.
pub fn parse(mut input: impl BufRead, path: &Path, groups: u16) -> Result<Vec<Event>, EventListError> {
    let mut events = Vec::new();
    let mut bytes = Vec::new();
    let mut last = 0;
    for line in 1.. {
        bytes.clear();
        let most = LINE_BYTES_MAX as u64 + 1;
        let read = input.by_ref().take(most).read_until(b'\n', &mut bytes);
        let read = read.map_err(|source| EventListError::Read { path: path.to_owned(), source })?;
        let wrong = |reason| EventListError::Line { path: path.to_owned(), line, reason };
        if read > LINE_BYTES_MAX {
            return Err(wrong(LineError::TooLong));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong(LineError::Text))?.trim();
        if line == 1 {
            if text != MAGIC {
                return Err(wrong(LineError::Magic));
            }
        } else if read == 0 {
            break;
        } else if !text.is_empty() && !text.starts_with('#') {
            let event = parse_line(text, groups, last).map_err(wrong)?;
            last = event.time;
            events.push(event);
        }
    }
    Ok(events)
}

fn parse_line(text: &str, groups: u16, last: i64) -> Result<Event, LineError> {
    let mut fields = text.split_ascii_whitespace();
    let time = fields.next().ok_or(LineError::Fields)?;
    let group = fields.next().ok_or(LineError::Fields)?;
    let digits: String = fields.collect();
    if digits.is_empty() {
        return Err(LineError::Fields);
    }
    let time = match time.parse::<i64>() {
        Ok(time) if time >= 0 => time,
        _ => return Err(LineError::Time(time.to_owned())),
    };
    if time < last {
        return Err(LineError::Order(time, last));
    }
    let group = match group.parse::<u16>() {
        Ok(group) if group <= groups => group,
        _ => return Err(LineError::Group(group.to_owned(), groups)),
    };
    let message = hex::decode(&digits).map_err(|_| LineError::Hexadecimal(digits))?;
    if !is_one_message(&message) || message.len() > SYSEX_BYTES_MAX {
        return Err(LineError::Message(message));
    }
    Ok(Event { time, group, message })
}

/// Writes an event list.
#[derive(Debug)]
pub struct Writer<W>(W);

impl<W: Write> Writer<W> {
    /// Writes the first line to `out`.
    ///
    /// # Errors
    /// Those of the writer, such as a full disk.
    pub fn new(mut out: W) -> io::Result<Self> {
        writeln!(out, "{MAGIC}")?;
        Ok(Self(out))
    }

    /// Writes one event: its time in 100 ns units, its channel group (from 1; 0 is all of them), and one MIDI message.
    ///
    /// # Errors
    /// Those of the writer, such as a full disk.
    pub fn event(&mut self, time: u64, group: u32, message: &[u8]) -> io::Result<()> {
        writeln!(self.0, "{time} {group} {}", hex::encode(message))
    }

    /// Flushes the writer and gives it back.
    ///
    /// # Errors
    /// Those of the writer, such as a full disk.
    pub fn finish(mut self) -> io::Result<W> {
        self.0.flush()?;
        Ok(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Event>, (usize, LineError)> {
        parse(text.as_bytes(), Path::new("test"), 2).map_err(|error| match error {
            EventListError::Line { line, reason, .. } => (line, reason),
            EventListError::Read { .. } => unreachable!("memory can be read"),
        })
    }

    #[test]
    fn events_are_read_with_and_without_spaces() {
        let events = read("# dmus event list 1\n\n# a note\n0 1 903c64\r\n 500 0\tf0 7E f7\n").unwrap();
        assert_eq!(events[0], Event { time: 0, group: 1, message: vec![0x90, 0x3c, 0x64] });
        assert_eq!(events[1], Event { time: 500, group: 0, message: vec![0xF0, 0x7E, 0xF7] });
        assert!(read(MAGIC).unwrap().is_empty());
    }

    #[test]
    fn a_list_that_is_written_is_read_again() {
        let mut writer = Writer::new(Vec::new()).unwrap();
        writer.event(12_345, 1, &[0x90, 60, 100]).unwrap();
        let text = String::from_utf8(writer.finish().unwrap()).unwrap();
        assert_eq!(text, "# dmus event list 1\n12345 1 903c64\n");
        assert_eq!(read(&text).unwrap(), [Event { time: 12_345, group: 1, message: vec![0x90, 60, 100] }]);
    }

    #[test]
    fn an_error_names_its_line_and_what_was_expected() {
        let list = |line: &str| read(&format!("{MAGIC}\n5 1 90 3c 64\n{line}\n")).unwrap_err();
        assert_eq!(read("").unwrap_err(), (1, LineError::Magic));
        assert_eq!(read("0 1 90 3c 64\n").unwrap_err(), (1, LineError::Magic));
        assert_eq!(list("7 1"), (3, LineError::Fields));
        assert_eq!(list("-7 1 90 3c 64"), (3, LineError::Time("-7".into())));
        assert_eq!(list("4 1 90 3c 64"), (3, LineError::Order(4, 5)));
        assert_eq!(list("7 3 90 3c 64"), (3, LineError::Group("3".into(), 2)));
        assert_eq!(list("7 1 90 3c 6"), (3, LineError::Hexadecimal("903c6".into())));
        assert_eq!(list("7 1 90 é 64"), (3, LineError::Hexadecimal("90é64".into())));
        assert_eq!(list("7 1 90 3c"), (3, LineError::Message(vec![0x90, 0x3c])));
        assert_eq!(list("7 1 3c 64"), (3, LineError::Message(vec![0x3c, 0x64])));
        assert_eq!(list(&"0".repeat(LINE_BYTES_MAX + 9)), (3, LineError::TooLong));
    }
}
