//! The outcomes of the rows: a table for people and for programs.

use std::fmt::Write;

use serde::Serialize;

/// The state of a process that runs and answers.
pub const ALIVE: &str = "alive";

/// Width of the column with the error of the driver.
pub(crate) const NAME_WIDTH: usize = 84;

/// Width of the column with the expected diagnosis.
const EXPECTED_WIDTH: usize = 36;

/// The outcome of a row.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The kind of fault.
    pub area: String,
    /// The error of the driver.
    pub fault: String,
    /// On which queue, if on one.
    pub queue: Option<String>,
    /// `alive`, or how the card ended, or what it did not answer.
    pub card: String,
    /// The same for QEMU.
    pub qemu: String,
    /// The diagnosis that the card must have made first, with its queue.
    pub diagnosis_expected: String,
    /// The first error of the identity block, as the guest reads it.
    pub diagnosis_found: String,
    /// The first error as the control socket has it.
    pub diagnosis_on_control_socket: String,
    /// Whether everything is as expected.
    pub as_expected: bool,
    /// What is not as expected.
    pub problem: Option<String>,
    /// How long the row took, in milliseconds.
    pub milliseconds: f64,
    /// How long the control socket took to answer after the act, in milliseconds.
    pub control_milliseconds: f64,
    /// How long the reset of the device took after that, in milliseconds.
    pub reset_milliseconds: f64,
    /// How long it took from there until a fresh driver had recorded frames, in milliseconds.
    pub recovery_milliseconds: f64,
}

/// The sums over all rows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// How many rows there are.
    pub rows: usize,
    /// How many of them are as expected.
    pub as_expected: usize,
    /// How many the card survived.
    pub card_alive: usize,
    /// How many QEMU survived.
    pub qemu_alive: usize,
    /// Machines that were started.
    pub machines: usize,
    /// The slowest answer of the control socket.
    pub slowest_control_milliseconds: f64,
    /// The slowest reset.
    pub slowest_reset_milliseconds: f64,
    /// The slowest recovery.
    pub slowest_recovery_milliseconds: f64,
    /// How long all took.
    pub milliseconds: f64,
}

/// Rows and summary.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Table {
    /// The rows, in the order of the suite.
    pub rows: Vec<Row>,
    /// Their sums.
    pub summary: Summary,
}

impl Table {
    /// Sums up rows.
    #[must_use]
    pub fn new(rows: Vec<Row>, machines: usize, milliseconds: f64) -> Self {
        let most = |value: fn(&Row) -> f64| rows.iter().map(value).fold(0.0, f64::max);
        let summary = Summary {
            rows: rows.len(),
            as_expected: rows.iter().filter(|row| row.as_expected).count(),
            card_alive: rows.iter().filter(|row| row.card == ALIVE).count(),
            qemu_alive: rows.iter().filter(|row| row.qemu == ALIVE).count(),
            machines,
            slowest_control_milliseconds: most(|row| row.control_milliseconds),
            slowest_reset_milliseconds: most(|row| row.reset_milliseconds),
            slowest_recovery_milliseconds: most(|row| row.recovery_milliseconds),
            milliseconds,
        };
        Self { rows, summary }
    }

    /// Returns whether every row is as expected.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.summary.as_expected == self.summary.rows
    }

    /// Returns the rows that are not as expected.
    pub fn failures(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.as_expected)
    }

    /// Returns the table for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut area = "";
        for row in &self.rows {
            if row.area != area {
                area = &row.area;
                let _ = writeln!(text, "{area}");
            }
            let _ = writeln!(text, "{row}");
        }
        let Summary { rows, as_expected, card_alive, qemu_alive, machines, milliseconds, .. } = &self.summary;
        let _ = write!(
            text,
            "{rows} faults: {as_expected} as expected; the card survived {card_alive}, QEMU {qemu_alive}; slowest control \
             answer {:.0} ms, reset {:.0} ms, recovery {:.0} ms; {machines} machines, {:.1} s",
            self.summary.slowest_control_milliseconds,
            self.summary.slowest_reset_milliseconds,
            self.summary.slowest_recovery_milliseconds,
            milliseconds / 1000.0
        );
        text
    }
}

/// One line, and another one where something is wrong.
impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = if self.as_expected { "ok  " } else { "FAIL" };
        let Self { fault, diagnosis_expected: expected, diagnosis_found: found, .. } = self;
        write!(f, "  {verdict}  {fault:<NAME_WIDTH$}  {expected:<EXPECTED_WIDTH$}  {found}")?;
        for (name, state) in [("card", &self.card), ("QEMU", &self.qemu)] {
            if state != ALIVE {
                write!(f, "  {name} {state}")?;
            }
        }
        if let Some(problem) = &self.problem {
            write!(f, "\n        {problem}")?;
        }
        Ok(())
    }
}
