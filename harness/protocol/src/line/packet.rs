//! Packets: what one frame of a reliable line carries.
//!
//! ```text
//!  offset  0   1      5      9          13         17       19        19 + length
//!          kind from   to     sequence   expected   length   payload   CRC-32 of all before
//! ```
//!
//! Numbers are little-endian. A packet is COBS-encoded between two zero bytes, so that whatever else is on the line ends at its
//! borders.

use alloc::vec::Vec;

/// Most bytes of a message that one packet carries: what is lost with one flipped bit, and a twentieth of a second at the 20 KB/s
/// that an emulated 16550 takes.
pub const PAYLOAD_BYTES_MAX: usize = 1024;

/// Bytes before the payload, and behind it.
const HEADER_BYTES: usize = 19;
const CRC_BYTES: usize = 4;

/// The kind of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Says that its sender is there, and what it expects next.
    Status = 0,
    /// Says the same, and that a packet before one that arrived is missing.
    Missing = 1,
    /// A part of a message, which goes on.
    Part = 2,
    /// The last part of a message.
    End = 3,
}

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) kind: Kind,
    /// The sender's epoch.
    pub(super) from: u32,
    /// The epoch of the receiver, as far as the sender knows it; 0 where it does not.
    pub(super) to: u32,
    /// The number of a part, from 0 for each pair of epochs.
    pub(super) sequence: u32,
    /// The number of the part that the sender expects next.
    pub(super) expected: u32,
    pub(super) payload: Vec<u8>,
}

impl Packet {
    /// Returns the packet as a frame between two zero bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        debug_assert!(self.payload.len() <= PAYLOAD_BYTES_MAX);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.payload.len() + CRC_BYTES);
        bytes.push(self.kind as u8);
        for field in [self.from, self.to, self.sequence, self.expected] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend((self.payload.len() as u16).to_le_bytes());
        bytes.extend(&self.payload);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        let mut frame = alloc::vec![0; cobs::max_encoding_length(bytes.len()) + 2];
        let length = cobs::encode(&bytes, &mut frame[1..]);
        frame.truncate(length + 2);
        frame
    }

    /// Reads what was between two zero bytes. `None` for whatever is not a whole packet.
    pub(super) fn decode(frame: &[u8]) -> Option<Self> {
        let mut bytes = frame.to_vec();
        let length = cobs::decode_in_place(&mut bytes).ok()?;
        let (content, crc) = bytes.get(..length)?.split_last_chunk::<CRC_BYTES>()?;
        if crc32fast::hash(content) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (header, payload) = content.split_first_chunk::<HEADER_BYTES>()?;
        let kind = match header[0] {
            0 => Kind::Status,
            1 => Kind::Missing,
            2 => Kind::Part,
            3 => Kind::End,
            _ => return None,
        };
        let field = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let said = usize::from(u16::from_le_bytes([header[17], header[18]]));
        (said == payload.len() && said <= PAYLOAD_BYTES_MAX && field(1) != 0).then(|| Self {
            kind,
            from: field(1),
            to: field(5),
            sequence: field(9),
            expected: field(13),
            payload: payload.to_vec(),
        })
    }
}
