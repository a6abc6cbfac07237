//! The report of the conformance test: a row for each rule, and what was counted.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::host::failure::Class;
use crate::machine::conditions::Conditions;

/// How a rule fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was put to the test and held, each time.
    Pass,
    /// It was broken.
    Violated,
    /// It was never put to the test.
    NotExercised,
    /// It cannot apply to this driver, or to any.
    NotApplicable,
}

impl Verdict {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Violated => "VIOLATED",
            Self::NotExercised => "not exercised",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// A rule and its verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its number.
    pub number: u16,
    /// What it demands.
    pub title: String,
    /// Where it is written.
    pub source: String,
    /// How it fared.
    pub verdict: Verdict,
    /// How often it was put to the test and held.
    pub held: u64,
    /// Why it is violated, or not applicable.
    pub message: Option<String>,
}

/// What a probe counted.
#[derive(Clone, Debug, Serialize)]
pub struct Counted {
    /// The probe.
    pub probe: &'static str,
    /// What.
    pub name: String,
    /// How many.
    pub value: u64,
}

/// The contract, as one driver keeps it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Contract {
    /// How many rules there are.
    pub rules: usize,
    /// Rules that held.
    pub pass: usize,
    /// Rules that were broken.
    pub violated: usize,
    /// Rules that were never put to the test.
    pub not_exercised: usize,
    /// Rules that cannot apply.
    pub not_applicable: usize,
    /// Each of them.
    pub rows: Vec<Row>,
    /// Probes that ended for another reason than a rule.
    pub failures: Vec<String>,
    /// What was counted.
    pub figures: Vec<Counted>,
    /// What the guests ran under.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// How long it all took.
    pub milliseconds: f64,
    /// The run folder of each probe.
    pub run_folders: Vec<PathBuf>,
    /// The class of the worst failure.
    #[serde(skip)]
    pub class: Option<Class>,
}

impl Contract {
    /// Nothing is broken, and nothing stayed untried.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.violated == 0 && self.not_exercised == 0 && self.failures.is_empty()
    }

    /// The rows that are not as they should be, one a line.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let rows = self.rows.iter().filter(|row| matches!(row.verdict, Verdict::Violated | Verdict::NotExercised));
        let line = |row: &Row| {
            let message = row.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            format!("rule {} {} ({}){message}", row.number, row.verdict.name(), row.title)
        };
        rows.map(line).chain(self.failures.iter().cloned()).collect()
    }

    /// Rules that were broken, and probes that failed, one a line.
    #[must_use]
    pub fn breaches(&self) -> Vec<String> {
        let rows = self.rows.iter().filter(|row| row.verdict == Verdict::Violated);
        let line = |row: &Row| {
            format!("rule {} is broken ({}): {}", row.number, row.title, row.message.as_deref().unwrap_or_default())
        };
        rows.map(line).chain(self.failures.iter().cloned()).collect()
    }

    /// The table, for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
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
            "{} rules: {} pass, {} violated, {} not exercised, {} not applicable",
            self.rules, self.pass, self.violated, self.not_exercised, self.not_applicable
        );
        text
    }
}
