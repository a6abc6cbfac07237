//! The table of the hostile driver's faults.

use std::path::PathBuf;
use std::time::Duration;

use card_control::Transport;
use serde::Serialize;

use super::fault::Fault;
use super::verdict::{End, Observation};
use crate::report::table;

/// A fault over one transport.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The transport.
    pub transport: Transport,
    /// The diagnosis that the card must log first.
    pub expected: String,
    /// The diagnosis that it logged first.
    pub found: String,
    /// Those that came after it.
    pub followed: Vec<String>,
    /// `alive`, or how the card ended.
    pub card: String,
    /// The same for QEMU.
    pub qemu: String,
    /// Whether the start after it played as without a fault.
    pub plays_again: bool,
    /// The wave buffer, or interrupt, of an act in mid-stream.
    pub instant: u32,
    /// Microseconds from there to the act.
    pub delay_us: u32,
    /// What is not as expected.
    pub problems: Vec<String>,
    /// How long the guest took, in milliseconds.
    pub milliseconds: f64,
}

impl Outcome {
    /// Judges what was seen.
    pub(super) fn of(
        transport: Transport,
        fault: &Fault,
        seen: &Observation,
        pcm: &[u8],
        (instant, delay_us): (u32, u32),
        took: Duration,
    ) -> Self {
        let expected = fault.expected(transport);
        Self {
            transport,
            expected: expected.into(),
            found: seen.found().into(),
            followed: seen.diagnoses.iter().skip(1).cloned().collect(),
            card: seen.card.text(),
            qemu: seen.qemu.text(),
            plays_again: seen.after.as_deref() == Some(pcm),
            instant,
            delay_us,
            problems: seen.problems(expected, pcm),
            milliseconds: took.as_secs_f64() * 1000.0,
        }
    }

    /// Returns whether everything is as expected.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.problems.is_empty()
    }
}

/// A fault and its outcomes.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The kind of fault.
    pub area: String,
    /// Its name in the driver's sources.
    pub name: String,
    /// The fault, in words.
    pub fault: String,
    /// Over each transport.
    pub outcomes: Vec<Outcome>,
}

impl Row {
    /// Begins the row of a fault.
    pub(super) fn of(fault: &Fault) -> Self {
        let Fault { name, area, fault, .. } = fault;
        Self { area: area.clone(), name: name.clone(), fault: fault.clone(), outcomes: Vec::new() }
    }
}

/// The outcomes of all faults.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The seed of the instants, in hexadecimal.
    pub seed: String,
    /// The transports.
    pub transports: Vec<Transport>,
    /// A row for each fault.
    pub rows: Vec<Row>,
    /// How long all took, in milliseconds.
    pub milliseconds: f64,
    /// The run folder, which has the card's logs.
    #[serde(serialize_with = "crate::host::lossy::path")]
    pub run_folder: PathBuf,
}

impl Report {
    /// Returns each fault over each transport.
    pub fn outcomes(&self) -> impl Iterator<Item = (&Row, &Outcome)> {
        self.rows.iter().flat_map(|row| row.outcomes.iter().map(move |outcome| (row, outcome)))
    }

    /// Lists what is not as expected, a line for each fault and transport.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        let line = |(row, outcome): (&Row, &Outcome)| {
            format!("{} over {}: {}", row.name, outcome.transport.name(), outcome.problems.join("; "))
        };
        self.outcomes().filter(|(_, outcome)| !outcome.holds()).map(line).collect()
    }

    /// Returns the table for people: what is expected and what was found over each transport, and a line for all.
    #[must_use]
    pub fn text(&self) -> String {
        let mut header = vec!["", "area", "fault"];
        for transport in &self.transports {
            header.extend(match transport {
                Transport::VhostUser => ["vhost-user: expected", "found", "card, QEMU"],
                Transport::VfioUser => ["vfio-user: expected", "found", "card, QEMU"],
            });
        }
        let rows = self.rows.iter().map(|row| {
            let holds = row.outcomes.iter().all(Outcome::holds);
            let mut cells = vec![if holds { "ok" } else { "FAIL" }.into(), row.area.clone(), row.fault.clone()];
            for outcome in &row.outcomes {
                let (card, qemu) = (&outcome.card, &outcome.qemu);
                let both = if card == qemu { card.clone() } else { format!("{card}, {qemu}") };
                cells.extend([outcome.expected.clone(), outcome.found.clone(), both]);
            }
            cells
        });
        let mut lines = vec![table(&header, &[], rows)];
        lines.extend(self.violations().into_iter().map(|violation| format!("FAIL  {violation}")));
        let alive = End::Alive.text();
        let count = |holds: &dyn Fn(&Outcome) -> bool| self.outcomes().filter(|(_, outcome)| holds(outcome)).count();
        lines.push(format!(
            "{} faults, {} guests: {} as expected; card alive after {}, QEMU after {}, the driver plays again after {}; seed {}; \
             {:.1} s",
            self.rows.len(),
            count(&|_| true),
            count(&Outcome::holds),
            count(&|outcome| outcome.card == alive),
            count(&|outcome| outcome.qemu == alive),
            count(&|outcome| outcome.plays_again),
            self.seed,
            self.milliseconds / 1000.0
        ));
        lines.join("\n")
    }
}
