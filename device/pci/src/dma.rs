//! A card's view of guest memory: the regions that the client maps, each a part of a file that it shares.
//!
//! Memory is copied by system calls, not mapped: a file that its owner has cut short makes an access fail, where touching
//! a mapping would end the process.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;

/// The most regions that a client can map: QEMU announces this limit of its own.
pub(crate) const REGIONS_MAX: usize = 65535;

/// Why a card could not access guest memory.
#[derive(Debug, thiserror::Error)]
pub enum DmaError {
    /// The driver has not let the function be a bus master.
    #[error("DMA of {bytes} bytes at {address:#x} with bus mastering off in the command register")]
    BusMasterOff {
        /// The guest-physical address.
        address: u64,
        /// How many bytes.
        bytes: usize,
    },
    /// A part of the memory is not mapped.
    #[error("DMA of {bytes} bytes at {address:#x}, which is not memory from {at:#x} on")]
    Unmapped {
        /// The guest-physical address.
        address: u64,
        /// How many bytes.
        bytes: usize,
        /// The first address that is not mapped.
        at: u64,
    },
    /// The memory cannot be read or written.
    #[error("DMA {} {address:#x}, which the machine does not allow", if *write { "write to" } else { "read from" })]
    Protected {
        /// The first guest-physical address that does not take the access.
        address: u64,
        /// It was a write.
        write: bool,
    },
    /// The machine does not share this memory.
    #[error(
        "guest memory at {address:#x} is not shared with this process; start QEMU with -object \
         memory-backend-memfd,id=mem,size=SIZE,share=on and -machine memory-backend=mem"
    )]
    NotShared {
        /// The guest-physical address.
        address: u64,
    },
    /// The host refuses.
    #[error("guest memory at {address:#x}: {error}")]
    Host {
        /// The guest-physical address.
        address: u64,
        /// The host's error.
        error: io::Error,
    },
}

/// A mapped region.
#[derive(Debug)]
struct Region {
    bytes: u64,
    readable: bool,
    writable: bool,
    file: Option<(File, u64)>,
}

/// A region of guest memory, as the client has mapped it: for cards that map memory themselves.
///
/// A file may become shorter at any time; what is mapped of it is to be [watched](crate::sigbus::Watch).
#[derive(Clone, Copy, Debug)]
pub struct MemoryRegion<'a> {
    /// The guest-physical address of its first byte.
    pub address: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The card may read it.
    pub readable: bool,
    /// The card may write it.
    pub writable: bool,
    /// The file that holds it, and where it begins there; `None` when the machine does not share it.
    pub file: Option<(&'a File, u64)>,
}

/// Why a region cannot be mapped or unmapped.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MapError {
    #[error("{bytes:#x} bytes at {address:#x} are empty or end beyond the address space")]
    Range { address: u64, bytes: u64 },
    #[error("{bytes:#x} bytes at {address:#x} overlap a mapped region")]
    Overlap { address: u64, bytes: u64 },
    #[error("the file of the region at {address:#x} ends before the region does")]
    FileTooShort { address: u64 },
    #[error("more than {REGIONS_MAX} regions")]
    TooMany,
    #[error("no region at {address:#x} has {bytes:#x} bytes")]
    NoRegion { address: u64, bytes: u64 },
}

/// The memory that a client has mapped.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    regions: RwLock<BTreeMap<u64, Region>>,
    bus_master: AtomicBool,
    pub(crate) reads: AtomicU64,
    pub(crate) writes: AtomicU64,
}

/// What a client says about a region.
pub(crate) struct Mapping {
    pub(crate) address: u64,
    pub(crate) bytes: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) file: Option<(File, u64)>,
}

impl Memory {
    /// Lets the card access memory, or not.
    pub(crate) fn set_bus_master(&self, on: bool) {
        self.bus_master.store(on, Ordering::SeqCst);
    }

    /// Maps a region.
    ///
    /// # Errors
    /// [`MapError`], when the region overlaps another, or cannot be.
    pub(crate) fn map(&self, mapping: Mapping) -> Result<(), MapError> {
        let Mapping { address, bytes, readable, writable, file } = mapping;
        let end = address.checked_add(bytes).filter(|_| bytes > 0).ok_or(MapError::Range { address, bytes })?;
        if let Some((file, offset)) = &file {
            let length = file.metadata().map_or(0, |found| if found.is_file() { found.len() } else { 0 });
            if offset.checked_add(bytes).is_none_or(|end| end > length) {
                return Err(MapError::FileTooShort { address });
            }
        }
        let mut regions = self.regions.write();
        let before = regions.range(..end).next_back();
        if before.is_some_and(|(start, region)| start + region.bytes > address) {
            return Err(MapError::Overlap { address, bytes });
        }
        if regions.len() >= REGIONS_MAX {
            return Err(MapError::TooMany);
        }
        regions.insert(address, Region { bytes, readable, writable, file });
        Ok(())
    }

    /// Unmaps a region, after the accesses that are under way.
    ///
    /// # Errors
    /// [`MapError::NoRegion`], when no region begins there and has this size.
    pub(crate) fn unmap(&self, address: u64, bytes: u64) -> Result<(), MapError> {
        let mut regions = self.regions.write();
        match regions.get(&address) {
            Some(region) if region.bytes == bytes => {
                regions.remove(&address);
                Ok(())
            }
            _ => Err(MapError::NoRegion { address, bytes }),
        }
    }

    /// Unmaps everything, and returns the address and the length of each region.
    pub(crate) fn clear(&self) -> Vec<(u64, u64)> {
        let regions = std::mem::take(&mut *self.regions.write());
        regions.into_iter().map(|(address, region)| (address, region.bytes)).collect()
    }

    /// Shows the region that begins at an address, if one does.
    pub(crate) fn with_region(&self, address: u64, see: impl FnOnce(MemoryRegion<'_>)) {
        if let Some(region) = self.regions.read().get(&address) {
            let Region { bytes, readable, writable, file } = region;
            let file = file.as_ref().map(|(file, offset)| (file, *offset));
            see(MemoryRegion { address, bytes: *bytes, readable: *readable, writable: *writable, file });
        }
    }

    /// Copies from guest memory.
    ///
    /// # Errors
    /// [`DmaError`]; then a part of `data` may be filled.
    pub(crate) fn read(&self, address: u64, data: &mut [u8]) -> Result<(), DmaError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let total = data.len();
        self.each_part(address, total, false, |file, offset, range| file.read_exact_at(&mut data[range], offset))
    }

    /// Copies to guest memory.
    ///
    /// # Errors
    /// [`DmaError`]; then a part of `data` may be written.
    pub(crate) fn write(&self, address: u64, data: &[u8]) -> Result<(), DmaError> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.each_part(address, data.len(), true, |file, offset, range| file.write_all_at(&data[range], offset))
    }

    /// Accesses the part of each region that `bytes` bytes at `address` have.
    fn each_part(
        &self,
        address: u64,
        bytes: usize,
        write: bool,
        mut access: impl FnMut(&File, u64, std::ops::Range<usize>) -> io::Result<()>,
    ) -> Result<(), DmaError> {
        if !self.bus_master.load(Ordering::SeqCst) {
            return Err(DmaError::BusMasterOff { address, bytes });
        }
        let regions = self.regions.read();
        let mut done = 0;
        while done < bytes {
            let at = address.wrapping_add(done as u64);
            let unmapped = || DmaError::Unmapped { address, bytes, at };
            if at < address {
                return Err(unmapped());
            }
            let (start, region) = regions.range(..=at).next_back().ok_or_else(unmapped)?;
            let inside = at - start;
            let left = region.bytes.checked_sub(inside).filter(|left| *left > 0).ok_or_else(unmapped)?;
            if if write { !region.writable } else { !region.readable } {
                return Err(DmaError::Protected { address: at, write });
            }
            let (file, offset) = region.file.as_ref().ok_or(DmaError::NotShared { address: at })?;
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(bytes - done);
            access(file, offset + inside, done..done + part).map_err(|error| DmaError::Host { address: at, error })?;
            done += part;
        }
        Ok(())
    }
}
