//! Marks of a guest: fixed-size records of what it did and when, in a ring in its memory.
//!
//! The guest lends a range of its memory ([`Event::Marks`](crate::Event::Marks)). It begins with [`MARKS_HEADER_BYTES`] bytes of
//! words of 64 bits, little-endian; marks of [`MARK_BYTES`] bytes fill the rest, as many as the greatest power of two that fits. Mark
//! number *n* is at place *n* modulo that. The guest alone writes marks; the harness reads them whenever it wants, also when the
//! guest is no more.
//!
//! | offset | bytes | header |
//! |---|---|---|
//! | 0 | 8 | marks taken since the start |
//! | 8 | 8 | the number of the sample that the guest waits for, or 0 |
//! | 16 | 8 | the number of the sample that the harness has answered |
//! | 24 | 8 | the ticks of the host's processor at that answer |
//!
//! | offset | bytes | mark |
//! |---|---|---|
//! | 0 | 8 | ticks of the guest's time-stamp counter |
//! | 8 | 1 | [`MarkKind`] |
//! | 9 | 1 | the number of the processor |
//! | 10 | 2 | a number by kind |
//! | 12 | 4 | the seal: the complement of the low 32 bits of the mark's number, written last |
//! | 16 | 8 | a value by kind |
//!
//! # Samples
//!
//! The guest's ticks and the host's are paired by samples. The guest sends [`Event::Marks`](crate::Event::Marks) once more, with the
//! same range, and writes numbers, each one higher, to offset 8; the harness answers each with its ticks at offset 24 and then the number
//! at offset 16; 0 ends the samples. So the host's ticks were read between two reads of the guest's counter. The guest keeps the narrowest sample as a mark
//! ([`MarkKind::Pair`]).

use crate::Bulk;

/// Bytes of a mark.
pub const MARK_BYTES: u64 = 24;

/// Bytes of the header of the range.
pub const MARKS_HEADER_BYTES: u64 = 64;

/// Offset of the number of marks taken.
pub const MARKS_TAKEN: u64 = 0;

/// Offset of the number of the sample that the guest waits for.
pub const MARKS_ASKED: u64 = 8;

/// Offset of the number of the sample that the harness has answered.
pub const MARKS_ANSWERED: u64 = 16;

/// Offset of the host's ticks at that answer.
pub const MARKS_HOST_TICKS: u64 = 24;

/// Bits of the number of a [`MarkKind::Pair`] that are a count; those above are how often its unit is doubled.
const PAIR_COUNT_BITS: u32 = 12;

/// The smallest unit of that count in ticks: less than a tenth of a microsecond of a fast processor.
const PAIR_UNIT: u64 = 128;

/// Returns the number of a [`MarkKind::Pair`] for a sample whose middle can be wrong by so many ticks: that error, rounded up.
#[must_use]
pub const fn pair_number(error: u64) -> u16 {
    let mut units = error.div_ceil(PAIR_UNIT);
    let mut doubled = 0;
    while units >> PAIR_COUNT_BITS != 0 && doubled < 15 {
        units = units.div_ceil(2);
        doubled += 1;
    }
    let most = (1 << PAIR_COUNT_BITS) - 1;
    (if units < most { units as u16 } else { most as u16 }) | doubled << PAIR_COUNT_BITS
}

/// Returns the ticks by which the middle of a sample with this number can be wrong.
#[must_use]
pub const fn pair_error(number: u16) -> u64 {
    let count = number & ((1 << PAIR_COUNT_BITS) - 1);
    (count as u64 * PAIR_UNIT) << (number >> PAIR_COUNT_BITS)
}

/// Returns the number of marks that a range holds, a power of two; `None` for a range that is too short.
#[must_use]
pub const fn mark_count(range: Bulk) -> Option<u64> {
    match range.length.checked_sub(MARKS_HEADER_BYTES) {
        Some(bytes) if bytes >= MARK_BYTES => Some(1 << (bytes / MARK_BYTES).ilog2()),
        _ => None,
    }
}

/// The kind of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MarkKind {
    /// The guest's ticks at the middle of a sample. The number is half its width ([`pair_error`]), and the value are the host's
    /// ticks.
    Pair = 1,
    /// The IRQL changes. The low byte of the number is the old one, the high byte the new one.
    Irql = 2,
    /// An interrupt service routine is called. The low byte of the number is the vector, the high byte the IRQL that it runs at; the value is its
    /// address.
    IsrBegin = 3,
    /// It has returned. The low byte of the number is the vector, the high byte 1 if it has claimed the interrupt; the value is its
    /// address.
    IsrEnd = 4,
    /// A deferred procedure call begins. The value is the address of its routine.
    DpcBegin = 5,
    /// It ends.
    DpcEnd = 6,
    /// An event is about to be handed to a driver's `IMXF::PutMessage`. The low byte of the number is the first byte of its data (0 for a
    /// package), the high byte the length, 255 for longer ones; the value is its presentation time in 100 ns units.
    PutMessage = 7,
    /// That call has returned. The number is how many events it was given, the value its status.
    PutEnd = 8,
    /// The driver holds more pool than ever before. The value is the number of bytes.
    PoolPeak = 9,
}

impl MarkKind {
    /// Returns the kind with a number; `None` for none that this version knows.
    #[must_use]
    pub const fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Pair,
            2 => Self::Irql,
            3 => Self::IsrBegin,
            4 => Self::IsrEnd,
            5 => Self::DpcBegin,
            6 => Self::DpcEnd,
            7 => Self::PutMessage,
            8 => Self::PutEnd,
            9 => Self::PoolPeak,
            _ => return None,
        })
    }
}

/// A mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Ticks of the guest's time-stamp counter.
    pub ticks: u64,
    /// What it marks.
    pub kind: MarkKind,
    /// The number of the processor.
    pub processor: u8,
    /// A number by kind.
    pub number: u16,
    /// A value by kind.
    pub value: u64,
}

impl Mark {
    /// Returns the second word of this mark as the one with a number.
    #[must_use]
    pub const fn label(&self, number: u64) -> u64 {
        self.kind as u64 | (self.processor as u64) << 8 | (self.number as u64) << 16 | (!(number as u32) as u64) << 32
    }

    /// Reads the mark with a number; `None` where its seal is another's, or its kind unknown: it was being written, or overwritten.
    #[must_use]
    pub fn read(bytes: &[u8; MARK_BYTES as usize], number: u64) -> Option<Self> {
        let [ticks, label, value] = *bytes.as_chunks::<8>().0 else { return None };
        let label = u64::from_le_bytes(label);
        if (label >> 32) as u32 != !(number as u32) {
            return None;
        }
        Some(Self {
            ticks: u64::from_le_bytes(ticks),
            kind: MarkKind::of(label as u8)?,
            processor: (label >> 8) as u8,
            number: (label >> 16) as u16,
            value: u64::from_le_bytes(value),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_a_power_of_two_of_marks() {
        let count = |length| mark_count(Bulk { address: 0, length });
        assert_eq!(count(64 + 24 * 8), Some(8));
        assert_eq!(count(64 + 24 * 15), Some(8));
        assert_eq!((count(64 + 23), count(0)), (None, None));
    }

    #[test]
    fn the_error_of_a_pair_is_rounded_up_by_a_two_thousandth_at_most() {
        for error in (0..5000).chain((0..33).map(|shift| (1 << shift) + 77)) {
            let read = pair_error(pair_number(error));
            assert!(read >= error && read - error <= 128 + error / 1024, "{error} is read as {read}");
        }
        assert_eq!(pair_error(pair_number(u64::MAX)), pair_error(u16::MAX));
    }

    #[test]
    fn reads_what_it_labels_and_refuses_another_number_or_kind() {
        for kind in 1..=9 {
            let kind = MarkKind::of(kind).unwrap();
            let mark = Mark { ticks: 5, kind, processor: 1, number: 0xabcd, value: 77 };
            let mut bytes = [0; 24];
            for (to, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip([5, mark.label(9), 77]) {
                *to = u64::to_le_bytes(word);
            }
            assert_eq!(Mark::read(&bytes, 9), Some(mark));
            assert_eq!(Mark::read(&bytes, 10), None);
            bytes[8] = 0;
            assert_eq!(Mark::read(&bytes, 9), None);
        }
        assert_eq!(Mark::read(&[0; 24], 0), None);
    }
}
