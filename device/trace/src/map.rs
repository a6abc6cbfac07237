//! A file that is mapped as words which several threads, and readers of the file, see at the same time.
#![allow(unsafe_code, reason = "mapped memory has no safe type of its own")]

use std::fs::File;
use std::io;
use std::sync::atomic::AtomicU64;

use memmap2::{MmapOptions, MmapRaw};

/// A mapped file. Words are in the byte order of the host, which the writer turns into that of the file.
#[derive(Debug)]
pub(crate) struct Map(MmapRaw);

impl Map {
    /// Maps the first `bytes` bytes of a file that has been allocated.
    ///
    /// # Errors
    /// The host's error, when it has no address space or no pages for the file.
    pub(crate) fn of(file: &File, bytes: usize) -> io::Result<Self> {
        MmapOptions::new().len(bytes).map_raw(file).map(Self)
    }

    /// Returns the words of the file.
    #[inline]
    #[allow(clippy::cast_ptr_alignment, reason = "a mapping begins at a page")]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        let start = self.0.as_mut_ptr().cast::<AtomicU64>();
        debug_assert!(start.is_aligned());
        // SAFETY: the mapping is readable and writable, is as long as this, begins at a page and lives as long as `self`. This
        // process reaches it as atomic words only.
        unsafe { std::slice::from_raw_parts(start, self.0.len() / size_of::<AtomicU64>()) }
    }
}
