//! Pages of a BAR that a guest maps: a file that client and card share.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use vm_memory::{Bytes, FileOffset, MmapRegion, VolatileMemory};

use crate::description::{BARS, Description};
/// The mapped pages of a BAR, which card and guest read and write at the same time. Clones share them.
///
/// They hold zeroes at first, and keep what they hold over resets and from one QEMU to the next: the card's
/// [`reset`](crate::Card::reset) puts in them what belongs there.
#[derive(Clone, Debug)]
pub struct Mapped(Arc<Pages>);

#[derive(Debug)]
struct Pages {
    bar: usize,
    ranges: Vec<Range<u64>>,
    region: MmapRegion,
}

/// An access to bytes of a BAR that no guest maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest maps no {bytes} bytes at {offset:#x} of BAR {bar}; see `Bar::map`")]
pub struct NotMapped {
    /// The BAR.
    pub bar: usize,
    /// The first byte of the access, from the start of the BAR.
    pub offset: u64,
    /// How many bytes.
    pub bytes: usize,
}

impl Mapped {
    /// Makes the pages of each BAR that has some.
    ///
    /// # Errors
    /// The host's error, when it has no descriptor or no address space for them.
    pub(crate) fn of(description: &Description) -> io::Result<[Option<Self>; BARS]> {
        let mut pages = [const { None }; BARS];
        for (index, (page, bar)) in pages.iter_mut().zip(&description.bars).enumerate() {
            let ranges = bar.as_ref().map_or(&[][..], |bar| &bar.mapped[..]);
            if let Some(last) = ranges.last() {
                *page = Some(Self(Arc::new(Pages { bar: index, ranges: ranges.to_vec(), region: region(last.end)? })));
            }
        }
        Ok(pages)
    }

    /// Returns the mapped ranges, in bytes from the start of the BAR, in order.
    #[must_use]
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.0.ranges
    }

    /// Returns the file that a client maps: byte 0 is byte 0 of the BAR.
    pub(crate) fn file(&self) -> Option<&File> {
        self.0.region.file_offset().map(FileOffset::file)
    }

    /// Copies from the pages.
    ///
    /// # Errors
    /// [`NotMapped`], when not all bytes are in one mapped range; `data` is untouched.
    pub fn read(&self, offset: u64, data: &mut [u8]) -> Result<(), NotMapped> {
        let (at, refused) = self.check(offset, data.len())?;
        self.slice().read_slice(data, at).map_err(|_| refused)
    }

    /// Copies to the pages.
    ///
    /// # Errors
    /// [`NotMapped`], when not all bytes are in one mapped range; nothing is written.
    pub fn write(&self, offset: u64, data: &[u8]) -> Result<(), NotMapped> {
        let (at, refused) = self.check(offset, data.len())?;
        self.slice().write_slice(data, at).map_err(|_| refused)
    }

    /// Reads a little-endian word that a guest may write meanwhile, in one piece, before all accesses that follow.
    ///
    /// # Errors
    /// [`NotMapped`], when the word is not in a mapped range, or not aligned.
    pub fn load(&self, offset: u64) -> Result<u32, NotMapped> {
        let (at, refused) = self.check(offset, size_of::<u32>())?;
        self.slice().load(at, Ordering::Acquire).map(u32::from_le).map_err(|_| refused)
    }

    /// Writes a little-endian word in one piece, after all accesses before it: the number of a sequence lock, or a
    /// flag.
    ///
    /// # Errors
    /// [`NotMapped`], when the word is not in a mapped range, or not aligned; nothing is written.
    pub fn store(&self, offset: u64, value: u32) -> Result<(), NotMapped> {
        let (at, refused) = self.check(offset, size_of::<u32>())?;
        self.slice().store(value.to_le(), at, Ordering::Release).map_err(|_| refused)
    }

    fn slice(&self) -> vm_memory::VolatileSlice<'_> {
        self.0.region.as_volatile_slice()
    }

    /// Returns the offset in the file, and the error of an access that it does not take after all.
    fn check(&self, offset: u64, bytes: usize) -> Result<(usize, NotMapped), NotMapped> {
        let refused = NotMapped { bar: self.0.bar, offset, bytes };
        let end = offset.checked_add(bytes as u64).ok_or(refused)?;
        if !self.0.ranges.iter().any(|range| range.start <= offset && end <= range.end) {
            return Err(refused);
        }
        Ok((usize::try_from(offset).map_err(|_| refused)?, refused))
    }
}

/// Makes a file of this length, which no process can make shorter or longer, and maps it.
fn region(bytes: u64) -> io::Result<MmapRegion> {
    let file = memfd_create("bar", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let file = File::from(file);
    file.set_len(bytes)?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    MmapRegion::from_file(FileOffset::new(file, 0), bytes).map_err(io::Error::other)
}
