//! Tries a download where nothing else is: in a root folder that holds the C library and the unpacked tarball, without network,
//! by a user without rights outside of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::DistError;
use super::files::{copy, copy_tree};
use super::libraries;
use super::tree::BELOW_PREFIX as TEMPLATE;
use crate::host::file_error::FileError;
use crate::host::leftovers::Scratch;
use crate::host::limits;
use crate::provision::{Captured, ProvisionError, run};

/// The loader of the system's programs.
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// The folder of system libraries, where the loader looks for them.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// Makes namespaces, mounts what a process must have, and changes the root. The network namespace has no interface up.
const ENTER: &str = "set -e; root=$1; shift; mount --rbind /dev \"$root/dev\"; mount --rbind /proc \"$root/proc\"; exec chroot \
                     \"$root\" \"$@\"";

/// What was tried in a bare root.
#[derive(Debug, PartialEq, Eq)]
pub struct Played {
    /// The command lines that succeeded, in order.
    pub commands: Vec<String>,
}

/// Unpacks a tarball in a root of its own and tries it there: it must find itself whole, and play a song as the offline render
/// has it.
///
/// # Errors
/// [`DistError::Failed`] when a command fails there, [`DistError::NoNamespaces`] when the kernel lets this user make none,
/// and [`DistError`] of files.
pub fn play_in_bare_root(tarball: &Path) -> Result<Played, DistError> {
    let scratch = Scratch::new()?;
    let root = scratch.path().join("root");
    for folder in ["dev", "proc", "tmp", "home"] {
        let path = root.join(folder);
        fs::create_dir_all(&path).map_err(FileError::own("create", &path))?;
    }
    let prefix = unpack(tarball, &root)?;
    let loader = Path::new(LOADER);
    copy(loader, &root.join(LOADER.trim_start_matches('/')))?;
    // The C library's own parts. What else a program needed would be missing there.
    for program in programs(&prefix) {
        for library in libraries::closure(loader, None, &program)? {
            let name = library.file_name().unwrap_or_default();
            if !["libc.so.6", "libm.so.6", "libgcc_s.so.1"].iter().any(|part| name == *part) {
                let reason = format!("it needs {}, which is no part of the C library", library.display());
                return Err(DistError::Malformed { path: program, reason });
            }
            copy(&library, &root.join(LIBRARIES).join(name))?;
        }
    }
    // A team's folder: the template, and a driver beside it.
    copy_tree(&prefix.join(TEMPLATE), &root.join("home/team"))?;
    copy(&prefix.join("lib/dmus/dmuscard.sys"), &root.join("home/team/my.sys"))?;
    let dmus = Path::new("/").join(prefix.strip_prefix(&root).unwrap_or(&prefix)).join("bin/dmus");
    let mut played = Played { commands: Vec::new() };
    for line in [
        "doctor",
        "demo",
        "demo --transport vfio-user",
        "run contract",
        "run /home/team/scenarios --driver /home/team/my.sys --junit /home/reports/team.xml --html /home/reports/team.html",
    ] {
        let what = format!("dmus {line}");
        let arguments: Vec<&str> = line.split(' ').collect();
        let said = run_in(&root, &dmus, &arguments)?;
        if !said.status.success() {
            let output = format!("{}{}", said.stdout, said.stderr);
            return Err(DistError::Failed { what, status: said.status.to_string(), output });
        }
        played.commands.push(what);
    }
    Ok(played)
}

/// Unpacks a tarball as a user would, and returns its one folder.
fn unpack(tarball: &Path, root: &Path) -> Result<PathBuf, DistError> {
    let read = || {
        let file = fs::File::open(tarball)?;
        tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(root.join("home"))?;
        fs::read_dir(root.join("home"))?.next().ok_or(std::io::ErrorKind::UnexpectedEof)?.map(|entry| entry.path())
    };
    Ok(read().map_err(FileError::own("unpack", tarball))?)
}

fn programs(prefix: &Path) -> [PathBuf; 4] {
    ["bin/dmus", "lib/dmus/vhost-device-dmus", "lib/dmus/vhost-user-guard", "lib/dmus/qemu/qemu-system-x86_64"]
        .map(|name| prefix.join(name))
}

/// Runs a program in a root, with nothing of this process's environment.
fn run_in(root: &Path, program: &Path, arguments: &[&str]) -> Result<Captured, DistError> {
    const UNSHARE: &str = "unshare";
    let mut command = Command::new(UNSHARE);
    command.args(["--user", "--map-root-user", "--mount", "--net", "sh", "-c", ENTER, "sh"]).arg(root);
    command.arg(program).args(arguments);
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).env("HOME", "/home");
    let said = run(&mut command).map_err(|error| match limits::of_start(&error) {
        Some(limit) => ProvisionError::from(limit.during("cannot start unshare".to_owned())).into(),
        None => DistError::NoNamespaces { reason: format!("{UNSHARE}: {error}") },
    })?;
    // Its own messages begin with its name; then nothing of ours has run.
    match said.stderr.lines().find(|line| ["unshare:", "mount:", "chroot:"].iter().any(|own| line.starts_with(own))) {
        Some(reason) if !said.status.success() => Err(DistError::NoNamespaces { reason: reason.into() }),
        _ => Ok(said),
    }
}
