//! Rings in guest memory, through which frames pass instead of the serial line.
//!
//! A byte on the serial line costs an emulator a device access, a system call and a wake-up; a ring costs one of each for
//! a whole frame. The guest lends a range of its memory ([`Event::Rings`](crate::Event::Rings)). Its first half carries bytes to
//! the harness, its second half bytes to the guest. A half begins with two counts of 64 bits, little-endian: the bytes that
//! have been written since the start, and the bytes that have been read; the bytes follow, each at its number modulo the
//! ring's capacity. Who has written to a ring sends a zero byte on the serial line, which ends no frame and says: look there.

use crate::Bulk;

/// Bytes of the two counts at the start of a ring.
pub const RING_HEADER_BYTES: u64 = 16;

/// Offset of the count of bytes that have been written.
pub const RING_WRITTEN: u64 = 0;

/// Offset of the count of bytes that have been read.
pub const RING_READ: u64 = 8;

/// The byte on the serial line that says that a ring has been written to.
pub const DOORBELL: u8 = 0;

/// A ring's place in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingPlace {
    /// Guest-physical address of the counts.
    pub address: u64,
    /// The number of bytes that it holds.
    pub capacity: u64,
}

impl RingPlace {
    /// Returns the rings of a range: to the harness, and to the guest. `None` for a range that is too short.
    #[must_use]
    pub const fn both(range: Bulk) -> Option<(Self, Self)> {
        let half = range.length / 2;
        let (Some(capacity), Some(second)) = (half.checked_sub(RING_HEADER_BYTES), range.address.checked_add(half))
        else {
            return None;
        };
        if capacity == 0 {
            return None;
        }
        Some((Self { address: range.address, capacity }, Self { address: second, capacity }))
    }

    /// Returns the ranges of its bytes `from..to`, offsets from the ring's address: up to its end, and from its start. `None`
    /// for counts that cannot be: more bytes than it holds, or fewer than none.
    #[must_use]
    pub const fn parts(&self, from: u64, to: u64) -> Option<[Bulk; 2]> {
        let length = match to.checked_sub(from) {
            Some(length) if length <= self.capacity => length,
            _ => return None,
        };
        let start = from % self.capacity;
        let first = if length < self.capacity - start { length } else { self.capacity - start };
        Some([
            Bulk { address: RING_HEADER_BYTES + start, length: first },
            Bulk { address: RING_HEADER_BYTES, length: length - first },
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divides_a_range_into_two_rings() {
        let (to_host, to_guest) = RingPlace::both(Bulk { address: 0x1000, length: 0x2000 }).unwrap();
        assert_eq!(to_host, RingPlace { address: 0x1000, capacity: 0xff0 });
        assert_eq!(to_guest, RingPlace { address: 0x2000, capacity: 0xff0 });
        assert_eq!(RingPlace::both(Bulk { address: 0, length: 32 }), None);
        assert_eq!(RingPlace::both(Bulk { address: u64::MAX, length: 64 }), None);
    }

    #[test]
    fn goes_round_at_its_end_and_refuses_counts_that_cannot_be() {
        let ring = RingPlace { address: 0, capacity: 10 };
        let lengths = |from, to| ring.parts(from, to).map(|parts| parts.map(|part| (part.address - 16, part.length)));
        assert_eq!(lengths(0, 10), Some([(0, 10), (0, 0)]));
        assert_eq!(lengths(27, 32), Some([(7, 3), (0, 2)]));
        assert_eq!(lengths(30, 30), Some([(0, 0), (0, 0)]));
        assert_eq!(lengths(0, 11), None);
        assert_eq!(lengths(5, 4), None);
    }
}
