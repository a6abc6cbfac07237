//! Where a report's evidence is, as seen from the report.

use std::path::{Path, PathBuf};

/// Folders above a report's from which a place is still named relatively.
const FOLDERS_UP_MAX: usize = 3;

/// Returns the absolute path of the folder that a report is written to.
pub(super) fn folder_of(report: &Path) -> PathBuf {
    report.parent().and_then(|folder| std::path::absolute(folder).ok()).unwrap_or_default()
}

/// Returns a path as it is found from a folder: relative where it is below the folder or beside it, so that both may be moved
/// together, else absolute.
pub(super) fn relative(path: &Path, base: &Path) -> String {
    let mut up = String::new();
    for ancestor in base.ancestors().take(FOLDERS_UP_MAX) {
        if let Ok(below) = path.strip_prefix(ancestor) {
            return format!("{up}{}", below.display());
        }
        up.push_str("../");
    }
    path.display().to_string()
}

/// Returns a path as it is found from the folder in which the harness was started: relative where it is below it. CI servers
/// start it in the checkout, and know files by their paths there.
pub(super) fn from_here(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    // `.` and the links of a path that was named otherwise than the folder.
    let canonical = path.canonicalize().unwrap_or(path);
    let below = canonical.strip_prefix(here.canonicalize().unwrap_or(here)).map(Path::to_path_buf);
    below.unwrap_or(canonical).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beside_a_report_is_found_from_there() {
        let base = Path::new("/a/target/dmus");
        assert_eq!(relative(Path::new("/a/target/dmus/runs/x"), base), "runs/x");
        assert_eq!(relative(Path::new("/a/target/runs/x"), base), "../runs/x");
        assert_eq!(relative(Path::new("/a/b/c"), Path::new("/x/y/z/u/v")), "/a/b/c");
    }
}
