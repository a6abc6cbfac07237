//! lldb and lldb-dap, which read the PDB of a driver and the NT host's DWARF at once: the ones that the user named, the system's, or
//! ones that are unpacked from packages of the machine's release; nothing of them is part of the product.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::Suites;
use super::command::{capture, find_program};
use super::error::ProvisionError;
use super::own_libraries::{without_c_library, write_script};
use super::provisioner::Provisioner;
use super::unpacked::Unpacked;
use super::workspace::Workspace;
use crate::host::file_error::FileError;

/// The variable that names an lldb to use instead of any other. Its lldb-dap has the same name with `lldb-dap` in it.
pub const LLDB_VARIABLE: &str = "DMUS_LLDB";

/// The oldest lldb that reads a driver's PDB by itself.
pub const LLDB_VERSION_MIN: u32 = 16;

/// How a machine gets one.
pub const INSTALL_LLDB: &str = "apt-get install lldb-19, or name an lldb with DMUS_LLDB";

/// The system's programs, in PATH.
const PROGRAMS: [&str; 10] =
    ["lldb", "lldb-19", "lldb-20", "lldb-21", "lldb-22", "lldb-23", "lldb-24", "lldb-18", "lldb-17", "lldb-16"];

/// The packages; the first is the one that most was tried with.
const UNPACKED: Unpacked = Unpacked {
    what: "lldb",
    why: "to debug drivers; unpacking the release's package privately, once",
    folder: "lldb",
    program: "lldb",
    variable: LLDB_VARIABLE,
    packages: &["lldb-19", "lldb-20", "lldb-21", "lldb-22", "lldb-18", "lldb-17", "lldb-16"],
    suites: Suites::OWN,
    disk_mib: 900,
    write_launchers,
};

/// Returns the version of an lldb, if it runs.
fn version(program: &Path) -> Option<u32> {
    let said = capture(Command::new(program).arg("--version"))?.stdout;
    major(&said)
}

/// Reads the major version: `lldb version 19.1.7`, with or without a distribution's name before it.
fn major(said: &str) -> Option<u32> {
    said.split_once("lldb version ")?.1.split(['.', ' ', '\n']).next()?.parse().ok()
}

/// Returns the system's lldb, if there is one on PATH that reads a driver's PDB.
fn system_lldb() -> Option<PathBuf> {
    let programs = PROGRAMS.iter().filter_map(|name| find_program(Path::new(name)));
    programs.into_iter().find(|program| version(program).is_some_and(|version| version >= LLDB_VERSION_MIN))
}

/// Returns the lldb that is there: the named one, the system's, or the provisioned one.
#[must_use]
pub fn lldb_here(workspace: &Workspace) -> Option<PathBuf> {
    let named = std::env::var_os(LLDB_VARIABLE).map(PathBuf::from);
    named.or_else(system_lldb).or_else(|| Some(UNPACKED.launcher(workspace)).filter(|path| path.is_file()))
}

/// Returns the lldb-dap that belongs to an lldb.
#[must_use]
pub fn lldb_dap_of(lldb: &Path) -> Option<PathBuf> {
    let name = lldb.file_name()?.to_str()?.replace("lldb", "lldb-dap");
    Some(lldb.with_file_name(name)).filter(|path| path.is_file())
}

/// Provisions lldb's program.
///
/// # Errors
/// [`ProvisionError::Unfit`] when the named one does not run, and what keeps the packages from being unpacked.
pub(super) fn program(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    if let Some(path) = UNPACKED.named()? {
        return Ok(path);
    }
    system_lldb().map_or_else(|| UNPACKED.private(provisioner), Ok)
}

/// Writes the scripts that start lldb and lldb-dap with their libraries and Python.
fn write_launchers(folder: &Path) -> Result<(), ProvisionError> {
    let root = folder.join("root");
    let missing = |what: &str| UNPACKED.not_packaged(format!("the packages hold no {what}"));
    let name = without_c_library(&root)?.ok_or_else(|| missing("dynamic loader"))?;
    let below = |path: &str, prefix: &str| -> Result<String, FileError> {
        let path = root.join(path);
        let entries = fs::read_dir(&path).map_err(FileError::own("read", &path))?;
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        Ok(names.filter(|name| name.starts_with(prefix)).max().unwrap_or_default())
    };
    let llvm = below("usr/lib", "llvm-")?;
    let python = below("usr/lib", "python3.")?;
    if llvm.is_empty() || python.is_empty() {
        return Err(missing("lldb with Python"));
    }
    for program in ["lldb", "lldb-dap"] {
        let script = format!(
            "#!/bin/sh\n\
             # Runs the {program} that was unpacked here, with its own libraries and Python.\n\
             root=$(CDPATH= cd -- \"$(dirname -- \"$0\")\" && pwd)/root\n\
             export LD_LIBRARY_PATH=\"$root/usr/lib/{name}:$root/lib/{name}:$root/usr/lib/{llvm}/lib\"\n\
             export PYTHONHOME=\"$root/usr\" PYTHONPATH=\"$root/usr/lib/{llvm}/lib/{python}/site-packages\"\n\
             exec \"$root/usr/lib/{llvm}/bin/{program}\" \"$@\"\n",
        );
        write_script(folder.join(program), &script)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;

    #[test]
    fn reads_versions_with_and_without_a_distribution() {
        assert_eq!(major("lldb version 19.1.7\n"), Some(19));
        assert_eq!(major("Debian lldb version 16.0.6 (x)"), Some(16));
        assert_eq!(major("gdb 13"), None);
    }

    #[test]
    fn starts_lldb_with_the_libraries_and_python_that_came_with_it() {
        let scratch = Scratch::new().unwrap();
        let root = scratch.path().join("root");
        for folder in ["usr/lib/some-arch", "usr/lib/llvm-19/bin", "usr/lib/python3.11", "usr/lib/python3"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for name in ["ld-linux-x86-64.so.2", "libc.so.6", "libLLVM.so.19.1"] {
            fs::write(root.join("usr/lib/some-arch").join(name), "").unwrap();
        }
        for program in ["lldb", "lldb-dap"] {
            let path = root.join("usr/lib/llvm-19/bin").join(program);
            write_script(path, "#!/bin/sh\necho \"${0##*/}|$PYTHONPATH|$*\"\n").unwrap();
        }
        write_launchers(scratch.path()).unwrap();
        let lldb = scratch.path().join("lldb");
        let dap = lldb_dap_of(&lldb).unwrap();
        let said = capture(Command::new(dap).arg("--version")).unwrap().stdout;
        let python = root.join("usr/lib/llvm-19/lib/python3.11/site-packages");
        assert_eq!(said.trim(), format!("lldb-dap|{}|--version", python.display()));
        let libraries = root.join("usr/lib/some-arch");
        assert!(libraries.join("libLLVM.so.19.1").exists() && !libraries.join("libc.so.6").exists());
        assert_eq!(lldb_dap_of(Path::new("/nowhere/lldb-19")), None);
    }
}
