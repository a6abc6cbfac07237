//! Cuts a QEMU that was unpacked from packages to what the guests need.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::DistError;
use super::files::{copy, write};
use super::libraries;
use crate::host::file_error::FileError;
use crate::provision::{PrivateQemu, Provisioner};

/// What QEMU loads into the guests and devices that the harness starts: qboot or SeaBIOS, and the option ROMs by which they
/// start a kernel.
const FIRMWARE: [&str; 6] = [
    "qemu/qboot.rom",
    "qemu/pvh.bin",
    "qemu/kvmvapic.bin",
    "qemu/linuxboot_dma.bin",
    "qemu/multiboot_dma.bin",
    "seabios/bios-256k.bin",
];

/// The modules that the harness uses: the clock of the hostile driver, which stands for the processor.
const MODULES: [&str; 1] = ["accel-qtest.so"];

/// Copies the emulator, its loader, libraries, modules and firmware into a folder, and what its licence asks for.
///
/// # Errors
/// [`DistError`] when a part is missing or cannot be written.
pub(super) fn cut(provisioner: &Provisioner<'_>, folder: &Path) -> Result<(), DistError> {
    let PrivateQemu { root, loader, program, version } = provisioner.private_qemu()?;
    let libraries_in = loader.parent().unwrap_or(Path::new("/"));
    let lib = folder.join("lib");
    copy(&program, &folder.join("bin").join(name(&program)))?;
    copy(&loader, &lib.join("ld-linux-x86-64.so.2"))?;
    for library in libraries::closure(&loader, Some(libraries_in), &program)? {
        copy(&library, &lib.join(name(&library)))?;
    }
    for module in MODULES {
        copy(&libraries_in.join("qemu").join(module), &lib.join("qemu").join(module))?;
    }
    for file in FIRMWARE {
        let from = root.join("usr/share").join(file);
        copy(&from, &folder.join("share").join(name(&from)))?;
    }
    let copyrights = folder.join("copyright");
    let doc = root.join("usr/share/doc");
    for package in fs::read_dir(&doc).map_err(FileError::own("read", &doc))?.flatten() {
        let copyright = package.path().join("copyright");
        if copyright.is_file() {
            copy(&copyright, &copyrights.join(package.file_name()))?;
        }
    }
    write(&folder.join("SOURCE"), source(&version))
}

fn name(path: &Path) -> PathBuf {
    path.file_name().map(PathBuf::from).unwrap_or_default()
}

fn source(version: &str) -> String {
    format!(
        "QEMU {version}, with the libraries that it loads, as Debian has built them; only cut to what this download needs.\n\
         \n\
         QEMU is under the GNU General Public License, version 2; `copyright` has the licence of each package. The source of \
         each\npackage is Debian's, of the same version: `apt-get source qemu` where a deb-src line names trixie-backports, or \
         the\nfile archive of snapshot.debian.org for a version that has been replaced meanwhile. Who passes this download on \
         passes on\nthese files with it.\n"
    )
}
