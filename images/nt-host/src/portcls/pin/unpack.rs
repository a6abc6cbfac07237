//! The unpacker: stream data as a client writes it, cut into the events that a miniport gets.
//!
//! Two record formats arrive at a music pin: DirectMusic buffers (`DMUS_EVENTHEADER`, dmusbuff.h) on a DirectMusic pin
//! and `KSMUSICFORMAT` (ksmedia.h) on a MIDI pin. Both become [`Message`]s, and a message becomes one or more
//! [`Fragment`]s, none longer than the allocator's buffers.

use crate::portcls::com::abi::{EVENT_INCOMPLETE, INLINE_BYTES};

/// `sizeof(DMUS_EVENTHEADER)`: packed to 4.
const EVENT_HEADER_BYTES: usize = 20;

/// Records of a DirectMusic buffer begin at multiples of this (dmusbuff.h, `QWORD_ALIGN`).
const EVENT_ALIGNMENT: usize = 8;

/// `sizeof(KSMUSICFORMAT)`.
const MUSIC_FORMAT_BYTES: usize = 8;

/// `KSMUSICFORMAT` records begin at multiples of this.
const MUSIC_FORMAT_ALIGNMENT: usize = 4;

/// 100 ns units in a millisecond.
const MILLISECOND: i64 = 10_000;

/// A record as a client wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// When it plays, in 100 ns units after the buffer's start.
    pub(crate) delta: i64,
    /// Channel group, in DirectMusic's numbering.
    pub(crate) channel_group: u16,
    /// MIDI bytes, at least one.
    pub(crate) data: &'a [u8],
    /// The bytes are a piece of a stream (running status, several messages, part of one), not one whole message.
    pub(crate) raw: bool,
}

/// Data that is no sequence of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// The data ends inside a record's header.
    #[error("the data ends {got} bytes into the header of the record at byte {offset}, which takes {header} bytes")]
    Header { offset: usize, header: usize, got: usize },
    /// A record is longer than the data.
    #[error("the record at byte {offset} says {says} bytes of data, and {left} are left")]
    Length { offset: usize, says: u32, left: usize },
    /// A record has no data.
    #[error("the record at byte {offset} has no data")]
    Empty { offset: usize },
    /// A channel group that no event can carry.
    #[error("the record at byte {offset} names channel group {group}, above 65535")]
    Group { offset: usize, group: u32 },
}

/// The records of a DirectMusic buffer.
#[derive(Clone, Debug)]
pub(crate) struct DirectMusicRecords<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> DirectMusicRecords<'a> {
    /// Returns the records in these bytes.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }
}

impl<'a> Iterator for DirectMusicRecords<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.offset;
        let rest = &self.bytes[offset..];
        if rest.is_empty() {
            return None;
        }
        // Whatever is wrong, nothing after it can be trusted.
        self.offset = self.bytes.len();
        let Some((header, data)) = rest.split_at_checked(EVENT_HEADER_BYTES) else {
            return Some(Err(Malformed::Header { offset, header: EVENT_HEADER_BYTES, got: rest.len() }));
        };
        let says = u32_at(header, 0);
        let group = u32_at(header, 4);
        let delta = i64::from(u32_at(header, 8)) | (i64::from(u32_at(header, 12)) << 32);
        if says == 0 {
            return Some(Err(Malformed::Empty { offset }));
        }
        let Some(payload) = data.get(..says as usize) else {
            return Some(Err(Malformed::Length { offset, says, left: data.len() }));
        };
        let Ok(channel_group) = u16::try_from(group) else {
            return Some(Err(Malformed::Group { offset, group }));
        };
        let record = (EVENT_HEADER_BYTES + payload.len()).next_multiple_of(EVENT_ALIGNMENT);
        self.offset = (offset + record).min(self.bytes.len());
        Some(Ok(Message { delta, channel_group, data: payload, raw: false }))
    }
}

/// The records of a MIDI pin's stream data. Their times count from record to record; each becomes one raw message of
/// group 1.
#[derive(Clone, Debug)]
pub(crate) struct MidiRecords<'a> {
    bytes: &'a [u8],
    offset: usize,
    milliseconds: i64,
}

impl<'a> MidiRecords<'a> {
    /// Returns the records in these bytes.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0, milliseconds: 0 }
    }
}

impl<'a> Iterator for MidiRecords<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.offset;
        let rest = &self.bytes[offset..];
        if rest.is_empty() {
            return None;
        }
        self.offset = self.bytes.len();
        let Some((header, data)) = rest.split_at_checked(MUSIC_FORMAT_BYTES) else {
            return Some(Err(Malformed::Header { offset, header: MUSIC_FORMAT_BYTES, got: rest.len() }));
        };
        let says = u32_at(header, 4);
        if says == 0 {
            return Some(Err(Malformed::Empty { offset }));
        }
        let Some(payload) = data.get(..says as usize) else {
            return Some(Err(Malformed::Length { offset, says, left: data.len() }));
        };
        self.milliseconds += i64::from(u32_at(header, 0));
        let record = (MUSIC_FORMAT_BYTES + payload.len()).next_multiple_of(MUSIC_FORMAT_ALIGNMENT);
        self.offset = (offset + record).min(self.bytes.len());
        Some(Ok(Message { delta: self.milliseconds * MILLISECOND, channel_group: 1, data: payload, raw: true }))
    }
}

/// The records of a music pin's stream data, in the pin's own format.
#[derive(Clone, Debug)]
pub(crate) enum Records<'a> {
    /// Of a DirectMusic pin.
    DirectMusic(DirectMusicRecords<'a>),
    /// Of a MIDI pin.
    Midi(MidiRecords<'a>),
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::DirectMusic(records) => records.next(),
            Self::Midi(records) => records.next(),
        }
    }
}

/// What goes into one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    /// `usFlags`.
    pub(crate) flags: u16,
    /// The bytes: in the event itself up to [`INLINE_BYTES`], in a buffer beyond.
    pub(crate) data: &'a [u8],
}

impl Fragment<'_> {
    /// Returns whether the bytes need a buffer.
    pub(crate) fn needs_buffer(&self) -> bool {
        self.data.len() > INLINE_BYTES
    }
}

/// Cuts a message into fragments of at most `piece_bytes` bytes. A channel message is never cut. All but the last are
/// marked incomplete; the last is too if the message is a raw piece of a stream.
pub(crate) fn fragments<'a>(message: &Message<'a>, piece_bytes: u16) -> impl Iterator<Item = Fragment<'a>> + use<'a> {
    /// The longest message that is no system-exclusive one.
    const CHANNEL_MESSAGE_BYTES: usize = 3;
    let size = usize::from(piece_bytes).max(CHANNEL_MESSAGE_BYTES);
    let last = message.data.len().div_ceil(size) - 1;
    let raw = message.raw;
    message
        .data
        .chunks(size)
        .enumerate()
        .map(move |(index, data)| Fragment { flags: if raw || index < last { EVENT_INCOMPLETE } else { 0 }, data })
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes([bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]])
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    fn record(delta: i64, group: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = (data.len() as u32).to_le_bytes().to_vec();
        bytes.extend(group.to_le_bytes());
        bytes.extend(delta.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    #[test]
    fn directmusic_records_are_unpacked_as_they_were_packed() {
        let mut bytes = record(0, 1, &[0x90, 60, 100]);
        bytes.extend(record(5_000_000_000, 2, &[0xF0, 1, 2, 3, 4, 5, 6, 7, 8, 0xF7]));
        let messages: Vec<_> = DirectMusicRecords::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(messages[0], Message { delta: 0, channel_group: 1, data: &[0x90, 60, 100], raw: false });
        assert_eq!((messages[1].delta, messages[1].channel_group, messages[1].data.len()), (5_000_000_000, 2, 10));
        assert_eq!(messages.len(), 2);
    }

    #[test]
    fn the_last_record_may_lack_its_padding() {
        let mut bytes = record(0, 1, &[0x90, 60, 100]);
        bytes.truncate(23);
        assert_eq!(DirectMusicRecords::new(&bytes).count(), 1);
    }

    #[test]
    fn stops_at_a_record_larger_than_the_remaining_data() {
        let mut bytes = record(0, 1, &[0x90, 60, 100]);
        bytes[0] = 200;
        let results: Vec<_> = DirectMusicRecords::new(&bytes).collect();
        assert_eq!(results, vec![Err(Malformed::Length { offset: 0, says: 200, left: 4 })]);
    }

    #[test]
    fn reports_truncated_headers_empty_records_and_invalid_groups() {
        assert_eq!(
            DirectMusicRecords::new(&[0; 5]).next(),
            Some(Err(Malformed::Header { offset: 0, header: 20, got: 5 }))
        );
        assert_eq!(DirectMusicRecords::new(&[0; 24]).next(), Some(Err(Malformed::Empty { offset: 0 })));
        let wild = record(0, 70_000, &[0x90]);
        assert_eq!(DirectMusicRecords::new(&wild).next(), Some(Err(Malformed::Group { offset: 0, group: 70_000 })));
    }

    #[test]
    fn midi_records_add_up_their_times_and_begin_on_four_bytes() {
        let mut bytes = vec![10, 0, 0, 0, 3, 0, 0, 0, 0x90, 60, 100, 0];
        bytes.extend([5, 0, 0, 0, 2, 0, 0, 0, 60, 0]);
        let messages: Vec<_> = MidiRecords::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(messages[0], Message { delta: 100_000, channel_group: 1, data: &[0x90, 60, 100], raw: true });
        assert_eq!(messages[1], Message { delta: 150_000, channel_group: 1, data: &[60, 0], raw: true });
    }

    #[test]
    fn puts_eight_bytes_into_the_event_and_nine_into_a_buffer() {
        let fragment = |data| Fragment { flags: 0, data };
        assert!(!fragment(&[0; 8]).needs_buffer());
        assert!(fragment(&[0; 9]).needs_buffer());
    }

    #[test]
    fn all_but_the_last_fragment_of_a_message_are_incomplete() {
        let data = [0x55; 45];
        let message = Message { delta: 0, channel_group: 1, data: &data, raw: false };
        let parts: Vec<_> = fragments(&message, 20).map(|part| (part.flags, part.data.len())).collect();
        assert_eq!(parts, vec![(1, 20), (1, 20), (0, 5)]);
        let whole: Vec<_> = fragments(&message, 45).map(|part| (part.flags, part.data.len())).collect();
        assert_eq!(whole, vec![(0, 45)]);
    }

    #[test]
    fn a_raw_message_is_incomplete_throughout() {
        let message = Message { delta: 0, channel_group: 1, data: &[0x90, 60, 100], raw: true };
        assert!(fragments(&message, 20).all(|part| part.flags == 1));
    }
}
