//! Makes broken inputs out of good ones: the same ones at every run.
//!
//! It knows what these formats are made of (chunks with codes and sizes, tables of 32-bit words, small counts), so that
//! most of what it makes is believed for a while before it is found out.

use crate::common::Random;

/// Largest input, so that a run stays short.
const LENGTH_MAX: usize = 16_384;

/// Numbers at which readers stumble.
const NUMBERS: [u32; 20] = [
    0,
    1,
    2,
    7,
    8,
    12,
    16,
    20,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x1_0000,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFF8,
    0xFFFF_FFFE,
    0xFFFF_FFFF,
];

pub(crate) struct Mutator {
    random: Random,
}

impl Mutator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random(seed) }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len())]
    }

    /// Returns where chunks begin, as far as their codes tell.
    fn headers(bytes: &[u8]) -> Vec<usize> {
        let is_code = |part: &[u8]| part.iter().all(|b| b.is_ascii_alphanumeric() || *b == b' ');
        (0..bytes.len().saturating_sub(7)).filter(|at| is_code(&bytes[*at..*at + 4])).collect()
    }

    /// Makes a broken copy of one of the seeds.
    pub(crate) fn next(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let which = self.random.below(seeds.len());
        let mut bytes = seeds[which].clone();
        for _ in 0..=self.random.below(4) {
            self.step(&mut bytes, seeds);
        }
        bytes.truncate(LENGTH_MAX);
        bytes
    }

    fn step(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        if bytes.len() < 8 {
            bytes.extend([0; 8]);
        }
        let any = self.random.below(bytes.len() - 7);
        let word = any & !3;
        match self.random.below(12) {
            0 => bytes[any] = self.random.below(256) as u8,
            1 => bytes[any] ^= 1 << self.random.below(8),
            2 | 3 => {
                let number = self.pick(&NUMBERS);
                bytes[word..word + 4].copy_from_slice(&number.to_le_bytes());
            }
            4 => {
                // A little more, or a little less.
                let old = u32::from_le_bytes([bytes[word], bytes[word + 1], bytes[word + 2], bytes[word + 3]]);
                let new = old.wrapping_add(self.random.below(9) as u32).wrapping_sub(4);
                bytes[word..word + 4].copy_from_slice(&new.to_le_bytes());
            }
            5 => {
                let half = any & !1;
                let number = self.pick(&NUMBERS) as u16;
                bytes[half..half + 2].copy_from_slice(&number.to_le_bytes());
            }
            // The size of a chunk, or its code.
            6 => {
                let headers = Self::headers(bytes);
                if !headers.is_empty() {
                    let at = self.pick(&headers) + 4;
                    let number = self.pick(&NUMBERS);
                    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
                }
            }
            7 => {
                let headers = Self::headers(bytes);
                if !headers.is_empty() {
                    let (from, to) = (self.pick(&headers), self.pick(&headers));
                    bytes.copy_within(from..from + 4, to);
                }
            }
            // A stretch twice, away, or from another seed; sizes are then mostly wrong, which is the point.
            8 => {
                let end = (any + 4 * self.random.below(16)).min(bytes.len());
                let part = bytes[any..end].to_vec();
                bytes.splice(any..any, part);
            }
            9 => {
                let end = (any + 4 * self.random.below(16)).min(bytes.len());
                bytes.drain(any..end);
            }
            10 => {
                let other = self.random.below(seeds.len());
                let other = &seeds[other];
                let from = self.random.below(other.len().max(1)).min(other.len());
                let end = (from + 4 * self.random.below(32)).min(other.len());
                bytes.splice(any..any, other[from..end].iter().copied());
            }
            _ => bytes.truncate(any),
        }
    }
}
