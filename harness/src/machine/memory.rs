//! Guest memory: a memfd of the harness that QEMU and the card map, and that the harness reads and writes.
//!
//! It is sealed: shortening a file under a mapping ends each process that touches it with SIGBUS, and three processes
//! map this one.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use guest_protocol::Bulk;
use rustix::fs::{MemfdFlags, SealFlags};

use super::error::MachineError;

/// QEMU's q35 places memory below 4 GiB up to here if it all fits ...
const LOW_MEMORY_MAX: u64 = 0xb000_0000;

/// ... and otherwise splits it here (`pc_q35_init`: 2 GiB, so that both parts stay aligned to a gigabyte).
const SPLIT: u64 = 0x8000_0000;

/// Guest-physical address of the part above the split.
const HIGH_MEMORY: u64 = 0x1_0000_0000;

/// Seals the size of the memory, and the seals themselves, against every process, the harness included.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// A guest's memory.
#[derive(Debug)]
pub struct GuestMemory {
    file: File,
    bytes: u64,
}

impl GuestMemory {
    /// Creates memory of a size in bytes, zeroed and not yet backed.
    ///
    /// # Errors
    /// [`MachineError::Resource`] where the host refuses the memfd, its size or its seals.
    pub fn new(bytes: u64) -> Result<Self, MachineError> {
        let resource =
            |source: rustix::io::Errno| MachineError::Resource { what: "guest memory", source: source.into() };
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create("dmus-guest", flags).map_err(resource)?;
        rustix::fs::ftruncate(&file, bytes).map_err(resource)?;
        rustix::fs::fcntl_add_seals(&file, SEALS).map_err(resource)?;
        Ok(Self { file: file.into(), bytes })
    }

    /// Returns its size in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Opens the same memory once more.
    ///
    /// # Errors
    /// The error of the host, which refuses another open file.
    pub fn share(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, bytes: self.bytes })
    }

    /// Opens the file once more, to pass it to QEMU.
    pub(super) fn file(&self) -> io::Result<OwnedFd> {
        self.file.as_fd().try_clone_to_owned()
    }

    /// Checks that a range is guest memory.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a range that is not.
    pub fn check(&self, range: Bulk) -> io::Result<()> {
        self.offset(range).map(|_| ())
    }

    /// Reads a range.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a range outside guest memory.
    pub fn read(&self, range: Bulk) -> io::Result<Vec<u8>> {
        let offset = self.offset(range)?;
        // The range is inside guest memory, so its length fits.
        let mut bytes = vec![0; range.length as usize];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Writes to the start of a range.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a range outside guest memory, or one that is shorter than the bytes.
    pub fn write(&self, range: Bulk, bytes: &[u8]) -> io::Result<()> {
        let offset = self.offset(range)?;
        if bytes.len() as u64 > range.length {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "more bytes than the range holds"));
        }
        self.file.write_all_at(bytes, offset)
    }

    /// Returns the offset in the file of a range of guest-physical addresses.
    fn offset(&self, range: Bulk) -> io::Result<u64> {
        let outside = || {
            let text = format!("{:#x} bytes at {:#x} are not guest memory", range.length, range.address);
            io::Error::new(io::ErrorKind::InvalidInput, text)
        };
        let low = if self.bytes > LOW_MEMORY_MAX { SPLIT } else { self.bytes };
        let end = range.address.checked_add(range.length).ok_or_else(outside)?;
        if end <= low {
            Ok(range.address)
        } else if range.address >= HIGH_MEMORY && end <= HIGH_MEMORY + (self.bytes - low) {
            Ok(range.address - HIGH_MEMORY + low)
        } else {
            Err(outside())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn reads_back_what_was_written() {
        let memory = GuestMemory::new(64 * MIB).unwrap();
        let range = Bulk { address: 5 * MIB, length: 4 };
        memory.write(range, b"DMUS").unwrap();
        assert_eq!(memory.read(range).unwrap(), b"DMUS");
        assert_eq!(memory.read(Bulk { address: 6 * MIB, length: 2 }).unwrap(), [0, 0]);
    }

    #[test]
    fn refuses_a_change_of_its_size() {
        let memory = GuestMemory::new(64 * MIB).unwrap();
        // As a process does that inherits the descriptor, or opens the file by its path.
        let reopened = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&memory.file));
        let reopened = File::options().read(true).write(true).open(reopened).unwrap();
        for file in [&memory.file, &reopened] {
            for bytes in [0, MIB, 64 * MIB - 4096, 64 * MIB + 4096] {
                assert_eq!(rustix::fs::ftruncate(file, bytes), Err(rustix::io::Errno::PERM), "{bytes} bytes");
            }
        }
        assert!(rustix::fs::fcntl_add_seals(&memory.file, SealFlags::WRITE).is_err());
        let range = Bulk { address: 63 * MIB, length: 4 };
        memory.write(range, b"DMUS").unwrap();
        assert_eq!(memory.read(range).unwrap(), b"DMUS");
    }

    #[test]
    fn refuses_ranges_outside_guest_memory() {
        let memory = GuestMemory::new(64 * MIB).unwrap();
        for (address, length) in [(64 * MIB, 1), (64 * MIB - 1, 2), (u64::MAX, 2), (HIGH_MEMORY, 1)] {
            assert!(memory.read(Bulk { address, length }).is_err(), "{address:#x}");
        }
    }

    #[test]
    fn places_memory_above_four_gib_after_the_low_part_in_the_file() {
        let memory = GuestMemory { file: GuestMemory::new(1).unwrap().file, bytes: 3 << 30 };
        assert_eq!(memory.offset(Bulk { address: HIGH_MEMORY, length: 1 << 30 }).unwrap(), SPLIT);
        assert!(memory.offset(Bulk { address: HIGH_MEMORY, length: (1 << 30) + 1 }).is_err());
        assert!(memory.offset(Bulk { address: SPLIT - 1, length: 2 }).is_err());
    }
}
