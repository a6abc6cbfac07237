//! A descriptor chain, checked and copied: what the card looks at instead of guest memory.

use card_spec::diagnosis::Diagnosis;
use card_spec::limits::CHAIN_DESCRIPTORS_MAX;
use card_spec::queue::Queue;
use virtio_queue::DescriptorChain;
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemory, GuestMemoryMmap, Permissions};

use crate::diagnosis::Fault;

/// A piece of guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) address: GuestAddress,
    pub(super) length: u32,
}

/// A chain that the card has taken from a ring and owes back.
#[derive(Debug)]
pub struct Chain {
    pub(super) queue: Queue,
    pub(super) head: u16,
    /// Which set-up of the ring it came from: it is never returned to a later one.
    pub(super) generation: u64,
    pub(super) writable: Vec<Segment>,
    request: Vec<u8>,
    fault: Option<Fault>,
}

impl Chain {
    /// Walks the chain once, checks it and copies its readable part, at most `readable_max` bytes.
    ///
    /// A fault does not end it: the chain is still to be returned, with a status if it has room for one.
    pub(super) fn copy(
        queue: Queue,
        generation: u64,
        memory: &GuestMemoryMmap,
        chain: DescriptorChain<&GuestMemoryMmap>,
        readable_max: u32,
    ) -> Self {
        let head = chain.head_index();
        let mut copy = Self { queue, head, generation, writable: Vec::new(), request: Vec::new(), fault: None };
        let mut readable: Vec<Segment> = Vec::new();
        let mut seen = 0;
        let mut last: Option<Descriptor> = None;
        // The iterator ends without a word on a loop, an index out of range and a nested table alike. What tells such an
        // end from a true one is that the last descriptor still promises another.
        for descriptor in chain.take(CHAIN_DESCRIPTORS_MAX + 1) {
            seen += 1;
            last = Some(descriptor);
            if descriptor.len() == 0 {
                continue;
            }
            let segment = Segment { address: descriptor.addr(), length: descriptor.len() };
            let access = if descriptor.is_write_only() { Permissions::Write } else { Permissions::Read };
            if !memory.check_range(segment.address, segment.length as usize, access) {
                copy.found(Diagnosis::BUFFER_OUTSIDE_MEMORY, 0, page(segment.address));
            } else if descriptor.is_write_only() {
                copy.writable.push(segment);
            } else if !copy.writable.is_empty() {
                copy.found(Diagnosis::CHAIN_ORDER, 0, 0);
            } else {
                readable.push(segment);
            }
        }
        if seen > CHAIN_DESCRIPTORS_MAX || last.is_none_or(|last| last.has_next()) {
            copy.found(Diagnosis::CHAIN_MALFORMED, 0, u32::try_from(seen).unwrap_or(u32::MAX));
        }
        let length: u64 = readable.iter().map(|segment| u64::from(segment.length)).sum();
        if length > u64::from(readable_max) {
            copy.found(Diagnosis::LENGTH, readable_max, u32::try_from(length).unwrap_or(u32::MAX));
        }
        if copy.fault.is_none() {
            copy.read(memory, &readable);
        }
        copy
    }

    fn read(&mut self, memory: &GuestMemoryMmap, segments: &[Segment]) {
        let length: usize = segments.iter().map(|segment| segment.length as usize).sum();
        let mut request = vec![0; length];
        let mut rest = request.as_mut_slice();
        for segment in segments {
            let (part, after) = rest.split_at_mut(segment.length as usize);
            if memory.read_slice(part, segment.address).is_err() {
                self.found(Diagnosis::BUFFER_OUTSIDE_MEMORY, 0, page(segment.address));
                return;
            }
            rest = after;
        }
        self.request = request;
    }

    /// Keeps the first fault: the later ones follow from it.
    fn found(&mut self, code: Diagnosis, expected: u32, got: u32) {
        let fault = Fault::new(code).on(self.queue).at(self.head.into()).expected(expected, got);
        self.fault.get_or_insert(fault);
    }

    /// The queue that it came from.
    #[must_use]
    pub fn queue(&self) -> Queue {
        self.queue
    }

    /// The index of its head descriptor.
    #[must_use]
    pub fn head(&self) -> u16 {
        self.head
    }

    /// The copy of its readable part; empty when there is a fault.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// What was wrong with it. It has been reported.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// How many bytes can be written to it.
    #[must_use]
    pub fn writable_bytes(&self) -> u64 {
        self.writable.iter().map(|segment| u64::from(segment.length)).sum()
    }

    /// A fault of this chain's contents.
    #[must_use]
    pub fn diagnose(&self, code: Diagnosis) -> Fault {
        Fault::new(code).on(self.queue).at(self.head.into())
    }
}

/// Bits 12 to 43 of an address: what fits the diagnosis registers.
pub(super) fn page(address: GuestAddress) -> u32 {
    (address.0 >> 12) as u32
}
