//! The report of the conformance test: a row for each rule, and what was counted.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::host::failure::Class;
use crate::machine::conditions::Conditions;
use crate::testbed::violations::FindingsReport;

/// The verdict on a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was exercised, and held each time.
    Pass,
    /// It was violated.
    Violated,
    /// It is waived, and was violated.
    Waived,
    /// It was never exercised.
    NotExercised,
    /// It cannot apply to this driver, or to any.
    NotApplicable,
}

impl Verdict {
    /// Returns its name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Violated => "VIOLATED",
            Self::Waived => "waived",
            Self::NotExercised => "not exercised",
            Self::NotApplicable => "not applicable",
        }
    }

    /// Returns how much it says beside another verdict on the same rule: what is violated once is violated.
    const fn weight(self) -> u8 {
        match self {
            Self::NotApplicable => 0,
            Self::NotExercised => 1,
            Self::Pass => 2,
            Self::Waived => 3,
            Self::Violated => 4,
        }
    }
}

/// A rule and its verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The number of the rule.
    pub number: u16,
    /// The title of the rule.
    pub title: String,
    /// The page that states the rule.
    pub source: String,
    /// The verdict on the rule.
    pub verdict: Verdict,
    /// The number of times that it was exercised and held.
    pub held: u64,
    /// The reason why it is violated, waived, not applicable, or not exercised with this device.
    pub message: Option<String>,
    /// Of a waived rule that was violated, how often and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiver: Option<WaivedRule>,
}

/// A waived rule that was violated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaivedRule {
    /// The reason for which it is waived.
    pub reason: String,
    /// The number of violations.
    pub count: u64,
    /// The driver's place of the first one.
    pub place: Option<String>,
}

/// A count of a probe.
#[derive(Clone, Debug, Serialize)]
pub struct Counted {
    /// The name of the probe.
    pub probe: &'static str,
    /// The name of the count.
    pub name: String,
    /// The number.
    pub value: u64,
}

/// The contract, as one driver keeps it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Contract {
    /// The number of rules.
    pub rules: usize,
    /// The number of rules that held.
    pub pass: usize,
    /// The number of rules that were violated.
    pub violated: usize,
    /// The number of rules that are waived and were violated.
    pub waived: usize,
    /// The number of rules that were not exercised.
    pub not_exercised: usize,
    /// The number of rules that cannot apply.
    pub not_applicable: usize,
    /// A row for each rule.
    pub rows: Vec<Row>,
    /// Probes that failed for another reason than a rule.
    pub failures: Vec<String>,
    /// What the guests found without stopping.
    #[serde(skip_serializing_if = "FindingsReport::is_empty")]
    pub findings: FindingsReport,
    /// The counts of the probes.
    pub figures: Vec<Counted>,
    /// The conditions that the guests ran under.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// The duration of the test in milliseconds.
    pub milliseconds: f64,
    /// The run folder of each probe.
    pub run_folders: Vec<PathBuf>,
    /// The class of the first failure.
    #[serde(skip)]
    pub class: Option<Class>,
}

impl Contract {
    /// Adds what another test found about the same rules, under other conditions: of two verdicts the one that says more.
    pub fn merge(&mut self, other: Self) {
        for theirs in other.rows {
            match self.rows.iter_mut().find(|row| row.number == theirs.number) {
                Some(row) => {
                    let held = row.held + theirs.held;
                    if theirs.verdict.weight() > row.verdict.weight() {
                        *row = theirs;
                    }
                    row.held = held;
                }
                None => self.rows.push(theirs),
            }
        }
        self.rows.sort_by_key(|row| row.number);
        self.count();
        self.failures.extend(other.failures);
        self.findings.add(other.findings);
        self.figures.extend(other.figures);
        self.milliseconds += other.milliseconds;
        self.run_folders.extend(other.run_folders);
        self.class = self.class.or(other.class);
    }

    /// Counts the rules by their verdicts.
    pub(super) fn count(&mut self) {
        let of = |verdict| self.rows.iter().filter(|row| row.verdict == verdict).count();
        self.rules = self.rows.len();
        self.pass = of(Verdict::Pass);
        self.violated = of(Verdict::Violated);
        self.waived = of(Verdict::Waived);
        self.not_exercised = of(Verdict::NotExercised);
        self.not_applicable = of(Verdict::NotApplicable);
    }

    /// Tells whether no rule is violated, and none was left out for which the device gives a stimulus.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.complaints().is_empty()
    }

    /// Returns the rows that do not pass, one a line, violations first: summaries show the first. A rule that is waived does not fail a test, nor one that the device gives
    /// no stimulus for; both have their rows.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let fails = |row: &&Row| match row.verdict {
            Verdict::Violated => true,
            Verdict::NotExercised => row.message.is_none(),
            Verdict::Pass | Verdict::Waived | Verdict::NotApplicable => false,
        };
        let (violated, others): (Vec<&Row>, Vec<&Row>) =
            self.rows.iter().filter(fails).partition(|row| row.verdict == Verdict::Violated);
        let rows = violated.into_iter().chain(others);
        let line = |row: &Row| {
            let message = row.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            format!("rule {} {} ({}){message}", row.number, row.verdict.name(), row.title)
        };
        rows.map(line).chain(self.failures.iter().cloned()).collect()
    }

    /// Returns rules that were violated, and probes that failed, one a line.
    #[must_use]
    pub fn breaches(&self) -> Vec<String> {
        let rows = self.rows.iter().filter(|row| row.verdict == Verdict::Violated);
        let line = |row: &Row| {
            format!("rule {} is broken ({}): {}", row.number, row.title, row.message.as_deref().unwrap_or_default())
        };
        rows.map(line).chain(self.failures.iter().cloned()).collect()
    }

    /// Returns the table, for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Not a table of columns: the message of a rule stands below its row.
        for row in &self.rows {
            let held = if row.held > 0 { format!("{}x", row.held) } else { String::new() };
            let _ = writeln!(text, "{:>3}  {:<14} {held:>9}  {}", row.number, row.verdict.name(), row.title);
            if let Some(message) = &row.message {
                let _ = writeln!(text, "     {message}");
            }
        }
        for failure in &self.failures {
            let _ = writeln!(text, "     {failure}");
        }
        let _ = write!(
            text,
            "{} rules: {} pass, {} violated, {} waived, {} not exercised, {} not applicable",
            self.rules, self.pass, self.violated, self.waived, self.not_exercised, self.not_applicable
        );
        for line in self.findings.lines() {
            let _ = write!(text, "\n{line}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(verdicts: &[(u16, Verdict, u64)]) -> Contract {
        let row = |&(number, verdict, held): &(u16, Verdict, u64)| Row {
            number,
            title: String::new(),
            source: String::new(),
            verdict,
            held,
            message: Some(verdict.name().into()),
            waiver: None,
        };
        let mut contract = Contract { rows: verdicts.iter().map(row).collect(), ..Contract::default() };
        contract.count();
        contract
    }

    #[test]
    fn a_rule_that_is_violated_over_one_transport_is_violated() {
        use Verdict::{NotApplicable, NotExercised, Pass, Violated};
        let mut both = contract(&[(1, Violated, 3), (2, NotApplicable, 0), (3, Pass, 1), (4, Pass, 2)]);
        both.merge(contract(&[(1, Pass, 5), (2, Pass, 7), (3, NotExercised, 0), (5, NotApplicable, 0)]));
        let found: Vec<_> = both.rows.iter().map(|row| (row.number, row.verdict, row.held)).collect();
        assert_eq!(found, [(1, Violated, 8), (2, Pass, 7), (3, Pass, 1), (4, Pass, 2), (5, NotApplicable, 0)]);
        assert_eq!((both.rules, both.violated, both.pass, both.not_applicable), (5, 1, 3, 1));
        assert_eq!(both.rows[0].message.as_deref(), Some("VIOLATED"));
    }
}
