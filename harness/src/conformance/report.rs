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
