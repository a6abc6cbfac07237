//! A MIDI byte stream, as it comes from a cable, cut into messages (MIDI 1.0, "Data format").

use alloc::vec::Vec;

/// Longest piece of a system-exclusive message: those of samplers are longer than any client waits for.
const PIECE_BYTES: usize = 256;

/// The first and the last byte of a system-exclusive message.
const EXCLUSIVE: u8 = 0xF0;
const END_OF_EXCLUSIVE: u8 = 0xF7;

/// A message, or a piece of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The bytes: with the status byte, where the sender left it out as running status.
    pub(crate) data: Vec<u8>,
    /// The message continues in the next piece that is no real-time message, or never ends.
    pub(crate) incomplete: bool,
}

/// Cuts a byte stream into messages.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// The status byte that data bytes belong to; 0 for none.
    status: u8,
    /// What has come of the message.
    data: Vec<u8>,
    /// Data bytes that no status byte precedes.
    strays: u64,
}

impl Parser {
    /// Takes a byte. Returns a piece that it ends, and a message that it is by itself: an interrupted system-exclusive
    /// message ends with the status byte of the next.
    pub(crate) fn push(&mut self, byte: u8) -> [Option<Piece>; 2] {
        match byte {
            0xF8.. => [None, Some(whole(&[byte]))],
            END_OF_EXCLUSIVE if self.status == EXCLUSIVE => {
                self.data.push(byte);
                self.status = 0;
                [None, self.take(false)]
            }
            0x80.. => {
                // Whatever was begun is torn off here: a system-exclusive message as far as it came, a channel message
                // whose data never came without a word, as a receiver does.
                let torn = if self.status == EXCLUSIVE { self.take(true) } else { None };
                self.data.clear();
                self.status = if byte == END_OF_EXCLUSIVE { 0 } else { byte };
                if length_of(byte) == Some(1) {
                    self.status = 0;
                    return [torn, Some(whole(&[byte]))];
                }
                if self.status == EXCLUSIVE {
                    self.data.push(byte);
                }
                [torn, None]
            }
            _ => [None, self.push_data(byte)],
        }
    }

    fn push_data(&mut self, byte: u8) -> Option<Piece> {
        if self.status == 0 {
            self.strays += 1;
            return None;
        }
        if self.status == EXCLUSIVE {
            self.data.push(byte);
            return if self.data.len() == PIECE_BYTES { self.take(true) } else { None };
        }
        if self.data.is_empty() {
            self.data.push(self.status);
        }
        self.data.push(byte);
        if Some(self.data.len()) != length_of(self.status) {
            return None;
        }
        // Running status is for channel messages only.
        if self.status >= 0xF0 {
            self.status = 0;
        }
        self.take(false)
    }

    fn take(&mut self, incomplete: bool) -> Option<Piece> {
        let data = core::mem::take(&mut self.data);
        (!data.is_empty()).then_some(Piece { data, incomplete })
    }

    /// Forgets what was begun.
    pub(crate) fn reset(&mut self) {
        (self.status, self.data) = (0, Vec::new());
    }

    /// Returns how many data bytes no status byte preceded.
    pub(crate) fn strays(&self) -> u64 {
        self.strays
    }
}

fn whole(data: &[u8]) -> Piece {
    Piece { data: data.to_vec(), incomplete: false }
}

/// Returns the bytes of a message with this status byte. `None` for a system-exclusive one, and for its end.
fn length_of(status: u8) -> Option<usize> {
    match status {
        0xC0..=0xDF | 0xF1 | 0xF3 => Some(2),
        0x80..=0xEF | 0xF2 => Some(3),
        EXCLUSIVE | END_OF_EXCLUSIVE => None,
        _ => Some(1),
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    fn pieces(bytes: &[u8]) -> Vec<Piece> {
        let mut parser = Parser::default();
        bytes.iter().flat_map(|byte| parser.push(*byte)).flatten().collect()
    }

    fn messages(bytes: &[u8]) -> Vec<Vec<u8>> {
        pieces(bytes).into_iter().map(|piece| piece.data).collect()
    }

    #[test]
    fn running_status_becomes_whole_messages() {
        assert_eq!(
            messages(&[0x90, 60, 100, 62, 100, 0xC1, 5, 6]),
            [vec![0x90, 60, 100], vec![0x90, 62, 100], vec![0xC1, 5], vec![0xC1, 6]]
        );
    }

    #[test]
    fn a_real_time_byte_comes_between_the_bytes_of_another_message() {
        assert_eq!(messages(&[0x90, 0xF8, 60, 0xFE, 100]), [vec![0xF8], vec![0xFE], vec![0x90, 60, 100]]);
        assert_eq!(messages(&[0xF0, 1, 0xF8, 2, 0xF7]), [vec![0xF8], vec![0xF0, 1, 2, 0xF7]]);
    }

    #[test]
    fn a_common_message_ends_running_status() {
        assert_eq!(messages(&[0xB0, 7, 1, 0xF6, 7, 2]), [vec![0xB0, 7, 1], vec![0xF6]]);
        assert_eq!(messages(&[0xF2, 1, 2, 3]), [vec![0xF2, 1, 2]]);
    }

    #[test]
    fn a_long_exclusive_message_comes_in_pieces() {
        let bytes = [&[0xF0][..], &[0x55; 600], &[0xF7]].concat();
        let pieces = pieces(&bytes);
        assert_eq!(pieces.iter().map(|piece| piece.incomplete).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(pieces.into_iter().flat_map(|piece| piece.data).collect::<Vec<_>>(), bytes);
    }

    #[test]
    fn an_exclusive_message_that_another_interrupts_is_incomplete() {
        let pieces = pieces(&[0xF0, 1, 2, 0x90, 60, 100]);
        assert_eq!(pieces[0], Piece { data: vec![0xF0, 1, 2], incomplete: true });
        assert_eq!(pieces[1].data, [0x90, 60, 100]);
        assert_eq!(messages(&[0xF0, 1, 0xF0, 2, 0xF7]), [vec![0xF0, 1], vec![0xF0, 2, 0xF7]]);
    }

    #[test]
    fn counts_data_that_no_status_precedes() {
        let mut parser = Parser::default();
        for byte in [1, 2, 0xF7, 3] {
            assert_eq!(parser.push(byte), [None, None]);
        }
        assert_eq!(parser.strays(), 3);
    }
}
