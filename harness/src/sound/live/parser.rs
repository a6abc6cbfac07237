//! Messages of a live byte stream; what is no message is left out and named.

use serde::Serialize;

use crate::sound::midi::{MidiMessage, MidiReader};

/// The longest system-exclusive message that is put together; a longer one is left out.
const EXCLUSIVE_BYTES_MAX: usize = 64 << 10;

/// Places that are named; the rest is counted.
const NAMED_MAX: usize = 8;

/// Active sensing, which a keyboard sends three times a second: it says that the cable is there, and nothing else.
const ACTIVE_SENSING: u8 = 0xFE;

/// What of a stream was no message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Garbage {
    /// Bytes of it.
    pub bytes: u64,
    /// The first places: where, which byte or message, and why it is left out.
    pub named: Vec<String>,
}

impl Garbage {
    fn add(&mut self, bytes: usize, text: impl FnOnce() -> String) {
        self.bytes += bytes as u64;
        if self.named.len() < NAMED_MAX {
            self.named.push(text());
        }
    }
}

/// Reads messages from bytes as they come.
#[derive(Clone, Debug, Default)]
pub struct LiveParser {
    reader: MidiReader,
    offset: u64,
    /// The rest of a message that is too long is passed over.
    skips: bool,
    garbage: Garbage,
}

impl LiveParser {
    /// Takes bytes that came at a time, and returns the messages that they complete, whole, with running status undone. Active sensing
    /// is left out.
    pub fn push(&mut self, time_ns: u64, bytes: &[u8]) -> Vec<MidiMessage> {
        let mut messages = Vec::new();
        for &byte in bytes {
            self.take(time_ns, byte);
            messages.extend(self.reader.take_messages());
            self.offset += 1;
        }
        let offset = self.offset;
        messages.retain(|message| {
            let whole = message.is_whole();
            if !whole {
                let text = || {
                    let found = hex::encode(&message.bytes[..message.bytes.len().min(8)]);
                    format!("before byte {offset}: the message {found} is cut short by another")
                };
                self.garbage.add(message.bytes.len(), text);
            }
            whole
        });
        messages
    }

    fn take(&mut self, time_ns: u64, byte: u8) {
        let at = self.offset;
        if byte == ACTIVE_SENSING {
            return;
        }
        if self.skips {
            // Real-time bytes come between any others.
            if byte < 0xF8 {
                self.garbage.bytes += u64::from(byte < 0x80 || byte == 0xF7);
                self.skips = byte < 0x80;
            }
            if byte < 0x80 || byte == 0xF7 {
                return;
            }
        }
        let stray = self.reader.stray();
        self.reader.push(time_ns, &[byte]);
        if self.reader.stray() > stray {
            self.garbage.add(1, || format!("byte {at}: {byte:02x} belongs to no message"));
        }
        let pending = self.reader.pending_bytes();
        if pending > EXCLUSIVE_BYTES_MAX {
            self.garbage.add(pending, || {
                format!("byte {at}: a system-exclusive message is longer than {EXCLUSIVE_BYTES_MAX} bytes")
            });
            self.reader.drop_pending();
            self.skips = true;
        }
    }

    /// Ends the stream, such as when its writer has gone: what is not complete will not be, and the next byte begins anew.
    pub fn cut(&mut self) {
        let pending = self.reader.pending_bytes();
        if pending > 0 {
            let at = self.offset;
            self.garbage.add(pending, || {
                format!("before byte {at}: the stream ends within a message of {pending} bytes so far")
            });
        }
        self.reader.drop_pending();
        self.skips = false;
    }

    /// Returns how many bytes came.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.offset
    }

    /// Returns what was no message so far.
    #[must_use]
    pub const fn garbage(&self) -> &Garbage {
        &self.garbage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parser: &mut LiveParser, bytes: &[u8]) -> Vec<Vec<u8>> {
        parser.push(0, bytes).into_iter().map(|message| message.bytes).collect()
    }

    #[test]
    fn undoes_running_status_and_puts_exclusive_messages_together() {
        let mut parser = LiveParser::default();
        assert_eq!(read(&mut parser, &[0x90, 60, 100, 64]), [vec![0x90, 60, 100]]);
        assert_eq!(read(&mut parser, &[90, 0xFE, 0xF0, 1, 0xF8]), [vec![0x90, 64, 90], vec![0xF8]]);
        assert_eq!(read(&mut parser, &[2, 0xF7]), [vec![0xF0, 1, 2, 0xF7]]);
        assert_eq!((parser.bytes(), parser.garbage()), (11, &Garbage::default()));
    }

    #[test]
    fn names_what_is_no_message_and_goes_on_behind_it() {
        let mut parser = LiveParser::default();
        assert_eq!(read(&mut parser, &[0x3c, 0x90, 60, 0x91, 1, 2, 0xF7, 0xF6, 5]), [vec![0x91, 1, 2], vec![0xF6]]);
        let garbage = parser.garbage();
        let named = [
            "byte 0: 3c belongs to no message",
            "byte 6: f7 belongs to no message",
            "byte 8: 05 belongs to no message",
            "before byte 9: the message 903c is cut short by another",
        ];
        assert_eq!((garbage.bytes, garbage.named.as_slice()), (5, named.map(str::to_owned).as_slice()));
        (0..100).for_each(|_| drop(read(&mut parser, &[7])));
        assert_eq!((parser.garbage().bytes, parser.garbage().named.len()), (105, NAMED_MAX));
    }

    #[test]
    fn a_stream_that_ends_within_a_message_begins_anew() {
        let mut parser = LiveParser::default();
        read(&mut parser, &[0x90, 60]);
        parser.cut();
        assert_eq!(read(&mut parser, &[0x80, 60, 0]), [vec![0x80, 60, 0]]);
        assert_eq!(parser.garbage().named, ["before byte 2: the stream ends within a message of 2 bytes so far"]);
    }

    #[test]
    fn an_exclusive_message_without_an_end_does_not_fill_memory() {
        let mut parser = LiveParser::default();
        assert!(read(&mut parser, &[0xF0]).is_empty());
        for _ in 0..1024 {
            assert!(read(&mut parser, &[1; 1024]).is_empty());
        }
        assert_eq!(read(&mut parser, &[0xF7, 0x90, 1, 2]), [vec![0x90, 1, 2]]);
        assert_eq!(parser.garbage().bytes, (1 << 20) + 2);
        assert_eq!(parser.garbage().named.len(), 1);
    }
}
