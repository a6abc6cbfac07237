//! What is wrong with a scenario file, shown at its place.

use std::ops::Range;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;

use crate::document::{self, Problems};
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;

/// Why a scenario cannot be run at all.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file is not TOML, or holds what a scenario cannot hold.
    #[error("{message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The error, with path, line, column and the line itself.
        message: String,
    },
    /// There is neither a file nor a shipped scenario of this name.
    #[error("there is no scenario {named}: no such file or folder, and the shipped ones are {names}",
        named = .named.display(), names = .names.join(", "))]
    Unknown {
        /// The name on the command line.
        named: PathBuf,
        /// The names of the shipped scenarios.
        names: Vec<String>,
    },
    /// There is no scenario in the folder.
    #[error("{path} holds no scenario (*.toml)", path = .0.display())]
    NoScenario(PathBuf),
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Diagnosed for ScenarioError {
    fn class(&self) -> Class {
        if matches!(self, Self::Unknown { .. }) { Class::Usage } else { Class::BadInput }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Malformed { .. } => Some("compare the file with the scenarios under harness/scenarios".into()),
            Self::Unknown { .. } => Some("name one of these, a scenario file, or a folder with some".into()),
            Self::NoScenario(_) => Some("name a scenario file, or a folder with some".into()),
            Self::File(error) => error.remedy(),
        }
    }
}

/// A file and its text, for errors that show a place in it.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// The file.
    pub(super) path: &'a Path,
    /// Its text.
    pub(super) text: &'a str,
}

impl<'a> Source<'a> {
    /// Reads the file's tables.
    ///
    /// # Errors
    /// [`ScenarioError::Malformed`] when the text is not TOML, or has another shape.
    pub(super) fn parse<T: serde::de::DeserializeOwned>(self) -> Result<T, ScenarioError> {
        toml::from_str(self.text).map_err(|error| self.error(error.span().unwrap_or(0..0), error.message()))
    }

    /// Returns the line of a place, from 1.
    pub(super) fn line(self, span: &Range<usize>) -> usize {
        self.text.as_bytes().iter().take(span.start).filter(|&&byte| byte == b'\n').count() + 1
    }

    /// Returns the file as readers of all kinds of files know it.
    pub(super) fn plain(self) -> document::Source<'a> {
        document::Source { path: self.path, text: self.text }
    }

    /// Reads the file by the schema of a type.
    ///
    /// # Errors
    /// [`ScenarioError::Malformed`] with every mistake of syntax, or of shape.
    pub(super) fn read<T: serde::de::DeserializeOwned + JsonSchema>(self) -> Result<T, ScenarioError> {
        let mut problems = Problems::default();
        let found = document::read(self.plain(), &mut problems);
        found.ok_or_else(|| self.malformed(problems))
    }

    /// Creates the error of all that is wrong with the file.
    pub(super) fn malformed(self, problems: Problems) -> ScenarioError {
        ScenarioError::Malformed { path: self.path.into(), message: problems.text() }
    }

    /// Creates the error of a range of bytes.
    pub(super) fn error(self, span: Range<usize>, message: &str) -> ScenarioError {
        ScenarioError::Malformed { path: self.path.into(), message: self.plain().show(span, message) }
    }

    /// Creates the error of the first line that begins with a key, or of its first place: a title may have the same word.
    pub(super) fn error_at_key(self, key: &str, message: &str) -> ScenarioError {
        let lines = self.text.split_inclusive('\n').scan(0, |end, line| {
            let start = *end;
            *end += line.len();
            Some((start + line.len() - line.trim_start().len(), line.trim_start()))
        });
        let at_line = lines.filter(|(_, line)| line.starts_with(key)).map(|(start, _)| start).next();
        let start = at_line.or_else(|| self.text.find(key)).unwrap_or(0);
        self.error(start..(start + key.len()).min(self.text.len()), message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_place_of_an_error() {
        let source = Source { path: Path::new("folder/x.toml"), text: "title = 't'\nsong = 'nocturne'\n" };
        let error = source.error(19..29, "no such song").to_string();
        let expected = "no such song\n --> folder/x.toml:2:8\n  |\n2 | song = 'nocturne'\n  |        ^^^^^^^^^^";
        assert_eq!(error, expected);
    }
}
