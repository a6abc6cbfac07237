//! The folder of a run: what ran is written first, the verdict last.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::host::file_error::FileError;
use crate::host::leftovers::RunMark;
use crate::provision::Workspace;

/// The folder of a run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
    _mark: Arc<RunMark>,
}

impl RunFolder {
    /// Creates the folder that is named, or a new one in the folder of all runs.
    ///
    /// # Errors
    /// [`FileError`] where the folder, or its mark, cannot be created, or another run writes to the folder that is named.
    pub fn create(workspace: &Workspace, name: &str, named: Option<&Path>) -> Result<Self, FileError> {
        let runs = workspace.cache().join("runs");
        fs::create_dir_all(&runs).map_err(FileError::own("create", &runs))?;
        let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ");
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        if let Some(path) = named {
            fs::create_dir_all(path).map_err(FileError::own("create", path))?;
            let path = path.canonicalize().map_err(FileError::own("create", path))?;
            let pointer = runs.join(format!("{time}-{name}-{}", std::process::id()));
            let mark = Arc::new(RunMark::put(&path, Some(&pointer))?);
            return Ok(Self { path, _mark: mark });
        }
        // Of two runs in one millisecond, the one that creates the folder first has it.
        for attempt in 0.. {
            let suffix = if attempt == 0 { String::new() } else { format!("-{attempt}") };
            let path = runs.join(format!("{time}-{name}{suffix}"));
            match fs::create_dir(&path) {
                Ok(()) => {
                    let mark = Arc::new(RunMark::put(&path, None)?);
                    return Ok(Self { path, _mark: mark });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(FileError::own("create", &path)(error)),
            }
        }
        unreachable!("the loop above ends only by returning")
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Creates a file in it.
    ///
    /// # Errors
    /// [`FileError`] where the file cannot be created.
    pub fn create_file(&self, name: &str) -> Result<File, FileError> {
        let path = self.file(name);
        File::create(&path).map_err(FileError::own("create", path))
    }

    /// Writes text to a file in it.
    ///
    /// # Errors
    /// [`FileError`] where the file cannot be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<(), FileError> {
        let path = self.file(name);
        fs::write(&path, text).map_err(FileError::own("write", path))
    }

    /// Writes a value as JSON to a file in it.
    ///
    /// # Errors
    /// [`FileError`] where the value has no JSON form, or the file cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), FileError> {
        let path = self.file(name);
        let text = serde_json::to_vec_pretty(value)
            .map_err(|error| FileError::own("write", &path)(std::io::Error::other(error)))?;
        self.write(name, text)
    }

    /// Returns the last lines of a file, for a failure that is read without opening the folder.
    #[must_use]
    pub fn tail(&self, name: &str, lines: usize) -> Option<String> {
        let bytes = fs::read(self.file(name)).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        (!all.is_empty()).then(|| all[all.len().saturating_sub(lines)..].join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::failure::{Class, Diagnosed};
    use crate::host::leftovers::Scratch;

    #[test]
    fn gives_runs_of_one_moment_folders_of_their_own() {
        let folder = Scratch::new().unwrap();
        let workspace = Workspace { root: folder.path().into(), target: folder.path().into(), bundle: None };
        let paths: std::collections::HashSet<PathBuf> =
            (0..20).map(|_| RunFolder::create(&workspace, "a/b c", None).unwrap().path).collect();
        assert_eq!(paths.len(), 20);
        assert!(paths.iter().all(|path| path.to_string_lossy().contains("a-b-c")));
    }

    #[test]
    fn refuses_a_named_folder_until_the_run_in_it_has_ended() {
        let folder = Scratch::new().unwrap();
        let workspace = Workspace { root: folder.path().into(), target: folder.path().into(), bundle: None };
        let named = folder.path().join("named");
        let create = || RunFolder::create(&workspace, "named", Some(&named));
        let first = create().unwrap();
        first.write("log", "of the first").unwrap();
        let error = create().unwrap_err();
        assert_eq!(error.class(), Class::Host);
        assert!(error.to_string().contains("another run writes to it"), "{error}");
        assert!(error.remedy().is_some_and(|remedy| remedy.contains("a folder of its own")));
        assert_eq!(fs::read_to_string(first.file("log")).unwrap(), "of the first");
        drop(first);
        create().unwrap();
    }

    #[test]
    fn returns_the_last_lines_that_are_not_empty() {
        let folder = Scratch::new().unwrap();
        let workspace = Workspace { root: folder.path().into(), target: folder.path().into(), bundle: None };
        let run = RunFolder::create(&workspace, "tail", None).unwrap();
        run.write("log", "one\ntwo\n\nthree\n\n").unwrap();
        assert_eq!(run.tail("log", 2).unwrap(), "two\nthree");
        assert_eq!(run.tail("absent", 2), None);
    }
}
