//! Bit maps.
#![allow(unsafe_code, reason = "bit maps of the Windows ABI")]

use crate::base::bitmap::{Bits, Run};
use crate::export_functions;

/// `RTL_BITMAP`.
#[repr(C)]
pub struct Bitmap {
    bits: u32,
    words: *mut u32,
}

/// What searches give when there is nothing.
const NOTHING: u32 = u32::MAX;

unsafe fn view<'a>(map: *const Bitmap) -> Bits<'a> {
    // SAFETY: an export's argument: the buffer has as many bits as the map says.
    unsafe {
        let words = core::slice::from_raw_parts_mut((*map).words, (*map).bits.div_ceil(32) as usize);
        Bits::new(words, (*map).bits)
    }
}

/// Writes where a run begins and gives its length.
unsafe fn put_out(run: Option<Run>, start: *mut u32) -> u32 {
    let (first, length) = run.unwrap_or((0, 0));
    // SAFETY: an export's argument.
    unsafe { start.write(first) };
    length
}

export_functions! {
    /// Bit maps.
    pub static EXPORTS;

    /// Makes a map of a buffer, whose bits stay as they are.
    [ANY] fn RtlInitializeBitMap(map: *mut Bitmap, words: *mut u32, bits: u32) { map.write(Bitmap { bits, words }) }

    /// Clears a bit.
    [ANY] fn RtlClearBit(map: *const Bitmap, bit: u32) { view(map).put(bit, 1, false) }

    /// Sets a bit.
    [ANY] fn RtlSetBit(map: *const Bitmap, bit: u32) { view(map).put(bit, 1, true) }

    /// Returns whether a bit is set.
    [ANY] fn RtlTestBit(map: *const Bitmap, bit: u32) -> u8 { u8::from(view(map).get(bit)) }

    /// Clears all bits.
    [ANY] fn RtlClearAllBits(map: *const Bitmap) { view(map).put(0, u32::MAX, false) }

    /// Sets all bits.
    [ANY] fn RtlSetAllBits(map: *const Bitmap) { view(map).put(0, u32::MAX, true) }

    /// Clears a range.
    [ANY] fn RtlClearBits(map: *const Bitmap, start: u32, length: u32) { view(map).put(start, length, false) }

    /// Sets a range.
    [ANY] fn RtlSetBits(map: *const Bitmap, start: u32, length: u32) { view(map).put(start, length, true) }

    /// Returns whether a range is clear.
    [ANY] fn RtlAreBitsClear(map: *const Bitmap, start: u32, length: u32) -> u8 { u8::from(view(map).all(start, length, false)) }

    /// Returns whether a range is set.
    [ANY] fn RtlAreBitsSet(map: *const Bitmap, start: u32, length: u32) -> u8 { u8::from(view(map).all(start, length, true)) }

    /// Returns how many bits are clear.
    [ANY] fn RtlNumberOfClearBits(map: *const Bitmap) -> u32 { let map = view(map); map.len() - map.count() }

    /// Returns how many bits are set.
    [ANY] fn RtlNumberOfSetBits(map: *const Bitmap) -> u32 { view(map).count() }

    /// Returns how many bits of a number are set.
    [ANY] fn RtlNumberOfSetBitsUlongPtr(value: u64) -> u32 { value.count_ones() }

    /// Returns where so many bits in a row are clear.
    [ANY] fn RtlFindClearBits(map: *const Bitmap, length: u32, hint: u32) -> u32 { view(map).find(length, hint, false).unwrap_or(NOTHING) }

    /// Returns where so many bits in a row are set.
    [ANY] fn RtlFindSetBits(map: *const Bitmap, length: u32, hint: u32) -> u32 { view(map).find(length, hint, true).unwrap_or(NOTHING) }

    /// Finds so many clear bits in a row, and sets them.
    [ANY] fn RtlFindClearBitsAndSet(map: *const Bitmap, length: u32, hint: u32) -> u32 {
        let mut map = view(map);
        let found = map.find(length, hint, false);
        if let Some(start) = found { map.put(start, length, true) }
        found.unwrap_or(NOTHING)
    }

    /// Finds so many set bits in a row, and clears them.
    [ANY] fn RtlFindSetBitsAndClear(map: *const Bitmap, length: u32, hint: u32) -> u32 {
        let mut map = view(map);
        let found = map.find(length, hint, true);
        if let Some(start) = found { map.put(start, length, false) }
        found.unwrap_or(NOTHING)
    }

    /// Returns the clear runs: the first ones, or the longest.
    [ANY] fn RtlFindClearRuns(map: *const Bitmap, runs: *mut Run, most: u32, longest: u8) -> u32 {
        let map = view(map);
        let mut found = map.runs(0..map.len(), false);
        if longest != 0 { found.sort_by_key(|&(_, length)| core::cmp::Reverse(length)) }
        found.truncate(most as usize);
        for (index, &run) in found.iter().enumerate() { runs.add(index).write(run) }
        found.len() as u32
    }

    /// Returns the longest clear run.
    [ANY] fn RtlFindLongestRunClear(map: *const Bitmap, start: *mut u32) -> u32 { put_out(view(map).longest(false), start) }

    /// Returns the first clear run.
    [ANY] fn RtlFindFirstRunClear(map: *const Bitmap, start: *mut u32) -> u32 { RtlFindNextForwardRunClear(map, 0, start) }

    /// Returns the first clear run from a bit on.
    [ANY] fn RtlFindNextForwardRunClear(map: *const Bitmap, from: u32, start: *mut u32) -> u32 {
        let map = view(map);
        put_out(map.runs(from..map.len(), false).first().copied(), start)
    }

    /// Returns the last clear run that ends at or before a bit.
    [ANY] fn RtlFindLastBackwardRunClear(map: *const Bitmap, from: u32, start: *mut u32) -> u32 {
        put_out(view(map).last_until(from, false), start)
    }

    /// Returns the lowest set bit of a number, or -1.
    [ANY] fn RtlFindLeastSignificantBit(value: u64) -> i8 { if value == 0 { -1 } else { value.trailing_zeros() as i8 } }

    /// Returns the highest set bit of a number, or -1.
    [ANY] fn RtlFindMostSignificantBit(value: u64) -> i8 { if value == 0 { -1 } else { value.ilog2() as i8 } }
}
