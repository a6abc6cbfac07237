//! A root folder that holds the C library, a shell and an unpacked tarball, for a user without network and without rights outside of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::DistError;
use super::files::copy;
use super::libraries;
use crate::host::failure::Class;
use crate::host::file_error::FileError;
use crate::host::leftovers::Scratch;
use crate::host::limits;
use crate::provision::{Captured, ProvisionError, run};

/// The loader of the system's programs.
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// The folder of system libraries, where the loader looks for them.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// The shell of scripts.
pub(super) const SHELL: &str = "/bin/sh";

/// Makes namespaces, mounts what a process must have, and changes the root. The network namespace has no interface up.
const ENTER: &str = "set -e; root=$1; shift; mount --rbind /dev \"$root/dev\"; mount --rbind /proc \"$root/proc\"; exec chroot \
                     \"$root\" \"$@\"";

/// A root folder with nothing but the C library, a shell and a download.
pub(super) struct BareRoot {
    folder: PathBuf,
    /// The folder that the tarball unpacked to, in the root.
    prefix: PathBuf,
    /// The command lines that ended as they should.
    commands: Vec<String>,
    _scratch: Scratch,
}

impl BareRoot {
    /// Makes the root, and unpacks a tarball in it as a user would.
    ///
    /// # Errors
    /// [`DistError::Malformed`] when a program of the tarball needs more than the C library, and [`DistError`] of files.
    pub(super) fn unpack(tarball: &Path) -> Result<Self, DistError> {
        let scratch = Scratch::new()?;
        let folder = scratch.path().join("root");
        for name in ["dev", "proc", "tmp", "home"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).map_err(FileError::own("create", &path))?;
        }
        let read = || {
            let file = fs::File::open(tarball)?;
            tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(folder.join("home"))?;
            fs::read_dir(folder.join("home"))?
                .next()
                .ok_or(std::io::ErrorKind::UnexpectedEof)?
                .map(|entry| entry.path())
        };
        let unpacked = read().map_err(FileError::own("unpack", tarball))?;
        let loader = Path::new(LOADER);
        copy(loader, &folder.join(LOADER.trim_start_matches('/')))?;
        copy(Path::new(SHELL), &folder.join(SHELL.trim_start_matches('/')))?;
        for library in libraries::closure(loader, None, Path::new(SHELL))? {
            copy(&library, &folder.join(LIBRARIES).join(library.file_name().unwrap_or_default()))?;
        }
        // The C library's own parts. What else a program needed would be missing there.
        for program in programs(&unpacked) {
            for library in libraries::closure(loader, None, &program)? {
                let name = library.file_name().unwrap_or_default();
                if !["libc.so.6", "libm.so.6", "libgcc_s.so.1"].iter().any(|part| name == *part) {
                    let reason = format!("it needs {}, which is no part of the C library", library.display());
                    return Err(DistError::Malformed { path: program, reason });
                }
                copy(&library, &folder.join(LIBRARIES).join(name))?;
            }
        }
        let prefix = Path::new("/").join(unpacked.strip_prefix(&folder).unwrap_or(&unpacked));
        Ok(Self { folder, prefix, commands: Vec::new(), _scratch: scratch })
    }

    /// Returns the prefix of the download, in the root.
    pub(super) fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// Returns the command lines that ended as they should.
    pub(super) fn into_commands(self) -> Vec<String> {
        self.commands
    }

    /// Returns the path, outside of the root, of what has a path in it.
    pub(super) fn outside(&self, path: &Path) -> PathBuf {
        self.folder.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Copies a file into the root, and returns its path there.
    ///
    /// # Errors
    /// [`DistError::File`] when it cannot be read or written.
    pub(super) fn place(&self, from: &Path, to: &str) -> Result<PathBuf, DistError> {
        copy(from, &self.folder.join(to))?;
        Ok(Path::new("/").join(to))
    }

    /// Runs a program in the root, with nothing of this process's environment but what is given, and expects that it succeeds or
    /// ends with the exit code of a class.
    ///
    /// # Errors
    /// [`DistError::Failed`] when it ends otherwise, [`DistError::NoNamespaces`] when the kernel lets this user make none.
    pub(super) fn expect(
        &mut self,
        program: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
        class: Option<Class>,
    ) -> Result<Captured, DistError> {
        let what = format!("{} {}", program.display(), arguments.join(" "));
        let said = self.run(program, arguments, variables)?;
        let expected = i32::from(class.map_or(0, Class::exit_code));
        if said.status.code() != Some(expected) {
            let output = format!("{}{}", said.stdout, said.stderr);
            return Err(DistError::Failed { what, status: said.status.to_string(), expected, output });
        }
        self.commands
            .push(class.map_or_else(|| what.clone(), |class| format!("{what} ({}, as it should)", class.name())));
        Ok(said)
    }

    fn run(&self, program: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Captured, DistError> {
        const UNSHARE: &str = "unshare";
        let mut command = Command::new(UNSHARE);
        command.args(["--user", "--map-root-user", "--mount", "--net", "sh", "-c", ENTER, "sh"]).arg(&self.folder);
        command.arg(program).args(arguments);
        // The host's folders hold nothing there.
        let mut path = self.prefix.join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        command.env_clear().env("PATH", path).env("HOME", "/home").envs(variables.iter().copied());
        let said = run(&mut command).map_err(|error| match limits::of_start(&error) {
            Some(limit) => ProvisionError::from(limit.during("cannot start unshare".to_owned())).into(),
            None => DistError::NoNamespaces { reason: format!("{UNSHARE}: {error}") },
        })?;
        // Its own messages begin with its name; then nothing of ours has run.
        match said.stderr.lines().find(|line| ["unshare:", "mount:", "chroot:"].iter().any(|own| line.starts_with(own)))
        {
            Some(reason) if !said.status.success() => Err(DistError::NoNamespaces { reason: reason.into() }),
            _ => Ok(said),
        }
    }
}

fn programs(prefix: &Path) -> [PathBuf; 4] {
    ["bin/dmus", "lib/dmus/vhost-device-dmus", "lib/dmus/vhost-user-guard", "lib/dmus/qemu/qemu-system-x86_64"]
        .map(|name| prefix.join(name))
}
