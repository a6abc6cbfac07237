//! The standard library's source, from which cargo builds `core` and `alloc` for the guests.
//!
//! The guests are always built with `-Zbuild-std`, also where rustup has ready-made targets: so every machine gets the same
//! driver image, with the functions of `compiler-builtins-mem` that the images need.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::apt::{PrivateApt, Suites};
use super::command::{capture, run, run_logged};
use super::error::{ProvisionError, not_run};
use super::place::need_disk;
use super::provisioner::Provisioner;
use crate::host::file_error::FileError;
use crate::host::limits;

/// Longest time of rustup for a component of three megabytes.
const RUSTUP_LIMIT: Duration = Duration::from_secs(120);

/// The source package, unpacked, in MiB, with room to spare.
const DISK_MIB: u64 = 900;

/// The place of the source.
pub(super) enum RustSource {
    /// The toolchain, where cargo finds it by itself.
    Toolchain,
    /// A `library` folder.
    At(PathBuf),
}

/// Returns the toolchain's own copy, if it has one.
#[must_use]
pub fn toolchain_source() -> Option<PathBuf> {
    let sysroot = capture(Command::new("rustc").args(["--print", "sysroot"]))?.stdout;
    let library = PathBuf::from(sysroot.trim()).join("lib/rustlib/src/rust/library");
    library.join("core").is_dir().then_some(library)
}

/// Returns the compiler's version, such as `1.95.0`.
fn rustc_version() -> Result<String, ProvisionError> {
    const PURPOSE: &str = "building the guests";
    let captured = run(Command::new("rustc").arg("-vV")).map_err(|error| match not_run("rustc", PURPOSE, &error) {
        ProvisionError::NoProgram { program, purpose, .. } => ProvisionError::NoProgram {
            program,
            purpose,
            remedy: "install Rust (stable) from https://rustup.rs".into(),
        },
        other => other,
    })?;
    let version = captured.stdout.lines().find_map(|line| line.strip_prefix("release: ")).map(str::to_owned);
    // A compiler that does not run prints why.
    version.ok_or_else(|| match limits::of_program(Some(captured.status.into()), &captured.stderr) {
        Some(limit) => {
            limit.during(format!("rustc does not run, and {PURPOSE} needs it ({})", captured.stderr.trim())).into()
        }
        None => ProvisionError::NoProgram {
            program: format!("a rustc that runs ({}: {})", captured.status, captured.stderr.trim()),
            purpose: PURPOSE.into(),
            remedy: "reinstall Rust (stable) from https://rustup.rs".into(),
        },
    })
}

/// Provisions the source: the toolchain's, or by rustup, or from the package of the compiler's version.
///
/// # Errors
/// [`ProvisionError::NoProgram`] without rustc, and what keeps the package from being unpacked.
pub(super) fn resolve(provisioner: &Provisioner<'_>) -> Result<RustSource, ProvisionError> {
    if toolchain_source().is_some() {
        return Ok(RustSource::Toolchain);
    }
    let version = rustc_version()?;
    let folder = provisioner.workspace.cache().join(format!("rust-src-{version}"));
    if let Some(library) = library_in(&folder) {
        return Ok(RustSource::At(library));
    }
    let why_not_rustup = match by_rustup(provisioner) {
        Ok(()) if toolchain_source().is_some() => return Ok(RustSource::Toolchain),
        Ok(()) => "rustup serves another toolchain".into(),
        Err(ProvisionError::Interrupted(what)) => return Err(ProvisionError::Interrupted(what)),
        Err(error) => error.to_string(),
    };
    provisioner.journal(&format!("rust-src by rustup: {why_not_rustup}"));
    by_package(provisioner, &version, &folder)
}

fn by_rustup(provisioner: &Provisioner<'_>) -> Result<(), ProvisionError> {
    provisioner.begin("rust-src", "the toolchain has none, and the guests need it; adding it by rustup, once");
    let mut command = Command::new("rustup");
    command.args(["component", "add", "rust-src"]).current_dir(&provisioner.workspace.root);
    let log = provisioner.workspace.logs().join("rustup.log");
    run_logged("adding rust-src by rustup", command, &log, None, RUSTUP_LIMIT)
}

/// Unpacks Debian's package of exactly the compiler's version: another version's library does not build.
fn by_package(
    provisioner: &Provisioner<'_>,
    version: &str,
    folder: &std::path::Path,
) -> Result<RustSource, ProvisionError> {
    need_disk("rust-src", &provisioner.workspace.cache(), DISK_MIB)?;
    provisioner.begin("rust-src", &format!("rustup failed; unpacking the package of version {version} privately"));
    let apt = PrivateApt::new(provisioner, "rust-src", Suites::STABLE)?;
    let versions = apt.versions("rust-src");
    let exact = versions.iter().find(|candidate| upstream(candidate) == version);
    let missing = |reason: String| ProvisionError::NotPackaged {
        what: format!("rust-src {version}"),
        reason,
        remedy: "run `rustup component add rust-src`, or install it with your Rust toolchain".into(),
    };
    let Some(exact) = exact else {
        return Err(missing(format!("{} has {}", apt.origin(), versions.join(", "))));
    };
    let partial = folder.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(FileError::own("remove", &partial))?;
    }
    apt.unpack_one("rust-src", exact, &partial)?;
    fs::rename(&partial, folder).map_err(FileError::own("create", folder))?;
    provisioner.journal(&format!("rust-src {exact} from {}", apt.origin()));
    library_in(folder).map(RustSource::At).ok_or_else(|| missing("the package holds no library folder".into()))
}

/// Finds the `library` folder in an unpacked package: `usr/src/rustc-VERSION/library`.
fn library_in(folder: &std::path::Path) -> Option<PathBuf> {
    fs::read_dir(folder.join("usr/src"))
        .ok()?
        .flatten()
        .map(|entry| entry.path().join("library"))
        .find(|library| library.join("core").is_dir())
}

/// Returns the upstream part of a Debian version: no epoch, and nothing after the number (`1.95.0+dfsg1-1~bpo13+1`).
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.split(['+', '-', '~']).next().unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_only_the_package_of_the_compilers_version() {
        assert_eq!(upstream("1.95.0+dfsg1-1~bpo13+1"), "1.95.0");
        assert_eq!(upstream("1:1.96.1-2"), "1.96.1");
        assert_ne!(upstream("1.95.1+dfsg1-1"), "1.95.0");
    }
}
