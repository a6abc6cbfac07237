//! Puts slots together to records.

use std::ops::Range;

use crate::kind::{Kind, PAYLOAD};
use crate::reader::{Item, Record};
use crate::slot::{CHUNK_BYTES, Slot};

/// Decodes the slots with the numbers of `range`. `slot` returns those that are whole. `settled` is the number from which on a slot that
/// is not whole may still be written: decoding ends there. Returns the records and gaps, and the number of the next slot.
pub(crate) fn decode(
    range: Range<u64>,
    settled: u64,
    payload_max: u32,
    slot: impl Fn(u64) -> Option<Slot>,
) -> (Vec<Item>, u64) {
    let mut items = Vec::new();
    let mut gap = 0_u64;
    let mut number = range.start;
    while number < range.end {
        match whole(number, range.end, payload_max, &slot) {
            Found::Record(record, next) => {
                if gap > 0 {
                    items.push(Item::Gap { slots: std::mem::take(&mut gap) });
                }
                items.push(Item::Record(record));
                number = next;
            }
            Found::Unwritten(at) if at >= settled => break,
            Found::Unwritten(_) | Found::Stray => {
                gap = gap.saturating_add(1);
                number = number.saturating_add(1);
            }
        }
    }
    if gap > 0 {
        items.push(Item::Gap { slots: gap });
    }
    (items, number)
}

enum Found {
    Record(Record, u64),
    /// This slot is not whole.
    Unwritten(u64),
    /// The slot continues a record that is not there, or begins one that cannot be.
    Stray,
}

fn whole(number: u64, end: u64, payload_max: u32, slot: &impl Fn(u64) -> Option<Slot>) -> Found {
    let Some(head) = slot(number) else { return Found::Unwritten(number) };
    if head.kind == Kind::CONTINUES.0 || head.kind == 0 {
        return Found::Stray;
    }
    let length = if head.kind & PAYLOAD == 0 { 0 } else { (head.last & 0x00ff_ffff) as u32 };
    if length > payload_max {
        return Found::Stray;
    }
    let continues = (length as usize).div_ceil(CHUNK_BYTES) as u64;
    let first = number.saturating_add(1);
    let next = first.saturating_add(continues);
    if next > end {
        return Found::Unwritten(end);
    }
    let mut payload = Vec::with_capacity((continues as usize).saturating_mul(CHUNK_BYTES));
    for (index, at) in (first..next).enumerate() {
        match slot(at) {
            None => return Found::Unwritten(at),
            Some(part) if part.kind == Kind::CONTINUES.0 && part.small == index as u16 => {
                payload.extend_from_slice(&part.chunk());
            }
            Some(_) => return Found::Stray,
        }
    }
    payload.truncate(length as usize);
    let record = Record::new(number, &head, payload);
    Found::Record(record, next)
}
