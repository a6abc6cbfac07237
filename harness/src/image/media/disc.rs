//! A disc's bytes, and a file on it as the pieces of which it consists.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::host::file_error::FileError;

/// Bytes of a sector (ECMA-119, 6.1.2).
pub(super) const SECTOR: u64 = 2048;

/// Most bytes that are read at once: the largest thing read whole is the description of the images, below one MiB on real discs.
pub(super) const READ_BYTES_MAX: u64 = 16 << 20;

/// Why a disc could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DiscError {
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A structure is not what its standard says.
    #[error("{what} at byte {at:#x} {fault}")]
    Malformed {
        /// The structure.
        what: &'static str,
        /// Where it is.
        at: u64,
        /// What is wrong with it.
        fault: String,
    },
}

/// A disc.
#[derive(Debug)]
pub struct Disc {
    file: File,
    path: std::path::PathBuf,
    bytes: u64,
}

impl Disc {
    /// Opens a disc's file.
    ///
    /// # Errors
    /// [`DiscError::File`] when it cannot be opened, or is no file.
    pub fn open(path: &Path) -> Result<Self, DiscError> {
        let file = File::open(path).map_err(FileError::input(path))?;
        let about = file.metadata().map_err(FileError::input(path))?;
        if about.is_dir() {
            return Err(FileError::input(path)(std::io::ErrorKind::IsADirectory.into()).into());
        }
        Ok(Self { file, path: path.into(), bytes: about.len() })
    }

    /// Returns its length in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads bytes, for a structure that `what` names.
    ///
    /// # Errors
    /// [`DiscError::Malformed`] when they are not on the disc or more than `READ_BYTES_MAX`, [`DiscError::File`] when the host cannot
    /// read them.
    pub fn read(&self, what: &'static str, at: u64, bytes: u64) -> Result<Vec<u8>, DiscError> {
        let malformed = |fault: String| DiscError::Malformed { what, at, fault };
        if at.checked_add(bytes).is_none_or(|end| end > self.bytes) {
            return Err(malformed(format!("has {bytes} bytes, which end behind the disc's {}", self.bytes)));
        }
        if bytes > READ_BYTES_MAX {
            return Err(malformed(format!("has {bytes} bytes, more than the {READ_BYTES_MAX} that are read")));
        }
        let mut buffer = vec![0; usize::try_from(bytes).unwrap_or_default()];
        self.file.read_exact_at(&mut buffer, at).map_err(FileError::input(&self.path))?;
        Ok(buffer)
    }
}

/// A file on a disc: pieces of it, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscFile {
    /// Offset and length in bytes of each piece.
    pub pieces: Vec<(u64, u64)>,
    /// Its length in bytes.
    pub bytes: u64,
}

impl DiscFile {
    /// Reads a part of it.
    ///
    /// # Errors
    /// [`DiscError`] as [`Disc::read`], also for a part behind its end.
    pub fn read(&self, disc: &Disc, what: &'static str, at: u64, bytes: u64) -> Result<Vec<u8>, DiscError> {
        if at.checked_add(bytes).is_none_or(|end| end > self.bytes) || bytes > READ_BYTES_MAX {
            let fault = format!("has {bytes} bytes, which do not fit a file of {}", self.bytes);
            return Err(DiscError::Malformed { what, at, fault });
        }
        let (mut skip, mut left, mut found) = (at, bytes, Vec::new());
        for &(offset, length) in &self.pieces {
            if skip >= length {
                skip -= length;
                continue;
            }
            let part = left.min(length - skip);
            found.append(&mut disc.read(what, offset.saturating_add(skip), part)?);
            (skip, left) = (0, left - part);
            if left == 0 {
                return Ok(found);
            }
        }
        if left == 0 {
            return Ok(found);
        }
        let fault = format!("has pieces that are {left} bytes shorter than its length");
        Err(DiscError::Malformed { what, at, fault })
    }
}

/// Reads a little-endian number of a structure; zero where the structure is too short, which callers rule out by reading it whole.
pub(super) fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let part = bytes.get(at..at + length).unwrap_or_default();
    part.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
