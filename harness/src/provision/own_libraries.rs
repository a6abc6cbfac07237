//! Programs that are unpacked from packages and start themselves again, or look for their files beside themselves: they run by the
//! loader of the machine, which takes its own C library only, with the other libraries that came with them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::launcher::find_loader;
use crate::host::file_error::FileError;

/// The libraries of the C library.
const OF_THE_MACHINE: [&str; 9] = [
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
    "libc.so.6",
    "libm.so.6",
    "libmvec.so.1",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libresolv.so.2",
];

/// Removes the libraries that must be the machine's from an unpacked tree. Returns the name of the folders of libraries, such as
/// `x86_64-linux-gnu`; `None` if the tree has no loader.
///
/// # Errors
/// [`FileError`] where one cannot be removed.
pub(super) fn without_c_library(root: &Path) -> Result<Option<String>, FileError> {
    let Some(libraries) = find_loader(root).and_then(|loader| Some(loader.parent()?.to_path_buf())) else {
        return Ok(None);
    };
    // Where `lib` is no link to `usr/lib`, both hold libraries.
    let name = libraries.file_name().unwrap_or_default();
    let folders = ["usr/lib", "lib"].map(|lib| root.join(lib).join(name));
    for library in folders.iter().flat_map(|folder| OF_THE_MACHINE.map(|library| folder.join(library))) {
        if library.symlink_metadata().is_ok() {
            fs::remove_file(&library).map_err(FileError::own("remove", &library))?;
        }
    }
    Ok(Some(name.to_string_lossy().into_owned()))
}

/// Writes a script that can be executed.
///
/// # Errors
/// [`FileError`] where it cannot be written.
pub(super) fn write_script(path: PathBuf, script: &str) -> Result<(), FileError> {
    fs::write(&path, script).map_err(FileError::own("write", &path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(FileError::own("write", &path))
}
