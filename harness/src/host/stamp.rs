//! What tells that a file was not written since it was looked at.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::file_error::FileError;

/// What a file was: its length, its inode, and when it was modified, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    length: u64,
    inode: u64,
    modified: i128,
}

impl Stamp {
    /// Looks at a file.
    ///
    /// # Errors
    /// [`FileError`] where it is not there, or cannot be reached.
    pub fn of(path: &Path) -> Result<Self, FileError> {
        let found = std::fs::metadata(path).map_err(FileError::own("read", path))?;
        let modified = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
        Ok(Self { length: found.len(), inode: found.ino(), modified })
    }
}
