//! Writes chosen records to a trace of their own, as they were recorded.

use crate::act::CUT;
use crate::header::{HEADER_BYTES, Header, MAGIC, PROGRAM_BYTES, VERSION_MAJOR, word};
use crate::kind::{Kind, PAYLOAD};
use crate::payload::Chunks;
use crate::reader::Record;
use crate::slot::{CHUNK_BYTES, SLOT_BYTES, label};
use crate::writer::{SIZE_MAX, SIZE_MIN};

/// The records need more room than a trace can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{slots} slots are more than a trace of {SIZE_MAX} bytes has")]
pub struct TooLarge {
    /// The slots that they need.
    pub slots: u64,
}

/// Returns the file of a trace with these records, in this order: they keep their time, kind and payload, and get new numbers. `header` is
/// that of the trace that they come from.
///
/// # Errors
/// [`TooLarge`] when no trace holds them.
pub fn copy<'r>(header: &Header, records: impl IntoIterator<Item = &'r Record> + Clone) -> Result<Vec<u8>, TooLarge> {
    let continues = |record: &Record| record.payload.len().div_ceil(CHUNK_BYTES) as u64;
    let (mut taken, mut continued, mut longest) = (0_u64, 0_u64, 0_usize);
    for record in records.clone() {
        continued = continued.saturating_add(continues(record));
        taken = taken.saturating_add(1).saturating_add(continues(record));
        longest = longest.max(record.payload.len());
    }
    let least = (SIZE_MIN - HEADER_BYTES as u64) / SLOT_BYTES as u64;
    // One more than they are, so that the longest payload is within the bound of the header.
    let slots = taken.saturating_add(1).max(least).checked_next_power_of_two();
    let slots = slots.filter(|slots| *slots <= SIZE_MAX / SLOT_BYTES as u64).ok_or(TooLarge { slots: taken })?;
    let mut file = vec![0; HEADER_BYTES + slots as usize * SLOT_BYTES];
    let (head, ring) = file.split_at_mut(HEADER_BYTES);
    let mut put = |at: usize, value: u64| {
        if let Some(to) = head.as_chunks_mut::<8>().0.get_mut(at) {
            *to = value.to_le_bytes();
        }
    };
    put(word::MAGIC, u64::from_le_bytes(MAGIC));
    put(word::VERSION, u64::from(VERSION_MAJOR) | u64::from(header.minor) << 16 | (HEADER_BYTES as u64) << 32);
    put(word::SLOTS, slots);
    put(word::SLOT_BYTES, SLOT_BYTES as u64 | u64::from(header.flags) << 32);
    put(word::TAKEN, taken);
    put(word::CONTINUED, continued);
    put(word::TICKS, header.ticks);
    put(word::NANOSECONDS, header.nanoseconds);
    put(word::SINCE_EPOCH, header.since_epoch);
    put(word::PROCESS, u64::from(header.process) | (longest as u64) << 32);
    let mut program = [0; PROGRAM_BYTES];
    program.iter_mut().zip(header.program.as_bytes()).for_each(|(to, from)| *to = *from);
    for (at, bytes) in program.as_chunks::<8>().0.iter().enumerate() {
        put(word::PROGRAM + at, u64::from_le_bytes(*bytes));
    }
    let (words, _) = ring.as_chunks_mut::<8>();
    let mut numbered = words.chunks_exact_mut(3).enumerate();
    let mut slot = |first: u64, kind: u8, source: u8, small: u16, last: u64| {
        if let Some((number, [a, b, c])) = numbered.next() {
            *a = first.to_le_bytes();
            *b = label(kind, source, small, number as u64).to_le_bytes();
            *c = last.to_le_bytes();
        }
    };
    for record in records {
        let payload = &*record.payload;
        slot(record.ticks, record.kind.0, record.source.0, record.small, record.value);
        for (index, chunk) in Chunks::new(&[payload], payload.len()).enumerate() {
            let (low, high) = chunk.split_at(CHUNK_BYTES / 2);
            let half = |half: &[u8]| half.first_chunk().map_or(0, |half| u64::from_le_bytes(*half));
            slot(half(low), Kind::CONTINUES.0, record.source.0, index as u16, half(high));
        }
    }
    Ok(file)
}

impl Record {
    /// Returns the record of frames that were rendered with another next frame; `None` for a record of another kind.
    #[must_use]
    pub fn with_frame(&self, frame: i64) -> Option<Self> {
        (self.kind == Kind::RENDERED).then(|| Self { value: frame as u64, ..self.clone() })
    }

    /// Returns the record with another payload, which is whole; `None` for a kind that has none, or a payload that no record can have.
    #[must_use]
    pub fn with_payload(&self, payload: Vec<u8>) -> Option<Self> {
        let length = u64::try_from(payload.len()).ok().filter(|length| *length < 1 << 24)?;
        if self.kind.0 & PAYLOAD == 0 {
            return None;
        }
        let kept = self.value & !0x00ff_ffff & !(u64::from(CUT) << 24);
        Some(Self { value: kept | length, payload, ..self.clone() })
    }
}
