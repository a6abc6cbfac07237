//! Builds the artefacts of this workspace: the card for the host, the NT host and the driver for the guest.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use card_control::guard;
use cargo_metadata::{Artifact, Message};

use super::command::run_logged;
use super::error::ProvisionError;
use super::image_id;
use super::provisioner::Provisioner;
use super::rust_source::{self, RustSource};
use super::same_image::difference;
use crate::event::Event;
use crate::host::file_error::FileError;

/// Longest build: minutes on two slow cores, with the standard library.
const BUILD_LIMIT: Duration = Duration::from_secs(3600);

/// What is built as the card is: optimised, with the guard, which is looked for beside the card. Whatever else is built of these
/// packages names them too: their dependencies would have other features, and be built again.
const CARD: [&str; 5] = ["--release", "--package", "dmus-card", "--package", guard::PROGRAM];

/// Builds the card for the host, optimised.
pub(super) fn card(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    let mut command = cargo(provisioner);
    command.args(CARD);
    let is_card = |artifact: &Artifact| {
        artifact.executable.clone().map(PathBuf::from).filter(|program| program.ends_with(card_control::PROGRAM))
    };
    build(provisioner, "the card", "dmus-card", command, is_card)
}

/// Builds the program that starts the QEMU of a bundle.
fn qemu_launcher(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    const NAME: &str = "qemu-launcher";
    let mut command = cargo(provisioner);
    command.args(["--package", "dmus", "--bin", NAME, "--release"]);
    let is_program =
        |artifact: &Artifact| artifact.executable.clone().map(PathBuf::from).filter(|program| program.ends_with(NAME));
    build_as(provisioner, "the launcher of a bundle's QEMU", "harness", NAME, command, is_program)
}

impl Provisioner<'_> {
    /// Builds the program that starts the QEMU of a bundle.
    ///
    /// # Errors
    /// [`ProvisionError`] as of any build.
    pub fn qemu_launcher(&self) -> Result<PathBuf, ProvisionError> {
        qemu_launcher(self)
    }
}

/// Builds an example card of `device/pci` for the host, optimised.
pub(super) fn example_card(provisioner: &Provisioner<'_>, name: &str) -> Result<PathBuf, ProvisionError> {
    const PACKAGE: &str = "vfio-user-card";
    let mut command = cargo(provisioner);
    command.args(CARD).args(["--package", PACKAGE, "--example", name]);
    let is_program = |artifact: &Artifact| artifact.executable.clone().map(PathBuf::from);
    build_as(provisioner, &format!("the example card {name}"), PACKAGE, name, command, is_program)
}

/// Builds the synthesizers' benchmark for the host, optimised. It is no part of the product.
pub(super) fn synth_bench(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    let mut command = cargo(provisioner);
    command.args(["--package", "dls-synth-bench", "--release"]);
    let is_program = |artifact: &Artifact| artifact.executable.clone().map(PathBuf::from);
    build(provisioner, "the synthesizers' benchmark", "dls-synth-bench", command, is_program)
}

/// Builds a benchmark of the card for the host, optimised: `transport` or `trace`. It is no part of the product.
pub(super) fn card_bench(provisioner: &Provisioner<'_>, name: &'static str) -> Result<PathBuf, ProvisionError> {
    let mut command = cargo(provisioner);
    let example = format!("{name}_bench");
    command.args(["--package", "dmus-card", "--features", "fake", "--example", &example, "--release"]);
    let is_program = |artifact: &Artifact| {
        artifact.executable.clone().map(PathBuf::from).filter(|program| program.ends_with(&example))
    };
    let (what, log) = match name {
        "trace" => ("the trace's benchmark", "trace-bench"),
        _ => ("the transport's benchmark", "transport-bench"),
    };
    build_as(provisioner, what, "dmus-card", log, command, is_program)
}

/// Builds the NT host for bare metal.
pub(super) fn nt_host(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    let (mut command, _) = guest_cargo(provisioner, "x86_64-unknown-none")?;
    command.args(["--package", "nt-host"]);
    let is_host = |artifact: &Artifact| artifact.executable.clone().map(PathBuf::from);
    build(provisioner, "the NT host", "nt-host", command, is_host)
}

/// The variable that names the guest agent's program for a test.
pub const AGENT_VARIABLE: &str = "DMUS_AGENT";

/// The targets of the guest agent. It is a program, which may use the vector registers of the compiler's own target.
pub(super) const AGENT_X64: &str = "x86_64-pc-windows-msvc";
/// See [`AGENT_X64`].
pub(super) const AGENT_X86: &str = "i686-pc-windows-msvc";

/// Builds the guest agent for Windows.
pub(super) fn agent(provisioner: &Provisioner<'_>, target: &str) -> Result<PathBuf, ProvisionError> {
    const NAME: &str = "dmus-agent";
    let (mut command, _) = guest_cargo(provisioner, target)?;
    command.args(["--package", NAME, "--bin", NAME]);
    let is_program = |artifact: &Artifact| artifact.executable.clone().map(PathBuf::from);
    build_as(
        provisioner,
        &format!("the guest agent for {target}"),
        NAME,
        &format!("{NAME}-{target}"),
        command,
        is_program,
    )
}

/// Builds the UEFI guest that stands in for an installer. It is no part of the product.
pub(super) fn stand_in(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    let (mut command, _) = guest_cargo(provisioner, "x86_64-unknown-uefi")?;
    command.args(["--package", "stand-in"]);
    let is_program = |artifact: &Artifact| artifact.executable.clone().map(PathBuf::from);
    build(provisioner, "the installer's stand-in", "stand-in", command, is_program)
}

/// A flavour of the driver.
pub(super) struct Flavour {
    /// Its name for people.
    what: &'static str,
    /// The name of its log.
    log: &'static str,
    /// The target: a built-in one, or a file that describes one.
    target: &'static str,
    /// The name of the target.
    name: &'static str,
}

/// For 64-bit Windows.
pub(super) const DRIVER_X64: Flavour =
    Flavour { what: "the driver", log: "dmuscard", target: "x86_64-pc-windows-msvc", name: "x86_64-pc-windows-msvc" };

/// For 32-bit Windows. The compiler's own target for it uses vector registers, which a driver must not touch there.
pub(super) const DRIVER_X86: Flavour = Flavour {
    what: "the driver for 32-bit Windows",
    log: "dmuscard-x86",
    target: "guest-driver/sys/i686-kernel-windows-msvc.json",
    name: "i686-kernel-windows-msvc",
};

/// Builds the driver for Windows. The linker writes an `.exe`; a reproducible copy beside it (and beside its `.pdb`) has a
/// driver's name.
pub(super) fn driver(provisioner: &Provisioner<'_>, flavour: &Flavour) -> Result<PathBuf, ProvisionError> {
    build_driver(provisioner, flavour, None)
}

/// Builds the driver for 64-bit Windows with full debug information: types and locals, too. It has a target folder of its own, so
/// that the image that ships and its PDB stay. The optimizer decides otherwise here and there where variables have names, which is
/// said.
pub(super) fn driver_with_debug_info(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    let flavour = Flavour { what: "the driver with full debug information", log: "dmuscard-debug-info", ..DRIVER_X64 };
    let shipped = driver(provisioner, &DRIVER_X64)?;
    let full = build_driver(provisioner, &flavour, Some(&provisioner.workspace.cache().join("debug-info")))?;
    let read = |path: &Path| fs::read(path).map_err(FileError::own("read", path));
    if let Some(difference) = difference(&read(&shipped)?, &read(&full)?) {
        let text = format!(
            "the driver with full debug information is an image of its own, beside the one that ships: of their sections {difference}"
        );
        provisioner.observer.event(&Event::Warning { text });
    }
    Ok(full)
}

/// Builds the driver; with full debug information in another target folder, if one is named.
fn build_driver(
    provisioner: &Provisioner<'_>,
    flavour: &Flavour,
    full_debug_info: Option<&Path>,
) -> Result<PathBuf, ProvisionError> {
    let (mut command, library) = guest_cargo(provisioner, flavour.target)?;
    command.args(["--package", "dmuscard", "-Zjson-target-spec"]);
    // Flags of the environment would replace these and make another image.
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
        command.env_remove(variable);
    }
    let mut flags = remapped(provisioner, &library);
    if let Some(target) = full_debug_info {
        // As a flag of the compiler, not of the profile: the profile is part of the names of functions, by which they are ordered. So
        // the image is as near to the one that ships as can be.
        flags.push("-Cdebuginfo=2".into());
        command.arg("--target-dir").arg(target);
    }
    command.arg("--config").arg(format!("target.{}.rustflags={flags:?}", flavour.name));
    let is_image = |artifact: &Artifact| artifact.executable.clone().map(PathBuf::from);
    let linked = build_as(provisioner, flavour.what, "dmuscard", flavour.log, command, is_image)?;
    let (sys, pdb) = (linked.with_extension("sys"), linked.with_extension("pdb"));
    let mut image = fs::read(&linked).map_err(FileError::own("read", &linked))?;
    let mut symbols = fs::read(&pdb).map_err(FileError::own("read", &pdb))?;
    image_id::make_reproducible(&mut image, &mut symbols).map_err(|reason| ProvisionError::Failed {
        what: format!("building {}", flavour.what),
        status: reason.to_string(),
        tail: String::new(),
        log: linked,
        remedy: Some("this is a bug of the harness: please report it with the image".into()),
    })?;
    for (path, bytes) in [(&sys, &image), (&pdb, &symbols)] {
        if fs::read(path).ok().as_ref() != Some(bytes) {
            fs::write(path, bytes).map_err(FileError::own("write", path))?;
        }
    }
    Ok(sys)
}

/// Returns the compiler's flags that keep this machine's folders out of the image. The names of the workspace's files stay,
/// relative to the workspace.
fn remapped(provisioner: &Provisioner<'_>, library: &Path) -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let mut flags = vec![format!("--remap-path-prefix={}=/rust/library", library.display())];
    if let Some(home) = home {
        flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
    }
    flags.push(format!("--remap-path-prefix={}=/dmus", provisioner.workspace.root.display()));
    flags
}

fn cargo(provisioner: &Provisioner<'_>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&provisioner.workspace.root);
    command.args(["build", "--message-format=json-render-diagnostics"]);
    command
}

/// Returns a cargo command for a guest, and the folder of the standard library's source.
fn guest_cargo(provisioner: &Provisioner<'_>, target: &str) -> Result<(Command, PathBuf), ProvisionError> {
    let source = rust_source::resolve(provisioner)?;
    let mut command = cargo(provisioner);
    command.args(["--profile", "guest", "--target", target]);
    command.args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=compiler-builtins-mem"]);
    // This variable opens `-Zbuild-std` to a stable cargo.
    command.env("RUSTC_BOOTSTRAP", "1");
    let library = match source {
        RustSource::Toolchain => rust_source::toolchain_source().unwrap_or_default(),
        RustSource::At(library) => {
            command.env("__CARGO_TESTS_ONLY_SRC_ROOT", &library);
            library
        }
    };
    Ok((command, library))
}

/// Runs cargo and finds the artefact in its messages: the target folder is the user's choice.
fn build(
    provisioner: &Provisioner<'_>,
    what: &str,
    package: &str,
    command: Command,
    find: impl Fn(&Artifact) -> Option<PathBuf>,
) -> Result<PathBuf, ProvisionError> {
    build_as(provisioner, what, package, package, command, find)
}

fn build_as(
    provisioner: &Provisioner<'_>,
    what: &str,
    package: &str,
    log: &str,
    command: Command,
    find: impl Fn(&Artifact) -> Option<PathBuf>,
) -> Result<PathBuf, ProvisionError> {
    provisioner.begin(what, "cargo build");
    let log = provisioner.workspace.logs().join(format!("build-{log}.log"));
    let messages = log.with_extension("json");
    run_logged(&format!("building {what}"), command, &log, Some(&messages), BUILD_LIMIT)?;
    find_artifact(&messages, package, find)?.ok_or_else(|| ProvisionError::Failed {
        what: format!("building {what}"),
        status: "cargo named no artefact".into(),
        tail: String::new(),
        log: messages,
        remedy: Some("this is a bug of the harness: please report it with the log".into()),
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

/// Returns whether cargo's message is of a package. The id of a path package ends in `folder#version` or, where the folder's
/// name differs, `#name@version`.
fn is_of(artifact: &Artifact, package: &str) -> bool {
    let id = &artifact.package_id.repr;
    id.contains(&format!("#{package}@")) || id.contains(&format!("/{package}#"))
}
