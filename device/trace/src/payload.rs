//! Payloads: cut from several parts into chunks of a slot, and the hash that stands for PCM.

use twox_hash::XxHash64;

use crate::slot::CHUNK_BYTES;

/// Returns the hash that stands for the PCM of a wave buffer: XXH64 with seed 0 of its bytes, as they lie in guest memory.
#[must_use]
pub fn pcm_hash(pcm: &[u8]) -> u64 {
    XxHash64::oneshot(0, pcm)
}

/// The bytes of several parts, in chunks.
pub(crate) struct Chunks<'p> {
    parts: &'p [&'p [u8]],
    part: &'p [u8],
    left: usize,
}

impl<'p> Chunks<'p> {
    /// Returns the first `length` bytes of `parts`.
    #[inline]
    pub(crate) const fn new(parts: &'p [&'p [u8]], length: usize) -> Self {
        Self { parts, part: &[], left: length }
    }
}

impl Iterator for Chunks<'_> {
    type Item = [u8; CHUNK_BYTES];

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        // Most chunks lie in one part.
        if let Some((chunk, rest)) = self.part.split_first_chunk::<CHUNK_BYTES>()
            && self.left >= CHUNK_BYTES
        {
            self.part = rest;
            self.left -= CHUNK_BYTES;
            return Some(*chunk);
        }
        let mut chunk = [0; CHUNK_BYTES];
        let wanted = self.left.min(CHUNK_BYTES);
        let mut filled = 0;
        while filled < wanted {
            if self.part.is_empty() {
                let (part, rest) = self.parts.split_first()?;
                (self.part, self.parts) = (part, rest);
                continue;
            }
            let count = self.part.len().min(wanted - filled);
            let (now, rest) = self.part.split_at(count);
            chunk[filled..filled + count].copy_from_slice(now);
            self.part = rest;
            filled += count;
        }
        self.left -= wanted;
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_run_over_the_ends_of_parts_and_stop_at_the_length() {
        let bytes: Vec<u8> = (0..50).collect();
        for cut in 0..50 {
            for length in 0..50 {
                let parts = [&bytes[..cut], &[], &bytes[cut..]];
                let all: Vec<u8> = Chunks::new(&parts, length).flatten().collect();
                assert_eq!(all.len(), length.next_multiple_of(CHUNK_BYTES));
                assert_eq!(&all[..length], &bytes[..length], "cut at {cut}");
                assert!(all[length..].iter().all(|byte| *byte == 0));
            }
        }
    }

    #[test]
    fn the_hash_is_the_published_one() {
        // The reference implementation's test of an empty input, and of one byte.
        assert_eq!(pcm_hash(b""), 0xef46_db37_51d8_e999);
        assert_eq!(pcm_hash(b"a"), 0xd24e_c4f1_a98c_6e5b);
    }
}
