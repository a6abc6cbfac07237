//! What is wrong with an INF, with its line and the page of the rule.

use std::path::Path;

/// The page of the syntax.
pub const SYNTAX: &str = "General Syntax Rules for INF Files";
/// The page of string tokens.
pub const STRINGS: &str = "INF Strings Section";

/// A fault, and the line that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The fault, as a sentence.
    pub what: String,
    /// The page that states the rule.
    pub rule: &'static str,
}

impl Fault {
    /// Creates a fault.
    pub fn new(line: usize, what: impl Into<String>, rule: &'static str) -> Self {
        Self { line, what: what.into(), rule }
    }
}

/// Most warnings that are kept: a file that is none has one for each line.
const WARNINGS_MAX: usize = 100;

/// What an INF says and is not carried out.
#[derive(Debug, Default)]
pub struct Warnings {
    found: Vec<(usize, String)>,
    further: usize,
}

impl Warnings {
    /// Adds a warning, once.
    pub fn add(&mut self, line: usize, what: impl Into<String>) {
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
    pub fn lines(&self, path: &Path) -> Vec<String> {
        let text = |(line, what): &(usize, String)| format!("{}{}: {what}", path.display(), place(*line));
        let further = (self.further > 0).then(|| format!("{}: {} further warnings", path.display(), self.further));
        self.found.iter().map(text).chain(further).collect()
    }
}

/// Returns a line as it follows a file's name; nothing for the file as a whole.
#[must_use]
pub fn place(line: usize) -> String {
    if line == 0 { String::new() } else { format!(":{line}") }
}
