//! Lays out the tree of a download below a prefix.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use card_control::guard;

use super::error::DistError;
use super::files::{copy, copy_tree, folder_of, write};
use super::inputs::Dist;
use super::{emulator, libraries, notices};
use crate::host::file_error::FileError;
use crate::host::lossy;
use crate::provision::bundle::{self, Manifest};
use crate::provision::{Artefact, Overrides, Provisioner, run_logged};
use crate::scenario::Scenario;
use crate::scenario::files_in;

/// Longest time to strip a program of its debug information.
const STRIP_LIMIT: std::time::Duration = std::time::Duration::from_secs(120);

/// The folder that a driver's team copies, in a checkout.
const TEMPLATE: &str = "harness/template";

/// The same below the prefix.
pub(super) const BELOW_PREFIX: &str = "share/dmus/template";

/// A tree that was laid out.
pub(super) struct Tree {
    /// The size of all its files, in bytes.
    pub(super) bytes: u64,
    /// The oldest C library that its programs run with.
    pub(super) glibc: String,
    /// The names of scenarios that were left out.
    pub(super) left_out: Vec<String>,
}

/// Lays out the tree: builds what is missing, copies, strips, describes.
///
/// # Errors
/// [`DistError`] when a part cannot be built, found or written.
pub(super) fn lay_out(dist: &Dist<'_>, prefix: &Path) -> Result<Tree, DistError> {
    let workspace = dist.workspace;
    let provisioner = Provisioner::new(workspace, Overrides::default(), dist.observer)?;
    let bundle = prefix.join("lib/dmus");
    let harness = std::env::current_exe().map_err(FileError::own("read", "/proc/self/exe"))?;
    let card = provisioner.resolve(Artefact::Card)?;
    let mut programs = Vec::new();
    let place = |artefact| bundle.join(bundle::file_of(artefact).unwrap_or_default());
    for (from, to) in [
        (harness, prefix.join("bin/dmus")),
        (card.with_file_name(guard::PROGRAM), bundle.join(guard::PROGRAM)),
        (card, place(Artefact::Card)),
        (provisioner.qemu_launcher()?, place(Artefact::Qemu)),
    ] {
        stripped(dist, &from, &to)?;
        programs.push(to);
    }
    stripped(dist, &provisioner.resolve(Artefact::NtHost)?, &place(Artefact::NtHost))?;
    let driver = provisioner.resolve(Artefact::Driver)?;
    copy(&driver, &place(Artefact::Driver))?;
    copy(&driver.with_extension("pdb"), &place(Artefact::Driver).with_extension("pdb"))?;
    copy(&workspace.root.join("guest-driver/inf/dmuscard.inf"), &place(Artefact::Driver).with_extension("inf"))?;
    dist.note("cutting QEMU to what the guests need");
    emulator::cut(&provisioner, &bundle.join("qemu"))?;
    let left_out = scenarios(&workspace.scenarios(), &bundle.join(bundle::SCENARIOS))?;
    let manifest = Manifest::of(&bundle).map_err(FileError::own("read", &bundle))?;
    let text = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| DistError::Malformed { path: bundle.join(bundle::MANIFEST), reason: error.to_string() })?;
    write(&bundle.join(bundle::MANIFEST), text)?;
    for document in dist.documents {
        write(&prefix.join(&document.path), &document.content)?;
    }
    let doc = prefix.join("share/doc/dmus");
    for name in ["LICENSE-APACHE", "LICENSE-MIT", "CHANGELOG.md"] {
        copy(&workspace.root.join(name), &doc.join(name))?;
    }
    copy(&workspace.root.join("harness/README.md"), &doc.join("README.md"))?;
    copy(&workspace.root.join("harness/SCENARIOS.md"), &doc.join("SCENARIOS.md"))?;
    copy_tree(&workspace.root.join(TEMPLATE), &prefix.join(BELOW_PREFIX))?;
    write(&doc.join("THIRD-PARTY.txt"), notices::text(workspace)?)?;
    let glibc = libraries::glibc(&programs)?;
    let whole = Manifest::of(prefix).map_err(FileError::own("read", prefix))?;
    Ok(Tree { bytes: whole.files.values().map(|content| content.bytes).sum(), glibc, left_out })
}

/// The folders beside the scenarios with what they include, and what they compare with.
const BESIDE: [&str; 2] = ["steps", "recordings"];

/// Copies the scenarios that need no checkout, with their schemas and the files that they name, and returns the names of the others.
fn scenarios(from: &Path, to: &Path) -> Result<Vec<String>, DistError> {
    let mut left_out = Vec::new();
    for (from, to) in [(from.to_path_buf(), to.to_path_buf()), (from.join("long"), to.join("long"))] {
        let malformed = |reason: String| DistError::Malformed { path: from.clone(), reason };
        for path in files_in(&from).map_err(|error| malformed(error.to_string()))? {
            let scenario = Scenario::load(&path).map_err(|error| malformed(error.to_string()))?;
            if scenario.needs_a_checkout() {
                left_out.push(scenario.name);
            } else {
                copy(&path, &to.join(path.file_name().unwrap_or_default()))?;
            }
        }
    }
    for folder in BESIDE {
        copy_tree(&from.join(folder), &to.join(folder))?;
    }
    for name in ["scenario.schema.json", "steps.schema.json"] {
        copy(&from.join(name), &to.join(name))?;
    }
    Ok(left_out)
}

/// Copies a program without its debug information; names of functions stay, for stacks.
fn stripped(dist: &Dist<'_>, from: &Path, to: &Path) -> Result<(), DistError> {
    folder_of(to)?;
    let mut command = Command::new("strip");
    command.args(["--strip-debug", "--enable-deterministic-archives", "-o"]).args([to, from]);
    let log = dist.workspace.logs().join("strip.log");
    run_logged(&format!("stripping {}", lossy::text(from)), command, &log, None, STRIP_LIMIT)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).map_err(FileError::own("write", to))?;
    Ok(())
}
