//! What is wrong with an INF, with its line and the rule.

use std::path::{Path, PathBuf};

use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;

/// The page of the syntax.
pub(super) const SYNTAX: &str = "General Syntax Rules for INF Files";
/// The page of string tokens.
pub(super) const STRINGS: &str = "INF Strings Section";

/// Why an INF cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InfError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Windows would refuse the file, or install nothing by it.
    #[error("{path}{place}: {what} [{rule}]", path = .path.display(), place = place(*.line))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 for the file as a whole.
        line: usize,
        /// The fault.
        what: String,
        /// The page of the Windows driver documentation that states the rule.
        rule: &'static str,
    },
}

fn place(line: usize) -> String {
    if line == 0 { String::new() } else { format!(":{line}") }
}

impl InfError {
    /// Creates the error of a fault in a file.
    pub(super) fn malformed(path: &Path, fault: &Fault) -> Self {
        Self::Malformed { path: path.into(), line: fault.line, what: fault.what.clone(), rule: fault.rule }
    }
}

impl Diagnosed for InfError {
    fn class(&self) -> Class {
        match self {
            Self::File(error) => error.class(),
            Self::Malformed { .. } => Class::BadInput,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::File(error) => error.remedy(),
            Self::Malformed { rule, .. } => Some(format!("correct the INF as the page \"{rule}\" says")),
        }
    }
}

/// A fault, and the line that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The line, from 1; 0 for the file as a whole.
    pub(super) line: usize,
    /// The fault, as a sentence.
    pub(super) what: String,
    /// The page that states the rule.
    pub(super) rule: &'static str,
}

impl Fault {
    /// Creates a fault.
    pub(super) fn new(line: usize, what: impl Into<String>, rule: &'static str) -> Self {
        Self { line, what: what.into(), rule }
    }
}

/// Most warnings that are kept: a file that is none has one for each line.
const WARNINGS_MAX: usize = 100;

/// What an INF says and is not carried out.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    found: Vec<(usize, String)>,
    further: usize,
}

impl Warnings {
    /// Adds a warning, once.
    pub(super) fn add(&mut self, line: usize, what: impl Into<String>) {
        let warning = (line, what.into());
        if self.found.contains(&warning) {
            return;
        }
        if self.found.len() < WARNINGS_MAX {
            self.found.push(warning);
        } else {
            self.further += 1;
        }
    }

    /// Returns them as text, with the file's name and their lines.
    pub(super) fn lines(&self, path: &Path) -> Vec<String> {
        let text = |(line, what): &(usize, String)| format!("{}{}: {what}", path.display(), place(*line));
        let further = (self.further > 0).then(|| format!("{}: {} further warnings", path.display(), self.further));
        self.found.iter().map(text).chain(further).collect()
    }
}
