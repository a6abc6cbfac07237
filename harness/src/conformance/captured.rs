//! What a capture pin gave out, as messages.

use guest_protocol::CapturedEvent;

/// Joins events to messages: an incomplete message continues in the next event.
pub(super) fn joined(events: &[CapturedEvent]) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    for event in events {
        let begins = event.data.first().is_some_and(|byte| *byte >= 0x80 && *byte != 0xF7);
        match messages.last_mut() {
            Some(last) if !begins => last.extend(&event.data),
            _ => messages.push(event.data.clone()),
        }
    }
    messages
}
