//! A split virtqueue (virtio 1.2, section 2.7) for chains of one shape, at `DISPATCH_LEVEL`, with an untrusted device.
//!
//! All chains of a ring have the same number of descriptors, so a chain is a *slot*: slot `s` owns descriptors
//! `s * shape` to `s * shape + shape - 1`. Once the ring is made nothing is allocated, and nothing is looked up by a
//! number of the device's that has not been compared with the driver's own record. When the device returns a chain that
//! it does not have, or claims to have written more than there was room for, the ring is *broken*: it is not used again
//! until it is restarted.

use alloc::vec::Vec;
use core::num::NonZeroU16;

use card_spec::limits::QUEUE_SIZE_MAX;

use crate::dma::Window;
use crate::log::Reason;
use crate::sync::{Ordering, fence};

/// Bytes of DMA memory for a ring of any size up to [`QUEUE_SIZE_MAX`]: a page.
#[cfg(not(loom))]
pub const RING_BYTES: usize = 4096;

/// In a model each pair of bytes is an object of its own: room for two descriptors.
#[cfg(loom)]
pub const RING_BYTES: usize = 72;

const DESCRIPTOR_BYTES: usize = 16;
const USED_HEADER: usize = 4;
const USED_ELEMENT_BYTES: usize = 8;
const AVAIL_HEADER: usize = 4;
const DESC_NEXT: u16 = 1;
const DESC_WRITE: u16 = 2;
const AVAIL_NO_INTERRUPT: u16 = 1;
const USED_NO_NOTIFY: u16 = 1;

#[cfg(not(loom))]
const _: () = {
    let size = QUEUE_SIZE_MAX as usize;
    assert!(used_offset(size) + USED_HEADER + USED_ELEMENT_BYTES * size + 2 <= RING_BYTES);
};

const fn avail_offset(size: usize) -> usize {
    DESCRIPTOR_BYTES * size
}

const fn used_offset(size: usize) -> usize {
    (avail_offset(size) + AVAIL_HEADER + 2 * size + 2).next_multiple_of(4)
}

/// A buffer that one descriptor of a chain names.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Its address on the device's bus.
    pub address: u64,
    /// Its length.
    pub length: u32,
    /// The device writes it.
    pub writable: bool,
}

impl Segment {
    /// Makes a segment that the device reads: the first `length` bytes of a window.
    #[must_use]
    pub fn readable(window: &Window, length: usize) -> Self {
        Self { address: window.address(), length: window.part(0, length).len() as u32, writable: false }
    }

    /// Makes a segment that the device writes: the first `length` bytes of a window.
    #[must_use]
    pub fn writable(window: &Window, length: usize) -> Self {
        Self { address: window.address(), length: window.part(0, length).len() as u32, writable: true }
    }
}

/// How the device broke the virtio protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingFault {
    /// The device returned more chains than were in flight.
    UsedIndex {
        /// Chains in flight.
        in_flight: u16,
        /// Chains returned at once.
        returned: u16,
    },
    /// The device returned a chain that is not in flight.
    UsedId {
        /// The chain's id.
        id: u32,
    },
    /// The device claims to have written more bytes than the chain has room for.
    UsedLength {
        /// Bytes of the chain's writable segments.
        room: u32,
        /// Bytes that the device claims.
        written: u32,
    },
}

impl From<RingFault> for Reason {
    fn from(fault: RingFault) -> Self {
        match fault {
            RingFault::UsedIndex { in_flight, returned } => {
                Reason::with_two("more chains returned than it has: has, returned", in_flight.into(), returned.into())
            }
            RingFault::UsedId { id } => Reason::with("a chain returned that it does not have", id.into()),
            RingFault::UsedLength { room, written } => {
                Reason::with_two("more written than there was room: room, written", room.into(), written.into())
            }
        }
    }
}

/// A chain that the device has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned {
    /// The slot.
    pub slot: u16,
    /// Bytes that the device has written, at most as many as the chain has room for.
    pub written: u32,
}

/// What the deferred procedure call has found on a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// The device had returned a chain.
    pub had_returned: bool,
    /// How the device broke the ring, if it did.
    pub fault: Option<RingFault>,
}

/// The addresses of a ring on the device's bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingAddresses {
    /// Descriptor table.
    pub descriptors: u64,
    /// Available ring.
    pub available: u64,
    /// Used ring.
    pub used: u64,
}

/// The driver's half of a ring.
pub struct Ring {
    memory: Window,
    /// A power of two.
    size: u16,
    /// Never 0: nothing is divided by what a card says.
    shape: NonZeroU16,
    event_idx: bool,
    next_available: u16,
    last_used: u16,
    last_kick: u16,
    in_flight: u16,
    /// For each slot the room that the device has to write, plus one; 0 when the slot is free.
    room: Vec<u32>,
    fault: Option<RingFault>,
}

impl Ring {
    /// Makes a ring of `size` descriptors, a power of two up to [`QUEUE_SIZE_MAX`], in [`RING_BYTES`] of zeroed memory,
    /// for chains of `shape` descriptors. `None`: a size or shape that cannot be, or no memory for the driver's record.
    #[must_use]
    pub fn new(memory: Window, size: u16, shape: u16, event_idx: bool) -> Option<Self> {
        let shape = NonZeroU16::new(shape)?;
        if !size.is_power_of_two() || size > QUEUE_SIZE_MAX || shape.get() > size {
            return None;
        }
        let slots = usize::from(size / shape);
        let mut room = Vec::new();
        room.try_reserve_exact(slots).ok()?;
        room.resize(slots, 0);
        Some(Self {
            memory: memory.part(0, RING_BYTES),
            size,
            shape,
            event_idx,
            next_available: 0,
            last_used: 0,
            last_kick: 0,
            in_flight: 0,
            room,
            fault: None,
        })
    }

    /// Empties the ring after the device has been reset, and clears its fault.
    pub fn restart(&mut self) {
        // A piece at a time: a kernel stack is small.
        const PIECE: [u8; 64] = [0; 64];
        for offset in (0..RING_BYTES).step_by(PIECE.len()) {
            self.memory.write_bytes(offset, &PIECE);
        }
        self.room.fill(0);
        (self.next_available, self.last_used, self.last_kick, self.in_flight) = (0, 0, 0, 0);
        self.fault = None;
    }

    /// Returns the ring's addresses.
    #[must_use]
    pub fn addresses(&self) -> RingAddresses {
        let at = |offset: usize| self.memory.address() + offset as u64;
        RingAddresses {
            descriptors: at(0),
            available: at(avail_offset(self.size.into())),
            used: at(used_offset(self.size.into())),
        }
    }

    /// Returns how many slots there are.
    #[must_use]
    pub const fn slots(&self) -> u16 {
        self.size / self.shape.get()
    }

    /// Returns how many slots are in flight.
    #[must_use]
    pub const fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// Returns whether the device has returned a chain that was not reaped.
    #[must_use]
    pub fn has_returned(&self) -> bool {
        self.memory.load_acquire(used_offset(self.size.into()) + 2) != self.last_used
    }

    /// Returns how the device broke the ring, if it did.
    #[must_use]
    pub const fn fault(&self) -> Option<RingFault> {
        self.fault
    }

    /// Returns whether a slot is in flight.
    #[must_use]
    pub fn is_in_flight(&self, slot: u16) -> bool {
        self.room.get(usize::from(slot)).is_some_and(|room| *room != 0)
    }

    /// Returns a free slot. `None`: all are in flight, or the ring is broken.
    #[must_use]
    pub fn free_slot(&self) -> Option<u16> {
        if self.fault.is_some() || self.in_flight == self.slots() {
            return None;
        }
        (0..).zip(&self.room).find_map(|(slot, room)| (*room == 0).then_some(slot))
    }

    /// Makes a chain in a free slot available to the device. False: the ring is broken, or the slot is not free.
    ///
    /// There are as many segments as the ring's shape says, readable ones first.
    pub fn submit(&mut self, slot: u16, segments: &[Segment]) -> bool {
        let shape = self.shape.get();
        let possible = segments.len() == usize::from(shape) && slot < self.slots();
        debug_assert!(possible, "a chain of the ring's shape");
        if !possible || self.fault.is_some() || self.is_in_flight(slot) {
            return false;
        }
        let head = slot * shape;
        let mut room = 0_u32;
        for (index, segment) in (head..).zip(segments) {
            let last = index + 1 == head + shape;
            let flags = if last { 0 } else { DESC_NEXT } | if segment.writable { DESC_WRITE } else { 0 };
            let mut descriptor = [0; DESCRIPTOR_BYTES];
            descriptor[..8].copy_from_slice(&segment.address.to_le_bytes());
            descriptor[8..12].copy_from_slice(&segment.length.to_le_bytes());
            descriptor[12..14].copy_from_slice(&flags.to_le_bytes());
            descriptor[14..].copy_from_slice(&if last { 0 } else { index + 1 }.to_le_bytes());
            self.memory.write_bytes(DESCRIPTOR_BYTES * usize::from(index), &descriptor);
            room = room.saturating_add(if segment.writable { segment.length } else { 0 });
        }
        if let Some(record) = self.room.get_mut(usize::from(slot)) {
            *record = room.saturating_add(1);
        }
        self.in_flight += 1;

        let avail = avail_offset(self.size.into());
        let place = self.place(self.next_available);
        self.memory.write_bytes(avail + AVAIL_HEADER + 2 * place, &head.to_le_bytes());
        self.next_available = self.next_available.wrapping_add(1);
        self.memory.store_release(avail + 2, self.next_available);
        true
    }

    /// Returns whether the device must be notified of the chains submitted since the last call.
    pub fn needs_kick(&mut self) -> bool {
        if self.fault.is_some() || self.last_kick == self.next_available {
            return false;
        }
        // The index must be visible before the device's suppression is read (virtio 1.2, section 2.7.13.4.1).
        fence(Ordering::SeqCst);
        let used = used_offset(self.size.into());
        let wanted = if self.event_idx {
            let event = self.memory.load_acquire(used + USED_HEADER + USED_ELEMENT_BYTES * usize::from(self.size));
            let new = self.next_available.wrapping_sub(event).wrapping_sub(1);
            new < self.next_available.wrapping_sub(self.last_kick)
        } else {
            self.memory.load_acquire(used) & USED_NO_NOTIFY == 0
        };
        self.last_kick = self.next_available;
        wanted
    }

    /// Takes the next chain that the device has returned. `None`: there is none, or the ring is broken.
    pub fn reap(&mut self) -> Option<Returned> {
        if self.fault.is_some() {
            return None;
        }
        let used = used_offset(self.size.into());
        let returned = self.memory.load_acquire(used + 2).wrapping_sub(self.last_used);
        if returned == 0 {
            return None;
        }
        if returned > self.in_flight {
            return self.break_with(RingFault::UsedIndex { in_flight: self.in_flight, returned });
        }
        let place = self.place(self.last_used);
        let mut element = [0; USED_ELEMENT_BYTES];
        self.memory.read_bytes(used + USED_HEADER + USED_ELEMENT_BYTES * place, &mut element);
        let [i0, i1, i2, i3, l0, l1, l2, l3] = element;
        let (id, written) = (u32::from_le_bytes([i0, i1, i2, i3]), u32::from_le_bytes([l0, l1, l2, l3]));

        let Some(slot) = self.slot_of(id) else { return self.break_with(RingFault::UsedId { id }) };
        let Some(record) = self.room.get_mut(usize::from(slot)) else {
            return self.break_with(RingFault::UsedId { id });
        };
        let Some(room) = record.checked_sub(1) else { return self.break_with(RingFault::UsedId { id }) };
        if written > room {
            return self.break_with(RingFault::UsedLength { room, written });
        }
        *record = 0;
        self.in_flight -= 1;
        self.last_used = self.last_used.wrapping_add(1);
        Some(Returned { slot, written })
    }

    /// Enables or disables the interrupt for the next chain that the device returns. True: it was enabled, and the
    /// device has returned one meanwhile, for which there may be no interrupt, so that the caller must reap again.
    pub fn want_interrupts(&mut self, wanted: bool) -> bool {
        if self.fault.is_some() {
            return false;
        }
        let avail = avail_offset(self.size.into());
        if self.event_idx {
            // The index before the present one is the one that the device reaches last.
            let event = if wanted { self.last_used } else { self.last_used.wrapping_sub(1) };
            self.memory.store_release(avail + AVAIL_HEADER + 2 * usize::from(self.size), event);
        } else {
            self.memory.store_release(avail, if wanted { 0 } else { AVAIL_NO_INTERRUPT });
        }
        fence(Ordering::SeqCst);
        wanted && self.memory.load_acquire(used_offset(self.size.into()) + 2) != self.last_used
    }

    /// Returns the slot whose chain begins with a descriptor.
    fn slot_of(&self, id: u32) -> Option<u16> {
        let id = u16::try_from(id).ok()?;
        (id % self.shape == 0).then_some(id / self.shape)
    }

    /// Returns the place of an index in the ring.
    const fn place(&self, index: u16) -> usize {
        (index & (self.size - 1)) as usize
    }

    fn break_with(&mut self, fault: RingFault) -> Option<Returned> {
        self.fault = Some(fault);
        None
    }
}
