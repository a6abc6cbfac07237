//! axe-core, the rules of accessibility by which the page of a report is tested: one script, from npm. It is under MPL-2.0 and no
//! part of the product.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use flate2::read::GzDecoder;

use super::command::{capture, run_logged};
use super::error::ProvisionError;
use super::place::fresh;
use super::provisioner::{Provisioner, named_file};
use crate::host::file_error::FileError;
use crate::host::hash::sha256_hex;

/// The variable that names the script to use instead of any other.
pub const AXE_VARIABLE: &str = "DMUS_AXE";

/// The package and its version, as npm names it.
const PACKAGE: &str = "axe-core@4.14.1";

/// The script in the package.
const SCRIPT: &str = "package/axe.min.js";

/// The SHA-256 of the script.
const SHA256: &str = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c";

/// Longest time for a download of some megabytes, over a slow line.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(300);

/// Provisions the script: the one that the variable names, or the package's.
///
/// # Errors
/// [`ProvisionError::NoProgram`] without npm, [`ProvisionError::NotPackaged`] when the package holds another script, and what keeps
/// the package from being fetched.
pub(super) fn script(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    if let Some(path) = std::env::var_os(AXE_VARIABLE) {
        return named_file(Path::new(&path));
    }
    let cache = provisioner.workspace.cache();
    let path = cache.join("axe/axe.min.js");
    if fs::read(&path).is_ok_and(|script| sha256_hex(&script) == SHA256) {
        return Ok(path);
    }
    if capture(Command::new("npm").arg("--version")).is_none() {
        return Err(ProvisionError::NoProgram {
            program: "npm".into(),
            purpose: format!("fetching {PACKAGE}"),
            remedy: format!("install npm (apt install npm), or name axe.min.js with {AXE_VARIABLE}"),
        });
    }
    provisioner.begin("axe-core", "to test that the page of a report is accessible; fetching the package, once");
    let partial = fresh(&cache, "axe")?;
    fs::create_dir_all(&partial).map_err(FileError::own("create", &partial))?;
    let mut command = Command::new("npm");
    command.current_dir(&partial).args(["pack", PACKAGE]);
    let log = provisioner.workspace.logs().join("npm.log");
    run_logged(&format!("fetching {PACKAGE}"), command, &log, None, DOWNLOAD_LIMIT)?;
    let script = script_in(&partial)?;
    let found = sha256_hex(&script);
    if found != SHA256 {
        return Err(ProvisionError::NotPackaged {
            what: PACKAGE.into(),
            reason: format!("{SCRIPT} has the SHA-256 {found}, and not {SHA256}"),
            remedy: format!("name axe.min.js with {AXE_VARIABLE}"),
        });
    }
    let written = partial.join("axe.min.js");
    fs::write(&written, script).map_err(FileError::own("write", &written))?;
    let folder = cache.join("axe");
    fs::rename(&partial, &folder).map_err(FileError::own("create", &folder))?;
    Ok(path)
}

/// Returns the script in the only package of a folder; nothing where there is none.
fn script_in(folder: &Path) -> Result<Vec<u8>, FileError> {
    let entries = fs::read_dir(folder).map_err(FileError::own("read", folder))?;
    let packages = entries.flatten().map(|entry| entry.path());
    let mut script = Vec::new();
    for package in packages.filter(|path| path.extension().is_some_and(|extension| extension == "tgz")) {
        let file = File::open(&package).map_err(FileError::own("read", &package))?;
        let mut archive = tar::Archive::new(GzDecoder::new(file));
        for entry in archive.entries().map_err(FileError::own("read", &package))? {
            let mut entry = entry.map_err(FileError::own("read", &package))?;
            if entry.path().is_ok_and(|path| path == Path::new(SCRIPT)) {
                entry.read_to_end(&mut script).map_err(FileError::own("read", &package))?;
            }
        }
    }
    Ok(script)
}
