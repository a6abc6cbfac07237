//! Bytes on their way from a service routine to a DPC, without a lock: one side puts, the other takes.

#![allow(unsafe_code, reason = "two IRQLs share the places of a ring")]

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Most bytes that wait: more than a second of a MIDI cable (3,125 bytes). A power of two.
const PLACES: usize = 4096;

/// A received byte, and when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// The byte.
    pub(crate) byte: u8,
    /// The master time, 100 ns units.
    pub(crate) time: i64,
}

/// The bytes.
pub(crate) struct Ring {
    /// Never on a stack: a kernel's has 24 KiB.
    places: Box<[UnsafeCell<Received>]>,
    /// Counts of bytes put and taken; they wrap.
    put: AtomicU32,
    taken: AtomicU32,
    lost: AtomicU64,
}

// SAFETY: a place is written before `put` passes it and read before `taken` does; each of the two has one writer: the
// callers see to that.
unsafe impl Sync for Ring {}
// SAFETY: as above.
unsafe impl Send for Ring {}

impl Ring {
    /// Makes an empty ring.
    pub(crate) fn new() -> Self {
        Self {
            places: (0..PLACES).map(|_| UnsafeCell::new(Received { byte: 0, time: 0 })).collect(),
            put: AtomicU32::new(0),
            taken: AtomicU32::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// Puts a byte in; one that finds no place is lost, and counted. One caller at a time, at any IRQL.
    pub(crate) fn put(&self, received: Received) {
        let put = self.put.load(Ordering::Relaxed);
        if put.wrapping_sub(self.taken.load(Ordering::Acquire)) as usize >= PLACES {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // SAFETY: the place is free.
        unsafe { self.places[put as usize % PLACES].get().write(received) };
        self.put.store(put.wrapping_add(1), Ordering::Release);
    }

    /// Takes a byte out. One caller at a time.
    pub(crate) fn take(&self) -> Option<Received> {
        let taken = self.taken.load(Ordering::Relaxed);
        if taken == self.put.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: the place was written before `put` passed it.
        let received = unsafe { self.places[taken as usize % PLACES].get().read() };
        self.taken.store(taken.wrapping_add(1), Ordering::Release);
        Some(received)
    }

    /// Takes everything out. As [`Self::take`].
    pub(crate) fn clear(&self) {
        while self.take().is_some() {}
    }

    /// Returns how many bytes found no place.
    #[cfg(test)]
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(byte: u8) -> Received {
        Received { byte, time: i64::from(byte) }
    }

    #[test]
    fn bytes_come_out_in_the_order_in_which_they_went_in() {
        let ring = Ring::new();
        for _ in 0..3 * PLACES / 2 {
            ring.put(received(1));
            ring.put(received(2));
            assert_eq!((ring.take(), ring.take(), ring.take()), (Some(received(1)), Some(received(2)), None));
        }
        assert_eq!(ring.lost(), 0);
    }

    #[test]
    fn what_finds_no_place_is_lost_and_counted() {
        let ring = Ring::new();
        (0..PLACES + 3).for_each(|number| ring.put(received(number as u8)));
        assert_eq!((ring.lost(), ring.take()), (3, Some(received(0))));
        ring.clear();
        assert_eq!(ring.take(), None);
    }
}
