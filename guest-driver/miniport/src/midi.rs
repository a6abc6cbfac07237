//! Cuts a stream of MIDI bytes into the messages that the card takes: whole ones, and fragments of system-exclusive
//! ones.
//!
//! DirectMusic's structured events are whole messages already. Other data goes through here: system-exclusive data in
//! pieces of the allocator's buffer size, and the byte streams of legacy applications, with running status and several
//! messages at once.

/// A piece of the byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A whole message of at most three bytes: its length and its bytes.
    Message(usize, [u8; 3]),
    /// A part of a system-exclusive message, borrowed from the input.
    Sysex {
        /// The bytes.
        bytes: &'a [u8],
        /// More follows.
        more: bool,
    },
    /// The missing end of a system-exclusive message that another status cut off.
    SysexEnd,
    /// No message yet.
    Nothing,
}

/// The parser's state between two inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parser {
    /// The status that data bytes belong to; 0 when there is none.
    running_status: u8,
    /// The message under way: how many bytes it has, and the bytes.
    length: usize,
    message: [u8; 3],
    in_sysex: bool,
}

const SYSEX: u8 = 0xf0;
const SYSEX_END: u8 = 0xf7;

/// Returns how many bytes a message with this status has; 0 for an undefined or system-exclusive one.
#[must_use]
pub const fn message_bytes(status: u8) -> usize {
    match status {
        0x80..=0xbf | 0xe0..=0xef | 0xf2 => 3,
        0xc0..=0xdf | 0xf1 | 0xf3 => 2,
        0xf6 | 0xf8 | 0xfa..=0xfc | 0xfe | 0xff => 1,
        _ => 0,
    }
}

/// Returns whether the bytes are one whole MIDI message, status first.
#[must_use]
pub fn is_message(bytes: &[u8]) -> bool {
    match bytes {
        [SYSEX, data @ .., SYSEX_END] => data.iter().all(|byte| *byte < 0x80),
        [status @ 0x80..=0xff, data @ ..] => {
            bytes.len() == message_bytes(*status) && data.iter().all(|byte| *byte < 0x80)
        }
        _ => false,
    }
}

impl Parser {
    /// Takes the next piece off the input, which is not empty. Returns the piece, and how many bytes it took. A
    /// fragment is at most `room` bytes long, and `room` is at least 1.
    pub fn next<'a>(&mut self, input: &'a [u8], room: usize) -> (Piece<'a>, usize) {
        let Some(&byte) = input.first() else { return (Piece::Nothing, 0) };
        match byte {
            // Real-time messages may be anywhere, also within others.
            0xf8.. => match message_bytes(byte) {
                1 => (Piece::Message(1, [byte, 0, 0]), 1),
                _ => (Piece::Nothing, 1),
            },
            _ if self.in_sysex => self.sysex(input, room),
            SYSEX => {
                *self = Self { in_sysex: true, ..Self::default() };
                self.sysex(input, room)
            }
            0x80.. => {
                self.running_status = if byte < SYSEX { byte } else { 0 };
                self.message = [byte, 0, 0];
                self.length = usize::from(message_bytes(byte) != 0);
                (self.whole_message(), 1)
            }
            _ => {
                if self.length == 0 && self.running_status != 0 {
                    self.message = [self.running_status, 0, 0];
                    self.length = 1;
                }
                if self.length != 0
                    && let Some(place) = self.message.get_mut(self.length)
                {
                    *place = byte;
                    self.length += 1;
                }
                (self.whole_message(), 1)
            }
        }
    }

    fn sysex<'a>(&mut self, input: &'a [u8], room: usize) -> (Piece<'a>, usize) {
        let first = usize::from(input.first() == Some(&SYSEX));
        let data = input.iter().skip(first).take_while(|byte| **byte < 0x80).count();
        let mut length = first + data;
        if input.get(length) == Some(&SYSEX_END) {
            length += 1;
            if length <= room {
                self.in_sysex = false;
                return (Piece::Sysex { bytes: input.get(..length).unwrap_or_default(), more: false }, length);
            }
        }
        if length == 0 {
            // Another status: the message was cut off.
            self.in_sysex = false;
            return (Piece::SysexEnd, 0);
        }
        let length = length.min(room);
        (Piece::Sysex { bytes: input.get(..length).unwrap_or_default(), more: true }, length)
    }

    fn whole_message<'a>(&mut self) -> Piece<'a> {
        if self.length != 0 && self.length == message_bytes(self.message[0]) {
            let length = core::mem::take(&mut self.length);
            Piece::Message(length, self.message)
        } else {
            Piece::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec;
    use std::vec::Vec;

    use super::*;

    /// Returns the records that the card gets: their bytes, and whether more follows.
    fn parse(chunks: &[&[u8]], room: usize) -> Vec<(Vec<u8>, bool)> {
        let mut parser = Parser::default();
        let mut out = Vec::new();
        for chunk in chunks {
            let mut input = *chunk;
            while !input.is_empty() {
                let (piece, taken) = parser.next(input, room);
                match piece {
                    Piece::Message(length, bytes) => out.push((bytes[..length].to_vec(), false)),
                    Piece::Sysex { bytes, more } => {
                        assert!(!bytes.is_empty() && bytes.len() <= room);
                        out.push((bytes.to_vec(), more));
                    }
                    Piece::SysexEnd => out.push((vec![SYSEX_END], false)),
                    Piece::Nothing => {}
                }
                input = &input[taken..];
            }
        }
        out
    }

    #[test]
    fn running_status_becomes_whole_messages() {
        let messages = parse(&[&[0x90, 60, 100, 62], &[100, 0xc1, 5, 6]], 100);
        let expected =
            [vec![0x90, 60, 100], vec![0x90, 62, 100], vec![0xc1, 5], vec![0xc1, 6]].map(|message| (message, false));
        assert_eq!(messages, expected);
    }

    #[test]
    fn sysex_comes_out_as_the_same_bytes_however_it_is_cut() {
        let sysex: Vec<u8> = [SYSEX].into_iter().chain(0..100).chain([SYSEX_END]).collect();
        for cut in 1..sysex.len() {
            for room in [1, 2, 7, 50, 200] {
                let chunks: Vec<&[u8]> = sysex.chunks(cut).collect();
                let pieces = parse(&chunks, room);
                let bytes: Vec<u8> = pieces.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
                assert_eq!(bytes, sysex, "cut {cut} room {room}");
                let (last, rest) = pieces.split_last().unwrap();
                assert!(!last.1 && rest.iter().all(|piece| piece.1), "cut {cut} room {room}");
            }
        }
    }

    #[test]
    fn a_status_in_the_middle_of_sysex_ends_it() {
        let pieces = parse(&[&[SYSEX, 1, 2], &[0x90, 60, 100]], 100);
        assert_eq!(pieces, [(vec![SYSEX, 1, 2], true), (vec![SYSEX_END], false), (vec![0x90, 60, 100], false)]);
    }

    #[test]
    fn real_time_messages_pass_through_sysex() {
        let pieces = parse(&[&[SYSEX, 1], &[0xf8], &[2, SYSEX_END]], 100);
        assert_eq!(pieces, [(vec![SYSEX, 1], true), (vec![0xf8], false), (vec![2, SYSEX_END], false)]);
    }

    #[test]
    fn data_without_status_and_undefined_statuses_say_nothing() {
        assert_eq!(parse(&[&[1, 2, 3, 0xf4, 5, 0xfd, SYSEX_END]], 100), []);
    }

    #[test]
    fn only_one_message_with_its_status_is_a_message() {
        assert!(is_message(&[0x90, 60, 100]) && is_message(&[0xc0, 1]) && is_message(&[0xf8]));
        assert!(is_message(&[SYSEX, SYSEX_END]) && is_message(&[SYSEX, 1, SYSEX_END]));
        for wrong in [&[][..], &[60], &[0x90, 60], &[0x90, 60, 0x80], &[0x90, 60, 1, 2], &[SYSEX, 1], &[0xf4]] {
            assert!(!is_message(wrong), "{wrong:x?}");
        }
    }
}
