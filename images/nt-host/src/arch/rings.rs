//! The guest's ends of the rings that it lends to the harness.
#![allow(unsafe_code, reason = "memory is reached by its physical address")]

use core::slice;
use core::sync::atomic::{AtomicU64, Ordering};

use guest_protocol::{Bulk, RING_READ, RING_WRITTEN, RingPlace};

use super::boot::DIRECT_MAP;
use super::frames;

/// Bytes of both rings: the answers to all but the largest requests fit without waiting for the harness.
const BYTES: u64 = 128 << 10;

/// The end that writes, to the harness.
#[derive(Debug)]
pub(super) struct RingWriter {
    place: RingPlace,
    /// The guest's own count, so that a driver that overwrites the shared one cannot mislead it.
    written: u64,
}

/// The end that reads, from the harness.
#[derive(Debug)]
pub(super) struct RingReader {
    place: RingPlace,
    read: u64,
}

/// Allocates memory for both rings, their counts zero; `None` if there is none.
pub(super) fn allocate() -> Option<Bulk> {
    let range = Bulk { address: frames::allocate_bulk(BYTES)?, length: BYTES };
    let (to_host, to_guest) = RingPlace::both(range)?;
    for place in [to_host, to_guest] {
        count(place, RING_WRITTEN).store(0, Ordering::Relaxed);
        count(place, RING_READ).store(0, Ordering::Relaxed);
    }
    Some(range)
}

/// Opens both ends of the rings in a range that [`allocate`] returned.
pub(super) fn open(range: Bulk) -> Option<(RingWriter, RingReader)> {
    let (to_host, to_guest) = RingPlace::both(range)?;
    Some((RingWriter { place: to_host, written: 0 }, RingReader { place: to_guest, read: 0 }))
}

fn count(place: RingPlace, offset: u64) -> &'static AtomicU64 {
    // SAFETY: inside the rings' frames, which are never given back; aligned, and both sides reach it whole.
    unsafe { &*((DIRECT_MAP + place.address + offset) as *const AtomicU64) }
}

fn bytes(place: RingPlace, part: Bulk) -> *mut u8 {
    (DIRECT_MAP + place.address + part.address) as *mut u8
}

impl RingWriter {
    /// Writes as many bytes as there is room for. Returns how many.
    pub(super) fn put(&mut self, from: &[u8]) -> usize {
        let read = count(self.place, RING_READ).load(Ordering::Acquire);
        let waiting = self.written.saturating_sub(read);
        let length = self.place.capacity.saturating_sub(waiting).min(from.len() as u64);
        let written = self.written + length;
        let Some(parts) = self.place.parts(self.written, written) else { return 0 };
        let mut rest = from;
        for part in parts {
            let (now, later) = rest.split_at(part.length as usize);
            // SAFETY: inside the ring; the harness reads these bytes only when the count covers them.
            unsafe { bytes(self.place, part).copy_from_nonoverlapping(now.as_ptr(), now.len()) };
            rest = later;
        }
        self.written = written;
        count(self.place, RING_WRITTEN).store(written, Ordering::Release);
        length as usize
    }
}

impl RingReader {
    /// Takes bytes, `room` at most, in order.
    pub(super) fn take(&mut self, room: usize, mut sink: impl FnMut(&[u8])) {
        let written = count(self.place, RING_WRITTEN).load(Ordering::Acquire);
        let end = written.min(self.read.saturating_add(room as u64));
        // A count that cannot be was overwritten by the driver.
        let Some(parts) = self.place.parts(self.read, end) else { return };
        for part in parts {
            // SAFETY: inside the ring; the harness leaves these bytes alone until the other count covers them.
            sink(unsafe { slice::from_raw_parts(bytes(self.place, part), part.length as usize) });
        }
        self.read = end;
        count(self.place, RING_READ).store(end, Ordering::Release);
    }
}
