//! The record of the last run in a folder of runs: which tests failed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::event::TestResult;
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::invocation;
use crate::report::Report;

/// The record's file in the folder of all runs.
const FILE: &str = "last-run.json";

/// The tests of a run that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// The command.
    pub command: String,
    /// When it ended, in UTC.
    pub ended: String,
    /// How many tests had a result.
    pub tests: usize,
    /// The scenario file and the full name of each case that failed.
    pub failed: BTreeSet<(PathBuf, String)>,
}

/// Why the failed tests of the last run are not known.
#[derive(Debug, thiserror::Error)]
pub enum LastRunError {
    /// No run has left a record.
    #[error("no run has left a record in {folder}, so it is not known which tests failed last", folder = .0.display())]
    NoRecord(PathBuf),
    /// The record cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Diagnosed for LastRunError {
    fn class(&self) -> Class {
        match self {
            Self::NoRecord(_) => Class::Usage,
            Self::File(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::NoRecord(_) => Some(format!("run scenarios first: {}", invocation::command("run all"))),
            Self::File(error) => error.remedy(),
        }
    }
}

impl LastRun {
    /// Returns the record of a run that ends now.
    #[must_use]
    pub fn of(report: &Report, command: String) -> Self {
        let failed = report.tests.iter().filter(|test| test.result == TestResult::Failed);
        Self {
            command,
            ended: jiff::Timestamp::now().to_string(),
            tests: report.tests.len(),
            failed: failed.filter_map(|test| Some((whole(test.file.as_ref()?), test.case.clone()?))).collect(),
        }
    }

    /// Writes the record into the folder of all runs, in place of the one of the run before. Of two runs the one that ends last has it.
    ///
    /// # Errors
    /// [`FileError`] when the file cannot be written.
    pub fn write(&self, cache: &Path) -> Result<(), FileError> {
        let runs = cache.join("runs");
        fs::create_dir_all(&runs).map_err(FileError::own("create", &runs))?;
        let path = runs.join(FILE);
        let fail = |error: std::io::Error| FileError::own("write", &path)(error);
        let text = serde_json::to_vec_pretty(self).map_err(|error| fail(error.into()))?;
        // Renamed when it is whole: another run may read or write it now.
        let mut file = tempfile::NamedTempFile::new_in(&runs).map_err(fail)?;
        std::io::Write::write_all(&mut file, &text).map_err(fail)?;
        file.persist(&path).map_err(|error| fail(error.error))?;
        Ok(())
    }

    /// Reads the record of the last run.
    ///
    /// # Errors
    /// [`LastRunError::NoRecord`] when there is none, [`LastRunError::File`] when it cannot be read.
    pub fn read(cache: &Path) -> Result<Self, LastRunError> {
        let path = cache.join("runs").join(FILE);
        match fs::read(&path) {
            Ok(text) => {
                Ok(serde_json::from_slice(&text)
                    .map_err(|error| FileError::input(&path)(std::io::Error::from(error)))?)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(LastRunError::NoRecord(cache.join("runs")))
            }
            Err(error) => Err(FileError::input(&path)(error).into()),
        }
    }

    /// Returns whether a case of a file failed.
    #[must_use]
    pub fn has_failed(&self, file: &Path, case: &str) -> bool {
        self.failed.contains(&(whole(file), case.to_owned()))
    }
}

/// Returns the path by which a file is known whatever folder a run begins in.
fn whole(path: impl AsRef<Path>) -> PathBuf {
    path.as_ref().canonicalize().unwrap_or_else(|_| path.as_ref().to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;
    use crate::report::TestRecord;

    #[test]
    fn knows_the_failed_tests_of_the_last_run_and_says_when_there_was_none() {
        let cache = Scratch::new().unwrap();
        let error = LastRun::read(cache.path()).unwrap_err();
        assert_eq!(error.class(), Class::Usage);
        assert!(error.remedy().unwrap().contains("run all"));
        let file = cache.path().join("x.toml");
        fs::write(&file, "").unwrap();
        let mut report = Report::default();
        for (case, result) in
            [("x [a]", TestResult::Failed), ("x [b]", TestResult::Passed), ("x [c]", TestResult::KnownIssue)]
        {
            let record = TestRecord::new(case, "");
            report.add(TestRecord { result, file: Some(file.clone()), case: Some(case.into()), ..record });
        }
        LastRun::of(&report, "dmus run x".into()).write(cache.path()).unwrap();
        let read = LastRun::read(cache.path()).unwrap();
        assert_eq!((read.tests, read.failed.len()), (3, 1));
        assert!(read.has_failed(&file, "x [a]") && !read.has_failed(&file, "x [b]"));
        assert_eq!(fs::read_dir(cache.path().join("runs")).unwrap().count(), 1, "nothing else is left");
    }
}
