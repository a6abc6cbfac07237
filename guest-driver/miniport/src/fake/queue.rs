//! The device's half of a ring, in the driver's memory.
#![allow(unsafe_code, reason = "memory shared with the driver")]

use std::collections::BTreeMap;
use std::vec::Vec;

/// The driver's common buffers, by bus address.
#[derive(Debug, Default)]
pub(super) struct Memory {
    ranges: BTreeMap<u64, (usize, usize)>,
}

impl Memory {
    /// Adds a common buffer.
    pub(super) fn add(&mut self, address: u64, pointer: *mut u8, len: usize) {
        self.ranges.insert(address, (pointer as usize, len));
    }

    /// Returns how many bytes all common buffers have.
    pub(super) fn bytes(&self) -> usize {
        self.ranges.values().map(|(_, bytes)| bytes).sum()
    }

    /// Removes a common buffer.
    pub(super) fn remove(&mut self, address: u64) {
        self.ranges.remove(&address);
    }

    fn at(&self, address: u64, len: usize) -> *mut u8 {
        let (start, (pointer, size)) = self.ranges.range(..=address).next_back().expect("the driver's memory");
        let offset = (address - start) as usize;
        assert!(offset + len <= *size, "the card was given memory that is not the driver's");
        (pointer + offset) as *mut u8
    }

    /// Reads bytes at a bus address.
    pub(super) fn read(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = std::vec![0; len];
        // SAFETY: memory that the driver has not freed, as just checked.
        unsafe { core::ptr::copy_nonoverlapping(self.at(address, len), bytes.as_mut_ptr(), len) };
        bytes
    }

    /// Writes bytes at a bus address.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) {
        // SAFETY: memory that the driver has not freed, as just checked.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(address, bytes.len()), bytes.len()) };
    }

    /// Reads an index at a bus address.
    pub(super) fn read16(&self, address: u64) -> u16 {
        u16::from_le_bytes(self.read(address, 2).try_into().unwrap())
    }
}

/// A chain that the driver has made available.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub(super) head: u16,
    pub(super) readable: Vec<u8>,
    writable: Vec<(u64, usize)>,
}

impl Chain {
    /// Returns how many bytes the writable segments have.
    pub(super) fn room(&self) -> usize {
        self.writable.iter().map(|(_, len)| len).sum()
    }

    /// Writes an answer into the writable segments, so many bytes too far on.
    pub(super) fn answer(&self, memory: &Memory, bytes: &[u8], mut misplaced: usize) {
        assert!(bytes.len() <= self.room(), "there is room for the answer");
        let mut rest = bytes;
        for (address, len) in &self.writable {
            let skipped = misplaced.min(*len);
            misplaced -= skipped;
            let (now, later) = rest.split_at(rest.len().min(*len - skipped));
            memory.write(*address + skipped as u64, now);
            rest = later;
        }
    }
}

/// A ring.
#[derive(Clone, Debug, Default)]
pub(super) struct DeviceRing {
    pub(super) size: u16,
    pub(super) enabled: bool,
    pub(super) descriptors: u64,
    pub(super) available: u64,
    pub(super) used: u64,
    pub(super) next: u16,
    pub(super) returned: u16,
}

const NEXT: u16 = 1;
const WRITE: u16 = 2;

impl DeviceRing {
    /// Takes the next available chain.
    pub(super) fn pop(&mut self, memory: &Memory) -> Option<Chain> {
        if !self.enabled || memory.read16(self.available + 2) == self.next {
            return None;
        }
        let head = memory.read16(self.available + 4 + 2 * u64::from(self.next % self.size));
        self.next = self.next.wrapping_add(1);
        let mut chain = Chain { head, readable: Vec::new(), writable: Vec::new() };
        let mut index = head;
        loop {
            assert!(index < self.size, "a descriptor of the ring");
            let descriptor = memory.read(self.descriptors + 16 * u64::from(index), 16);
            let address = u64::from_le_bytes(descriptor[..8].try_into().unwrap());
            let len = u32::from_le_bytes(descriptor[8..12].try_into().unwrap()) as usize;
            let flags = u16::from_le_bytes(descriptor[12..14].try_into().unwrap());
            if flags & WRITE != 0 {
                chain.writable.push((address, len));
            } else {
                assert!(chain.writable.is_empty(), "readable descriptors come first");
                chain.readable.extend(memory.read(address, len));
            }
            if flags & NEXT == 0 {
                return Some(chain);
            }
            index = u16::from_le_bytes(descriptor[14..].try_into().unwrap());
        }
    }

    /// Returns a chain to the driver. True: the driver wants an interrupt for it.
    pub(super) fn push(&mut self, memory: &Memory, event_idx: bool, id: u32, written: u32) -> bool {
        let mut element = [0; 8];
        element[..4].copy_from_slice(&id.to_le_bytes());
        element[4..].copy_from_slice(&written.to_le_bytes());
        memory.write(self.used + 4 + 8 * u64::from(self.returned % self.size), &element);
        let old = self.returned;
        self.returned = old.wrapping_add(1);
        memory.write(self.used + 2, &self.returned.to_le_bytes());
        if event_idx {
            // Every kick is wanted: the card serves its queues when it is kicked.
            memory.write(self.used + 4 + 8 * u64::from(self.size), &self.next.to_le_bytes());
            let event = memory.read16(self.available + 4 + 2 * u64::from(self.size));
            self.returned.wrapping_sub(event).wrapping_sub(1) < self.returned.wrapping_sub(old)
        } else {
            memory.read16(self.available) & 1 == 0
        }
    }
}
