//! Memory that a device could write to and that was given back: kept for a while, filled with a pattern that is looked
//! at again, so that a device which still writes there is found out.
#![allow(unsafe_code, reason = "looks at memory without an owner")]

use alloc::collections::VecDeque;

use crate::arch::boot::DIRECT_MAP;
use crate::arch::uninterrupted::Uninterrupted;
use crate::arch::{PAGE_SIZE, frames};
use crate::contract::{checks, verifier, watch};

/// What the memory is filled with.
const PATTERN: u64 = 0xdead_d3a0_dead_d3a0;
/// How much is kept; what is older goes back to the free frames.
const BYTES_MAX: u64 = 8 << 20;
const DRIVER_VERIFIER_DMA_VIOLATION: u32 = 0xe6;

/// What is kept.
#[derive(Clone, Copy)]
struct Range {
    physical: u64,
    bytes: u64,
    /// What it was.
    what: &'static str,
}

struct Kept {
    ranges: VecDeque<Range>,
    bytes: u64,
}

static KEPT: Uninterrupted<Kept> = Uninterrupted::new(Kept { ranges: VecDeque::new(), bytes: 0 });

fn words(physical: u64, bytes: u64) -> impl Iterator<Item = (u64, *mut u64)> {
    (0..bytes).step_by(8).map(move |offset| (offset, (DIRECT_MAP + physical + offset) as *mut u64))
}

/// Keeps contiguous frames that were a driver's, as `what`.
pub(super) fn put(physical: u64, bytes: u64, what: &'static str) {
    if !watch::is_on() {
        return frames::free(physical, bytes);
    }
    for (_, word) in words(physical, bytes) {
        // SAFETY: frames without another owner, seen through the direct map.
        unsafe { word.write_volatile(PATTERN) };
    }
    let old = KEPT.with(|kept| {
        kept.ranges.push_back(Range { physical, bytes, what });
        kept.bytes += bytes;
        let mut old = VecDeque::new();
        while kept.bytes > BYTES_MAX
            && let Some(first) = kept.ranges.pop_front()
        {
            kept.bytes -= first.bytes;
            old.push_back(first);
        }
        old
    });
    for range in old {
        look(&range);
        frames::free(range.physical, range.bytes);
    }
}

/// Looks at everything that is kept.
pub fn check() {
    let all = KEPT.with(|kept| kept.ranges.clone());
    all.iter().for_each(look);
}

fn look(range: &Range) {
    let &Range { physical, bytes, what } = range;
    // SAFETY: frames that are kept, seen through the direct map.
    let changed = words(physical, bytes).find(|(_, word)| unsafe { word.read_volatile() } != PATTERN);
    if let Some((offset, _)) = changed {
        verifier::failed(
            checks::LATE_DMA,
            DRIVER_VERIFIER_DMA_VIOLATION,
            "the memory manager",
            [0x1b, physical, offset, bytes],
            format_args!(
                "the {bytes:#x} bytes at {physical:#x} ({what}) were freed, and something wrote to offset {offset:#x} (page \
                 {}) since: reset the device, or take the buffer from it and wait, before it is freed",
                offset / PAGE_SIZE
            ),
        );
        // Found once.
        // SAFETY: as above; nothing else is kept there.
        words(physical, bytes).for_each(|(_, word)| unsafe { word.write_volatile(PATTERN) });
    }
}
