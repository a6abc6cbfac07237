//! Runs rows drawn at random against one card for minutes, and bounds its memory and its log.

use std::time::{Duration, Instant};

use card_spec::limits::PROCESS_BYTES_MAX;
use serde::Serialize;

use crate::driver::Driver;
use crate::failure::{Failure, Result};
use crate::fault::{After, Fault};
use crate::judge::judge;
use crate::machine::{Kind, Machine, Programs};
use crate::ram::RAM;
use crate::table::Row;

/// The most resident memory that the card may ever have: its own, its program's pages, and the guest's, which count as
/// its own where it has touched them.
pub const RESIDENT_BYTES_MAX: u64 = PROCESS_BYTES_MAX + PROGRAM_BYTES + RAM;

/// Pages of the card's program and its libraries that can be resident.
const PROGRAM_BYTES: u64 = 32 << 20;

/// The most that the card may log, whatever a guest does: there are about a hundred kinds of lines, a kind
/// is logged 76 times at most, and a line has about 300 bytes.
pub const LOG_BYTES_MAX: u64 = 100 * 76 * 300;

/// How often a soak reports its progress.
const REPORT_EVERY: Duration = Duration::from_secs(15);

/// The progress of a soak.
#[derive(Clone, Debug, Serialize)]
pub struct Progress {
    /// Seconds since its beginning.
    pub seconds: f64,
    /// Rows done.
    pub rows: usize,
    /// Rows that were not as expected.
    pub failed: usize,
    /// Resident memory of the card in bytes.
    pub resident: u64,
    /// The most resident memory so far.
    pub resident_peak: u64,
    /// The part of it that is private.
    pub private: u64,
    /// The most private memory that was seen.
    pub private_peak: u64,
    /// Bytes that the card has logged.
    pub log: u64,
}

/// How a soak ended.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The seed of the random choice.
    pub seed: u64,
    /// The progress at its end.
    pub last: Progress,
    /// [`PROCESS_BYTES_MAX`], of private memory.
    pub private_max: u64,
    /// [`RESIDENT_BYTES_MAX`].
    pub resident_max: u64,
    /// [`LOG_BYTES_MAX`].
    pub log_max: u64,
    /// Rows that were not as expected: the first ones.
    pub failures: Vec<Row>,
    /// The problems, a sentence each.
    pub problems: Vec<String>,
}

/// A soak.
pub struct Soak<'a> {
    /// The programs of the machine.
    pub programs: &'a Programs,
    /// How long it runs.
    pub time: Duration,
    /// The seed of the random choice.
    pub seed: u64,
    /// Is called before each row: true ends the soak.
    pub interrupted: &'a dyn Fn() -> bool,
    /// Is called with the progress now and then.
    pub observer: &'a dyn Fn(&Progress),
}

impl Soak<'_> {
    /// Runs the soak. It ends early when card or QEMU is lost, because it measures one card.
    ///
    /// # Errors
    /// [`Failure::Host`] when the filter leaves no row, and as for [`Machine::start`] when the machine does not start.
    pub fn run(&self, faults: &[Fault]) -> Result<Outcome> {
        /// Failures that are kept; the rest is counted.
        const KEPT_MAX: usize = 32;
        let faults: Vec<&Fault> =
            faults.iter().filter(|fault| fault.kind == Kind::Lockstep && fault.after == After::Recovers).collect();
        if faults.is_empty() {
            let source = std::io::Error::other("the filter leaves no row after which the machine can be used");
            return Err(Failure::Host { what: "no fault to draw".into(), source });
        }
        let machine = Machine::start(self.programs, &self.programs.folder.join("soak"), Kind::Lockstep)?;
        let mut driver = Driver::new(machine);
        let begun = Instant::now();
        let mut random = self.seed | 1;
        let mut failures = Vec::new();
        let mut problems = Vec::new();
        let mut reported = begun;
        let mut last = progress(&mut driver, begun, 0, 0, 0)?;
        while begun.elapsed() < self.time && !(self.interrupted)() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let index = (random >> 16) as usize % faults.len();
            let (row, _) = judge(&mut driver, faults[index]);
            let lost = row.card != crate::table::ALIVE || row.qemu != crate::table::ALIVE;
            let failed = last.failed + usize::from(!row.as_expected);
            if lost {
                let what = row.problem.clone().unwrap_or_default();
                problems.push(format!("the machine was lost in row {} ({}): {what}", last.rows, row.fault));
            }
            if !row.as_expected && failures.len() < KEPT_MAX {
                failures.push(row);
            }
            if lost {
                (last.rows, last.failed) = (last.rows + 1, failed);
                break;
            }
            last = progress(&mut driver, begun, last.rows + 1, failed, last.private_peak)?;
            if reported.elapsed() > REPORT_EVERY {
                reported = Instant::now();
                (self.observer)(&last);
            }
        }
        (self.observer)(&last);
        for (what, found, bound) in [
            ("private memory", last.private_peak, PROCESS_BYTES_MAX),
            ("resident memory", last.resident_peak, RESIDENT_BYTES_MAX),
            ("the log", last.log, LOG_BYTES_MAX),
        ] {
            if found > bound {
                problems.push(format!("{what} reached {found} bytes; the bound is {bound}"));
            }
        }
        if last.failed > 0 {
            problems.push(format!("{} of {} rows were not as expected", last.failed, last.rows));
        }
        if problems.is_empty() {
            driver.machine.quit()?;
        }
        let bounds = (PROCESS_BYTES_MAX, RESIDENT_BYTES_MAX, LOG_BYTES_MAX);
        let (private_max, resident_max, log_max) = bounds;
        Ok(Outcome { seed: self.seed, last, private_max, resident_max, log_max, failures, problems })
    }
}

fn progress(driver: &mut Driver, begun: Instant, rows: usize, failed: usize, private_peak: u64) -> Result<Progress> {
    let resident = driver.machine.card.process().resident()?;
    Ok(Progress {
        seconds: begun.elapsed().as_secs_f64(),
        rows,
        failed,
        resident: resident.now,
        resident_peak: resident.peak,
        private: resident.private,
        private_peak: private_peak.max(resident.private),
        log: driver.machine.card.log_bytes(),
    })
}
