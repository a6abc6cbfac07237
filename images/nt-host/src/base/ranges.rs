//! Free ranges of an address space: physical memory, windows of virtual addresses, windows of the PCI bus.
//!
//! Own code: the crates for this round sizes to powers of two (a bulk range of 65 MiB would not fit a guest of 128) or
//! know no alignment and upper limit, which `MmAllocateContiguousMemory` and BARs need.

use alloc::vec::Vec;
use core::ops::Range;

/// Disjoint free ranges in ascending order, none touching the next.
#[derive(Debug, Default)]
pub struct Ranges {
    free: Vec<Range<u64>>,
    /// Where the next-fit search goes on.
    cursor: u64,
}

impl Ranges {
    /// Makes an empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { free: Vec::new(), cursor: 0 }
    }

    /// Returns the bytes free.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.free.iter().map(|range| range.end - range.start).sum()
    }

    /// Returns whether an address is free.
    #[must_use]
    pub fn contains(&self, address: u64) -> bool {
        let at = self.free.partition_point(|free| free.end <= address);
        self.free.get(at).is_some_and(|free| free.contains(&address))
    }

    /// Makes a range free. What of it is free already stays so.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let first = self.free.partition_point(|free| free.end < range.start);
        let last = self.free.partition_point(|free| free.start <= range.end);
        let mut merged = range;
        if first < last {
            merged.start = merged.start.min(self.free[first].start);
            merged.end = merged.end.max(self.free[last - 1].end);
        }
        self.free.splice(first..last, [merged]);
    }

    /// Takes a range away, wherever it is free.
    pub fn remove(&mut self, range: Range<u64>) {
        let mut at = self.free.partition_point(|free| free.end <= range.start);
        while at < self.free.len() && self.free[at].start < range.end {
            let free = self.free.remove(at);
            if free.start < range.start {
                self.free.insert(at, free.start..range.start);
                at += 1;
            }
            if range.end < free.end {
                self.free.insert(at, range.end..free.end);
                at += 1;
            }
        }
    }

    /// Takes `length` bytes at a multiple of `align` (a power of two) that end at or below `limit`, lowest first.
    pub fn allocate(&mut self, length: u64, align: u64, limit: u64) -> Option<u64> {
        self.allocate_from(0, length, align, limit)
    }

    /// Takes `length` bytes at the highest multiple of `align` that fits.
    pub fn allocate_highest(&mut self, length: u64, align: u64) -> Option<u64> {
        for free in self.free.iter().rev() {
            let start = free.end.checked_sub(length)? & !(align - 1);
            if start >= free.start {
                self.remove(start..start + length);
                return Some(start);
            }
        }
        None
    }

    /// Takes `length` bytes at a multiple of `align`, going round the space, so that what was freed is reused as late
    /// as possible.
    pub fn allocate_next(&mut self, length: u64, align: u64) -> Option<u64> {
        let start = self
            .allocate_from(self.cursor, length, align, u64::MAX)
            .or_else(|| self.allocate_from(0, length, align, u64::MAX))?;
        self.cursor = start + length;
        Some(start)
    }

    fn allocate_from(&mut self, from: u64, length: u64, align: u64, limit: u64) -> Option<u64> {
        let first = self.free.partition_point(|free| free.end <= from);
        for free in &self.free[first..] {
            let start = free.start.max(from).checked_next_multiple_of(align)?;
            let end = start.checked_add(length)?;
            if end > limit {
                return None;
            }
            if end <= free.end {
                self.remove(start..end);
                return Some(start);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn ranges(all: &[Range<u64>]) -> Ranges {
        let mut ranges = Ranges::new();
        all.iter().for_each(|range| ranges.insert(range.clone()));
        ranges
    }

    #[test]
    fn neighbours_and_overlaps_merge() {
        assert_eq!(ranges(&[0..4, 8..12, 4..8]).free, vec![0..12]);
        assert_eq!(ranges(&[0..4, 8..12, 2..9]).free, vec![0..12]);
        assert_eq!(ranges(&[8..12, 0..4]).free, vec![0..4, 8..12]);
    }

    #[test]
    fn a_hole_splits_a_range() {
        let mut free = ranges(&[0..16, 32..48]);
        free.remove(4..40);
        assert_eq!(free.free, vec![0..4, 40..48]);
        assert!(free.contains(3) && !free.contains(4) && !free.contains(39) && free.contains(40) && !free.contains(48));
    }

    #[test]
    fn alignment_and_limit_are_kept() {
        let mut free = ranges(&[0x1000..0x1_0000, 0x1_0000..0x1_0000]);
        assert_eq!(free.allocate(0x1000, 0x4000, u64::MAX), Some(0x4000));
        assert_eq!(free.allocate(0x4000, 0x1000, 0x5000), None);
        assert_eq!(free.allocate(0x3000, 0x1000, 0x4000), Some(0x1000));
        assert_eq!(free.allocate_highest(0x1000, 0x2000), Some(0xe000));
        assert_eq!(free.total(), 0xf000 - 0x5000);
    }

    #[test]
    fn reuses_freed_ranges_late() {
        let mut free = ranges(&[0..0x1000, 0x1000..0x3000]);
        assert_eq!(free.allocate_next(0x1000, 0x1000), Some(0));
        free.insert(0..0x1000);
        assert_eq!(free.allocate_next(0x1000, 0x1000), Some(0x1000));
        assert_eq!(free.allocate_next(0x1000, 0x1000), Some(0x2000));
        assert_eq!(free.allocate_next(0x1000, 0x1000), Some(0));
        assert_eq!(free.allocate_next(0x1000, 0x1000), None);
    }
}
