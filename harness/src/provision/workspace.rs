//! Finds what `dmus` works with: a bundle, or the checkout of the project with the folder of its build output.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::bundle::{self, Bundle};
use super::command;
use super::embedded::Embedded;
use super::error::{ProvisionError, not_run};
use crate::host::limits;

/// The folder of the scenarios, from the root of a checkout.
const SCENARIOS: &str = "harness/scenarios";

/// The folder of what is provisioned and of run folders, below cargo's target folder or the user's cache.
const CACHE: &str = "dmus";

/// A bundle, or a checkout of the project, and the folder of what runs leave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Workspace {
    /// The folder of the workspace's manifest; of a bundle, its folder.
    pub root: PathBuf,
    /// Cargo's target folder, as the user's configuration has it; with a bundle, the folder of what its runs leave.
    pub target: PathBuf,
    /// The bundle.
    pub bundle: Option<Bundle>,
}

impl Workspace {
    /// Finds a bundle, else a checkout by cargo, after a check of the host's limits.
    ///
    /// # Errors
    /// [`ProvisionError::Limit`] when a limit of the host is too low, [`ProvisionError::Bundle`] when a bundle cannot be used,
    /// [`ProvisionError::DiskFull`] and [`ProvisionError::File`] when the one in the program cannot be unpacked,
    /// [`ProvisionError::NoProgram`] without cargo, [`ProvisionError::NotPackaged`] when cargo does not find the project's
    /// manifest.
    pub fn find() -> Result<Self, ProvisionError> {
        limits::check()?;
        match find_bundle()? {
            Some(bundle) => Self::of_bundle(bundle),
            None => Self::ask_cargo(&Self::package()),
        }
    }

    /// Returns a bundle with the folder of what its runs leave.
    ///
    /// # Errors
    /// [`ProvisionError::NoHome`] when the environment names no such folder.
    fn of_bundle(bundle: Bundle) -> Result<Self, ProvisionError> {
        Ok(Self { root: bundle.folder().into(), target: bundle::home()?, bundle: Some(bundle) })
    }

    /// Finds the folder of the build output of a checkout, instead of the checkout that this library was compiled from.
    ///
    /// # Errors
    /// [`ProvisionError`] as for [`find`](Self::find), and when no project is at the path.
    pub fn of_checkout(root: &Path) -> Result<Self, ProvisionError> {
        limits::check()?;
        Self::ask_cargo(&root.join("harness"))
    }

    /// Finds a bundle, else a checkout by cargo; where cargo does not run, assumes cargo's default folders.
    #[must_use]
    pub fn find_anyhow() -> Self {
        if let Ok(Some(bundle)) = find_bundle()
            && let Ok(found) = Self::of_bundle(bundle)
        {
            return found;
        }
        Self::ask_cargo(&Self::package()).unwrap_or_else(|_| {
            let root = Self::package().parent().map(Path::to_path_buf).unwrap_or_default();
            let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
            Self { root, target, bundle: None }
        })
    }

    /// Returns the folder of this package.
    fn package() -> PathBuf {
        // Cargo passes the folder to programs that it runs; an installed copy knows the folder in which it was built.
        std::env::var_os("CARGO_MANIFEST_DIR")
            .map(PathBuf::from)
            // Not the folder of another crate, whose tests use this library.
            .filter(|path| path.join("scenarios").is_dir() && path.join("protocol/Cargo.toml").is_file())
            .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")))
    }

    fn ask_cargo(package: &Path) -> Result<Self, ProvisionError> {
        const WHAT: &str = "the project's source";
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let folders = [(WHAT, Some(package.to_owned())), ("CARGO_TARGET_DIR", target)];
        for (what, path) in folders {
            if let Some(path) = path.filter(|path| path.to_str().is_none()) {
                return Err(ProvisionError::NotUtf8 { what, path });
            }
        }
        let mut metadata = cargo_metadata::MetadataCommand::new();
        let mut command = metadata.manifest_path(package.join("Cargo.toml")).no_deps().cargo_command();
        let captured = command::run(&mut command).map_err(|error| {
            not_run(&command.get_program().to_string_lossy(), "finding the project's source", &error)
        })?;
        let refused = |reason: String| ProvisionError::NotPackaged {
            what: WHAT.into(),
            reason,
            remedy: "run `cargo dmus` inside a checkout of the project".into(),
        };
        if !captured.status.success() {
            let reason = captured.stderr.trim().to_owned();
            return Err(match limits::of_program(Some(captured.status.into()), &reason) {
                Some(limit) => limit.during(format!("cargo cannot name {WHAT} ({reason})")).into(),
                None => refused(reason),
            });
        }
        let metadata =
            cargo_metadata::MetadataCommand::parse(captured.stdout).map_err(|error| refused(error.to_string()))?;
        Ok(Self {
            root: metadata.workspace_root.into_std_path_buf(),
            target: metadata.target_directory.into_std_path_buf(),
            bundle: None,
        })
    }

    /// Returns the folder of what is provisioned and of run folders.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.target.join(CACHE)
    }

    /// Returns the folder of the shipped scenarios.
    #[must_use]
    pub fn scenarios(&self) -> PathBuf {
        self.root.join(if self.bundle.is_some() { bundle::SCENARIOS } else { SCENARIOS })
    }

    /// Returns the folder of the logs of builds and downloads.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.cache().join("logs")
    }
}

/// Finds the bundle of this program: the one that the environment names, the one in the program, or the one beside it.
///
/// # Errors
/// [`ProvisionError::Bundle`] when one is there that cannot be used, others when the one in the program cannot be unpacked.
pub(super) fn find_bundle() -> Result<Option<Bundle>, ProvisionError> {
    if let Some(folder) = std::env::var_os(bundle::VARIABLE).filter(|value| !value.is_empty()) {
        return Bundle::open(Path::new(&folder)).map(Some);
    }
    let Ok(program) = std::env::current_exe() else { return Ok(None) };
    if let Some(embedded) = Embedded::find(&program)? {
        return embedded.unpacked(&bundle::home()?.join(CACHE)).map(Some);
    }
    let Some(prefix) = program.parent().and_then(Path::parent) else { return Ok(None) };
    let folder = prefix.join(bundle::BELOW_PREFIX);
    if folder.join(bundle::MANIFEST).is_file() { Bundle::open(&folder).map(Some) } else { Ok(None) }
}
