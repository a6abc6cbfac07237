//! A slot of the ring: three words.

/// Bytes of a slot: the common record.
pub const SLOT_BYTES: usize = 24;

/// Words of a slot.
pub(crate) const SLOT_WORDS: usize = 3;

/// Bytes of payload in a slot that continues a record.
pub(crate) const CHUNK_BYTES: usize = 16;

/// Returns the seal of a slot, by its number.
#[inline]
pub(crate) const fn seal(number: u64) -> u32 {
    !(number as u32)
}

/// Returns the second word of a slot.
#[inline]
pub(crate) const fn label(kind: u8, source: u8, small: u16, number: u64) -> u64 {
    kind as u64 | (source as u64) << 8 | (small as u64) << 16 | (seal(number) as u64) << 32
}

/// A slot as it was read, unchecked but for its seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) first: u64,
    pub(crate) kind: u8,
    pub(crate) source: u8,
    pub(crate) small: u16,
    pub(crate) last: u64,
}

impl Slot {
    /// Reads a slot, if its seal is that of the slot with this number.
    pub(crate) fn read(bytes: &[u8; SLOT_BYTES], number: u64) -> Option<Self> {
        let (words, _) = bytes.as_chunks::<8>();
        let [first, label, last] = *words.first_chunk::<SLOT_WORDS>()?;
        let label = u64::from_le_bytes(label);
        if (label >> 32) as u32 != seal(number) {
            return None;
        }
        Some(Self {
            first: u64::from_le_bytes(first),
            kind: label as u8,
            source: (label >> 8) as u8,
            small: (label >> 16) as u16,
            last: u64::from_le_bytes(last),
        })
    }

    /// Returns the bytes of payload in a slot that continues a record.
    pub(crate) fn chunk(self) -> [u8; CHUNK_BYTES] {
        let mut chunk = [0; CHUNK_BYTES];
        let (low, high) = chunk.split_at_mut(CHUNK_BYTES / 2);
        low.copy_from_slice(&self.first.to_le_bytes());
        high.copy_from_slice(&self.last.to_le_bytes());
        chunk
    }
}
