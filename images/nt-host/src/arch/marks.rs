//! The ring of marks that the guest lends to the harness ([`guest_protocol::Mark`]): what it did, and when.
//!
//! Nothing is marked until a ring is [allocated](allocate); a mark is then one look at an atomic. A mark takes no lock and sends nothing, so
//! that it can stand anywhere, at any IRQL.
#![allow(unsafe_code, reason = "memory is reached by its physical address; the time-stamp counter")]

use core::sync::atomic::{AtomicU64, Ordering, fence};

use guest_protocol::{
    Bulk, MARK_BYTES, MARKS_ANSWERED, MARKS_ASKED, MARKS_HEADER_BYTES, MARKS_HOST_TICKS, MARKS_TAKEN, Mark, MarkKind,
    mark_count, pair_number,
};

use super::boot::DIRECT_MAP;
use super::{cpu, frames};

/// Bytes of the ring: 131,072 marks, those of some ten seconds of music, in a fortieth of the usual guest's memory.
const BYTES: u64 = MARKS_HEADER_BYTES + MARK_BYTES * (1 << 17);

/// Samples that the narrowest is chosen of.
const SAMPLES: u64 = 24;

/// Looks at the harness's answers that all samples of one time may take, some tenths of a second's worth on an emulated processor: a harness that
/// answers does in microseconds once its host runs it. Looks and not time, because the clock may be what has failed.
const LOOKS_MAX: u32 = 100_000;

/// Address of the ring's header in the direct map; 0 while nothing is marked.
static HEADER: AtomicU64 = AtomicU64::new(0);
/// Number of marks that it holds, less one.
static MASK: AtomicU64 = AtomicU64::new(0);
/// The number of the last sample.
static SAMPLE: AtomicU64 = AtomicU64::new(0);

fn tsc() -> u64 {
    // SAFETY: reads a counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

fn word(address: u64) -> &'static AtomicU64 {
    // SAFETY: callers give places inside the ring's frames, which are never given back; aligned, and both sides reach them whole.
    unsafe { &*(address as *const AtomicU64) }
}

/// Allocates the ring, and marks from now on. `None` without memory.
pub fn allocate() -> Option<Bulk> {
    let range = Bulk { address: frames::allocate_bulk(BYTES)?, length: BYTES };
    let header = DIRECT_MAP + range.address;
    for offset in (0..BYTES).step_by(8) {
        word(header + offset).store(0, Ordering::Relaxed);
    }
    MASK.store(mark_count(range)? - 1, Ordering::Relaxed);
    HEADER.store(header, Ordering::Release);
    Some(range)
}

/// Returns whether anything is marked.
#[inline]
#[must_use]
pub fn are_on() -> bool {
    HEADER.load(Ordering::Relaxed) != 0
}

/// Marks.
#[inline]
pub fn mark(kind: MarkKind, number: u16, value: u64) {
    let header = HEADER.load(Ordering::Relaxed);
    if header != 0 {
        put(header, tsc(), kind, number, value);
    }
}

/// Marks a change of the IRQL that is about to take place.
#[inline]
pub fn irql(old: u8, new: u8) {
    if old != new {
        mark(MarkKind::Irql, u16::from_le_bytes([old, new]), 0);
    }
}

#[inline(never)]
fn put(header: u64, ticks: u64, kind: MarkKind, number: u16, value: u64) {
    let mark = Mark { ticks, kind, processor: cpu::number() as u8, number, value };
    let taken = word(header + MARKS_TAKEN).fetch_add(1, Ordering::Relaxed);
    // A count that the driver has overwritten stays inside the ring.
    let place = header + MARKS_HEADER_BYTES + (taken & MASK.load(Ordering::Relaxed)) * MARK_BYTES;
    word(place + 8).store(0, Ordering::Relaxed);
    // A harness that finds the new words finds the seal gone.
    fence(Ordering::Release);
    word(place).store(ticks, Ordering::Relaxed);
    word(place + 16).store(value, Ordering::Relaxed);
    word(place + 8).store(mark.label(taken), Ordering::Release);
}

/// Pairs the guest's ticks with those of the harness's host, which answers now, and marks the narrowest pair. Returns whether the harness has
/// answered in time.
pub fn sample() -> bool {
    let header = HEADER.load(Ordering::Relaxed);
    if header == 0 {
        return false;
    }
    let mut looks = 0;
    // Width, middle and the host's ticks of the narrowest.
    let mut narrowest: Option<(u64, u64, u64)> = None;
    'samples: for _ in 0..SAMPLES {
        let number = SAMPLE.fetch_add(1, Ordering::Relaxed) + 1;
        let begun = tsc();
        word(header + MARKS_ASKED).store(number, Ordering::Release);
        while word(header + MARKS_ANSWERED).load(Ordering::Acquire) != number {
            core::hint::spin_loop();
            looks += 1;
            if looks == LOOKS_MAX {
                break 'samples;
            }
        }
        let host = word(header + MARKS_HOST_TICKS).load(Ordering::Relaxed);
        let width = tsc().saturating_sub(begun);
        if narrowest.is_none_or(|(least, ..)| width < least) {
            narrowest = Some((width, begun + width / 2, host));
        }
    }
    word(header + MARKS_ASKED).store(0, Ordering::Release);
    if let Some((width, middle, host)) = narrowest {
        put(header, middle, MarkKind::Pair, pair_number(width / 2 + 1), host);
    }
    narrowest.is_some()
}
