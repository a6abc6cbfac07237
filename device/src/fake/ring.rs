//! The driver's side of a split virtqueue (virtio 1.2, section 2.7), conforming or not.

use super::ram::Ram;

/// Flags of a descriptor.
pub mod flag {
    /// Another one follows.
    pub const NEXT: u16 = 1;
    /// The device writes to it.
    pub const WRITE: u16 = 2;
    /// It is a table of descriptors.
    pub const INDIRECT: u16 = 4;
}

/// A descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Guest-physical address.
    pub address: u64,
    /// Length in bytes.
    pub length: u32,
    /// Bits of [`flag`].
    pub flags: u16,
    /// The one that follows.
    pub next: u16,
}

impl Descriptor {
    /// Returns it as it is in memory.
    #[must_use]
    pub fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.address.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.length.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.flags.to_le_bytes());
        bytes[14..].copy_from_slice(&self.next.to_le_bytes());
        bytes
    }
}

/// A piece of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Guest-physical address.
    pub address: u64,
    /// Length in bytes.
    pub length: u32,
    /// The device writes to it.
    pub writable: bool,
}

impl Piece {
    /// Returns a piece for the device to read.
    #[must_use]
    pub const fn readable(address: u64, length: usize) -> Self {
        Self { address, length: length as u32, writable: false }
    }

    /// Returns a piece for the device to write.
    #[must_use]
    pub const fn writable(address: u64, length: usize) -> Self {
        Self { address, length: length as u32, writable: true }
    }
}

/// A ring in guest memory.
#[derive(Clone)]
pub struct DriverRing {
    ram: Ram,
    size: u16,
    /// Guest-physical address of the descriptor table.
    pub descriptors: u64,
    /// Guest-physical address of the available ring.
    pub available: u64,
    /// Guest-physical address of the used ring.
    pub used: u64,
    next_descriptor: u16,
    next_available: u16,
    last_used: u16,
}

impl DriverRing {
    /// Returns an empty ring of `size` entries, each part on a page of its own.
    #[must_use]
    pub fn new(ram: &Ram, size: u16) -> Self {
        let entries = usize::from(size.max(1));
        Self {
            ram: ram.clone(),
            size,
            descriptors: ram.allocate(16 * entries),
            available: ram.allocate(6 + 2 * entries),
            used: ram.allocate(6 + 8 * entries),
            next_descriptor: 0,
            next_available: 0,
            last_used: 0,
        }
    }

    /// Returns its entries.
    #[must_use]
    pub const fn size(&self) -> u16 {
        self.size
    }

    /// Writes one descriptor.
    pub fn describe(&self, index: u16, descriptor: Descriptor) {
        self.ram.write(self.descriptors + 16 * u64::from(index), &descriptor.bytes());
    }

    /// Makes a chain available whose head is `head`, whatever that is.
    pub fn publish(&mut self, head: u16) {
        let slot = self.available + 4 + 2 * u64::from(self.next_available % self.size);
        self.ram.write(slot, &head.to_le_bytes());
        self.set_available_index(self.next_available.wrapping_add(1));
    }

    /// Writes the available index, whatever chains have been made available.
    pub fn set_available_index(&mut self, index: u16) {
        self.next_available = index;
        self.ram.publish(self.available + 2, index);
    }

    /// Builds a chain of `pieces`, makes it available, and returns its head.
    ///
    /// The descriptors are taken one after the other around the table: more chains under way than fit overwrite each
    /// other.
    pub fn offer(&mut self, pieces: &[Piece]) -> u16 {
        let head = self.next_descriptor;
        for (index, piece) in pieces.iter().enumerate() {
            let at = self.next_descriptor;
            self.next_descriptor = (at + 1) % self.size;
            let more = if index + 1 < pieces.len() { flag::NEXT } else { 0 };
            let write = if piece.writable { flag::WRITE } else { 0 };
            let next = self.next_descriptor;
            self.describe(at, Descriptor { address: piece.address, length: piece.length, flags: more | write, next });
        }
        self.publish(head);
        head
    }

    /// Makes a chain available that is in an indirect table, and returns its head.
    pub fn offer_indirect(&mut self, table: &[Descriptor]) -> u16 {
        let bytes: Vec<u8> = table.iter().flat_map(Descriptor::bytes).collect();
        let address = self.ram.place(&bytes);
        let head = self.next_descriptor;
        self.next_descriptor = (head + 1) % self.size;
        let length = bytes.len() as u32;
        self.describe(head, Descriptor { address, length, flags: flag::INDIRECT, next: 0 });
        self.publish(head);
        head
    }

    /// Returns the next chain that the device has returned: its head, and how many bytes were written.
    pub fn returned(&mut self) -> Option<(u16, u32)> {
        if self.ram.observe(self.used + 2) == self.last_used {
            return None;
        }
        let at = self.used + 4 + 8 * u64::from(self.last_used % self.size);
        self.last_used = self.last_used.wrapping_add(1);
        let element = self.ram.read(at, 8);
        let head = u16::from_le_bytes([element[0], element[1]]);
        Some((head, u32::from_le_bytes([element[4], element[5], element[6], element[7]])))
    }

    /// Requests an interrupt at the next chain that is returned (`VIRTIO_F_EVENT_IDX`).
    pub fn request_interrupt(&self) {
        self.ram.publish(self.available + 4 + 2 * u64::from(self.size), self.last_used);
    }

    /// Suppresses or requests interrupts (without `VIRTIO_F_EVENT_IDX`).
    pub fn suppress_interrupts(&self, suppress: bool) {
        self.ram.publish(self.available, suppress.into());
    }
}
