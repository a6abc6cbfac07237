//! Hands what one run has found and built to the runs that it starts.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::host::file_error::FileError;
use crate::provision::Workspace;
use crate::testbed::Provisioned;

/// The inputs of a run that does not provision by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Prepared {
    /// The project.
    pub workspace: Workspace,
    /// Programs, images, accelerator.
    pub provisioned: Provisioned,
}

impl Prepared {
    /// Reads the inputs from a file.
    ///
    /// # Errors
    /// [`FileError`] when the file cannot be read or is not what [`run`](fn@super::run) writes.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = fs::read(path).map_err(FileError::input(path))?;
        serde_json::from_slice(&text).map_err(|error| FileError::input(path)(error.into()))
    }
}
