//! Chromium without windows, in which the page of a report is tested: the one that the user named, the system's, or one that is
//! unpacked from packages of the machine's release, as QEMU is; nothing of it is part of the product.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::{PrivateApt, Suites};
use super::command::capture;
use super::error::ProvisionError;
use super::launcher::find_loader;
use super::place::{fresh, need_disk};
use super::provisioner::{Provisioner, named_file};
use super::workspace::Workspace;
use crate::host::file_error::FileError;

/// The variable that names a Chromium to use instead of any other.
pub const CHROMIUM_VARIABLE: &str = "DMUS_CHROMIUM";

/// The names of the system's browser, in PATH.
const PROGRAMS: [&str; 4] = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

/// The package, and the program in it.
const PACKAGE: &str = "chromium-headless-shell";

/// The package's closure, packed and unpacked, in MiB, with room to spare.
const DISK_MIB: u64 = 1200;

/// The libraries of the C library. The browser starts itself again, by the loader of the machine, which takes its own ones only.
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
    workspace.cache().join("chromium").join(PACKAGE)
}

/// Provisions the browser's program.
///
/// # Errors
/// [`ProvisionError::Unfit`] when the named one does not run, and what keeps the packages from being unpacked.
pub(super) fn program(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    if let Some(path) = std::env::var_os(CHROMIUM_VARIABLE) {
        let path = named_file(Path::new(&path))?;
        return if runs(&path) {
            Ok(path)
        } else {
            Err(ProvisionError::Unfit {
                path,
                reason: "`--version` fails".into(),
                remedy: format!("name another with {CHROMIUM_VARIABLE}, or unset it to have one provisioned"),
            })
        };
    }
    system_chromium().map_or_else(|| private(provisioner), Ok)
}

fn runs(program: &Path) -> bool {
    capture(Command::new(program).arg("--version")).is_some_and(|captured| captured.status.success())
}

/// Returns the browser under the cache, and unpacks it there from packages if it is missing.
fn private(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    let launcher = private_chromium(provisioner.workspace);
    if launcher.is_file() && runs(&launcher) {
        return Ok(launcher);
    }
    let cache = provisioner.workspace.cache();
    need_disk("Chromium", &cache, DISK_MIB)?;
    provisioner.begin("Chromium", "to test the page of a report; unpacking the release's package privately, once");
    let apt = PrivateApt::new(provisioner, "Chromium", Suites::OWN)?;
    let partial = fresh(&cache, "chromium")?;
    let root = partial.join("root");
    apt.unpack_closure(PACKAGE, &root)?;
    write_launcher(&partial)?;
    let folder = cache.join("chromium");
    fs::rename(&partial, &folder).map_err(FileError::own("create", &folder))?;
    if runs(&launcher) {
        provisioner.journal(&format!("Chromium from {}", apt.origin()));
        return Ok(launcher);
    }
    Err(ProvisionError::NotPackaged {
        what: "Chromium".into(),
        reason: format!("{}: the unpacked program does not run", apt.origin()),
        remedy: format!("install Chromium and name it with {CHROMIUM_VARIABLE}"),
    })
}

/// Writes the script that starts the browser with its libraries and fonts, and removes the libraries that must be the machine's.
fn write_launcher(folder: &Path) -> Result<(), ProvisionError> {
    let root = folder.join("root");
    let libraries = find_loader(&root).and_then(|loader| Some(loader.parent()?.to_path_buf()));
    let libraries = libraries.ok_or_else(|| ProvisionError::NotPackaged {
        what: "Chromium".into(),
        reason: "the packages hold no dynamic loader".into(),
        remedy: format!("install Chromium and name it with {CHROMIUM_VARIABLE}"),
    })?;
    // Where `lib` is no link to `usr/lib`, both hold libraries.
    let name = libraries.file_name().unwrap_or_default();
    let folders = ["usr/lib", "lib"].map(|lib| root.join(lib).join(name));
    for library in folders.iter().flat_map(|folder| OF_THE_MACHINE.map(|library| folder.join(library))) {
        if library.symlink_metadata().is_ok() {
            fs::remove_file(&library).map_err(FileError::own("remove", &library))?;
        }
    }
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
        name = name.display(),
    );
    let path = folder.join(PACKAGE);
    fs::write(folder.join("fonts.conf"), fonts).map_err(FileError::own("write", folder))?;
    fs::write(&path, script).map_err(FileError::own("write", &path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(FileError::own("write", &path))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;

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
        fs::write(&program, "#!/bin/sh\necho \"$LD_LIBRARY_PATH|$FONTCONFIG_FILE|$*\"\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        write_launcher(scratch.path()).unwrap();
        let said = capture(Command::new(scratch.path().join(PACKAGE)).arg("--version")).unwrap().stdout;
        let here = scratch.path().display().to_string();
        assert!(said.starts_with(&format!("{here}/root/usr/lib/some-arch:")), "{said}");
        assert!(said.contains(&format!("|{here}/fonts.conf|--version")), "{said}");
        assert!(libraries.join("libnss3.so").exists() && !libraries.join("libc.so.6").exists());
    }
}
