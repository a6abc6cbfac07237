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

/// Most events that are kept for `events`: a song of half an hour. Of more, the oldest are dropped.
pub const EVENTS_KEPT_MAX: usize = 65_536;

/// Most bytes of the events that are kept for `events`, for system-exclusive messages; of more, the oldest are dropped.
pub const EVENT_BYTES_KEPT_MAX: usize = 1 << 20;

/// Most events of one answer to `events`: the card works on nothing else while it writes them.
pub const EVENTS_AN_ANSWER_MAX: usize = 2048;

/// Longest text of a mark in the trace, in bytes: a line for people.
pub const MARK_BYTES_MAX: usize = 256;

/// Most faults that are armed at a time: a scenario has a handful. Each event, frame and chain looks through them.
pub const ARMED_FAULTS_MAX: usize = 16;

/// Faults that have struck and that `status` tells of: more than one scenario arms, and an answer of some kilobytes.
pub const STRUCK_FAULTS_KEPT: usize = 64;

/// Longest delay of a late interrupt, in milliseconds: more than any driver waits for its device. What is later is lost.
pub const LATE_MILLISECONDS_MAX: u32 = 60_000;

/// Most interrupts of a storm: two seconds of them, after which a system without a remedy has long been lost.
pub const STORM_INTERRUPTS_MAX: u32 = 10_000;

/// Time from one interrupt of a storm to the next: a machine takes each for an interrupt of its own, and has little time
/// for anything else.
pub const STORM_PERIOD: Duration = Duration::from_micros(200);

/// How far a misplaced DMA is off, in bytes: all structures of the datasheet have a field at this offset that a driver
/// knows beforehand (a tag, a position, a length, a sequence number).
pub const MISPLACED_BYTES: u32 = 8;

/// Most frames of a clock jump, either way: a minute at 96 kHz. No clock error of a card that still works is larger.
pub const CLOCK_JUMP_FRAMES_MAX: u64 = 60 * 96_000;

/// Longest message that `midi-in` captures, in bytes: what one record of the largest batch holds.
pub const CAPTURED_MESSAGE_BYTES_MAX: usize =
    BATCH_BYTES_MAX as usize - size_of::<BatchHeader>() - size_of::<EventHeader>();

/// Most captured messages of `message_bytes` bytes that one midi-in batch holds.
#[must_use]
pub const fn captured_messages_per_batch(message_bytes: usize) -> usize {
    (BATCH_BYTES_MAX as usize - size_of::<BatchHeader>()) / card_spec::event::record_bytes(message_bytes)
}
