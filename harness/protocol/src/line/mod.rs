//! A reliable line over one that loses, repeats and mixes bytes: a serial port that firmware, consoles and debuggers write to as
//! well, and whose queues overflow.
//!
//! Each side gives itself an *epoch*, a number that it has not had before. Packets carry both epochs, so that either side notices
//! when the other has started anew: the conversation begins anew then, and what was under way is gone. Between two epochs, messages
//! arrive once each and in order: parts are numbered, what arrives twice is dropped, what is missing is asked for again, and what
//! is not acknowledged is sent again after [`RESEND_AFTER_MS`].
//!
//! A guest says that it is there, about once a second while it hears nothing. The harness is silent until it hears a guest: before
//! that, what it writes would be a key that is pressed at the firmware.

mod packet;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

pub use packet::PAYLOAD_BYTES_MAX;
use packet::{Kind, Packet};

/// Most parts that are under way: 8 KiB, which queues of a serial port hold.
const WINDOW: usize = 8;

/// Time after which parts that are not acknowledged are sent again. The window needs 0.4 s at 20 KB/s.
pub const RESEND_AFTER_MS: u64 = 1_500;

/// How often a guest that hears nothing says that it is there.
pub const ANNOUNCE_EVERY_MS: u64 = 1_000;

/// Longest message, which bounds what a side keeps whatever its peer sends.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Most bytes that wait to be acknowledged: some of the longest messages.
const OUTGOING_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;

/// Most bytes of text that are collected before they are handed over.
const TEXT_BYTES_MAX: usize = 1 << 16;

/// The side of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Says that it is there.
    Guest,
    /// Is silent until it hears a guest.
    Harness,
}

/// A message that cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The message is too long.
    #[error("a message of {0} bytes is longer than {MESSAGE_BYTES_MAX}: send it in parts")]
    TooLong(usize),
    /// The peer has not acknowledged what was sent before.
    #[error("{0} bytes wait to be acknowledged: the peer does not take them")]
    Full(usize),
}

/// What has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// A peer is there that was not before: the first one, or one that has started anew. What was under way is gone.
    Connected {
        /// Its epoch.
        epoch: u32,
    },
    /// A whole message.
    Message(Vec<u8>),
    /// Bytes that are no packet: console text, or what is left of a damaged packet.
    Text(Vec<u8>),
}

/// What a side counts, to be shown and tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Parts that were sent more than once.
    pub resent: u64,
    /// Parts that arrived more than once, and were dropped.
    pub repeated: u64,
    /// Pieces that were no packet.
    pub damaged: u64,
}

/// A part that is not acknowledged.
#[derive(Debug)]
struct Part {
    kind: Kind,
    payload: Vec<u8>,
}

/// What a side has to say besides its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    Nothing,
    Status,
    Missing,
}

/// One end of a reliable line. It reads no clock and does no I/O: the caller gives it what arrived and the time, and writes
/// what [`ReliableLine::transmit`] returns.
#[derive(Debug)]
pub struct ReliableLine {
    side: Side,
    epoch: u32,
    /// The peer's epoch; 0 before one is heard.
    peer: u32,
    /// Parts that are not acknowledged, the first of which has the number `first`.
    outgoing: VecDeque<Part>,
    outgoing_bytes: usize,
    first: u32,
    /// How many of them were sent since the last time that they were sent anew, and ever.
    sent: usize,
    sent_ever: usize,
    resend_at: u64,
    /// The number of the part that is expected.
    expected: u32,
    partial: Vec<u8>,
    owed: Owed,
    /// The number that was asked for last.
    asked_for: Option<u32>,
    heard_at: u64,
    announced_at: Option<u64>,
    /// Bytes since the last zero byte.
    pending: Vec<u8>,
    counts: LineCounts,
}

impl ReliableLine {
    /// Creates an end. The epoch is a number that this side has not had before on this line; 0 is taken as 1.
    #[must_use]
    pub fn new(side: Side, epoch: u32) -> Self {
        Self {
            side,
            epoch: epoch.max(1),
            peer: 0,
            outgoing: VecDeque::new(),
            outgoing_bytes: 0,
            first: 0,
            sent: 0,
            sent_ever: 0,
            resend_at: 0,
            expected: 0,
            partial: Vec::new(),
            owed: Owed::Nothing,
            asked_for: None,
            heard_at: 0,
            announced_at: None,
            pending: Vec::new(),
            counts: LineCounts::default(),
        }
    }

    /// Returns what was counted.
    #[must_use]
    pub const fn counts(&self) -> LineCounts {
        self.counts
    }

    /// Returns whether a peer is there.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.peer != 0
    }

    /// Returns whether the peer has acknowledged every message.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Takes a message to send. What waits when a peer connects is dropped: it was for another.
    ///
    /// # Errors
    /// [`LineError::TooLong`] for a message beyond [`MESSAGE_BYTES_MAX`], [`LineError::Full`] where the peer takes nothing.
    pub fn send(&mut self, message: &[u8]) -> Result<(), LineError> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(LineError::TooLong(message.len()));
        }
        if self.outgoing_bytes + message.len() > OUTGOING_BYTES_MAX {
            return Err(LineError::Full(self.outgoing_bytes));
        }
        let mut parts = message.chunks(PAYLOAD_BYTES_MAX).peekable();
        // An empty message is one empty part.
        let mut next = Some(parts.next().unwrap_or_default());
        while let Some(payload) = next {
            next = parts.next();
            let kind = if next.is_some() { Kind::Part } else { Kind::End };
            self.outgoing_bytes += payload.len();
            self.outgoing.push_back(Part { kind, payload: payload.to_vec() });
        }
        Ok(())
    }

    /// Takes bytes from the line, and returns what they complete, in order.
    pub fn receive(&mut self, bytes: &[u8], now_ms: u64) -> Vec<Arrived> {
        let mut arrived = Vec::new();
        for &byte in bytes {
            if byte != 0 {
                self.pending.push(byte);
                if self.pending.len() >= TEXT_BYTES_MAX {
                    self.counts.damaged += 1;
                    arrived.push(Arrived::Text(core::mem::take(&mut self.pending)));
                }
            } else if !self.pending.is_empty() {
                let raw = core::mem::take(&mut self.pending);
                match Packet::decode(&raw) {
                    Some(packet) => self.take(packet, now_ms, &mut arrived),
                    None => {
                        self.counts.damaged += 1;
                        arrived.push(Arrived::Text(raw));
                    }
                }
            }
        }
        arrived
    }

    /// Returns the bytes since the last zero byte: at the end of a line, the last console text.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.pending
    }

    fn take(&mut self, packet: Packet, now_ms: u64, arrived: &mut Vec<Arrived>) {
        if packet.from == self.epoch {
            // An echo: a terminal that repeats what it is sent.
            return;
        }
        self.heard_at = now_ms;
        if packet.from != self.peer {
            self.connect(packet.from);
            arrived.push(Arrived::Connected { epoch: packet.from });
        }
        if packet.to != self.epoch {
            // It was meant for an earlier peer, or its sender does not know this one: the sender gets this side's epoch.
            self.owed = Owed::Status;
            return;
        }
        self.acknowledge(packet.expected, now_ms);
        match packet.kind {
            Kind::Status => {}
            Kind::Missing => self.send_again(),
            Kind::Part | Kind::End => {
                let ahead = packet.sequence.wrapping_sub(self.expected).cast_signed();
                if ahead < 0 {
                    self.counts.repeated += 1;
                    self.owed = Owed::Status;
                } else if ahead > 0 {
                    // Once for each gap: the peer sends all anew.
                    if self.asked_for.replace(self.expected) != Some(self.expected) {
                        self.owed = Owed::Missing;
                    }
                } else {
                    self.take_part(packet, arrived);
                }
            }
        }
    }

    fn take_part(&mut self, packet: Packet, arrived: &mut Vec<Arrived>) {
        self.expected = self.expected.wrapping_add(1);
        self.asked_for = None;
        self.owed = Owed::Status;
        self.partial.extend(packet.payload);
        if self.partial.len() > MESSAGE_BYTES_MAX {
            // No peer of this protocol sends it.
            self.counts.damaged += 1;
            self.partial = Vec::new();
        } else if packet.kind == Kind::End {
            arrived.push(Arrived::Message(core::mem::take(&mut self.partial)));
        }
    }

    /// Begins a conversation with a peer.
    fn connect(&mut self, peer: u32) {
        self.peer = peer;
        self.outgoing.clear();
        self.outgoing_bytes = 0;
        (self.first, self.sent, self.sent_ever) = (0, 0, 0);
        self.expected = 0;
        self.partial.clear();
        self.asked_for = None;
        self.owed = Owed::Status;
    }

    /// Forgets the parts before one that the peer expects.
    fn acknowledge(&mut self, expected: u32, now_ms: u64) {
        let count = expected.wrapping_sub(self.first) as usize;
        // More than was sent is no acknowledgement of ours.
        if count == 0 || count > self.sent_ever {
            return;
        }
        for part in self.outgoing.drain(..count) {
            self.outgoing_bytes -= part.payload.len();
        }
        self.first = expected;
        self.sent = self.sent.saturating_sub(count);
        self.sent_ever -= count;
        self.resend_at = now_ms + RESEND_AFTER_MS;
    }

    fn send_again(&mut self) {
        self.counts.resent += self.sent as u64;
        self.sent = 0;
    }

    /// Returns the bytes to write now. Call it after each [`ReliableLine::receive`] and [`ReliableLine::send`], and a few times
    /// a second.
    pub fn transmit(&mut self, now_ms: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.peer != 0 {
            if self.sent > 0 && now_ms >= self.resend_at {
                self.send_again();
            }
            while self.sent < WINDOW.min(self.outgoing.len()) {
                let Part { kind, payload } = &self.outgoing[self.sent];
                let sequence = self.first.wrapping_add(self.sent as u32);
                bytes.extend(self.packet(*kind, sequence, payload.clone()).encode());
                self.sent += 1;
                self.sent_ever = self.sent_ever.max(self.sent);
                self.resend_at = now_ms + RESEND_AFTER_MS;
                if self.owed == Owed::Status {
                    self.owed = Owed::Nothing;
                }
            }
        }
        let silent_since = self.announced_at.unwrap_or(0).max(self.heard_at);
        let is_due = self.announced_at.is_none() || now_ms.saturating_sub(silent_since) >= ANNOUNCE_EVERY_MS;
        if self.side == Side::Guest && is_due && self.owed == Owed::Nothing {
            self.owed = Owed::Status;
        }
        let kind = match self.owed {
            Owed::Nothing => return bytes,
            Owed::Status => Kind::Status,
            Owed::Missing => Kind::Missing,
        };
        self.owed = Owed::Nothing;
        self.announced_at = Some(now_ms);
        bytes.extend(self.packet(kind, 0, Vec::new()).encode());
        bytes
    }

    const fn packet(&self, kind: Kind, sequence: u32, payload: Vec<u8>) -> Packet {
        Packet { kind, from: self.epoch, to: self.peer, sequence, expected: self.expected, payload }
    }
}
