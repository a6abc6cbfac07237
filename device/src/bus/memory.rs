//! Maps guest memory as the front-end shares it: regions that are added and removed, every access checked.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::fs::File;
use std::sync::Arc;

use rustix::fs::{FileType, fstat};
use vm_memory::{
    FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, GuestRegionMmap, MmapRegion,
};

use vfio_user_card::sigbus::{self, Watch};

use crate::log_limited;

/// Most regions of one bus: what vhost in the Linux kernel takes, so that no machine QEMU can build is refused.
pub const REGIONS_MAX: usize = 509;

/// A region of guest memory as a vhost-user front-end describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Guest-physical address of its first byte.
    pub guest_address: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Its address in the front-end: ring addresses come in these terms.
    pub user_address: u64,
    /// Offset of its first byte in the file.
    pub file_offset: u64,
}

/// Why a region cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// Its addresses wrap around, or it is empty.
    #[error("the memory region at {guest_address:#x} of {length:#x} bytes wraps around or is empty")]
    Range {
        /// Its address.
        guest_address: u64,
        /// Its length.
        length: u64,
    },
    /// The file ends before the region does: touching the rest would kill the process.
    #[error("the memory region at {guest_address:#x} needs {needed:#x} bytes of a file that has {length:#x}")]
    FileTooShort {
        /// Its address.
        guest_address: u64,
        /// Its end in the file, in bytes.
        needed: u64,
        /// The length of the file, in bytes.
        length: u64,
    },
    /// The length and kind of its file cannot be read.
    #[error("the length and kind of the memory region's file cannot be read: {0}")]
    File(#[source] std::io::Error),
    /// Its file is of a kind that can change or vanish under the mapping, or has side effects when it is read.
    #[error(
        "the memory region at {guest_address:#x} is in {found}, which cannot be mapped safely; a memory file or a \
         regular file can"
    )]
    Kind {
        /// Its address.
        guest_address: u64,
        /// The kind of its file.
        found: &'static str,
    },
    /// It cannot be mapped.
    #[error("the memory region at {guest_address:#x} cannot be mapped: {source}")]
    Map {
        /// Its address.
        guest_address: u64,
        /// The cause.
        source: vm_memory::mmap::MmapRegionError,
    },
    /// It overlaps another, or does not exist.
    #[error("the memory region at {guest_address:#x} does not fit the others: {source}")]
    Collection {
        /// Its address.
        guest_address: u64,
        /// The cause.
        source: vm_memory::GuestRegionCollectionError,
    },
    /// There are too many.
    #[error("more than {REGIONS_MAX} memory regions")]
    TooMany,
}

/// The guest memory that the card can reach.
#[derive(Default)]
pub struct Memory {
    // Before the map, so that no region is watched that is not mapped.
    entries: Vec<Entry>,
    map: GuestMemoryMmap,
    /// [`sigbus::losses`] when the regions were last looked at.
    losses_seen: usize,
}

/// The address of a region in this process, and its length in bytes.
type Place = (usize, usize);

/// A region that is mapped.
struct Entry {
    region: Region,
    /// Where it is mapped in this process, and its length, for memory that a transport has mapped.
    place: Option<Place>,
    /// `None` for memory that the card has not mapped itself.
    watch: Option<Watch>,
}

impl Memory {
    /// Returns memory that is already mapped, at the same addresses for the front-end and the guest.
    #[must_use]
    pub fn from_map(map: GuestMemoryMmap) -> Self {
        let entry = |region: &GuestRegionMmap| Entry {
            region: Region {
                guest_address: region.start_addr().0,
                length: region.len(),
                user_address: region.start_addr().0,
                file_offset: 0,
            },
            place: None,
            watch: None,
        };
        Self { entries: map.iter().map(entry).collect(), map, losses_seen: sigbus::losses() }
    }

    /// Adds a region. One that is there already at this address, with this length, is replaced: a device that is
    /// plugged in again is given the same memory again.
    ///
    /// # Errors
    /// [`MemoryError::TooMany`], [`MemoryError::Range`], [`MemoryError::File`], [`MemoryError::Kind`],
    /// [`MemoryError::FileTooShort`], [`MemoryError::Map`] and [`MemoryError::Collection`], when a region like this cannot
    /// be mapped; the memory is as before.
    pub fn add(&mut self, region: Region, file: File) -> Result<(), MemoryError> {
        let place = |region: Region| (region.guest_address, region.length);
        let replaced = self.entries.iter().any(|entry| place(entry.region) == place(region));
        if self.entries.len() >= REGIONS_MAX && !replaced {
            return Err(MemoryError::TooMany);
        }
        let mapped = Arc::new(map(region, file)?);
        let watch = Watch::new(mapped.get_mmap()).ok_or(MemoryError::TooMany)?;
        if replaced {
            self.remove(region.guest_address, region.length)?;
        }
        self.map = self
            .map
            .insert_region(mapped)
            .map_err(|source| MemoryError::Collection { guest_address: region.guest_address, source })?;
        self.entries.push(Entry { region, place: None, watch: Some(watch) });
        Ok(())
    }

    /// Replaces all regions by those that a transport has mapped itself. A region that cannot be used is left out, and
    /// logged: rings and buffers in it are outside memory.
    pub fn replace(&mut self, map: &GuestMemoryMmap) {
        let mut view = map.clone();
        let mut entries = Vec::new();
        for mapped in map.iter() {
            let (start, length) = (mapped.start_addr(), mapped.len());
            let place = (mapped.as_ptr().addr(), mapped.size());
            // A region that stays is watched as before; the old entries end after the new ones are made.
            let kept =
                self.entries.iter_mut().find(|entry| entry.place == Some(place)).and_then(|entry| entry.watch.take());
            let watched = kept.map_or_else(
                || check_mapped(mapped).and_then(|()| Watch::new(mapped.get_mmap()).ok_or(MemoryError::TooMany)),
                Ok,
            );
            match watched {
                Ok(watch) => {
                    let region = Region { guest_address: start.0, length, user_address: start.0, file_offset: 0 };
                    entries.push(Entry { region, place: Some(place), watch: Some(watch) });
                }
                Err(error) => {
                    log_limited!(log::Level::Error, "{error}");
                    match view.remove_region(start, length) {
                        Ok((rest, _)) => view = rest,
                        Err(error) => log_limited!(log::Level::Error, "{error}; this is a defect of the card"),
                    }
                }
            }
        }
        // The watches before the mappings.
        self.entries = entries;
        self.map = view;
    }

    /// Returns guest-physical address and length of each region, in the order of addresses.
    #[must_use]
    pub fn regions(&self) -> Vec<(u64, u64)> {
        self.map.iter().map(|region| (region.start_addr().0, region.len())).collect()
    }

    /// Takes a region away.
    ///
    /// # Errors
    /// [`MemoryError::Collection`], when there is none at this address of this length; the memory is as before.
    pub fn remove(&mut self, guest_address: u64, length: u64) -> Result<(), MemoryError> {
        let (map, removed) = self
            .map
            .remove_region(GuestAddress(guest_address), length)
            .map_err(|source| MemoryError::Collection { guest_address, source })?;
        self.entries.retain(|entry| entry.region.guest_address != guest_address);
        self.map = map;
        drop(removed);
        Ok(())
    }

    /// Takes regions out of use whose file has become shorter, and returns them as they were announced.
    pub fn take_lost(&mut self) -> Vec<Region> {
        let losses = sigbus::losses();
        if losses == self.losses_seen {
            return Vec::new();
        }
        self.losses_seen = losses;
        let is_lost = |entry: &Entry| entry.watch.as_ref().is_some_and(Watch::is_lost);
        let lost: Vec<Region> = self.entries.iter().filter(|entry| is_lost(entry)).map(|entry| entry.region).collect();
        for region in &lost {
            if let Err(error) = self.remove(region.guest_address, region.length) {
                log_limited!(log::Level::Error, "{error}; this is a defect of the card");
            }
        }
        lost
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the guest address of `length` bytes that the front-end has at `user_address`, if one region holds them
    /// all.
    #[must_use]
    pub fn guest_address(&self, user_address: u64, length: u64) -> Option<GuestAddress> {
        self.entries.iter().find_map(|Entry { region, .. }| {
            let offset = user_address.checked_sub(region.user_address)?;
            let end = offset.checked_add(length)?;
            let address = region.guest_address.checked_add(offset)?;
            (end <= region.length).then_some(GuestAddress(address))
        })
    }

    /// Returns what the rings and buffers are read and written through.
    #[must_use]
    pub const fn map(&self) -> &GuestMemoryMmap {
        &self.map
    }
}

fn map(region: Region, file: File) -> Result<GuestRegionMmap, MemoryError> {
    let Region { guest_address, length, user_address, file_offset } = region;
    let range = || MemoryError::Range { guest_address, length };
    let bytes = usize::try_from(length).ok().filter(|&bytes| bytes > 0).ok_or_else(range)?;
    let needed = file_offset.checked_add(length).ok_or_else(range)?;
    guest_address.checked_add(length).ok_or_else(range)?;
    user_address.checked_add(length).ok_or_else(range)?;
    check_file(guest_address, &file, needed)?;
    let mapped = MmapRegion::from_file(FileOffset::new(file, file_offset), bytes)
        .map_err(|source| MemoryError::Map { guest_address, source })?;
    GuestRegionMmap::new(mapped, GuestAddress(guest_address)).ok_or_else(range)
}

/// Checks the file of a region that needs its first `needed` bytes.
fn check_file(guest_address: u64, file: &File, needed: u64) -> Result<(), MemoryError> {
    // Not the standard library's: its call can look at any path, and the sandbox does not allow it.
    let found = fstat(file).map_err(|error| MemoryError::File(error.into()))?;
    if let Some(found) = unsuitable(FileType::from_raw_mode(found.st_mode)) {
        return Err(MemoryError::Kind { guest_address, found });
    }
    let length = u64::try_from(found.st_size).unwrap_or(0);
    if length < needed {
        return Err(MemoryError::FileTooShort { guest_address, needed, length });
    }
    Ok(())
}

/// Checks the file of a region that is mapped.
fn check_mapped(region: &GuestRegionMmap) -> Result<(), MemoryError> {
    let (guest_address, length) = (region.start_addr().0, region.len());
    let file = region.file_offset().ok_or(MemoryError::Kind { guest_address, found: "no file" })?;
    let needed = file.start().checked_add(length).ok_or(MemoryError::Range { guest_address, length })?;
    check_file(guest_address, file.file(), needed)
}

/// Returns what a file is, if it is neither a memory file nor a regular one.
fn unsuitable(file: FileType) -> Option<&'static str> {
    match file {
        FileType::RegularFile => None,
        FileType::Directory => Some("a folder"),
        FileType::Fifo => Some("a pipe"),
        FileType::Socket => Some("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        FileType::Symlink | FileType::Unknown => Some("a descriptor of the kernel's"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translates_a_range_only_if_one_region_holds_it_all() {
        let mut memory = Memory::from_map(GuestMemoryMmap::from_ranges(&[(GuestAddress(0x10_0000), 0x1000)]).unwrap());
        memory.entries[0].region.user_address = 0x7000_0000;
        assert_eq!(memory.guest_address(0x7000_0010, 0xff0), Some(GuestAddress(0x10_0010)));
        assert_eq!(memory.guest_address(0x7000_0010, 0xff1), None);
        assert_eq!(memory.guest_address(0x6fff_ffff, 1), None);
        assert_eq!(memory.guest_address(u64::MAX, u64::MAX), None);
    }

    #[test]
    fn refuses_a_file_that_is_shorter_than_its_region() {
        let file = File::from(rustix::fs::memfd_create("short", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
        file.set_len(0x1000).unwrap();
        let region = Region { guest_address: 0, length: 0x2000, user_address: 0, file_offset: 0 };
        let mut memory = Memory::default();
        assert!(matches!(memory.add(region, file), Err(MemoryError::FileTooShort { .. })));
        assert!(memory.is_empty());
    }
}
