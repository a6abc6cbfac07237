//! Ends harness, card and QEMU by signals at random instants, and checks that the verdict names the right process and signal,
//! that it comes soon, and that nothing is left behind.
//!
//! Every kill has a run of the harness of its own, as a user starts it: a demo, the prompt, a part of the contract, a
//! benchmark; or a run of songs side by side, in which the test whose process was killed fails, and every other one passes. A harness
//! that is killed can only be cleaned up after: its watcher does that.

mod error;
mod parallel;
mod phase;
mod prepared;
mod report;
mod run;

use std::num::NonZeroUsize;
use std::time::Instant;

use crate::conformance::Dice;
use crate::event::{Event, Observer};
use crate::host::file_error::FileError;
use crate::provision::Workspace;
use crate::testbed::Provisioned;
use crate::testbed::run_folder::RunFolder;

use parallel::ParallelRun;
use phase::{PHASES, Phase, SIGNALS, name_of};
use run::KillRun;

pub use error::KillsError;
pub use phase::Process;
pub use prepared::Prepared;
pub use report::{KillsReport, Row};

/// Kills of one number that may come too late before the whole run fails.
const MISSES_MAX: u32 = 20;

/// A test of kills: their number and instants, and the programs that its runs use.
#[derive(Clone, Copy)]
pub struct Kills<'a> {
    /// The project, with the folder of all runs.
    pub workspace: &'a Workspace,
    /// Programs, images, accelerator.
    pub provisioned: &'a Provisioned,
    /// The number of kills.
    pub count: u32,
    /// The seed of the instants.
    pub seed: u64,
    /// How many guests run side by side in the run of each kill; without, a run has one guest.
    pub parallel: Option<NonZeroUsize>,
    /// Receives a note for each kill.
    pub observer: &'a dyn Observer,
}

/// Kills [`Kills::count`] times.
///
/// # Errors
/// [`KillsError::Session`] when the user interrupts; [`KillsError::File`] when a run cannot be started, a file cannot be written, or
/// too many kills of one number come too late.
pub fn run(kills: &Kills<'_>, folder: &RunFolder) -> Result<KillsReport, KillsError> {
    let begun = Instant::now();
    let mut dice = Dice::new(kills.seed);
    let prepared = folder.file("prepared.json");
    let provisioned = Prepared { workspace: kills.workspace.clone(), provisioned: kills.provisioned.clone() };
    folder.write_json("prepared.json", &provisioned)?;
    let mut report = KillsReport {
        seed: kills.seed,
        right: 0,
        too_late: 0,
        slowest_ms: 0.0,
        rows: Vec::new(),
        milliseconds: 0.0,
        run_folder: folder.path().into(),
    };
    // Another first phase for another seed: few kills meet other phases each time.
    let first_phase = dice.below(PHASES.len() as u64) as usize;
    for number in 1..=kills.count {
        let index = (number - 1) as usize;
        let process = Process::ALL[index % Process::ALL.len()];
        let signal = SIGNALS[index / Process::ALL.len() % SIGNALS.len()];
        let mut phase = PHASES[(first_phase + index) % PHASES.len()];
        if phase == Phase::Bench && process == Process::Card {
            phase = Phase::Prompt;
        }
        let mut misses = 0;
        let row = loop {
            let place = folder.file(&format!("{number:03}"));
            let (workspace, prepared) = (kills.workspace, prepared.as_path());
            let row =
                match kills.parallel {
                    Some(jobs) => ParallelRun { workspace, place: &place, prepared, jobs, process, signal }
                        .kill(number, &mut dice)?,
                    None => KillRun { workspace, place: &place, prepared, phase, process, signal }
                        .kill(number, &mut dice)?,
                };
            if let Some(row) = row {
                break row;
            }
            report.too_late += 1;
            misses += 1;
            if misses == MISSES_MAX {
                let at = if kills.parallel.is_some() { parallel::NAME.into() } else { phase.name() };
                let what = format!("no kill at {at} came in time, of {MISSES_MAX}");
                return Err(FileError::own("kill", &place)(std::io::Error::other(what)).into());
            }
        };
        report.slowest_ms = report.slowest_ms.max(row.milliseconds);
        report.right += usize::from(row.violations.is_empty());
        let word = if row.violations.is_empty() { "right" } else { "WRONG" };
        let text = format!("{word}  {} by {} at {}: {}", process.name(), name_of(signal), row.phase, row.found);
        kills.observer.event(&Event::Note { text });
        report.rows.push(row);
    }
    report.milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
    folder.write_json("kills.json", &report)?;
    Ok(report)
}
