//! What a check has found.

use super::rules::{self, Mode};

/// Most findings that are kept: a file that is none has one for each line.
const FINDINGS_MAX: usize = 1000;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The package may not install, or not be signed.
    Error,
    /// It may be meant.
    Warning,
}

/// A breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// InfVerif's number of the rule.
    pub code: u16,
    /// How bad it is.
    pub level: Level,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
}

/// The findings of one file.
pub(super) struct Findings {
    pub(super) mode: Mode,
    found: Vec<Finding>,
}

impl Findings {
    /// Creates findings for a mode.
    pub(super) const fn new(mode: Mode) -> Self {
        Self { mode, found: Vec::new() }
    }

    /// Adds a breach, once for each place, where the mode asks for the rule.
    pub(super) fn add(&mut self, code: u16, (line, column): (usize, usize), what: impl Into<String>) {
        let Some(level) = rules::rule(code).and_then(|rule| rule.level(self.mode)) else { return };
        let finding = Finding { code, level, line: line.max(1), column: column.max(1), what: what.into() };
        if self.found.len() < FINDINGS_MAX && !self.found.contains(&finding) {
            self.found.push(finding);
        }
    }

    /// Returns the findings in the order of the file.
    pub(super) fn sorted(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|finding| (finding.line, finding.column, finding.code));
        self.found
    }
}
