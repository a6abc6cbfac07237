//! The driver's side of a split virtqueue (virtio 1.2, section 2.7), conforming or not.

use crate::failure::Result;
use crate::ram::Ram;

/// Flags of a descriptor.
pub mod flag {
    /// `VIRTQ_DESC_F_NEXT`: another one follows.
    pub const NEXT: u16 = 1;
    /// `VIRTQ_DESC_F_WRITE`: the device writes to it.
    pub const WRITE: u16 = 2;
    /// `VIRTQ_DESC_F_INDIRECT`: it is a table of descriptors.
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
    /// The index of the one that follows.
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
    pub const fn readable(address: u64, length: u32) -> Self {
        Self { address, length, writable: false }
    }

    /// Returns a piece for the device to write.
    #[must_use]
    pub const fn writable(address: u64, length: u32) -> Self {
        Self { address, length, writable: true }
    }
}

/// The addresses and the size of a ring, as the driver gives them to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingPlan {
    /// Entries.
    pub size: u16,
    /// Guest-physical addresses of the descriptor table, the available ring and the used ring.
    pub parts: [u64; 3],
}

/// Returns the length in bytes of a part of a ring of `size` entries: descriptor table, available ring, used ring (virtio 1.2,
/// section 2.7).
#[must_use]
pub const fn part_bytes(part: usize, size: u16) -> u64 {
    let entries = size as u64;
    match part {
        0 => 16 * entries,
        1 => 6 + 2 * entries,
        _ => 6 + 8 * entries,
    }
}

/// A ring in guest memory.
#[derive(Clone, Debug)]
pub struct DriverRing {
    ram: Ram,
    /// Where it is.
    pub plan: RingPlan,
    next_descriptor: u16,
    next_available: u16,
    last_used: u16,
}

impl DriverRing {
    /// Makes an empty ring of `size` entries, each part on a page of its own.
    ///
    /// # Errors
    /// [`Failure::NoMemory`](crate::failure::Failure::NoMemory), when the machine's memory is used up.
    pub fn new(ram: &Ram, size: u16) -> Result<Self> {
        let mut parts = [0; 3];
        for (part, address) in parts.iter_mut().enumerate() {
            *address = ram.place(&vec![0; part_bytes(part, size) as usize])?;
        }
        Ok(Self {
            ram: ram.clone(),
            plan: RingPlan { size, parts },
            next_descriptor: 0,
            next_available: 0,
            last_used: 0,
        })
    }

    /// Returns its entries.
    #[must_use]
    pub const fn size(&self) -> u16 {
        self.plan.size
    }

    /// Writes one descriptor.
    ///
    /// # Errors
    /// [`Failure::NoMemory`](crate::failure::Failure::NoMemory), when the table is outside of memory.
    pub fn describe(&self, index: u16, descriptor: Descriptor) -> Result {
        self.ram.write(self.plan.parts[0] + 16 * u64::from(index), &descriptor.bytes())
    }

    /// Makes a chain available whose head is `head`, whatever that is.
    ///
    /// # Errors
    /// [`Failure::NoMemory`](crate::failure::Failure::NoMemory), when the available ring is outside of memory.
    pub fn publish(&mut self, head: u16) -> Result {
        let slot = self.plan.parts[1] + 4 + 2 * u64::from(self.next_available % self.size());
        self.ram.write(slot, &head.to_le_bytes())?;
        self.set_available_index(self.next_available.wrapping_add(1))
    }

    /// Moves the available index by `by`, without any chain.
    ///
    /// # Errors
    /// [`Failure::NoMemory`](crate::failure::Failure::NoMemory), when the available ring is outside of memory.
    pub fn jump(&mut self, by: u16) -> Result {
        self.set_available_index(self.next_available.wrapping_add(by))
    }

    fn set_available_index(&mut self, index: u16) -> Result {
        self.next_available = index;
        self.ram.publish(self.plan.parts[1] + 2, index)
    }

    /// Builds a chain of `pieces`, makes it available, and returns its head. The descriptors are taken one after the other
    /// around the table.
    ///
    /// # Errors
    /// [`Failure::NoMemory`](crate::failure::Failure::NoMemory), when the ring is outside of memory.
    pub fn offer(&mut self, pieces: &[Piece]) -> Result<u16> {
        let head = self.build(pieces)?;
        self.publish(head)?;
        Ok(head)
    }

    /// Builds a chain without making it available, and returns its head.
    ///
    /// # Errors
    /// [`Failure::NoMemory`](crate::failure::Failure::NoMemory), when the ring is outside of memory.
    pub fn build(&mut self, pieces: &[Piece]) -> Result<u16> {
        let head = self.next_descriptor;
        for (index, piece) in pieces.iter().enumerate() {
            let at = self.next_descriptor;
            self.next_descriptor = (at + 1) % self.size();
            let more = if index + 1 < pieces.len() { flag::NEXT } else { 0 };
            let write = if piece.writable { flag::WRITE } else { 0 };
            let next = self.next_descriptor;
            self.describe(at, Descriptor { address: piece.address, length: piece.length, flags: more | write, next })?;
        }
        Ok(head)
    }

    /// Takes the next chain that the device has returned: its head, and how many bytes were written.
    ///
    /// # Errors
    /// [`Failure::NoMemory`](crate::failure::Failure::NoMemory), when the used ring is outside of memory.
    pub fn returned(&mut self) -> Result<Option<(u16, u32)>> {
        let used = self.plan.parts[2];
        if self.ram.observe(used + 2)? == self.last_used {
            return Ok(None);
        }
        let at = used + 4 + 8 * u64::from(self.last_used % self.size());
        self.last_used = self.last_used.wrapping_add(1);
        let element = self.ram.read(at, 8)?;
        let head = u16::from_le_bytes([element[0], element[1]]);
        Ok(Some((head, u32::from_le_bytes([element[4], element[5], element[6], element[7]]))))
    }
}
