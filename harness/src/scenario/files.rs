//! The scenario files that a path names.

use std::fs;
use std::path::{Path, PathBuf};

use super::malformed::ScenarioError;
use crate::host::file_error::FileError;

/// Lists the scenarios that a path names: a file, or a folder's files in order of name.
///
/// # Errors
/// [`ScenarioError::File`] when the folder cannot be read, [`ScenarioError::NoScenario`] when it holds none.
pub fn files_in(path: &Path) -> Result<Vec<PathBuf>, ScenarioError> {
    if path.is_file() {
        return Ok(vec![path.into()]);
    }
    let entries = fs::read_dir(path).map_err(FileError::input(path))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(ScenarioError::NoScenario(path.into()));
    }
    Ok(files)
}
