//! Makes the program that holds its bundle: one file, which unpacks what it needs into the user's cache on first use.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::error::DistError;
use super::files::write;
use super::inputs::Dist;
use crate::host::file_error::FileError;
use crate::provision::embedded::{ABOUT, About, PACKED};
use crate::provision::run_logged;

/// Longest time to add the sections.
const ADD_LIMIT: Duration = Duration::from_secs(120);

/// Adds an archive to a program, which unpacks it to a folder of a name with so many bytes; the program appears when it is complete.
///
/// # Errors
/// [`DistError::Provision`] when `objcopy` is not there or fails, [`DistError::File`] when a file cannot be written.
pub(super) fn embed(
    dist: &Dist<'_>,
    program: &Path,
    archive: &[u8],
    unpacked_bytes: u64,
    scratch: &Path,
    name: &str,
) -> Result<PathBuf, DistError> {
    let (about, packed, partial) = (scratch.join("about"), scratch.join("packed"), scratch.join("with-bundle"));
    let text = serde_json::to_vec(&About::of(archive, name, unpacked_bytes))
        .map_err(|error| DistError::Malformed { path: about.clone(), reason: error.to_string() })?;
    write(&about, text)?;
    write(&packed, archive)?;
    let mut command = Command::new("objcopy");
    // The program itself is not compressed: every name in it counts.
    command.arg("--strip-all");
    for (section, file) in [(ABOUT, &about), (PACKED, &packed)] {
        let mut added = std::ffi::OsString::from(format!("{section}="));
        added.push(file);
        command.arg("--add-section").arg(added).args(["--set-section-flags", &format!("{section}=noload,readonly")]);
    }
    command.args([program, &partial]);
    run_logged("adding the bundle", command, &dist.workspace.logs().join("objcopy.log"), None, ADD_LIMIT)?;
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o755)).map_err(FileError::own("write", &partial))?;
    // The scratch folder may be on another file system.
    // The tarballs unpack to a folder of the name without a suffix.
    let made = dist.output.join(format!("{name}.bin"));
    let beside = made.with_extension("bin.partial");
    let placed = fs::copy(&partial, &beside).and_then(|_| fs::rename(&beside, &made));
    if placed.is_err() {
        // It may not have been created.
        let _ = fs::remove_file(&beside);
    }
    placed.map_err(FileError::own("write", &made))?;
    Ok(made)
}
