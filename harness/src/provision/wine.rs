//! Wine, under which the guest agent's program is tested without a Windows: the one that the user named, the system's, or one that is
//! unpacked from packages of the machine's release; nothing of it is part of the product.

use std::fs;
use std::path::{Path, PathBuf};

use super::apt::Suites;
use super::error::ProvisionError;
use super::own_libraries::{without_c_library, write_script};
use super::provisioner::Provisioner;
use super::unpacked::{Unpacked, runs};
use crate::host::file_error::FileError;

/// The variable that names a Wine for 64-bit programs to use instead of any other.
pub const WINE_VARIABLE: &str = "DMUS_WINE";

/// The variable that names the `zlib1.dll` that Debian's Wine loads and does not hold.
pub const ZLIB_VARIABLE: &str = "DMUS_ZLIB";

/// The system's loaders.
const PROGRAMS: [&str; 3] = ["/usr/lib/wine/wine64", "/usr/bin/wine64", "/usr/local/bin/wine64"];

/// Where Debian's packages have that library, below a root.
const ZLIB: &str = "usr/x86_64-w64-mingw32/lib/zlib1.dll";

/// Where Wine has the libraries of programs, below the folder of the machine's libraries.
const MODULES: &str = "wine/x86_64-windows";

/// The program in the packages, below a root; its server is beside it.
const LOADER: &str = "usr/lib/wine/wine64";
const SERVER: &str = "usr/lib/wine/wineserver64";

/// What the program starts as its server before it looks at `WINESERVER`: Debian's script, which knows the system's server alone.
const SERVER_SCRIPT: &str = "usr/lib/wine/wineserver";

const UNPACKED: Unpacked = Unpacked {
    what: "Wine",
    why: "to test the guest agent; unpacking the release's package privately, once",
    folder: "wine",
    program: "wine64",
    variable: WINE_VARIABLE,
    packages: &["wine64"],
    suites: Suites::OWN,
    disk_mib: 1500,
    write_launchers,
};

/// Provisions Wine's program.
///
/// # Errors
/// [`ProvisionError::Unfit`] when the named one does not run, and what keeps the packages from being unpacked.
pub(super) fn program(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    if let Some(path) = UNPACKED.named()? {
        return Ok(path);
    }
    let system = PROGRAMS.map(PathBuf::from).into_iter().find(|program| program.is_file() && runs(program));
    system.map_or_else(|| UNPACKED.private(provisioner), Ok)
}

/// Returns the `zlib1.dll` that belongs to a Wine: that of its packages, or the machine's; none where it needs none.
#[must_use]
pub fn zlib_of(wine: &Path) -> Option<PathBuf> {
    let beside = wine.parent().map(|folder| folder.join("root").join(ZLIB));
    beside.into_iter().chain([Path::new("/").join(ZLIB)]).find(|path| path.is_file())
}

/// Writes the scripts that start Wine and its server with their libraries.
fn write_launchers(folder: &Path) -> Result<(), ProvisionError> {
    let root = folder.join("root");
    let missing = |what: &str| UNPACKED.not_packaged(format!("the packages hold no {what}"));
    if let Some(program) = [LOADER, SERVER].into_iter().find(|program| !root.join(program).is_file()) {
        return Err(missing(program));
    }
    let name = without_c_library(&root)?.ok_or_else(|| missing("dynamic loader"))?;
    for (script_name, program) in [("wine64", LOADER), ("wineserver", SERVER)] {
        let script = format!(
            "#!/bin/sh\n\
             # Runs the Wine that was unpacked here, with its own libraries.\n\
             root=$(CDPATH= cd -- \"$(dirname -- \"$0\")\" && pwd)/root\n\
             export LD_LIBRARY_PATH=\"$root/usr/lib/{name}:$root/lib/{name}:$root/usr/lib/{name}/pulseaudio\"\n\
             export WINESERVER=\"$root/{SERVER}\"\n\
             exec \"$root/{program}\" \"$@\"\n",
        );
        write_script(folder.join(script_name), &script)?;
    }
    // What the package's installation script does, without which no program starts.
    let (zlib, modules) = (root.join(ZLIB), root.join("usr/lib").join(&name).join(MODULES));
    if zlib.is_file() && modules.is_dir() {
        let copy = modules.join("zlib1.dll");
        fs::copy(&zlib, &copy).map_err(FileError::own("write", &copy))?;
    }
    // Ends with its last client, as with Debian's.
    let server = "#!/bin/sh\n# Runs the server beside this script.\nexec \"$0\"64 -p0 \"$@\"\n";
    Ok(write_script(root.join(SERVER_SCRIPT), server)?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::host::leftovers::Scratch;
    use crate::provision::command::capture;

    #[test]
    fn starts_wine_with_its_server_and_libraries() {
        let scratch = Scratch::new().unwrap();
        let root = scratch.path().join("root");
        for folder in
            ["usr/lib/some-arch", "usr/lib/some-arch/wine/x86_64-windows", "usr/lib/wine", "usr/x86_64-w64-mingw32/lib"]
        {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for name in ["usr/lib/some-arch/ld-linux-x86-64.so.2", "usr/lib/some-arch/libc.so.6", ZLIB] {
            fs::write(root.join(name), "").unwrap();
        }
        write_script(root.join(LOADER), "#!/bin/sh\necho \"$WINESERVER|$LD_LIBRARY_PATH|$*\"\n").unwrap();
        assert!(write_launchers(scratch.path()).unwrap_err().to_string().contains("wineserver64"));
        write_script(root.join(SERVER), "#!/bin/sh\necho server $*\n").unwrap();
        write_script(root.join(SERVER_SCRIPT), "#!/bin/sh\nexec /usr/lib/wine/wineserver64\n").unwrap();
        write_launchers(scratch.path()).unwrap();
        assert!(root.join("usr/lib/some-arch/wine/x86_64-windows/zlib1.dll").is_file());
        let wine = scratch.path().join("wine64");
        let said = capture(Command::new(&wine).arg("--version")).unwrap().stdout;
        let (server, libraries) = (root.join(SERVER), root.join("usr/lib/some-arch"));
        assert!(said.starts_with(&format!("{}|{}:", server.display(), libraries.display())), "{said}");
        assert!(said.trim().ends_with("|--version"), "{said}");
        let said = capture(Command::new(root.join(SERVER_SCRIPT)).arg("-f")).unwrap().stdout;
        assert_eq!(said.trim(), "server -p0 -f", "the unpacked server and no other");
        assert_eq!(zlib_of(&wine), Some(root.join(ZLIB)));
    }
}
