//! One self-contained page about a run: summary, filter, and for each test its steps, its sound beside the expected one, its bug
//! check, logs and findings. It asks for nothing from anywhere, and says so to the browser.

mod page;
mod png;
mod sound;
mod spectrum;

use std::path::Path;

use super::about::About;
use super::results::Report;

/// Returns a report as a page. `path` is where it will be, from which run folders are linked.
#[must_use]
pub fn html(report: &Report, about: &About, path: &Path) -> String {
    page::page(report, about, path).into_string()
}
