//! Temporary folders that no kill of the harness leaves behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::mark::Mark;
use crate::host::file_error::FileError;

/// The prefix of the names of all temporary folders.
pub(super) const PREFIX: &str = "dmus-";

/// A temporary folder, private to this user, that is removed with this value or, after a kill, by the next start.
#[derive(Debug)]
pub struct Scratch {
    folder: tempfile::TempDir,
    _mark: Mark,
}

impl Scratch {
    /// Creates a folder under `TMPDIR`.
    ///
    /// # Errors
    /// [`FileError`] when the folder cannot be created or its mark cannot be written.
    pub fn new() -> Result<Self, FileError> {
        Self::under(&std::env::temp_dir())
    }

    /// Creates a folder under another one.
    ///
    /// # Errors
    /// [`FileError`] when the folder cannot be created or its mark cannot be written.
    pub fn under(parent: &Path) -> Result<Self, FileError> {
        let private = fs::Permissions::from_mode(0o700);
        let made = tempfile::Builder::new().prefix(PREFIX).permissions(private).tempdir_in(parent);
        let folder = made.map_err(FileError::own("create a folder in", parent))?;
        let mark = Mark::put(folder.path())?;
        Ok(Self { folder, _mark: mark })
    }

    /// Returns the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}
