//! Temporary folders that no kill of the harness leaves behind.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::mark::Mark;
use crate::host::file_error::FileError;

/// The prefix of the names of all temporary folders.
pub(super) const PREFIX: &str = "dmus-";

/// The longest path of a socket (`sun_path`, unix(7)), without the zero byte that ends it.
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Bytes of a socket's path below the folder of temporary files: `/dmus-XXXXXX/` and the longest name.
pub(crate) const SOCKET_BYTES_BELOW: usize = 13 + "control".len();

/// Folders of temporary files with short paths that hosts have.
const SHORT_PLACES: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// Returns the folders in which temporary folders are created: `TMPDIR` first, then those for sockets.
pub(super) fn places() -> Vec<PathBuf> {
    let mut places = vec![std::env::temp_dir()];
    places.extend(std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute()));
    places.extend(SHORT_PLACES.map(PathBuf::from));
    let mut seen = Vec::new();
    places.retain(|place| {
        let is_new = !seen.contains(place);
        seen.push(place.clone());
        is_new
    });
    places
}

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

    /// Creates a folder for sockets: under `TMPDIR` where a socket's path is short enough there, and else in one of the
    /// places that every host has.
    ///
    /// # Errors
    /// [`FileError`] when the folder cannot be created anywhere, with the limit of a socket's path where `TMPDIR` is too
    /// long.
    pub fn for_sockets() -> Result<Self, FileError> {
        Self::for_sockets_in(&places())
    }

    fn for_sockets_in(places: &[PathBuf]) -> Result<Self, FileError> {
        let fits = |place: &Path| place.as_os_str().len() + SOCKET_BYTES_BELOW <= SOCKET_PATH_BYTES_MAX;
        let (temporary, others) =
            places.split_first().map_or((Path::new(""), places), |(first, rest)| (&**first, rest));
        // A folder that cannot be used for anything is not worked around.
        if fits(temporary) || !temporary.is_dir() {
            return Self::under(temporary);
        }
        let mut others = others.iter().filter(|place| fits(place));
        others.find_map(|place| Self::under(place).ok()).ok_or_else(|| {
            let text = format!(
                "TMPDIR has {} bytes and a socket's path {SOCKET_PATH_BYTES_MAX} at most, {SOCKET_BYTES_BELOW} of them below \
                 TMPDIR, and no folder can be made in {}",
                temporary.as_os_str().len(),
                SHORT_PLACES.join(", ")
            );
            FileError::own("create a folder for sockets in", temporary)(io::Error::new(
                io::ErrorKind::InvalidFilename,
                text,
            ))
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_sockets_elsewhere_where_the_folder_of_temporary_files_is_too_long() {
        let scratch = Scratch::new().unwrap();
        let long = scratch.path().join("x".repeat(91_usize.saturating_sub(scratch.path().as_os_str().len() + 1)));
        fs::create_dir_all(&long).unwrap();
        let other = Scratch::new().unwrap();
        let found = Scratch::for_sockets_in(&[long.clone(), other.path().into()]).unwrap();
        assert!(found.path().starts_with(other.path()));
        assert!(found.path().join("control").as_os_str().len() <= SOCKET_PATH_BYTES_MAX);
        let error = Scratch::for_sockets_in(&[long]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("TMPDIR has ") && text.contains("107 at most"), "{text}");
        assert!(crate::host::failure::Diagnosed::remedy(&error).unwrap().contains("TMPDIR"), "{text}");
    }
}
