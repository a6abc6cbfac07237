//! One self-contained page about a run: summary, filter, and for each test its steps, its sound beside the expected one, its bug
//! check, logs and findings. It asks for nothing from anywhere, and says so to the browser.

mod evidence;
mod page;
mod png;
mod sound;
mod spectrum;

use std::fs;
use std::path::Path;

use super::results::Report;
use crate::host::file_error::FileError;

/// What ran, for the head of the page.
#[derive(Clone, Debug)]
pub struct About {
    /// The command line.
    pub command: String,
    /// When it began, as text with a time zone.
    pub begun: String,
    /// How long it took, in milliseconds.
    pub milliseconds: f64,
}

/// Writes a report as a page.
///
/// # Errors
/// [`FileError`] when the file or its folder cannot be written.
pub fn write_html(report: &Report, about: &About, path: &Path) -> Result<(), FileError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(FileError::own("create", folder))?;
    }
    let text = page::page(report, about, path).into_string();
    fs::write(path, text).map_err(FileError::own("write", path))
}
