//! System-exclusive messages of a track (RP-001, pages 6 and 7): joins packets, and takes the messages out of escapes.

use card_control::event_list::is_one_message;
use card_control::limits::SYSEX_BYTES_MAX;

/// The last byte of a system-exclusive message.
const END: u8 = 0xf7;

/// Completes the bytes from `F0` on to a message of the card, or says why there is none. The second value says what was
/// changed.
pub(super) fn complete(bytes: &[u8]) -> Result<(Vec<u8>, Option<String>), String> {
    let mut message = bytes.to_vec();
    let mut changed = None;
    let end = message.iter().position(|byte| *byte == END);
    match end {
        Some(end) if end + 1 < message.len() => {
            changed = Some(format!("{} bytes after its F7 are left out", message.len() - end - 1));
            message.truncate(end + 1);
        }
        Some(_) => {}
        // MIDI 1.0: any status byte but a real-time one ends it.
        None => {
            changed = Some("it has no F7, and ends where the next message begins, as MIDI 1.0 has it".into());
            message.push(END);
        }
    }
    let data = &message[1..message.len() - 1];
    if let Some(status) = data.iter().find(|byte| **byte >= 0x80) {
        return Err(format!("there is a status byte among its data, {status:#04x}: left out"));
    }
    if message.len() > SYSEX_BYTES_MAX {
        return Err(format!("it has {} bytes, and a card takes {SYSEX_BYTES_MAX}: left out", message.len()));
    }
    Ok((message, changed))
}

/// Divides the data of an escape (`F7`) into the messages that it holds. The second value counts the bytes that are
/// none.
pub(super) fn messages_of_escape(mut data: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let mut messages = Vec::new();
    let mut others = 0;
    while !data.is_empty() {
        let length = match data.first() {
            Some(0xf0) => data.iter().position(|byte| *byte == END).map(|end| end + 1),
            _ => (1..=3.min(data.len())).find(|length| is_one_message(&data[..*length])),
        };
        let whole = length.filter(|length| is_one_message(&data[..*length]) && *length <= SYSEX_BYTES_MAX);
        let step = whole.unwrap_or(1);
        match whole {
            Some(length) => messages.push(data[..length].to_vec()),
            None => others += 1,
        }
        data = &data[step..];
    }
    (messages, others)
}

/// Returns whether a system-exclusive message is one that the card's synthesizer acts on (those that DLS and General MIDI
/// define, and MIDI's master controls), or one that no synthesizer needs to know (the number for private use).
pub(super) fn is_nothing_to_say(message: &[u8]) -> bool {
    matches!(
        message,
        // DLS on, off, static voice allocation off, on.
        [0xf0, 0x7e, _, 0x0a, 0x01..=0x04, ..]
        // General MIDI on, off, level 2 on.
        | [0xf0, 0x7e, _, 0x09, 0x01..=0x03, ..]
        // Master volume, fine and coarse tuning.
        | [0xf0, 0x7f, _, 0x04, 0x01 | 0x03 | 0x04, ..]
        // For no product (MIDI 1.0, "Manufacturer's ID").
        | [0xf0, 0x7d, ..]
    )
}
