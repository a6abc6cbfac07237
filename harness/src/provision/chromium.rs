//! Chromium without windows, in which the page of a report is tested: the one that the user named, the system's, or one that is
//! unpacked from packages of the machine's release, as QEMU is; nothing of it is part of the product.

use std::fs;
use std::path::{Path, PathBuf};

use super::apt::Suites;
use super::error::ProvisionError;
use super::own_libraries::{without_c_library, write_script};
use super::provisioner::Provisioner;
use super::unpacked::{Unpacked, runs};
use super::workspace::Workspace;
use crate::host::file_error::FileError;

/// The variable that names a Chromium to use instead of any other.
pub const CHROMIUM_VARIABLE: &str = "DMUS_CHROMIUM";

/// The names of the system's browser, in PATH.
const PROGRAMS: [&str; 4] = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

/// The package, and the program in it.
const PACKAGE: &str = "chromium-headless-shell";

/// The package. The browser starts itself again, by the loader of the machine.
const UNPACKED: Unpacked = Unpacked {
    what: "Chromium",
    why: "to test the page of a report; unpacking the release's package privately, once",
    folder: "chromium",
    program: PACKAGE,
    variable: CHROMIUM_VARIABLE,
    packages: &[PACKAGE],
    suites: Suites::OWN,
    disk_mib: 1200,
    write_launchers: write_launcher,
};

/// Returns the system's browser, if there is one on PATH that runs.
#[must_use]
pub fn system_chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let programs = PROGRAMS.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    programs.filter(|program| program.is_file()).find(|program| runs(program))
}

/// Returns the path of the provisioned browser.
#[must_use]
pub fn private_chromium(workspace: &Workspace) -> PathBuf {
    UNPACKED.launcher(workspace)
}

/// Provisions the browser's program.
///
/// # Errors
/// [`ProvisionError::Unfit`] when the named one does not run, and what keeps the packages from being unpacked.
pub(super) fn program(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    if let Some(path) = UNPACKED.named()? {
        return Ok(path);
    }
    system_chromium().map_or_else(|| UNPACKED.private(provisioner), Ok)
}

/// Writes the script that starts the browser with its libraries and fonts, and removes the libraries that must be the machine's.
fn write_launcher(folder: &Path) -> Result<(), ProvisionError> {
    let name = without_c_library(&folder.join("root"))?;
    let name = name.ok_or_else(|| UNPACKED.not_packaged("the packages hold no dynamic loader".into()))?;
    let fonts = "<?xml version=\"1.0\"?>\n<!DOCTYPE fontconfig SYSTEM \"fonts.dtd\">\n<fontconfig>\n  \
                 <dir prefix=\"relative\">root/usr/share/fonts</dir>\n  \
                 <cachedir prefix=\"xdg\">fontconfig</cachedir>\n</fontconfig>\n";
    let script = format!(
        "#!/bin/sh\n\
         # Runs the Chromium that was unpacked here, with its own libraries and fonts.\n\
         here=$(CDPATH= cd -- \"$(dirname -- \"$0\")\" && pwd)\n\
         export LD_LIBRARY_PATH=\"$here/root/usr/lib/{name}:$here/root/lib/{name}:$here/root/usr/lib/{name}/pulseaudio\"\n\
         export FONTCONFIG_FILE=\"$here/fonts.conf\" XDG_CACHE_HOME=\"$here/cache\"\n\
         exec \"$here/root/usr/lib/chromium/{PACKAGE}\" \"$@\"\n",
    );
    fs::write(folder.join("fonts.conf"), fonts).map_err(FileError::own("write", folder))?;
    Ok(write_script(folder.join(PACKAGE), &script)?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::host::leftovers::Scratch;
    use crate::provision::command::capture;

    #[test]
    fn the_browser_has_its_own_libraries_but_not_those_of_the_loader() {
        let scratch = Scratch::new().unwrap();
        let libraries = scratch.path().join("root/usr/lib/some-arch");
        let program = scratch.path().join("root/usr/lib/chromium");
        fs::create_dir_all(&libraries).unwrap();
        fs::create_dir_all(&program).unwrap();
        for name in ["ld-linux-x86-64.so.2", "libc.so.6", "libnss3.so"] {
            fs::write(libraries.join(name), "").unwrap();
        }
        let program = program.join(PACKAGE);
        write_script(program, "#!/bin/sh\necho \"$LD_LIBRARY_PATH|$FONTCONFIG_FILE|$*\"\n").unwrap();
        write_launcher(scratch.path()).unwrap();
        let said = capture(Command::new(scratch.path().join(PACKAGE)).arg("--version")).unwrap().stdout;
        let here = scratch.path().display().to_string();
        assert!(said.starts_with(&format!("{here}/root/usr/lib/some-arch:")), "{said}");
        assert!(said.contains(&format!("|{here}/fonts.conf|--version")), "{said}");
        assert!(libraries.join("libnss3.so").exists() && !libraries.join("libc.so.6").exists());
    }
}
