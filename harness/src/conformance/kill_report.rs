//! The report of killed cards.

use std::path::PathBuf;
use std::time::Duration;

use card_control::Transport;
use serde::Serialize;

use crate::report::table;

/// What the driver does when its card is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KillPhase {
    /// Its device starts.
    Start,
    /// Its device has started, and its pins are open and rest.
    Idle,
    /// A phrase is played.
    Streaming,
    /// Its device stops.
    Stop,
}

impl KillPhase {
    /// Returns the name that the table shows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Idle => "idle",
            Self::Streaming => "streaming",
            Self::Stop => "stop",
        }
    }
}

/// A card that was killed, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct CardKill {
    /// From 1.
    pub number: u32,
    /// What the driver did.
    pub phase: KillPhase,
    /// Milliseconds from the beginning of that to the kill.
    pub after_ms: f64,
    /// What came of it, where everything is as it must be.
    pub outcome: Option<&'static str>,
    /// Whether QEMU aborted, as its version is known to at some instants.
    pub qemu_aborted: bool,
    /// What is not as it must be.
    pub problem: Option<String>,
    /// Milliseconds until it was known.
    pub milliseconds: f64,
}

impl CardKill {
    /// Begins the row of a kill.
    pub(super) fn new(number: u32, phase: KillPhase, after: Duration) -> Self {
        let after_ms = after.as_secs_f64() * 1000.0;
        Self { number, phase, after_ms, outcome: None, qemu_aborted: false, problem: None, milliseconds: 0.0 }
    }

    /// Returns whether everything is as it must be.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.outcome.is_some() && self.problem.is_none()
    }

    /// Returns what came of it, in a line.
    #[must_use]
    pub fn line(&self) -> String {
        let found = self.problem.as_deref().or(self.outcome).unwrap_or("nothing is known");
        format!("kill {} {:.1} ms into {}: {found}", self.number, self.after_ms, self.phase.name())
    }
}

/// The cards that were killed over one transport.
#[derive(Clone, Debug, Serialize)]
pub struct CardKillsReport {
    /// The transport.
    pub transport: Transport,
    /// The seed of the instants, in hexadecimal.
    pub seed: String,
    /// The number of machines.
    pub machines: usize,
    /// A row for each kill.
    pub rows: Vec<CardKill>,
    /// How long all took, in milliseconds.
    pub milliseconds: f64,
    /// The run folder of each machine.
    #[serde(serialize_with = "crate::host::lossy::many")]
    pub run_folders: Vec<PathBuf>,
}

impl CardKillsReport {
    /// Begins a report.
    pub(super) fn new(transport: Transport, seed: u64, machines: usize) -> Self {
        let seed = format!("{seed:x}");
        Self { transport, seed, machines, rows: Vec::new(), milliseconds: 0.0, run_folders: Vec::new() }
    }

    /// Lists what is not as it must be, a line for each kill.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.rows.iter().filter(|row| !row.holds()).map(CardKill::line).collect()
    }

    /// Returns the table for people: how many of each phase came to which end, and a line for all.
    #[must_use]
    pub fn text(&self) -> String {
        let mut ends: Vec<(KillPhase, &str, usize)> = Vec::new();
        for row in self.rows.iter().filter(|row| row.holds()) {
            let outcome = row.outcome.unwrap_or_default();
            match ends.iter_mut().find(|(phase, end, _)| (*phase, *end) == (row.phase, outcome)) {
                Some((.., count)) => *count += 1,
                None => ends.push((row.phase, outcome, 1)),
            }
        }
        let rows = ends.into_iter().map(|(phase, end, count)| vec![count.to_string(), phase.name().into(), end.into()]);
        let mut lines = vec![table(&["kills", "while the driver's", "outcome"], &[0], rows)];
        lines.extend(self.violations().into_iter().map(|violation| format!("WRONG: {violation}")));
        let right = self.rows.iter().filter(|row| row.holds() && !row.qemu_aborted).count();
        let aborted = self.rows.iter().filter(|row| row.qemu_aborted).count();
        let slowest = self.rows.iter().map(|row| row.milliseconds).fold(0.0, f64::max);
        lines.push(format!(
            "{right} of {} killed cards over {}: QEMU lives, and the driver gets over it; {aborted} known aborts of QEMU's; {} machines; slowest {slowest:.0} ms; seed \
             {}; {:.1} s",
            self.rows.len(),
            self.transport.name(),
            self.machines,
            self.seed,
            self.milliseconds / 1000.0
        ));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_without_an_outcome_or_with_a_problem_is_a_violation() {
        let mut report = CardKillsReport::new(Transport::VfioUser, 1, 3);
        let row = |number| CardKill::new(number, KillPhase::Idle, Duration::from_millis(2));
        report.rows.push(CardKill { outcome: Some("fine"), ..row(1) });
        report.rows.push(row(2));
        report.rows.push(CardKill { outcome: Some("fine"), problem: Some("QEMU ended".into()), ..row(3) });
        report.rows.push(CardKill { outcome: Some("known"), qemu_aborted: true, ..row(4) });
        assert_eq!(
            report.violations(),
            ["kill 2 2.0 ms into idle: nothing is known", "kill 3 2.0 ms into idle: QEMU ended"]
        );
        assert!(report.text().contains("1 of 4 killed cards over vfio-user"), "{}", report.text());
    }
}
