//! Bit maps as `RtlInitializeBitMap` and its neighbours have them: bit 0 is the lowest bit of the first 32-bit word.

use alloc::vec::Vec;
use core::ops::Range;

/// A run of bits: first and how many.
pub type Run = (u32, u32);

/// A view of a bit map.
#[derive(Debug)]
pub struct Bits<'a> {
    words: &'a mut [u32],
    bits: u32,
}

impl<'a> Bits<'a> {
    /// Makes a bit map of `bits` bits in `words`.
    ///
    /// # Panics
    /// If there are too few words.
    pub fn new(words: &'a mut [u32], bits: u32) -> Self {
        assert!(words.len() >= bits.div_ceil(32) as usize, "a bit map with fewer words than bits");
        Self { words, bits }
    }

    /// Returns whether a bit is set; beyond the end none is.
    #[must_use]
    pub fn get(&self, bit: u32) -> bool {
        bit < self.bits && self.words[(bit / 32) as usize] >> (bit % 32) & 1 != 0
    }

    /// Sets or clears bits; those beyond the end are left alone.
    pub fn put(&mut self, start: u32, length: u32, value: bool) {
        for bit in start..start.saturating_add(length).min(self.bits) {
            let mask = 1 << (bit % 32);
            let word = &mut self.words[(bit / 32) as usize];
            *word = if value { *word | mask } else { *word & !mask };
        }
    }

    /// Returns how many bits are set.
    #[must_use]
    pub fn count(&self) -> u32 {
        (0..self.bits).filter(|&bit| self.get(bit)).count() as u32
    }

    /// Bits in all.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.bits
    }

    /// Returns whether it has no bits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bits == 0
    }

    /// Returns whether all of a range that is not empty has a value; what leaves the map has none.
    #[must_use]
    pub fn all(&self, start: u32, length: u32, value: bool) -> bool {
        let Some(end) = start.checked_add(length).filter(|&end| end <= self.bits) else { return false };
        length > 0 && (start..end).all(|bit| self.get(bit) == value)
    }

    /// Returns the runs of a value, ascending, in a range.
    pub fn runs(&self, range: Range<u32>, value: bool) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for bit in range.start..range.end.min(self.bits) {
            if self.get(bit) == value {
                match runs.last_mut() {
                    Some((start, length)) if *start + *length == bit => *length += 1,
                    _ => runs.push((bit, 1)),
                }
            }
        }
        runs
    }

    /// Returns the first `length` bits in a row that have a value, from the byte of `hint` on, then from the
    /// beginning.
    #[must_use]
    pub fn find(&self, length: u32, hint: u32, value: bool) -> Option<u32> {
        let from = if hint < self.bits { hint / 8 * 8 } else { 0 };
        if length == 0 {
            return Some(from);
        }
        let fits = |&(_, found): &Run| found >= length;
        let behind = self.runs(from..self.bits, value).into_iter().find(fits);
        behind.or_else(|| self.runs(0..self.bits, value).into_iter().find(fits)).map(|(start, _)| start)
    }

    /// Returns the longest run of a value, the first of those that are equally long.
    #[must_use]
    pub fn longest(&self, value: bool) -> Option<Run> {
        self.runs(0..self.bits, value).into_iter().rev().max_by_key(|&(_, length)| length)
    }

    /// Returns the run of a value that ends last, at or before `from`.
    #[must_use]
    pub fn last_until(&self, from: u32, value: bool) -> Option<Run> {
        self.runs(0..from.saturating_add(1), value).pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(words: &mut [u32]) -> Bits<'_> {
        let bits = 32 * words.len() as u32;
        Bits::new(words, bits)
    }

    #[test]
    fn bits_are_set_and_cleared_across_words() {
        let mut words = [0; 2];
        bits(&mut words).put(30, 4, true);
        assert_eq!(words, [0xc000_0000, 0x3]);
        bits(&mut words).put(31, 1, false);
        assert_eq!((words, bits(&mut words).count()), ([0x4000_0000, 0x3], 3));
    }

    #[test]
    fn neither_changes_nor_counts_bits_beyond_the_end() {
        let mut words = [0xffff_ffff];
        let mut map = Bits::new(&mut words, 20);
        assert_eq!(map.count(), 20);
        assert!(!map.get(20) && !map.all(10, 11, true) && map.all(10, 10, true) && !map.all(3, 0, true));
        map.put(10, 100, false);
        assert_eq!(words, [0xfff0_03ff]);
    }

    #[test]
    fn a_search_begins_at_the_hint_and_wraps() {
        let mut words = [0xffff_00ff, 0xffff_ff00];
        let map = bits(&mut words);
        assert_eq!(map.find(8, 0, false), Some(8));
        assert_eq!(map.find(8, 20, false), Some(32));
        assert_eq!(map.find(8, 45, false), Some(8), "nothing behind the hint");
        assert_eq!(map.find(9, 0, false), None);
        assert_eq!(map.find(3, 13, false), Some(8), "the hint counts by bytes");
    }

    #[test]
    fn runs_are_found_by_length_and_from_behind() {
        let mut words = [0x0000_0ff0, 0x00ff_0000];
        let map = bits(&mut words);
        assert_eq!(map.runs(0..64, true), [(4, 8), (48, 8)]);
        assert_eq!(map.longest(true), Some((4, 8)));
        assert_eq!(map.longest(false), Some((12, 36)));
        assert_eq!(map.last_until(50, true), Some((48, 3)));
        assert_eq!(map.last_until(2, true), None);
    }
}
