//! Paths in JSON: as text that a person can read. A path that is no UTF-8 has replacement characters there, where
//! serde's own form would refuse it.

use std::path::{Path, PathBuf};

use serde::Serializer;

/// Returns a path as text.
#[must_use]
pub fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Serializes a path.
///
/// # Errors
/// Those of the serializer, which a path by itself does not cause.
pub fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// Serializes a path that may be missing.
///
/// # Errors
/// Those of the serializer, which a path by itself does not cause.
pub fn option<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => serializer.serialize_some(&path.to_string_lossy()),
        None => serializer.serialize_none(),
    }
}

/// Serializes several paths.
///
/// # Errors
/// Those of the serializer, which a path by itself does not cause.
pub fn many<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
}

/// Returns the words of the command line as text, the program's name first.
#[must_use]
pub fn arguments() -> Vec<String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
}
