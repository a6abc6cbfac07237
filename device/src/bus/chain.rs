//! Checks and copies a descriptor chain, so that the card never looks at guest memory twice.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use card_spec::diagnosis::Diagnosis;
use card_spec::limits::CHAIN_DESCRIPTORS_MAX;
use card_spec::queue::Queue;
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemory, GuestMemoryMmap, Permissions};

use crate::diagnosis::DriverError;

/// Length of a descriptor (virtio 1.2, section 2.7.5).
const DESCRIPTOR_BYTES: u64 = size_of::<Descriptor>() as u64;

/// A piece of guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Guest-physical address.
    pub(super) address: GuestAddress,
    /// Length in bytes.
    pub(super) length: u32,
}

impl Segment {
    /// Returns what is behind its first `bytes` bytes; `None` for nothing.
    pub(super) fn after(self, bytes: u32) -> Option<Self> {
        let length = self.length.checked_sub(bytes).filter(|length| *length > 0)?;
        Some(Self { address: GuestAddress(self.address.0.wrapping_add(bytes.into())), length })
    }
}

/// A chain that the card has taken from a ring and owes back.
#[derive(Debug)]
pub struct Chain {
    /// The queue.
    pub(super) queue: Queue,
    /// Index of the head descriptor.
    pub(super) head: u16,
    /// The set-up of the ring that it came from: it is never returned to a later one.
    pub(super) generation: u64,
    /// Its place in the order of chains made available, modulo 65,536.
    pub(super) position: u16,
    /// The writable part.
    pub(super) writable: Vec<Segment>,
    request: Vec<u8>,
    error: Option<DriverError>,
}

/// The place of a chain in its ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The queue.
    pub(super) queue: Queue,
    /// The set-up of the ring that it comes from.
    pub(super) generation: u64,
    /// Its place in the order of chains made available, modulo 65,536.
    pub(super) position: u16,
    /// Index of the head descriptor.
    pub(super) head: u16,
    /// The ring's descriptor table, and how many descriptors it has.
    pub(super) table: GuestAddress,
    /// Entries of the descriptor table.
    pub(super) size: u16,
    /// Whether the driver accepted `VIRTIO_F_INDIRECT_DESC`.
    pub(super) indirect: bool,
}

impl Chain {
    /// Walks the chain once, reading each descriptor once, checks it and copies its readable part, at most
    /// `readable_max` bytes.
    ///
    /// An error does not end it: the chain is still to be returned, with a status if it has room for one.
    pub(super) fn copy(place: Place, memory: &GuestMemoryMmap, readable_max: u32) -> Self {
        let Place { queue, generation, position, head, .. } = place;
        let mut copy =
            Self { queue, head, generation, position, writable: Vec::new(), request: Vec::new(), error: None };
        let mut readable: Vec<Segment> = Vec::new();
        let walked = walk(place, memory, |descriptor| {
            if descriptor.len() == 0 {
                return;
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
        });
        if let Err((code, got)) = walked {
            copy.found(code, 0, got);
        }
        let length: u64 = readable.iter().map(|segment| u64::from(segment.length)).sum();
        if length > u64::from(readable_max) {
            copy.found(Diagnosis::LENGTH, readable_max, u32::try_from(length).unwrap_or(u32::MAX));
        }
        if copy.error.is_none() {
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

    /// Drops the copy, because it may have been read from memory that is lost.
    pub(super) fn lose(&mut self, lost: DriverError) {
        self.request.clear();
        self.error = Some(lost);
    }

    /// Keeps the first error: the later ones follow from it.
    fn found(&mut self, code: Diagnosis, expected: u32, got: u32) {
        let error = DriverError::new(code).on(self.queue).at(self.head.into()).expected(expected, got);
        self.error.get_or_insert(error);
    }

    /// Returns the queue that it came from.
    #[must_use]
    pub fn queue(&self) -> Queue {
        self.queue
    }

    /// Returns the index of its head descriptor.
    #[must_use]
    pub fn head(&self) -> u16 {
        self.head
    }

    /// Returns the copy of its readable part; empty when there is an error.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Returns the error of the chain, if it has one. It has been reported.
    #[must_use]
    pub fn error(&self) -> Option<DriverError> {
        self.error
    }

    /// Returns how many bytes can be written to it.
    #[must_use]
    pub fn writable_bytes(&self) -> u64 {
        self.writable.iter().map(|segment| u64::from(segment.length)).sum()
    }

    /// Returns an error of this chain's contents.
    #[must_use]
    pub fn diagnose(&self, code: Diagnosis) -> DriverError {
        DriverError::new(code).on(self.queue).at(self.head.into())
    }
}

/// Passes each descriptor of a chain to `show`, those of an indirect table in its place (virtio 1.2, section 2.7.5).
///
/// Crate `virtio-queue` has an iterator for this, which ends silently at the first descriptor that is wrong.
///
/// # Errors
/// The diagnosis, and its "got", of a chain that is malformed.
fn walk(place: Place, memory: &GuestMemoryMmap, mut show: impl FnMut(Descriptor)) -> Result<(), (Diagnosis, u32)> {
    let (mut table, mut entries) = (place.table, u32::from(place.size));
    let mut index = u32::from(place.head);
    let mut inside_indirect = false;
    let mut shown = 0_u32;
    loop {
        let malformed = (Diagnosis::CHAIN_MALFORMED, shown);
        if index >= entries {
            return Err(malformed);
        }
        let at = table.0.checked_add(u64::from(index).saturating_mul(DESCRIPTOR_BYTES)).ok_or(malformed)?;
        let descriptor: Descriptor = memory.read_obj(GuestAddress(at)).map_err(|_| malformed)?;
        if descriptor.refers_to_indirect_table() {
            if !place.indirect {
                return Err((Diagnosis::INDIRECT_NOT_NEGOTIATED, shown));
            }
            if descriptor.has_next() {
                return Err((Diagnosis::INDIRECT_WITH_NEXT, shown));
            }
            let length = u64::from(descriptor.len());
            if inside_indirect || length == 0 || length % DESCRIPTOR_BYTES != 0 {
                return Err(malformed);
            }
            if !memory.check_range(descriptor.addr(), descriptor.len() as usize, Permissions::Read) {
                return Err((Diagnosis::INDIRECT_OUTSIDE_MEMORY, page(descriptor.addr())));
            }
            inside_indirect = true;
            table = descriptor.addr();
            entries = u32::try_from(length / DESCRIPTOR_BYTES).unwrap_or(u32::MAX);
            index = 0;
            continue;
        }
        shown = shown.saturating_add(1);
        if shown as usize > CHAIN_DESCRIPTORS_MAX {
            return Err((Diagnosis::CHAIN_MALFORMED, shown));
        }
        show(descriptor);
        if !descriptor.has_next() {
            return Ok(());
        }
        index = descriptor.next().into();
    }
}

/// Returns bits 12 to 43 of an address: what fits the diagnosis registers.
pub(super) fn page(address: GuestAddress) -> u32 {
    (address.0 >> 12) as u32
}
