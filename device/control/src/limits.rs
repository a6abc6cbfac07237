//! The bounds of the control socket, and those of the card that a client has to know, each with its reason.

use std::time::Duration;

use card_spec::event::{BatchHeader, EventHeader};
use card_spec::limits::BATCH_BYTES_MAX;

pub use card_spec::limits::{CAPTURED_EVENTS_MAX, CHANNEL_GROUPS_DEFAULT, CHANNEL_GROUPS_MAX, SYSEX_BYTES_MAX};

/// Longest line that is accepted, with its end: the longest system-exclusive message in hexadecimal fits more than
/// once.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// How long a line may take from its first byte to its last. A program sends it at once; a person types it.
pub const LINE_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a client may leave an answer unread that its socket has no room for.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Connections at a time. A harness needs one; a person's second terminal another.
pub const CONNECTIONS_MAX: usize = 16;

/// Most frames of one `advance`: an hour at 96 kHz. More is a mistake.
pub const ADVANCE_FRAMES_MAX: u64 = 3600 * 96_000;

/// Longest message that `midi-in` captures, in bytes: what one record of the largest batch holds.
pub const CAPTURED_MESSAGE_BYTES_MAX: usize =
    BATCH_BYTES_MAX as usize - size_of::<BatchHeader>() - size_of::<EventHeader>();

/// Most captured messages of `message_bytes` bytes that one midi-in batch holds.
#[must_use]
pub const fn captured_messages_per_batch(message_bytes: usize) -> usize {
    (BATCH_BYTES_MAX as usize - size_of::<BatchHeader>()) / card_spec::event::record_bytes(message_bytes)
}
