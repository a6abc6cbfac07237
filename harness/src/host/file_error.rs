//! The error of a file that could not be read or written.

use std::path::PathBuf;

use super::failure::{Class, Diagnosed};
use super::limits::{self, LimitError};

/// The verb of an operation that makes a file or folder this run's own.
pub const CLAIM: &str = "claim";

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {path}: {source}{}", self.behind(), path = path.display())]
pub struct FileError {
    /// The operation that failed: `read`, `write`, `create`, `claim`.
    pub verb: &'static str,
    /// The path of the file.
    pub path: PathBuf,
    /// The error of the host.
    pub source: std::io::Error,
    /// Whether the user named this file, so that it is input.
    pub input: bool,
}

impl FileError {
    /// Returns a closure for `map_err` that makes an error of the harness's own file.
    pub fn own(verb: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self { verb, path, source, input: false }
    }

    /// Returns a closure for `map_err` that makes an error of a file that the user named.
    pub fn input(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self { verb: "read", path, source, input: true }
    }

    /// Returns the limit of the host behind it, if one is.
    #[must_use]
    pub fn limit(&self) -> Option<LimitError> {
        limits::of_error(&self.source).or_else(|| limits::of_full_disk(&self.source, &self.path))
    }

    fn behind(&self) -> String {
        self.limit().map_or_else(String::new, |limit| format!(": {}", limit.sentence()))
    }
}

impl Diagnosed for FileError {
    fn class(&self) -> Class {
        if self.input && self.limit().is_none() { Class::BadInput } else { Class::Host }
    }

    fn remedy(&self) -> Option<String> {
        if let Some(limit) = self.limit() {
            return limit.remedy();
        }
        // A file of the harness's own, in the folder that TMPDIR names.
        let is_scratch = !self.input && self.path.starts_with(std::env::temp_dir());
        match self.source.kind() {
            std::io::ErrorKind::ResourceBusy if self.verb == CLAIM => {
                Some("wait until that run has ended, or name a folder of its own for each run".into())
            }
            std::io::ErrorKind::NotFound if self.input => Some("check the path".into()),
            std::io::ErrorKind::InvalidFilename if is_scratch => {
                Some("set TMPDIR to a folder with a shorter path".into())
            }
            std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied if is_scratch => {
                Some("set TMPDIR to a folder that can be written".into())
            }
            std::io::ErrorKind::ReadOnlyFilesystem => {
                Some("the file system is read-only: remount it, or set CARGO_TARGET_DIR to a folder elsewhere".into())
            }
            std::io::ErrorKind::NotFound if is_scratch => Some("set TMPDIR to a folder that exists".into()),
            std::io::ErrorKind::PermissionDenied => Some("check the owner and mode of the file and its folders".into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blames_the_host_for_a_full_disk_and_says_what_to_free() {
        let error = FileError::own("write", "guest.wav")(std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert_eq!(error.class(), Class::Host);
        assert!(error.remedy().unwrap().contains("free some space"));
    }

    #[test]
    fn a_file_that_the_user_named_does_not_depend_on_tmpdir() {
        let path = std::env::temp_dir().join("song.mid");
        let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let remedy = FileError::input(&path)(denied()).remedy().unwrap();
        assert!(remedy.contains("owner and mode"), "{remedy}");
        let remedy = FileError::own("write", &path)(denied()).remedy().unwrap();
        assert!(remedy.contains("TMPDIR"), "{remedy}");
    }
}
