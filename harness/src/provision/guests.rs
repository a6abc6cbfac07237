//! Builds what this workspace itself provides: the card for the host, the NT host and the driver for the guest.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cargo_metadata::{Artifact, Message};

use super::command::run_logged;
use super::rust_source::{self, RustSource};
use super::{ProvisionError, Provisioner};
use crate::failure::FileError;

/// Longest build: minutes on two slow cores, with the standard library.
const BUILD_LIMIT: Duration = Duration::from_secs(1200);

/// The card, for the host, optimised.
pub(super) fn card(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    let mut command = cargo(provisioner);
    command.args(["--package", "dmus-card", "--release"]);
    let is_card = |artifact: &Artifact| artifact.executable.clone().map(PathBuf::from);
    build(provisioner, "the card", "dmus-card", command, is_card)
}

/// The synthesizers' benchmark, for the host, optimised. It is no part of the product.
pub(super) fn synth_bench(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    let mut command = cargo(provisioner);
    command.args(["--package", "dls-synth-bench", "--release"]);
    let is_program = |artifact: &Artifact| artifact.executable.clone().map(PathBuf::from);
    build(provisioner, "the synthesizers' benchmark", "dls-synth-bench", command, is_program)
}

/// The NT host, for bare metal.
pub(super) fn nt_host(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    let mut command = guest_cargo(provisioner, "x86_64-unknown-none")?;
    command.args(["--package", "nt-host"]);
    let is_host = |artifact: &Artifact| artifact.executable.clone().map(PathBuf::from);
    build(provisioner, "the NT host", "nt-host", command, is_host)
}

/// The driver, for Windows. The linker writes a `.dll`; a copy beside it (and beside its `.pdb`) has a driver's name.
pub(super) fn driver(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    let mut command = guest_cargo(provisioner, "x86_64-pc-windows-msvc")?;
    command.args(["--package", "dmuscard"]);
    let is_image = |artifact: &Artifact| {
        artifact.filenames.iter().find(|path| path.extension() == Some("dll")).cloned().map(PathBuf::from)
    };
    let dll = build(provisioner, "the driver", "dmuscard", command, is_image)?;
    let sys = dll.with_extension("sys");
    let built = fs::read(&dll).map_err(FileError::own("read", &dll))?;
    if fs::read(&sys).ok().as_deref() != Some(&built) {
        fs::write(&sys, built).map_err(FileError::own("write", &sys))?;
    }
    Ok(sys)
}

fn cargo(provisioner: &Provisioner<'_>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&provisioner.workspace.root);
    command.args(["build", "--message-format=json-render-diagnostics"]);
    command
}

fn guest_cargo(provisioner: &Provisioner<'_>, target: &str) -> Result<Command, ProvisionError> {
    let source = rust_source::resolve(provisioner)?;
    let mut command = cargo(provisioner);
    command.args(["--profile", "guest", "--target", target]);
    command.args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=compiler-builtins-mem"]);
    // `-Zbuild-std` is open to a stable cargo by this variable alone.
    command.env("RUSTC_BOOTSTRAP", "1");
    if let RustSource::At(library) = source {
        command.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
    }
    Ok(command)
}

/// Runs cargo and asks its messages where the artefact went: the target folder is the user's choice.
fn build(
    provisioner: &Provisioner<'_>,
    what: &str,
    package: &str,
    command: Command,
    find: impl Fn(&Artifact) -> Option<PathBuf>,
) -> Result<PathBuf, ProvisionError> {
    provisioner.begin(what, "cargo build");
    let log = provisioner.workspace.logs().join(format!("build-{package}.log"));
    let messages = log.with_extension("json");
    run_logged(&format!("building {what}"), command, &log, Some(&messages), BUILD_LIMIT)?;
    find_artifact(&messages, package, find)?.ok_or_else(|| ProvisionError::Failed {
        what: format!("building {what}"),
        status: "cargo named no artefact".into(),
        tail: String::new(),
        log: messages,
        remedy: Some("this is a fault of the harness; please report it with the log".into()),
    })
}

fn find_artifact(
    messages: &Path,
    package: &str,
    find: impl Fn(&Artifact) -> Option<PathBuf>,
) -> Result<Option<PathBuf>, ProvisionError> {
    let file = File::open(messages).map_err(FileError::own("read", messages))?;
    let mut found = None;
    for message in Message::parse_stream(BufReader::new(file)).flatten() {
        if let Message::CompilerArtifact(artifact) = message
            && is_of(&artifact, package)
        {
            found = find(&artifact).or(found);
        }
    }
    Ok(found)
}

/// The id of a path package ends in `folder#version` or, where the folder's name differs, `#name@version`.
fn is_of(artifact: &Artifact, package: &str) -> bool {
    let id = &artifact.package_id.repr;
    id.contains(&format!("#{package}@")) || id.contains(&format!("/{package}#"))
}
