//! The disks: the one that this program was started from, the empty one, and the one with the answer file.
#![allow(unsafe_code, reason = "block devices are opened beside the firmware's own drivers")]

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use uefi::boot::{self, OpenProtocolAttributes, OpenProtocolParams, ScopedProtocol, SearchType};
use uefi::fs::FileSystem;
use uefi::proto::loaded_image::LoadedImage;
use uefi::proto::media::block::BlockIO;
use uefi::proto::media::fs::SimpleFileSystem;
use uefi::{CString16, Handle};

use stand_in::state::{BYTES, OFFSET, Stage};

/// Bytes that are copied at once.
const PIECE: usize = 1 << 20;

/// The alignment of what devices read and write: more than any asks for (UEFI specification, 13.9, `IoAlign`).
const ALIGNMENT: usize = 4096;

/// Memory for a piece, aligned as devices ask.
struct Piece(Vec<u8>);

impl Piece {
    fn new() -> Self {
        Self(vec![0; PIECE + ALIGNMENT])
    }

    fn bytes(&mut self) -> &mut [u8] {
        let first = self.0.as_ptr().align_offset(ALIGNMENT);
        &mut self.0[first..first + PIECE]
    }
}

/// A block device.
pub(super) struct Disk(ScopedProtocol<BlockIO>);

/// Connects the firmware's drivers to all devices: it has connected only those that it starts from.
pub(super) fn connect_all() {
    let handles = boot::locate_handle_buffer(SearchType::AllHandles);
    for handle in handles.iter().flat_map(|handles| handles.iter()) {
        // Most handles are no device with a driver.
        let _ = boot::connect_controller(*handle, &[], None, true);
    }
}

/// Returns the device that this program was started from.
fn boot_device() -> Option<Handle> {
    boot::open_protocol_exclusive::<LoadedImage>(boot::image_handle()).ok()?.device()
}

impl Disk {
    fn open(handle: Handle) -> Option<Self> {
        let parameters = OpenProtocolParams { handle, agent: boot::image_handle(), controller: None };
        // SAFETY: the firmware's drivers keep the device too; what is written to is empty, or holds nothing that they have open.
        let block = unsafe { boot::open_protocol::<BlockIO>(parameters, OpenProtocolAttributes::GetProtocol) };
        block.ok().map(Self)
    }

    /// Opens the device that this program was started from.
    pub(super) fn started_from() -> Option<Self> {
        Self::open(boot_device()?)
    }

    /// Finds the disk to install on: a whole disk that can be written and holds no file system.
    pub(super) fn empty() -> Option<Self> {
        let handles = boot::find_handles::<BlockIO>().unwrap_or_default();
        handles.into_iter().filter_map(|handle| Some((handle, Self::open(handle)?))).find_map(|(handle, disk)| {
            let media = disk.0.media();
            let whole = media.is_media_present() && !media.is_logical_partition();
            let writable = !media.is_read_only() && !media.is_removable_media();
            (whole && writable && !has_file_system(handle)).then_some(disk)
        })
    }

    /// Returns its size in bytes.
    pub(super) fn bytes(&self) -> u64 {
        let media = self.0.media();
        (media.last_block() + 1) * u64::from(media.block_size())
    }

    /// Reads from an offset, which its block size divides, as the length.
    pub(super) fn read(&mut self, offset: u64, buffer: &mut [u8]) -> uefi::Result {
        let (id, size) = (self.0.media().media_id(), u64::from(self.0.media().block_size()));
        self.0.read_blocks(id, offset / size, buffer)
    }

    /// Writes at an offset, which its block size divides, as the length.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> uefi::Result {
        let (id, size) = (self.0.media().media_id(), u64::from(self.0.media().block_size()));
        self.0.write_blocks(id, offset / size, bytes)
    }

    /// Returns the length of the file system on it, by its first sector: the firmware takes the catalogue's count of sectors for blocks of the
    /// disc, and so a boot image for four times as long as it is.
    fn image_bytes(&mut self) -> uefi::Result<u64> {
        let mut memory = Piece::new();
        let size = self.0.media().block_size() as usize;
        let sector = &mut memory.bytes()[..size];
        self.read(0, sector)?;
        Ok(stand_in::state::image_bytes(sector).min(self.bytes()))
    }

    /// Reads all of it, as a loader reads its boot image.
    pub(super) fn read_all(&mut self) -> uefi::Result {
        let bytes = self.image_bytes()?;
        let mut memory = Piece::new();
        (0..bytes / PIECE as u64).try_for_each(|piece| self.read(piece * PIECE as u64, memory.bytes()))
    }

    /// Copies the file system of another disk to the beginning of this one.
    pub(super) fn copy_from(&mut self, source: &mut Self) -> uefi::Result {
        let bytes = source.image_bytes()?.min(OFFSET);
        let mut memory = Piece::new();
        let buffer = memory.bytes();
        let mut offset = 0;
        while offset < bytes {
            let piece = usize::try_from(bytes - offset).map_or(PIECE, |left| left.min(PIECE));
            source.read(offset, &mut buffer[..piece])?;
            self.write(offset, &buffer[..piece])?;
            offset += piece as u64;
        }
        self.0.flush_blocks()
    }

    /// Reads the stage of an installed disk; `None` for a disc.
    pub(super) fn stage(&mut self) -> Option<Stage> {
        let mut memory = Piece::new();
        let sector = &mut memory.bytes()[..BYTES];
        if self.0.media().block_size() as usize != BYTES || self.bytes() <= OFFSET {
            return None;
        }
        self.read(OFFSET, sector).ok()?;
        Stage::decode(sector)
    }

    /// Writes the stage of the next boot.
    pub(super) fn set_stage(&mut self, stage: Stage) -> uefi::Result {
        let mut memory = Piece::new();
        let sector = &mut memory.bytes()[..BYTES];
        sector.copy_from_slice(&stage.encode());
        self.write(OFFSET, sector)?;
        self.0.flush_blocks()
    }
}

fn has_file_system(handle: Handle) -> bool {
    boot::test_protocol::<SimpleFileSystem>(OpenProtocolParams {
        handle,
        agent: boot::image_handle(),
        controller: None,
    })
    .unwrap_or_default()
}

/// A file system of the firmware's.
pub(super) struct Files(FileSystem);

impl Files {
    fn open(handle: Handle) -> Option<Self> {
        Some(Self(FileSystem::new(boot::open_protocol_exclusive::<SimpleFileSystem>(handle).ok()?)))
    }

    /// Opens the file system that this program was started from.
    pub(super) fn started_from() -> Option<Self> {
        Self::open(boot_device()?)
    }

    /// Finds the file system with a file in its root.
    pub(super) fn with(name: &str) -> Option<Self> {
        let handles = boot::find_handles::<SimpleFileSystem>().unwrap_or_default();
        handles.into_iter().filter_map(Self::open).find_map(|mut files| files.has(name).then_some(files))
    }

    /// Tells whether there is a file or folder of a path, whose parts `\` divides.
    pub(super) fn has(&mut self, path: &str) -> bool {
        CString16::try_from(path).is_ok_and(|path| self.0.try_exists(&*path).unwrap_or_default())
    }

    /// Reads a file.
    pub(super) fn read(&mut self, path: &str) -> Option<Vec<u8>> {
        self.0.read(&*CString16::try_from(path).ok()?).ok()
    }

    /// Returns the path of the first file of a folder whose name ends so, in any case.
    pub(super) fn find(&mut self, folder: &str, ending: &str) -> Option<String> {
        let entries = self.0.read_dir(&*CString16::try_from(folder).ok()?).ok()?;
        let mut names = entries.filter_map(Result::ok).map(|entry| String::from(entry.file_name()));
        let name = names.find(|name| name.to_ascii_lowercase().ends_with(ending))?;
        Some(format!("{folder}\\{name}"))
    }

    /// Writes a file in the place of one of its name.
    ///
    /// # Errors
    /// The firmware's words, when the name or the disk cannot be used.
    pub(super) fn write(&mut self, path: &str, bytes: &[u8]) -> Result<(), String> {
        let path = CString16::try_from(path).map_err(|error| format!("{error}"))?;
        self.0.write(&*path, bytes).map_err(|error| format!("{error}"))
    }

    /// Reads a file of text.
    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        String::from_utf8(self.read(path)?).ok()
    }
}
