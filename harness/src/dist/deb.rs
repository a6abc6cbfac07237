//! Packs the tree as a Debian package.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::error::DistError;
use super::files::write;
use super::inputs::{Dist, NAME};
use crate::host::file_error::FileError;
use crate::provision::{bundle, run_logged};

/// Longest time to pack.
const PACK_LIMIT: Duration = Duration::from_secs(600);

/// Packs the tree below `prefix`, which then moves to `usr`; the file appears when it is complete.
///
/// # Errors
/// [`DistError::Provision`] when `dpkg-deb` is not there or fails, [`DistError::File`] when a file cannot be written.
pub(super) fn pack(dist: &Dist<'_>, prefix: &Path, glibc: &str, scratch: &Path) -> Result<PathBuf, DistError> {
    let root = scratch.join("deb");
    fs::create_dir_all(&root).map_err(FileError::own("create", &root))?;
    fs::rename(prefix, root.join("usr")).map_err(FileError::own("create", root.join("usr")))?;
    write(&root.join("DEBIAN/control"), control(glibc))?;
    write(&root.join("usr/share/doc/dmus/copyright"), copyright())?;
    for folder in ["DEBIAN", "usr"] {
        let path = root.join(folder);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(FileError::own("write", &path))?;
    }
    let name = format!("{NAME}_{}_amd64.deb", env!("CARGO_PKG_VERSION"));
    let (partial, deb) = (scratch.join(&name), dist.output.join(&name));
    let mut command = Command::new("dpkg-deb");
    command.args(["--root-owner-group", "-Zxz", "--build"]).args([&root, &partial]);
    // The time of the files, so that the package depends on the tree alone.
    command.env("SOURCE_DATE_EPOCH", "315532800");
    run_logged("packing the Debian package", command, &dist.workspace.logs().join("deb.log"), None, PACK_LIMIT)?;
    fs::copy(&partial, &deb).map_err(FileError::own("write", &deb))?;
    Ok(deb)
}

fn control(glibc: &str) -> String {
    format!(
        "Package: {NAME}\n\
         Version: {version}\n\
         Architecture: amd64\n\
         Section: devel\n\
         Priority: optional\n\
         Maintainer: the virtual DirectMusic card's authors <noreply@example.invalid>\n\
         Depends: libc6 (>= {glibc}), libgcc-s1\n\
         Description: runs DirectMusic drivers for Windows against a virtual card\n \
         Boots a bare-metal guest in QEMU that hosts an unmodified PortCls driver, streams music through it,\n \
         and compares what arrives in guest memory with an offline render. Its bundle, with a QEMU of its own,\n \
         is in /usr/{bundle}.\n",
        version = env!("CARGO_PKG_VERSION"),
        bundle = bundle::BELOW_PREFIX,
    )
}

/// Says whose the files are (Debian Policy Manual, section 12.5).
fn copyright() -> &'static str {
    "The programs are the virtual DirectMusic card's authors', under the MIT or the Apache-2.0 licence, whose texts are LICENSE-MIT\n\
     and LICENSE-APACHE in this folder. THIRD-PARTY.txt has the licences of the crates that they are made of.\n\
     \n\
     usr/lib/dmus/qemu is QEMU with the libraries that it loads, under the GPL-2 and other licences: its folder copyright has the\n\
     file of each package, and its file SOURCE says where the sources are.\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_file_has_its_fields_at_the_start_of_lines_and_continues_the_description() {
        let text = control("2.34");
        let fields = ["Package: dmus", "Depends: libc6 (>= 2.34), libgcc-s1", "Architecture: amd64"];
        assert!(fields.iter().all(|field| text.lines().any(|line| line == *field)), "{text}");
        let (_, description) = text.split_once("Description: ").unwrap();
        assert!(description.lines().skip(1).all(|line| line.starts_with(' ')), "{text}");
        assert!(copyright().lines().all(|line| !line.starts_with(' ')));
    }
}
