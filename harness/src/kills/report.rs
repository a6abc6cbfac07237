//! The results of kills.

use std::path::PathBuf;

use serde::Serialize;

use super::phase::Process;

/// One kill and its consequences.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// From 1.
    pub number: u32,
    /// The process that was killed.
    pub process: Process,
    /// The signal.
    pub signal: &'static str,
    /// The phase of the run.
    pub phase: String,
    /// The verdict that names the killed process.
    pub expected: String,
    /// The verdict of the run.
    pub found: String,
    /// Milliseconds from the kill to the end of the run.
    pub milliseconds: f64,
    /// Leftovers of a harness that was ended by force, which its watcher removes.
    pub swept: Vec<String>,
    /// Leftovers after the run.
    pub left: Vec<String>,
    /// Differences from the expected outcome, one entry each.
    pub violations: Vec<String>,
}

/// The results of all kills.
#[derive(Clone, Debug, Serialize)]
pub struct KillsReport {
    /// The seed of the instants.
    pub seed: u64,
    /// Kills after which the verdict named the process and the signal, and nothing was left.
    pub right: usize,
    /// Kills that came when the run was over, and were repeated.
    pub too_late: u32,
    /// The longest time from a kill to the end of its run, in milliseconds.
    pub slowest_ms: f64,
    /// Every kill.
    pub rows: Vec<Row>,
    /// The duration of all kills in milliseconds.
    pub milliseconds: f64,
    /// The run folder.
    #[serde(serialize_with = "crate::host::lossy::path")]
    pub run_folder: PathBuf,
}

impl KillsReport {
    /// Lists what is not as expected, a line for each kill.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        let line = |row: &Row| {
            let Row { number, process, signal, phase, violations, .. } = row;
            format!("kill {number}, {} by {signal} at {phase}: {}", process.name(), violations.join("; "))
        };
        self.rows.iter().filter(|row| !row.violations.is_empty()).map(line).collect()
    }
}
