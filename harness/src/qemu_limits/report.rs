//! The table of QEMU's limits.

use serde::Serialize;

use super::acts::{Found, Limit};
use crate::report::table;

/// The version of QEMU of which the limits were noted.
pub(super) const NOTED: &str = "11.1.3";

/// A limit and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct LimitRow {
    /// Its name.
    pub name: &'static str,
    /// What is done.
    pub what: &'static str,
    /// What came of it in the version in which it was noted.
    pub expected: &'static str,
    /// What came of it.
    pub found: String,
    /// Whether it is as noted, with QEMU's words.
    pub as_noted: bool,
    /// What can become simpler where it is not.
    pub then: &'static str,
}

impl LimitRow {
    /// Compares what came of an act with what was noted.
    pub(super) fn of(limit: &Limit, found: &Found) -> Self {
        let Limit { name, what, expected, words, then, .. } = *limit;
        let same = found.outcome == expected;
        let as_noted = same && found.said.contains(words);
        let outcome = if same && !as_noted { format!("{expected}, in other words") } else { found.outcome.clone() };
        Self { name, what, expected, found: outcome, as_noted, then }
    }

    /// Returns the finding that a limit is not as noted.
    #[must_use]
    pub fn finding(&self) -> String {
        let Self { name, what, expected, found, then, .. } = self;
        format!("{name}: {what}: {found}, and not {expected} as of QEMU {NOTED}; if that is better: {then}")
    }
}

/// All limits on one QEMU.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LimitsReport {
    /// QEMU's version.
    pub qemu: String,
    /// A row for each limit.
    pub rows: Vec<LimitRow>,
    /// How long all took, in milliseconds.
    pub milliseconds: f64,
}

impl LimitsReport {
    /// Lists what fails the test: differences on the very version in which the limits were noted. On another one they are findings.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        if self.qemu == NOTED { self.findings() } else { Vec::new() }
    }

    /// Lists the limits that are not as noted.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        self.rows.iter().filter(|row| !row.as_noted).map(LimitRow::finding).collect()
    }

    /// Returns the table for people, and a line for all.
    #[must_use]
    pub fn text(&self) -> String {
        let rows = self.rows.iter().map(|row| {
            let verdict = if row.as_noted { "as noted" } else { "CHANGED" };
            vec![verdict.into(), row.name.into(), row.what.into(), row.expected.into(), row.found.clone()]
        });
        let mut lines = vec![table(&["", "limit", "what is done", "noted", "found"], &[], rows)];
        lines.extend(self.findings().into_iter().map(|finding| format!("FINDING  {finding}")));
        lines.push(format!(
            "QEMU {}: {} of {} limits are as noted of {NOTED}; {:.1} s",
            self.qemu,
            self.rows.iter().filter(|row| row.as_noted).count(),
            self.rows.len(),
            self.milliseconds / 1000.0
        ));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::super::acts::ALL;
    use super::*;

    fn report(version: &str, outcome: &str, said: &str) -> LimitsReport {
        let found = Found { version: version.into(), outcome: outcome.into(), said: said.into() };
        LimitsReport { qemu: version.into(), rows: vec![LimitRow::of(&ALL[0], &found)], milliseconds: 0.0 }
    }

    #[test]
    fn a_limit_that_is_gone_is_a_finding_that_names_what_can_be_simpler() {
        let words = ALL[0].words;
        assert!(report(NOTED, "SIGABRT", words).findings().is_empty());
        let fixed = report("12.0.0", "lives: goes on", "");
        assert!(fixed.violations().is_empty() && fixed.findings()[0].contains(ALL[0].then), "{:?}", fixed.findings());
        assert!(fixed.text().contains("CHANGED") && fixed.text().contains("0 of 1 limits"));
    }

    #[test]
    fn a_difference_on_the_noted_version_fails_the_test() {
        assert_eq!(report(NOTED, "lives: goes on", "").violations().len(), 1);
        // An abort for another reason is another thing.
        assert!(report(NOTED, "SIGABRT", "another assertion").violations()[0].contains("in other words"));
    }
}
