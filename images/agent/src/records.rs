//! The records of music pins: `DMUS_EVENTHEADER` (dmusbuff.h) on a DirectMusic pin, `KSMUSICFORMAT` (ksmedia.h) on a MIDI pin.

use alloc::vec::Vec;

use guest_protocol::{CapturedEvent, StreamFormat};

/// `sizeof(DMUS_EVENTHEADER)`, which is packed, and the alignment of records.
const EVENT_HEADER_BYTES: usize = 20;
const EVENT_ALIGNMENT: usize = 8;

/// `sizeof(KSMUSICFORMAT)`, and the alignment of records.
const MUSIC_FORMAT_BYTES: usize = 8;
const MUSIC_FORMAT_ALIGNMENT: usize = 4;

/// 100 ns units in a millisecond.
const MILLISECOND: i64 = 10_000;

/// Bytes that are no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end in a header.
    #[error("record {index}: {left} bytes are left, and its header takes {header}")]
    Header {
        /// The record.
        index: u32,
        /// Bytes of a header.
        header: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// A record is longer than the bytes, or empty.
    #[error("record {index} says {says} bytes of data, and {left} are left")]
    Length {
        /// The record.
        index: u32,
        /// What it says.
        says: u32,
        /// Bytes that are left.
        left: usize,
    },
    /// The records do not ascend in time.
    #[error("record {index} is at {time}, before the one at {previous}: records ascend in time")]
    Order {
        /// The record.
        index: u32,
        /// Its time.
        time: i64,
        /// The time of the record before.
        previous: i64,
    },
    /// There are more or fewer than said.
    #[error("{says} records were announced and {found} are in the range")]
    Count {
        /// How many were announced.
        says: u32,
        /// How many there are.
        found: u32,
    },
}

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its time in 100 ns units after the start.
    pub time: i64,
    /// The channel group; 1 on a MIDI pin.
    pub group: u32,
    /// The flags; 0 on a MIDI pin.
    pub flags: u32,
    /// The whole record: header, data, padding.
    pub bytes: &'a [u8],
    /// Its data.
    pub data: &'a [u8],
}

/// Reads the records of a format: all that there are, or so many.
///
/// # Errors
/// [`Malformed`] for the first record that is none.
pub fn read(format: StreamFormat, bytes: &[u8], count: Option<u32>) -> Result<Vec<Record<'_>>, Malformed> {
    let of_directmusic = format == StreamFormat::DirectMusic;
    let (header, alignment) = if of_directmusic {
        (EVENT_HEADER_BYTES, EVENT_ALIGNMENT)
    } else {
        (MUSIC_FORMAT_BYTES, MUSIC_FORMAT_ALIGNMENT)
    };
    let mut records = Vec::new();
    let (mut rest, mut time) = (bytes, 0);
    while !rest.is_empty() && count.is_none_or(|count| records.len() < count as usize) {
        let index = records.len() as u32;
        let left = rest.len();
        let Some((head, data)) = rest.split_at_checked(header) else {
            return Err(Malformed::Header { index, header, left });
        };
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let says = if of_directmusic { word(0) } else { word(4) };
        let Some(data) = data.get(..says as usize).filter(|data| !data.is_empty()) else {
            return Err(Malformed::Length { index, says, left: left - header });
        };
        let (at, group, flags) = if of_directmusic {
            ((u64::from(word(8)) | u64::from(word(12)) << 32).cast_signed(), word(4), word(16))
        } else {
            (time + i64::from(word(0)) * MILLISECOND, 1, 0)
        };
        if at < time && index > 0 {
            return Err(Malformed::Order { index, time: at, previous: time });
        }
        time = at;
        // The last one need not be padded.
        let length = (header + data.len()).next_multiple_of(alignment).min(left);
        let (bytes, after) = rest.split_at(length);
        records.push(Record { time, group, flags, bytes, data });
        rest = after;
    }
    match count {
        Some(says) if says as usize != records.len() => Err(Malformed::Count { says, found: records.len() as u32 }),
        _ => Ok(records),
    }
}

/// Reads what a capture pin has filled in, whose times count from a time.
///
/// # Errors
/// [`Malformed`] for the first record that is none.
pub fn captured(format: StreamFormat, bytes: &[u8], start: i64) -> Result<Vec<CapturedEvent>, Malformed> {
    let event = |record: Record<'_>| CapturedEvent {
        time: start.wrapping_add(record.time),
        channel_group: record.group as u16,
        flags: record.flags as u16,
        data: record.data.to_vec(),
    };
    Ok(read(format, bytes, None)?.into_iter().map(event).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directmusic(time: u64, data: &[u8]) -> Vec<u8> {
        let mut bytes = (data.len() as u32).to_le_bytes().to_vec();
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(time.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    #[test]
    fn reads_records_of_both_formats() {
        let bytes = [directmusic(5, &[0x90, 60, 100]), directmusic(70_000, &[0xf0, 1, 2, 3, 4, 0xf7])].concat();
        let records = read(StreamFormat::DirectMusic, &bytes, Some(2)).unwrap();
        assert_eq!((records[0].time, records[0].data, records[0].bytes.len()), (5, &[0x90, 60, 100][..], 24));
        assert_eq!((records[1].time, records[1].group, records[1].bytes.len()), (70_000, 1, 32));
        let midi = [3, 0, 0, 0, 3, 0, 0, 0, 0x90, 60, 100, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0xc0, 1, 0, 0];
        let records = read(StreamFormat::Midi, &midi, None).unwrap();
        assert_eq!(records.iter().map(|record| record.time).collect::<Vec<_>>(), [30_000, 50_000]);
    }

    #[test]
    fn refuses_bytes_that_are_no_records() {
        let read = |bytes: &[u8], count| read(StreamFormat::DirectMusic, bytes, count).unwrap_err();
        let one = directmusic(5, &[0x90, 60, 100]);
        assert_eq!(read(&one[..19], None), Malformed::Header { index: 0, header: 20, left: 19 });
        assert_eq!(read(&one[..22], None), Malformed::Length { index: 0, says: 3, left: 2 });
        assert_eq!(read(&directmusic(0, &[]), None), Malformed::Length { index: 0, says: 0, left: 4 });
        let back = [one.clone(), directmusic(4, &[0x80])].concat();
        assert_eq!(read(&back, None), Malformed::Order { index: 1, time: 4, previous: 5 });
        assert_eq!(read(&one, Some(2)), Malformed::Count { says: 2, found: 1 });
        let mut endless = one;
        endless[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read(&endless, None), Malformed::Length { index: 0, says: u32::MAX, left: 4 });
    }
}
