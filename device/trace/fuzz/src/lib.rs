//! Reads any bytes as a trace, and puts what is read into words.
//!
//! Holds after every input: nothing panics; records and gaps account for no more slots than the ring has; a record's payload is
//! no longer than the header says; the numbers of records ascend.

use card_trace::{Act, Detail, GuestAct, HEADER_BYTES, Item, Reader, SLOT_BYTES, describe};

/// Slots of the ring that an input fills.
const SLOTS: u64 = 64;

/// Reads an input. Its first byte chooses: even, the rest is a file; odd, the rest are the slots of a ring of 64 with a good header, and
/// the seals are set, so that what is behind them is reached.
pub fn drive(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    let file = if first % 2 == 0 { rest.to_vec() } else { ring(u64::from(*first) / 2, rest) };
    let Ok(reader) = Reader::of_bytes(file) else { return };
    let Ok((header, items)) = reader.read_all() else { return };
    let mut slots = 0;
    let mut last = None;
    for item in &items {
        let record = match item {
            Item::Gap { slots: lost } => {
                slots += lost;
                continue;
            }
            Item::Record(record) => record,
        };
        assert!(last.is_none_or(|last| record.number > last), "records out of order");
        last = Some(record.number);
        slots += 1;
        let act = record.act();
        let payload = match act {
            Act::ChainTaken { request: bytes, .. } | Act::ChainReturned { answer: bytes, .. } => bytes.len(),
            Act::WaveReturned { pcm, .. } => pcm.len() + 40,
            Act::Mark { text } | Act::FaultStruck { text } | Act::Command { text } => text.len(),
            Act::Memory { regions } => regions.len(),
            Act::Guest(GuestAct::Marks(_)) => 48,
            Act::VoiceStarted(_) => 12,
            Act::Unknown { payload, .. } => payload.len(),
            _ => 0,
        };
        assert!(payload <= header.payload_max as usize, "a payload beyond the header's bound");
        slots += payload.div_ceil(16) as u64;
        for detail in [Detail::Raw, Detail::Names, Detail::Full] {
            assert!(!describe(&act, detail).is_empty());
        }
    }
    assert!(slots <= header.slots.max(header.taken), "more slots than there are");
}

/// Returns a file whose ring holds `slots`, the first of which has number `start`.
fn ring(start: u64, slots: &[u8]) -> Vec<u8> {
    let mut file = vec![0; HEADER_BYTES + SLOTS as usize * SLOT_BYTES];
    let count = (slots.len() / SLOT_BYTES).min(SLOTS as usize);
    let words = [
        u64::from_le_bytes(card_trace::MAGIC),
        1 | (HEADER_BYTES as u64) << 32,
        SLOTS,
        SLOT_BYTES as u64,
        start + count as u64,
    ];
    for (to, from) in file.chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&from.to_le_bytes());
    }
    file[84..88].copy_from_slice(&400_u32.to_le_bytes());
    for (index, slot) in slots.chunks_exact(SLOT_BYTES).take(count).enumerate() {
        let number = start + index as u64;
        let at = HEADER_BYTES + (number % SLOTS) as usize * SLOT_BYTES;
        file[at..at + SLOT_BYTES].copy_from_slice(slot);
        file[at + 12..at + 16].copy_from_slice(&(!(number as u32)).to_le_bytes());
    }
    file
}
