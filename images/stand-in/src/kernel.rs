//! Reads of a kernel's ELF file what a loader places, and makes the memory map that it hands over.

use alloc::vec::Vec;
use core::ops::Range;

/// Bytes of a header of ELF for 64 bits, and of a program header (ELF-64 Object File Format).
const HEADER_BYTES: usize = 64;
const PROGRAM_HEADER_BYTES: usize = 56;

/// The type of a segment that is loaded.
const LOAD: u64 = 1;

/// Most segments that a kernel has; more is no kernel of the project's.
const SEGMENTS_MAX: u64 = 16;

/// The end of what a kernel entered in 32-bit mode can reach.
const REACHED: u64 = 1 << 32;

/// A segment: where it is in the file, and which physical memory it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The bytes of the file.
    pub file: Range<usize>,
    /// The physical memory; what the file has no bytes for is zero.
    pub memory: Range<u64>,
}

/// A kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The physical address that it is entered at, in 32-bit mode.
    pub entry: u32,
    /// Its segments.
    pub segments: Vec<Segment>,
}

/// Why a file is no kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no kernel that can be loaded: {0}")]
pub struct NoKernel(&'static str);

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(length)?)?;
    Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

impl Kernel {
    /// Reads an ELF file for x86-64.
    ///
    /// # Errors
    /// [`NoKernel`] for another file, for segments outside the file or above 4 GiB, and for an entry that no segment has.
    pub fn read(file: &[u8]) -> Result<Self, NoKernel> {
        if file.len() < HEADER_BYTES || !file.starts_with(b"\x7fELF\x02\x01") {
            return Err(NoKernel("no ELF file of 64 bits"));
        }
        let cut = NoKernel("its headers are cut off");
        let (entry, table) = (number(file, 24, 8).ok_or(cut)?, number(file, 32, 8).ok_or(cut)?);
        let count = number(file, 56, 2).ok_or(cut)?;
        if count == 0 || count > SEGMENTS_MAX {
            return Err(NoKernel("it has no segments, or too many"));
        }
        let mut segments = Vec::new();
        for index in 0..count as usize {
            let at = usize::try_from(table).ok().and_then(|table| table.checked_add(index * PROGRAM_HEADER_BYTES));
            let field = |offset: usize, length| number(file, at?.checked_add(offset)?, length).ok_or(cut).ok();
            if field(0, 4).ok_or(cut)? != LOAD {
                continue;
            }
            let (offset, address) = (field(8, 8).ok_or(cut)?, field(24, 8).ok_or(cut)?);
            let (in_file, in_memory) = (field(32, 8).ok_or(cut)?, field(40, 8).ok_or(cut)?);
            let end = offset.checked_add(in_file).filter(|end| *end <= file.len() as u64);
            let top = address.checked_add(in_memory).filter(|top| *top <= REACHED && in_file <= in_memory);
            let (Some(end), Some(top)) = (end, top) else {
                return Err(NoKernel("a segment is outside the file or the memory that it can have"));
            };
            segments.push(Segment { file: offset as usize..end as usize, memory: address..top });
        }
        let entry = u32::try_from(entry)
            .ok()
            .filter(|entry| segments.iter().any(|segment| segment.memory.contains(&u64::from(*entry))));
        Ok(Self { entry: entry.ok_or(NoKernel("no segment has its entry"))?, segments })
    }
}

/// Joins ranges that touch or overlap, in order.
#[must_use]
pub fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a file with one segment of 16 bytes for 32 bytes at 1 MiB.
    fn kernel() -> Vec<u8> {
        let mut file = alloc::vec![0; 256];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[24..32].copy_from_slice(&0x10_0010_u64.to_le_bytes());
        file[32] = 64;
        file[56] = 1;
        file[64] = 1;
        for (at, value) in [(72, 200_u64), (88, 0x10_0000), (96, 16), (104, 32)] {
            file[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        file
    }

    #[test]
    fn reads_segments_and_entry() {
        let expected = alloc::vec![Segment { file: 200..216, memory: 0x10_0000..0x10_0020 }];
        assert_eq!(Kernel::read(&kernel()), Ok(Kernel { entry: 0x10_0010, segments: expected }));
    }

    #[test]
    fn refuses_what_is_cut_off_or_reaches_outside() {
        let good = kernel();
        for length in 0..216 {
            assert!(Kernel::read(&good[..length]).is_err(), "{length}");
        }
        for (at, byte) in [(0, 1), (28, 1), (39, 0xff), (56, 0), (57, 1), (79, 0xff), (92, 1), (103, 0x80), (111, 0x80)]
        {
            let mut bad = kernel();
            bad[at] = byte;
            assert!(Kernel::read(&bad).is_err(), "{at}");
        }
    }

    #[test]
    fn joins_ranges_in_order() {
        let ranges = alloc::vec![8..9, 0..2, 2..4, 3..5, 20..30];
        assert_eq!(joined(ranges), [0..5, 8..9, 20..30]);
        assert!(joined(Vec::new()).is_empty());
    }
}
