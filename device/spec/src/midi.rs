//! What one complete MIDI message is (MIDI 1.0 detailed specification, tables I to VII): the data of an
//! [event](crate::event).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

/// Returns how many data bytes follow a status byte; `None` for a status that is not defined, or that begins a
/// system-exclusive message.
const fn data_bytes(status: u8) -> Option<usize> {
    match status {
        0x80..=0xBF | 0xE0..=0xEF | 0xF2 => Some(2),
        0xC0..=0xDF | 0xF1 | 0xF3 => Some(1),
        0xF6 | 0xF8 | 0xFA..=0xFC | 0xFE | 0xFF => Some(0),
        _ => None,
    }
}

/// Returns whether `message` is exactly one message: a status byte and its data, or a whole system-exclusive message from
/// `F0` to `F7`. Running status is no message: an event must be understood on its own.
#[must_use]
pub fn is_one_message(message: &[u8]) -> bool {
    match message {
        [0xF0, data @ .., 0xF7] => data.iter().all(|byte| *byte < 0x80),
        [status, data @ ..] => data_bytes(*status) == Some(data.len()) && data.iter().all(|byte| *byte < 0x80),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_message_is_recognised() {
        let messages: [&[u8]; 9] = [
            &[0x90, 60, 100],
            &[0xC0, 5],
            &[0xD3, 5],
            &[0xE0, 0, 64],
            &[0xF0, 0x7E, 0x7F, 9, 1, 0xF7],
            &[0xF0, 0xF7],
            &[0xF2, 1, 2],
            &[0xF8],
            &[0xFF],
        ];
        for message in messages {
            assert!(is_one_message(message), "{message:02x?}");
        }
    }

    #[test]
    fn what_is_not_exactly_one_message_is_not_a_message() {
        let wrong: [&[u8]; 11] = [
            &[],
            &[60, 100],
            &[0x90, 60],
            &[0x90, 60, 128],
            &[0x90, 60, 100, 0],
            &[0xC0, 1, 2],
            &[0xF0, 1],
            &[0xF0, 0x80, 0xF7],
            &[0xF7],
            &[0xF4],
            &[0xF9],
        ];
        for message in wrong {
            assert!(!is_one_message(message), "{message:02x?}");
        }
    }
}
