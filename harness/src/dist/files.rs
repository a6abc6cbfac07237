//! Writes the files of a tree.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::error::DistError;
use crate::host::file_error::FileError;

/// Copies a file with its execute permission, and makes the folder that it comes into.
///
/// # Errors
/// [`DistError::File`] when it cannot be read or written.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), DistError> {
    folder_of(to)?;
    let content = fs::read(from).map_err(FileError::own("read", from))?;
    let mode = fs::metadata(from).map_err(FileError::own("read", from))?.permissions().mode();
    fs::write(to, content).map_err(FileError::own("write", to))?;
    let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).map_err(FileError::own("write", to))?;
    Ok(())
}

/// Writes a file, and makes the folder that it comes into.
///
/// # Errors
/// [`DistError::File`] when it cannot be written.
pub(super) fn write(to: &Path, content: impl AsRef<[u8]>) -> Result<(), DistError> {
    folder_of(to)?;
    Ok(fs::write(to, content).map_err(FileError::own("write", to))?)
}

/// Makes the folder that a file comes into.
///
/// # Errors
/// [`DistError::File`] when it cannot be made.
pub(super) fn folder_of(path: &Path) -> Result<(), DistError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    Ok(fs::create_dir_all(folder).map_err(FileError::own("create", folder))?)
}

/// Copies a folder with all that is in it.
///
/// # Errors
/// [`DistError::File`] when something cannot be read or written.
pub(super) fn copy_tree(from: &Path, to: &Path) -> Result<(), DistError> {
    for entry in fs::read_dir(from).map_err(FileError::own("read", from))? {
        let path = entry.map_err(FileError::own("read", from))?.path();
        let to = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() { copy_tree(&path, &to)? } else { copy(&path, &to)? }
    }
    Ok(())
}
