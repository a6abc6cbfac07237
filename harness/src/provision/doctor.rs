//! Inspects the machine: what is there, what is missing, and the command that fixes it.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::MemfdFlags;
use serde::Serialize;

use super::artefact::Artefact;
use super::bundle::Bundle;
use super::chromium::{CHROMIUM_VARIABLE, private_chromium, system_chromium};
use super::command::{capture, run};
use super::fluidsynth::{FLUIDSYNTH_VARIABLE, private_fluidsynth, system_fluidsynth};
use super::lldb::{INSTALL_LLDB, LLDB_VERSION_MIN, lldb_here};
use super::qemu::{Fitness, fitness, has_vfio_user, system_qemu};
use super::rust_source::toolchain_source;
use super::workspace::{Workspace, find_bundle};
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::invocation;
use crate::host::leftovers::{SOCKET_BYTES_BELOW, SOCKET_PATH_BYTES_MAX, Scratch};
use crate::host::limits::{self, Checked, LimitError};
use crate::machine::VFIO_USER;

/// Free disk below this, in MiB, is a finding: the room of QEMU, a standard library and the builds together.
const DISK_MIB: u64 = 4096;

/// The state of one finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is there.
    Found,
    /// It is missing, and the first run that needs it provisions it.
    Provisioned,
    /// It is missing, and only some tests or comparisons need it.
    Optional,
    /// It is missing, and nothing works without it.
    Missing,
}

/// One finding.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The program, folder or limit.
    pub what: &'static str,
    /// Its state.
    pub state: State,
    /// Its version or path, or why it is missing.
    pub detail: String,
    /// The command that fixes it.
    pub remedy: Option<String>,
    /// Whether it is a folder or a limit of the host, and not something to install.
    #[serde(skip)]
    pub of_host: bool,
}

fn found(what: &'static str, detail: impl Into<String>) -> Finding {
    Finding { what, state: State::Found, detail: detail.into(), remedy: None, of_host: false }
}

/// Inspects everything that a run needs. `measured` is the accelerator that an earlier run has measured, as text.
#[must_use]
pub fn inspect(workspace: &Workspace, measured: Option<String>) -> Vec<Finding> {
    let mut findings = match &workspace.bundle {
        Some(bundle) => vec![bundled(bundle), memfd()],
        None => vec![rust(), rust_source(workspace), qemu(workspace), memfd(), disk(workspace)],
    };
    if let Err(error) = find_bundle() {
        findings.insert(0, missing("bundle", error.to_string(), &error.remedy().unwrap_or_default()));
    }
    findings.extend(vfio_user(workspace));
    findings.extend(folders(workspace));
    findings.extend(limits::all().into_iter().map(limit));
    findings.push(accelerator(measured));
    if workspace.bundle.is_some() {
        return findings;
    }
    findings.extend([
        fluidsynth(workspace),
        chromium(workspace),
        lldb(workspace),
        tool("gdb", "gdb", "--version", "debugs drivers with DWARF"),
        tool("npm", "npm", "--version", "fetches the rules by which the page of a report is tested"),
        tool("mingw-w64", "x86_64-w64-mingw32-gcc", "--version", "compares our layouts with the public headers"),
        tool("binutils", "objdump", "--version", "shows images"),
    ]);
    findings
}

/// Inspects a bundle by reading all of it.
fn bundled(bundle: &Bundle) -> Finding {
    const REMEDY: &str = "unpack the download again";
    let place = bundle.folder().display();
    match bundle.damaged() {
        Ok(damaged) if damaged.is_empty() => found("bundle", format!("{place}: whole")),
        Ok(damaged) => {
            missing("bundle", format!("{place}: altered since it was packed: {}", damaged.join(", ")), REMEDY)
        }
        Err(error) => missing("bundle", error.to_string(), REMEDY),
    }
}

/// Returns the class of what is missing: the host's where a folder or a limit is in the way, because nothing can be provisioned
/// before.
#[must_use]
pub fn class(findings: &[Finding]) -> Option<Class> {
    let mut missing = findings.iter().filter(|finding| finding.state == State::Missing).peekable();
    missing.peek()?;
    Some(if missing.any(|finding| finding.of_host) { Class::Host } else { Class::MissingArtefact })
}

/// Inspects the folders that a run writes to, by writing.
fn folders(workspace: &Workspace) -> Vec<Finding> {
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo = cargo.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let (cargo, variable) = match workspace.bundle {
        Some(_) => (None, "set DMUS_HOME to a folder that can be written"),
        None => (cargo, "set CARGO_TARGET_DIR to a folder that can be written"),
    };
    let places = [
        ("target", Some(workspace.target.clone()), variable),
        ("target/dmus", Some(workspace.cache()), "correct its owner and mode, or remove it"),
        ("runs", Some(workspace.cache().join("runs")), "correct its owner and mode, or remove it"),
        ("TMPDIR", Some(std::env::temp_dir()), "set TMPDIR to a folder that exists and can be written"),
        ("cargo home", cargo.map(|home| home.join("registry")), "set CARGO_HOME to a folder that can be written"),
    ];
    let mut findings: Vec<Finding> =
        places.into_iter().filter_map(|(what, path, remedy)| Some(folder(what, &path?, remedy))).collect();
    let temporary = std::env::temp_dir();
    let longest = temporary.as_os_str().len() + SOCKET_BYTES_BELOW;
    if longest > SOCKET_PATH_BYTES_MAX {
        let long =
            format!("{} is longer than a socket's path may be ({SOCKET_PATH_BYTES_MAX} bytes)", temporary.display());
        findings.push(match Scratch::for_sockets() {
            Ok(place) => found("TMPDIR", format!("{long}: sockets are made in {}", place.path().display())),
            Err(error) => missing("TMPDIR", error.to_string(), "set TMPDIR to a folder with a shorter path"),
        });
    }
    findings
}

fn folder(what: &'static str, path: &Path, remedy: &str) -> Finding {
    // A folder above the temporary one is of no use.
    if what == "TMPDIR" && !path.is_dir() {
        return missing(what, format!("{} is no folder", path.display()), remedy);
    }
    match try_writing(path) {
        Ok(place) if place == path => found(what, format!("{} can be written", path.display())),
        Ok(place) => found(what, format!("{} can be made in {}", path.display(), place.display())),
        Err(error) => {
            let remedy = error.limit().and_then(|limit| limit.remedy()).unwrap_or_else(|| remedy.to_owned());
            missing(what, error.to_string(), &remedy)
        }
    }
}

/// Tries to write in a folder, or in the nearest one above it that exists, by writing.
///
/// # Errors
/// [`FileError`] when nothing can be written there, a full disk included.
fn try_writing(folder: &Path) -> Result<PathBuf, FileError> {
    /// More than a file system keeps beside a file's name: a full disk takes an empty file.
    const BYTES: usize = 64 << 10;
    let place = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_path_buf();
    let write = || {
        let mut file = tempfile::Builder::new().prefix(".dmus-").tempfile_in(&place)?;
        file.write_all(&[0; BYTES])?;
        file.as_file().sync_data()
    };
    write().map_err(FileError::own("write in", &place))?;
    Ok(place)
}

/// Returns the finding of a limit of the host.
fn limit(Checked { limit, value, error }: Checked) -> Finding {
    match error {
        None => found(limit.text(), format!("at most {value}")),
        Some(error) => missing(limit.text(), error.sentence().to_owned(), &error.remedy().unwrap_or_default()),
    }
}

/// Returns the finding of a folder or a limit of the host that is in the way.
fn missing(what: &'static str, detail: String, remedy: &str) -> Finding {
    Finding { what, state: State::Missing, detail, remedy: Some(remedy.to_owned()), of_host: true }
}

fn rust() -> Finding {
    let install = || Some("install Rust (stable) from https://rustup.rs".into());
    let absent = |detail: String, limit: Option<LimitError>| Finding {
        what: "rustc",
        state: State::Missing,
        of_host: limit.is_some(),
        detail: limit.as_ref().map_or_else(|| detail.clone(), |limit| format!("{detail}: {}", limit.sentence())),
        remedy: limit.map_or_else(install, |limit| limit.remedy()),
    };
    match run(Command::new("rustc").arg("--version")) {
        Ok(captured) if captured.status.success() => found("rustc", captured.stdout.trim()),
        Ok(captured) => {
            let limit = limits::of_program(Some(captured.status.into()), &captured.stderr);
            absent(format!("it does not run ({}: {})", captured.status, captured.stderr.trim()), limit)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => absent("not on PATH".into(), None),
        Err(error) => absent(format!("it does not start ({error})"), limits::of_start(&error)),
    }
}

fn rust_source(workspace: &Workspace) -> Finding {
    if let Some(path) = toolchain_source() {
        return found("rust-src", path.display().to_string());
    }
    let private = std::fs::read_dir(workspace.cache()).into_iter().flatten().flatten().find(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("rust-src-") && !name.to_string_lossy().ends_with("partial")
    });
    match private {
        Some(entry) => found("rust-src", format!("provisioned: {}", entry.path().display())),
        None => Finding {
            what: "rust-src",
            state: State::Provisioned,
            detail: "the toolchain has none; the first run provisions it".into(),
            remedy: Some("rustup component add rust-src".into()),
            of_host: false,
        },
    }
}

fn qemu(workspace: &Workspace) -> Finding {
    let mut why_not = "not on PATH".to_owned();
    let private = workspace.cache().join("qemu/qemu-system-x86_64");
    for path in system_qemu().into_iter().chain([private]) {
        match fitness(&path) {
            Some(Fitness { version, unfit: None }) => return found("QEMU", format!("{version} ({})", path.display())),
            Some(Fitness { unfit: Some(reason), .. }) => why_not = format!("{} is unusable: {reason}", path.display()),
            None if path.is_file() => why_not = format!("{} does not run", path.display()),
            None => {}
        }
    }
    Finding {
        what: "QEMU",
        state: State::Provisioned,
        detail: format!("{why_not}; the first run provisions one"),
        remedy: Some(invocation::command("demo")),
        of_host: false,
    }
}

/// Inspects whether the QEMU that a run uses takes vfio-user devices: those of `--device-command` and
/// `--device vfio-user:`.
fn vfio_user(workspace: &Workspace) -> Option<Finding> {
    let private = match &workspace.bundle {
        Some(bundle) => bundle.artefact(Artefact::Qemu)?,
        None => workspace.cache().join("qemu/qemu-system-x86_64"),
    };
    let fit = |path: &PathBuf| fitness(path).is_some_and(|found| found.unfit.is_none());
    let system = system_qemu().filter(|_| workspace.bundle.is_none());
    let qemu = system.into_iter().chain([private]).find(fit)?;
    if has_vfio_user(&qemu) == Some(true) {
        return Some(found(VFIO_USER, "QEMU takes vfio-user devices (--device-command, --device vfio-user:SOCKET)"));
    }
    Some(Finding {
        what: VFIO_USER,
        state: State::Optional,
        detail: format!(
            "{} has no such device: --device-command and --device vfio-user:SOCKET need it",
            qemu.display()
        ),
        remedy: Some("name a QEMU of version 10.1 or later that has it with --qemu".into()),
        of_host: false,
    })
}

fn memfd() -> Finding {
    match rustix::fs::memfd_create("dmus-doctor", MemfdFlags::CLOEXEC) {
        Ok(_) => found("memfd", "guest memory can be shared"),
        Err(error) => missing("memfd", format!("memfd_create: {error}"), "run outside the sandbox that forbids it"),
    }
}

fn disk(workspace: &Workspace) -> Finding {
    let path = if workspace.target.exists() { &workspace.target } else { &workspace.root };
    let free = rustix::fs::statvfs(path).map_or(0, |statistics| (statistics.f_bavail * statistics.f_frsize) >> 20);
    let detail = format!("{free} MiB free under {}", path.display());
    if free >= DISK_MIB {
        return found("disk", detail);
    }
    Finding {
        what: "disk",
        state: State::Optional,
        detail,
        remedy: Some("free some space, or set CARGO_TARGET_DIR to a folder on a larger disk".into()),
        of_host: false,
    }
}

fn accelerator(measured: Option<String>) -> Finding {
    match measured {
        Some(choice) => found("accelerator", choice),
        None if Path::new("/dev/kvm").exists() => {
            found("accelerator", "/dev/kvm exists; the first run measures whether it is faster than TCG")
        }
        None => found("accelerator", "tcg: there is no /dev/kvm"),
    }
}

/// Inspects FluidSynth, with which `bench synth` compares.
fn fluidsynth(workspace: &Workspace) -> Finding {
    let version = |path: &Path| {
        let captured = capture(Command::new(path).arg("--version"))?.stdout;
        captured.lines().find_map(|line| Some(line.rsplit_once("version ")?.1.trim().to_owned()))
    };
    let named = std::env::var_os(FLUIDSYNTH_VARIABLE).map(std::path::PathBuf::from);
    let private = private_fluidsynth(workspace);
    let mut places = named.into_iter().chain([private]);
    if let Some((version, path)) = places.find_map(|path| Some((version(&path)?, path))) {
        return found("FluidSynth", format!("{version} ({})", path.display()));
    }
    let system = system_fluidsynth().and_then(|path| Some(format!(", the system's is {}", version(&path)?)));
    Finding {
        what: "FluidSynth",
        state: State::Provisioned,
        detail: format!(
            "only for comparison; the first `bench synth` provisions the newest{}",
            system.unwrap_or_default()
        ),
        remedy: Some(invocation::command("bench synth")),
        of_host: false,
    }
}

/// Inspects lldb, which debugs drivers with a PDB.
fn lldb(workspace: &Workspace) -> Finding {
    let version = |path: PathBuf| {
        let captured = capture(Command::new(&path).arg("--version"))?;
        let version = captured.stdout.lines().next()?.trim().to_owned();
        captured.status.success().then(|| found("lldb", format!("{version} ({})", path.display())))
    };
    lldb_here(workspace).and_then(version).unwrap_or_else(|| Finding {
        what: "lldb",
        state: State::Optional,
        detail: format!("none from version {LLDB_VERSION_MIN} on; it debugs drivers with a PDB"),
        remedy: Some(format!("{INSTALL_LLDB}; `{}` unpacks one", invocation::command("test"))),
        of_host: false,
    })
}

/// Inspects the browser, in which the page of a report is tested.
fn chromium(workspace: &Workspace) -> Finding {
    let version = |path: &Path| {
        let captured = capture(Command::new(path).arg("--version"))?;
        captured.status.success().then(|| captured.stdout.trim().to_owned())
    };
    let named = std::env::var_os(CHROMIUM_VARIABLE).map(PathBuf::from);
    let mut places = named.into_iter().chain(system_chromium()).chain([private_chromium(workspace)]);
    match places.find_map(|path| Some((version(&path)?, path))) {
        Some((version, path)) => found("Chromium", format!("{version} ({})", path.display())),
        None => Finding {
            what: "Chromium",
            state: State::Provisioned,
            detail: "only for the test of a report's page; the first `test` provisions it".into(),
            remedy: Some(invocation::command("test")),
            of_host: false,
        },
    }
}

fn tool(package: &'static str, program: &str, argument: &str, purpose: &str) -> Finding {
    match capture(Command::new(program).arg(argument)) {
        Some(captured) => {
            let text = if captured.stdout.trim().is_empty() { captured.stderr } else { captured.stdout };
            found(package, text.lines().find(|line| !line.trim().is_empty()).unwrap_or(program).trim())
        }
        None => Finding {
            what: package,
            state: State::Optional,
            detail: format!("not installed; it {purpose}"),
            remedy: Some(format!("apt-get install {package}")),
            of_host: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;

    #[test]
    fn names_a_folder_that_takes_no_file() {
        let folder = Scratch::new().unwrap();
        assert_eq!(try_writing(&folder.path().join("not/yet/there")).unwrap(), folder.path());
        let error = try_writing(Path::new("/proc/self/fdinfo")).unwrap_err();
        assert!(error.to_string().contains("/proc/self/fdinfo"), "{error}");
    }
}
