//! genisoimage, which writes the discs of tests: ISO 9660 with UDF beside it and a boot catalogue, as installation discs are. The one that the
//! user named, the system's, or one that is unpacked from packages of the machine's release; nothing of it is part of the product.

use std::path::{Path, PathBuf};

use super::apt::Suites;
use super::command::find_program;
use super::error::ProvisionError;
use super::launcher::Launcher;
use super::provisioner::Provisioner;
use super::unpacked::{Unpacked, runs};

/// The variable that names a genisoimage to use instead of any other.
pub const DISC_WRITER_VARIABLE: &str = "DMUS_GENISOIMAGE";

/// The package, and the program in it.
const PROGRAM: &str = "genisoimage";

/// The package.
const UNPACKED: Unpacked = Unpacked {
    what: "genisoimage",
    why: "to write the discs of tests; unpacking the release's package privately, once",
    folder: "genisoimage",
    program: PROGRAM,
    variable: DISC_WRITER_VARIABLE,
    packages: &[PROGRAM],
    suites: Suites::OWN,
    disk_mib: 60,
    write_launchers: write_launcher,
};

/// Its launcher.
const LAUNCHER: Launcher = Launcher {
    what: "genisoimage",
    program: PROGRAM,
    search: "$libraries",
    settings: "",
    arguments: "",
    remedy: "apt-get install genisoimage",
};

fn write_launcher(folder: &Path) -> Result<(), ProvisionError> {
    LAUNCHER.write(folder)
}

/// Provisions the program.
///
/// # Errors
/// [`ProvisionError::Unfit`] when the named one does not run, and what keeps the packages from being unpacked.
pub(super) fn program(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    if let Some(path) = UNPACKED.named()? {
        return Ok(path);
    }
    match find_program(Path::new(PROGRAM)).filter(|program| runs(program)) {
        Some(program) => Ok(program),
        None => UNPACKED.private(provisioner),
    }
}
