//! Builds the C++ drivers and their variants.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::command::capture;
use super::workspace::Workspace;

/// The build script, from the workspace's root.
const SCRIPT: &str = "guest-driver/fixture/build.sh";

/// The script's compiler without the variable `CXX`: Debian's mingw-w64.
const COMPILER: &str = "x86_64-w64-mingw32-g++";

/// The script's exit status when a compiler is missing.
const TOOL_MISSING: i32 = 3;

/// Why the C++ driver was not built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CppDriverError {
    /// A compiler is missing.
    #[error("{0}")]
    ToolMissing(String),
    /// The script does not run, or fails.
    #[error("{0}")]
    Failed(String),
}

/// Builds dmusfix, the C++ driver of the card, and returns the image.
///
/// # Errors
/// [`CppDriverError::ToolMissing`] without mingw-w64, [`CppDriverError::Failed`] when the script fails.
pub fn good(workspace: &Workspace) -> Result<PathBuf, CppDriverError> {
    build(&workspace.root.join(SCRIPT), None, None, workspace)
}

/// Builds a variant of dmusfix, and returns the image.
///
/// # Errors
/// [`CppDriverError::ToolMissing`] without mingw-w64, [`CppDriverError::Failed`] when the script fails.
pub fn variant(workspace: &Workspace, name: &str) -> Result<PathBuf, CppDriverError> {
    build(&workspace.root.join(SCRIPT), None, Some(name), workspace)
}

/// Returns the compiler that the script runs.
#[must_use]
pub fn compiler() -> PathBuf {
    std::env::var_os("CXX").filter(|name| !name.is_empty()).map_or_else(|| PathBuf::from(COMPILER), PathBuf::from)
}

/// What identifies a driver: the script, the driver's name, the variant.
type Key = (PathBuf, Option<String>, Option<String>);

/// The result of a build, which the first that needs it makes, and others wait for.
type Built = Arc<OnceLock<Result<PathBuf, CppDriverError>>>;

/// The drivers that this process has built. Cases that run side by side need the same image, which one that is built meanwhile
/// would replace.
static BUILT: Mutex<BTreeMap<Key, Built>> = Mutex::new(BTreeMap::new());

/// Builds a driver by a script (dmusfix, if none is named), or a variant of it, and returns the image. Builds each once.
///
/// # Errors
/// [`CppDriverError::ToolMissing`] without mingw-w64 or a checkout, [`CppDriverError::Failed`] when the script fails.
pub fn build(
    script: &Path,
    driver: Option<&str>,
    variant: Option<&str>,
    workspace: &Workspace,
) -> Result<PathBuf, CppDriverError> {
    if workspace.bundle.is_some() {
        let reason = "the C++ drivers are built in a checkout of the project, and a bundle has none";
        return Err(CppDriverError::ToolMissing(reason.into()));
    }
    let key = (script.to_path_buf(), driver.map(str::to_owned), variant.map(str::to_owned));
    let built = BUILT.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
    built.get_or_init(|| run_script(script, driver, variant, workspace)).clone()
}

fn run_script(
    script: &Path,
    driver: Option<&str>,
    variant: Option<&str>,
    workspace: &Workspace,
) -> Result<PathBuf, CppDriverError> {
    let mut command = Command::new(script);
    command.arg(workspace.cache().join("drivers"));
    if let Some(driver) = driver {
        command.args(["--driver", driver]);
    }
    command.args(variant);
    let captured =
        capture(&mut command).ok_or_else(|| CppDriverError::Failed(format!("{} does not run", script.display())))?;
    match captured.status.code() {
        Some(0) => Ok(PathBuf::from(captured.stdout.trim())),
        Some(TOOL_MISSING) => Err(CppDriverError::ToolMissing(captured.stderr.trim().to_owned())),
        _ => Err(CppDriverError::Failed(format!("the C++ driver does not build: {}", captured.stderr.trim()))),
    }
}
