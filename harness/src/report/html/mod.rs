//! One self-contained page about a run: summary, filter, and for each test its steps, its sound beside the expected one, its bug
//! check, logs and findings. It asks for nothing from anywhere, and says so to the browser.

mod about;
mod evidence;
mod page;
mod png;
mod sound;
mod spectrum;

use std::fs;
use std::path::Path;

pub use about::About;

use super::results::Report;
use crate::host::file_error::FileError;

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
