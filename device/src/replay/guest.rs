//! The guest memory of a replay: the recorded regions, empty, and one of the replay's own for what chains hold.

use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::recording::RecordingError;
use crate::bus::{Memory, REGIONS_MAX};

/// Where the replay's own region begins: beyond every address that a diagnosis can name, which has 44 bits.
const OWN: u64 = 1 << 45;

/// Bytes for the readable parts of chains. They are used one after the other, around: a card copies a chain when it takes it.
const READABLE_BYTES: u64 = 256 << 20;

/// Bytes for the writable parts of chains, which share them: nothing reads what the card writes. No descriptor has more.
const WRITABLE_BYTES: u64 = 1 << 32;

/// Most bytes of the recorded regions: more than any machine has that is tested. None of it is in use until it is written to.
const RECORDED_BYTES_MAX: u64 = 1 << 42;

/// Guest memory.
pub(super) struct Guest {
    map: GuestMemoryMmap,
    regions: Vec<(u64, u64)>,
    next: u64,
}

impl Guest {
    /// Maps memory with these regions, by guest-physical address and length.
    ///
    /// # Errors
    /// [`RecordingError::Memory`], when the host cannot map it, or when it is no memory of a machine.
    pub(super) fn map(regions: impl Iterator<Item = (u64, u64)>) -> Result<Self, RecordingError> {
        // A replay that is replayed has recorded its own region.
        let regions: Vec<(u64, u64)> = regions.filter(|(address, _)| *address != OWN).collect();
        let bytes = regions.iter().fold(0_u64, |sum, (_, length)| sum.saturating_add(*length));
        let failed = |cause: String| RecordingError::Memory { bytes, regions: regions.len(), cause };
        if bytes > RECORDED_BYTES_MAX || regions.len() > REGIONS_MAX {
            return Err(failed(format!("at most {RECORDED_BYTES_MAX} bytes in {REGIONS_MAX} regions are taken")));
        }
        if regions.iter().any(|(address, length)| address.saturating_add(*length) > OWN) {
            return Err(failed(format!("a region ends behind {OWN:#x}")));
        }
        let own = (OWN, READABLE_BYTES.saturating_add(WRITABLE_BYTES));
        let ranges = regions
            .iter()
            .chain([&own])
            .map(|(address, length)| (GuestAddress(*address), usize::try_from(*length).unwrap_or(usize::MAX)));
        let map =
            GuestMemoryMmap::from_ranges(&ranges.collect::<Vec<_>>()).map_err(|error| failed(error.to_string()))?;
        Ok(Self { map, regions, next: 0 })
    }

    /// Returns it as the bus takes it.
    pub(super) fn memory(&self) -> Memory {
        Memory::from_map(self.map.clone())
    }

    /// Returns the map, to read and write rings.
    pub(super) const fn view(&self) -> &GuestMemoryMmap {
        &self.map
    }

    /// Places bytes in the replay's own region, and returns their address.
    pub(super) fn place(&mut self, bytes: &[u8]) -> u64 {
        let length = bytes.len() as u64;
        if self.next.saturating_add(length) > READABLE_BYTES {
            self.next = 0;
        }
        let address = OWN.saturating_add(self.next);
        // A recorded payload has at most 16 MiB.
        let _ = self.map.write_slice(bytes, GuestAddress(address));
        self.next = self.next.saturating_add(length.next_multiple_of(16));
        address
    }

    /// Returns the address at which a chain can be written to, or at which there are any number of bytes to read.
    pub(super) const fn writable() -> u64 {
        OWN.saturating_add(READABLE_BYTES)
    }

    /// Returns how many bytes from an address on reach outside memory.
    pub(super) fn beyond(&self, address: u64) -> u32 {
        let inside = self.regions.iter().find(|(start, length)| address.wrapping_sub(*start) < *length);
        let left = inside.map_or(0, |(start, length)| start.saturating_add(*length).saturating_sub(address));
        u32::try_from(left.saturating_add(1)).unwrap_or(u32::MAX)
    }
}
