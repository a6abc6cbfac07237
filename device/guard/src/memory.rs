//! The table of guest memory, as the front-end has described it.
//!
//! The guard keeps no mapping: it makes one of each new region, as the back-end will, and drops it.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{FileType, fstat};
use rustix::io::pread;
use vhost::vhost_user::message::VhostUserMemoryRegion;
use vm_memory::{FileOffset, MmapRegion};

use crate::finding::{Fault, Field};
use crate::judge::Wrong;

/// The smallest page of a host. Front-ends describe whole pages.
const PAGE: u64 = 4096;

/// A region of guest memory.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) guest: u64,
    pub(crate) length: u64,
    pub(crate) user: u64,
    pub(crate) offset: u64,
    pub(crate) file: Arc<File>,
}

/// Regions that do not overlap, in the order of their guest addresses, as the framework demands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(Vec<Region>);

impl Region {
    /// Returns the region behind a description and a descriptor.
    pub(crate) fn new(region: &VhostUserMemoryRegion, file: OwnedFd) -> Result<Self, Wrong> {
        let (guest, length, user, offset) =
            (region.guest_phys_addr, region.memory_size, region.user_addr, region.mmap_offset);
        let wrong = |fault, expected, got| Wrong::new(Field::Region, fault, expected, got);
        if length == 0 {
            return Err(wrong(Fault::Zero, 0, 0));
        }
        // The framework refers to ring indices by their place in the mapping, which have to be aligned there too.
        for begin in [guest, user] {
            if !begin.is_multiple_of(PAGE) {
                return Err(wrong(Fault::Misaligned, PAGE, begin));
            }
        }
        for begin in [guest, user, offset] {
            if begin.checked_add(length).is_none() {
                return Err(wrong(Fault::TooLarge, u64::MAX.saturating_sub(length), begin));
            }
        }
        let found = fstat(&file).map_err(|_| wrong(Fault::Unusable, 0, 0))?;
        let end = offset.saturating_add(length);
        // Where a ring has come to is read from the file, which a device does not offer.
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(wrong(Fault::Unusable, 0, 0));
        }
        let size = u64::try_from(found.st_size).unwrap_or(0);
        // The back-end would be killed when it touches what is not there.
        if end > size {
            return Err(wrong(Fault::TooLarge, size, end));
        }
        let file = Arc::new(File::from(file));
        let bytes = usize::try_from(length).map_err(|_| wrong(Fault::TooLarge, usize::MAX as u64, length))?;
        if MmapRegion::<()>::from_file(FileOffset::from_arc(Arc::clone(&file), offset), bytes).is_err() {
            return Err(wrong(Fault::Unusable, 0, 0));
        }
        Ok(Self { guest, length, user, offset, file })
    }

    /// Returns the region as it goes over the socket.
    pub(crate) fn describe(&self) -> VhostUserMemoryRegion {
        VhostUserMemoryRegion::new(self.guest, self.length, self.user, self.offset)
    }

    /// Returns the file that holds it.
    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    fn holds(&self, user: u64) -> Option<u64> {
        user.checked_sub(self.user).filter(|within| *within < self.length)
    }
}

/// Returns whether two ranges have an address in common.
pub(crate) fn overlap((one, one_length): (u64, u64), (other, other_length): (u64, u64)) -> bool {
    one < other.saturating_add(other_length) && other < one.saturating_add(one_length)
}

impl Table {
    /// Returns the regions, in the order of their guest addresses.
    pub(crate) fn regions(&self) -> &[Region] {
        &self.0
    }

    /// Adds a region.
    pub(crate) fn add(&mut self, region: Region, most: usize) -> Result<(), Wrong> {
        let wrong = |fault, expected, got| Wrong::new(Field::Region, fault, expected, got);
        let count = self.0.len();
        if count >= most {
            return Err(wrong(Fault::TooLarge, most as u64, most.saturating_add(1) as u64));
        }
        for other in &self.0 {
            if overlap((region.guest, region.length), (other.guest, other.length)) {
                return Err(wrong(Fault::Overlap, other.guest, region.guest));
            }
            if overlap((region.user, region.length), (other.user, other.length)) {
                return Err(wrong(Fault::Overlap, other.user, region.user));
            }
        }
        let place = self.0.partition_point(|other| other.guest < region.guest);
        self.0.insert(place.min(count), region);
        Ok(())
    }

    /// Removes the region of a description; the descriptor and its offset do not count (QEMU, "Vhost-user Protocol",
    /// VHOST_USER_REM_MEM_REG).
    pub(crate) fn remove(&mut self, region: &VhostUserMemoryRegion) -> Option<Region> {
        let (guest, length, user) = (region.guest_phys_addr, region.memory_size, region.user_addr);
        let place = self.0.iter().position(|held| (held.guest, held.length, held.user) == (guest, length, user))?;
        Some(self.0.remove(place))
    }

    /// Returns the guest address of `length` bytes at a front-end's address, if all of them are in memory, in one piece.
    pub(crate) fn translate(&self, user: u64, length: u64) -> Option<u64> {
        let (first, within) = self.0.iter().find_map(|region| Some((region, region.holds(user)?)))?;
        let guest = first.guest.checked_add(within)?;
        let (mut user, mut expected) = (user, guest);
        let mut left = length;
        loop {
            let (region, within) = self.0.iter().find_map(|region| Some((region, region.holds(user)?)))?;
            if region.guest.checked_add(within)? != expected {
                return None;
            }
            let here = region.length.checked_sub(within)?;
            if here >= left {
                return Some(guest);
            }
            left = left.checked_sub(here)?;
            user = user.checked_add(here)?;
            expected = expected.checked_add(here)?;
        }
    }

    /// Reads a little-endian word at a front-end's address; `None` outside memory, and where the file was cut.
    pub(crate) fn read_u16(&self, user: u64) -> Option<u16> {
        self.translate(user, 2)?;
        let (region, within) = self.0.iter().find_map(|region| Some((region, region.holds(user)?)))?;
        let mut word = [0; 2];
        let got = pread(&region.file, &mut word, region.offset.checked_add(within)?).ok()?;
        (got == word.len()).then(|| u16::from_le_bytes(word))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn file(length: u64) -> OwnedFd {
        let file = tempfile::tempfile().unwrap();
        file.set_len(length).unwrap();
        file.into()
    }

    fn region(guest: u64, length: u64, user: u64, offset: u64) -> Result<Region, Wrong> {
        Region::new(&VhostUserMemoryRegion::new(guest, length, user, offset), file(0x1_0000))
    }

    #[test]
    fn refuses_regions_that_the_framework_or_the_host_would_not_map() {
        for (guest, length, user, offset, fault) in [
            (0, 0, 0, 0, Fault::Zero),
            (u64::MAX - 0xfff, 0x1000, 0, 0, Fault::TooLarge),
            (8, 0x1000, 0, 0, Fault::Misaligned),
            (0, 0x1000, 8, 0, Fault::Misaligned),
            (0, 0x1000, u64::MAX - 0xfff, 0, Fault::TooLarge),
            (0, 0x1000, 0, u64::MAX, Fault::TooLarge),
            (0, 0x2_0000, 0, 0, Fault::TooLarge),
            (0, 0x1000, 0, 0xf001, Fault::TooLarge),
            (0, 0x1000, 0, 8, Fault::Unusable),
        ] {
            let wrong = region(guest, length, user, offset).unwrap_err();
            assert_eq!(wrong.fault, fault, "{guest:#x} {length:#x} {user:#x} {offset:#x}");
        }
        let (pipe, _writer) = std::io::pipe().unwrap();
        let zero = File::options().read(true).write(true).open("/dev/zero").unwrap();
        for other in [OwnedFd::from(pipe), zero.into()] {
            let wrong = Region::new(&VhostUserMemoryRegion::new(0, 0x1000, 0, 0), other).unwrap_err();
            assert_eq!(wrong.fault, Fault::Unusable);
        }
        let sealed = rustix::fs::memfd_create("sealed", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&sealed, 0x1000).unwrap();
        rustix::fs::fcntl_add_seals(&sealed, rustix::fs::SealFlags::WRITE).unwrap();
        let wrong = Region::new(&VhostUserMemoryRegion::new(0, 0x1000, 0, 0), sealed).unwrap_err();
        assert_eq!(wrong.fault, Fault::Unusable);
    }

    #[test]
    fn keeps_regions_sorted_and_apart() {
        let mut table = Table::default();
        table.add(region(0x8000, 0x1000, 0x1_8000, 0).unwrap(), 4).unwrap();
        table.add(region(0x1000, 0x1000, 0x1_1000, 0).unwrap(), 4).unwrap();
        assert_eq!(table.regions().iter().map(|region| region.guest).collect::<Vec<_>>(), [0x1000, 0x8000]);
        for (guest, user) in [(0x8000, 0x9_0000), (0x7000, 0x9_0000), (0x9_0000, 0x1_7000)] {
            let wrong = table.add(region(guest, 0x1001, user, 0).unwrap(), 4).unwrap_err();
            assert_eq!(wrong.fault, Fault::Overlap);
        }
        assert_eq!(table.add(region(0, 0x1000, 0, 0).unwrap(), 2).unwrap_err().fault, Fault::TooLarge);
        let gone = VhostUserMemoryRegion::new(0x8000, 0x1000, 0x1_8000, 77);
        assert!(table.remove(&gone).is_some() && table.remove(&gone).is_none());
    }

    #[test]
    fn translates_across_regions_that_continue_each_other_and_reads_without_mapping() {
        let mut table = Table::default();
        table.add(region(0x1000, 0x1000, 0x1_1000, 0).unwrap(), 4).unwrap();
        table.add(region(0x2000, 0x1000, 0x1_2000, 0).unwrap(), 4).unwrap();
        table.add(region(0x3000, 0x1000, 0x1_9000, 0).unwrap(), 4).unwrap();
        assert_eq!(table.translate(0x1_1ff0, 0x20), Some(0x1ff0));
        assert_eq!(table.translate(0x1_2ff0, 0x20), None, "the next is elsewhere for the front-end");
        assert_eq!(table.translate(0x1_0fff, 1), None);
        assert_eq!(table.translate(0x1_9000, u64::MAX), None);
        let first = &table.regions()[0];
        first.file.write_at(&[0x34, 0x12], 0x10).unwrap();
        assert_eq!(table.read_u16(0x1_1010), Some(0x1234));
        first.file.set_len(0x11).unwrap();
        assert_eq!(table.read_u16(0x1_1010), None);
    }
}
