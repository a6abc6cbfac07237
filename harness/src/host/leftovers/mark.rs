//! Marks folders with their owner, by a file that the owner keeps locked.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::owner::{Identity, owner};
use crate::host::file_error::{CLAIM, FileError};
use crate::host::lossy::arguments;

/// The file in a folder that its owner holds locked.
pub(super) const MARK: &str = "dmus-owner";

/// The name of [`MARK`] until it is locked.
pub(super) const MARK_NEW: &str = "dmus-owner.new";

/// The extension of a file in the folder of all runs that points to a run folder elsewhere.
pub(super) const ELSEWHERE: &str = "elsewhere";

/// A lock on a folder that is held as long as this lives.
#[derive(Debug)]
pub(super) struct Mark {
    path: PathBuf,
    _locked: File,
}

/// The state of a folder's owner.
pub(super) enum Owner {
    /// The folder has no mark.
    Unknown,
    /// The owner runs, or its state cannot be read.
    Alive,
    /// The owner has ended; the mark is the caller's now.
    Gone(Mark),
}

impl Mark {
    /// Marks a folder as this process's.
    ///
    /// # Errors
    /// [`FileError`] when the mark cannot be created, locked or renamed.
    pub(super) fn put(folder: &Path) -> Result<Self, FileError> {
        let (new, path) = (folder.join(MARK_NEW), folder.join(MARK));
        let mark = || {
            let mut file = File::create(&new)?;
            // Locked before it has its name: a sweeper that finds the name finds it locked.
            file.lock()?;
            let text = json!({ "owner": owner(), "arguments": arguments() });
            file.write_all(text.to_string().as_bytes())?;
            fs::rename(&new, &path)?;
            Ok(file)
        };
        let file = mark().map_err(FileError::own("create", &path))?;
        Ok(Self { path, _locked: file })
    }

    /// Returns the state of a folder's owner.
    pub(super) fn owner_of(folder: &Path) -> Owner {
        let path = folder.join(MARK);
        let file = match File::options().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Owner::Unknown,
            Err(_) => return Owner::Alive,
        };
        if file.try_lock().is_err() {
            return Owner::Alive;
        }
        // Another sweeper may have removed it between the two calls.
        let same = |found: fs::Metadata| file.metadata().is_ok_and(|own| own.ino() == found.ino());
        if fs::metadata(&path).is_ok_and(same) { Owner::Gone(Self { path, _locked: file }) } else { Owner::Alive }
    }

    /// Removes the mark: what the folder holds is complete.
    pub(super) fn remove(&self) {
        // A mark that stays costs the next sweep one more look.
        let _ = fs::remove_file(&self.path);
    }
}

/// Lists the marks of a process in a folder of runs and in one more run folder.
pub(crate) fn marks_of(owner: u32, runs: &Path, folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(runs).into_iter().flatten().flatten().map(|entry| entry.path());
    let owned = |path: &PathBuf| {
        let text = fs::read(path.join(MARK)).unwrap_or_default();
        let mark: Value = serde_json::from_slice(&text).unwrap_or_default();
        let found = mark["owner"].as_str().and_then(Identity::parse);
        found.is_some_and(|found| u32::try_from(found.pid) == Ok(owner))
    };
    entries.chain([folder.to_owned()]).filter(owned).map(|path| path.join(MARK)).collect()
}

/// The mark of a run folder, and the pointer to a run folder elsewhere. Both are removed when the run has ended.
#[derive(Debug)]
pub(crate) struct RunMark {
    mark: Mark,
    pointer: Option<PathBuf>,
}

impl RunMark {
    /// Marks a run folder; `pointer` is the file that records a folder that the user has named.
    ///
    /// # Errors
    /// [`FileError`] when the mark or the pointer cannot be written, and of kind [`io::ErrorKind::ResourceBusy`] when another run
    /// writes to the folder: neither would have a verdict of its own.
    pub(crate) fn put(folder: &Path, pointer: Option<&Path>) -> Result<Self, FileError> {
        match Mark::owner_of(folder) {
            Owner::Unknown => {}
            // Of an earlier run in the same folder.
            Owner::Gone(mark) => mark.remove(),
            Owner::Alive => {
                let busy = io::Error::new(io::ErrorKind::ResourceBusy, "another run writes to it");
                return Err(FileError::own(CLAIM, folder)(busy));
            }
        }
        let pointer = pointer.map(|pointer| pointer.with_extension(ELSEWHERE));
        if let Some(pointer) = &pointer {
            fs::write(pointer, folder.as_os_str().as_encoded_bytes()).map_err(FileError::own("write", pointer))?;
        }
        Ok(Self { mark: Mark::put(folder)?, pointer })
    }
}

impl Drop for RunMark {
    fn drop(&mut self) {
        self.mark.remove();
        if let Some(pointer) = &self.pointer {
            let _ = fs::remove_file(pointer);
        }
    }
}
