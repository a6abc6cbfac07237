//! Builds the C++ drivers and their variants.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::command::capture;
use super::workspace::Workspace;

/// The build script, from the workspace's root.
const SCRIPT: &str = "guest-driver/fixture/build.sh";

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

/// Builds a driver by a script (dmusfix, if none is named), or a variant of it, and returns the image.
///
/// # Errors
/// [`CppDriverError::ToolMissing`] without mingw-w64, [`CppDriverError::Failed`] when the script fails.
pub fn build(
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
