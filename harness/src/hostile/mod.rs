//! Hostile drivers: every fault of [`card_qtest`]'s table, injected through a real PCI function without a guest, and those of the
//! C++ driver that is hostile from [`inside`] one.

pub mod inside;

use std::path::Path;
use std::time::{Duration, Instant};

use card_control::Transport;
use card_qtest::failure::Failure;
use card_qtest::faults;
use card_qtest::machine::Programs;
use card_qtest::soak::{Outcome, Progress, Soak};
use card_qtest::suite::Suite;
use card_qtest::table::Table;

use crate::event::{Event, Observer};
use crate::host::failure::{Class, Diagnosed};
use crate::host::{interrupt, invocation};

/// Machines at a time: a row waits for the card most of the time, so that more do not make it faster on two processors.
const MACHINES: usize = 2;

/// Why the faults could not be injected.
#[derive(Debug, thiserror::Error)]
pub enum HostileError {
    /// A machine did not start, or failed where no row explains it.
    #[error("a machine for the hostile driver: {0}")]
    Machine(#[from] Failure),
    /// The user interrupted it.
    #[error("interrupted while the hostile driver ran")]
    Interrupted,
    /// No row matches the filter.
    #[error("no fault's name or area contains \"{filter}\"")]
    NoFault {
        /// The filter.
        filter: String,
    },
}

impl Diagnosed for HostileError {
    fn class(&self) -> Class {
        match self {
            Self::Machine(Failure::Ended { process, .. } | Failure::Silent { process, .. }) => {
                if process.starts_with("QEMU") { Class::QemuFailed } else { Class::CardDied }
            }
            Self::Machine(Failure::Host { .. }) => Class::Host,
            Self::Machine(_) => Class::TestFailed,
            Self::Interrupted => Class::Interrupted,
            Self::NoFault { .. } => Class::Usage,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::NoFault { .. } => Some(format!("`{}` lists all of them", invocation::command("run hostile"))),
            _ => None,
        }
    }
}

/// The inputs of the hostile driver.
pub struct Hostile<'a> {
    /// The card's program.
    pub card: &'a Path,
    /// How the card is attached to QEMU.
    pub transport: Transport,
    /// QEMU.
    pub qemu: &'a Path,
    /// The folder of the machines' sockets and logs.
    pub folder: &'a Path,
    /// Only rows whose area or name contains this.
    pub filter: Option<&'a str>,
    /// Receives a warning for each row that is not as expected.
    pub observer: &'a dyn Observer,
}

impl Hostile<'_> {
    /// Runs every row of the table that the filter names.
    ///
    /// # Errors
    /// [`HostileError::NoFault`] when the filter names none, [`HostileError::Machine`] when a machine does not start,
    /// [`HostileError::Interrupted`] when the user interrupts.
    pub fn table(&self) -> Result<Table, HostileError> {
        let programs = self.programs();
        let suite = Suite {
            programs: &programs,
            machines: MACHINES,
            filter: self.filter,
            interrupted: &interrupt::requested,
            observer: &|row| {
                if !row.as_expected {
                    self.observer.event(&Event::Warning { text: row.to_string().trim_start().into() });
                }
            },
        };
        let faults = suite.chosen(faults::over(self.transport));
        let rows = faults.len();
        self.check(rows)?;
        let table = suite.run(faults).map_err(HostileError::from)?;
        if table.rows.len() < rows { Err(HostileError::Interrupted) } else { Ok(table) }
    }

    /// Injects faults at random, drawn from a seed, for a time.
    ///
    /// # Errors
    /// [`HostileError::NoFault`] when the filter names none, [`HostileError::Machine`] when the machine does not start,
    /// [`HostileError::Interrupted`] when the user interrupts.
    pub fn soak(&self, time: Duration, seed: u64) -> Result<Outcome, HostileError> {
        let programs = self.programs();
        let begun = Instant::now();
        let (filter, ignore) = (self.filter, |_: &_| {});
        let suite =
            Suite { programs: &programs, machines: 1, filter, interrupted: &interrupt::requested, observer: &ignore };
        let faults = suite.chosen(faults::over(self.transport));
        self.check(faults.len())?;
        let soak = Soak {
            programs: &programs,
            time,
            seed,
            interrupted: &interrupt::requested,
            observer: &|progress| self.observer.event(&Event::Note { text: progress_line(progress) }),
        };
        let outcome = soak.run(&faults).map_err(HostileError::from)?;
        let early = begun.elapsed() < time && outcome.problems.is_empty();
        if early && interrupt::requested() { Err(HostileError::Interrupted) } else { Ok(outcome) }
    }

    fn programs(&self) -> Programs {
        Programs {
            card: self.card.into(),
            transport: self.transport,
            qemu: self.qemu.into(),
            folder: self.folder.into(),
        }
    }

    fn check(&self, rows: usize) -> Result<(), HostileError> {
        match self.filter {
            Some(filter) if rows == 0 => Err(HostileError::NoFault { filter: filter.into() }),
            _ => Ok(()),
        }
    }
}

/// Returns the progress of a soak as a line.
#[must_use]
pub fn progress_line(progress: &Progress) -> String {
    let Progress { seconds, rows, failed, resident, resident_peak, private, private_peak, log } = progress;
    let mib = |bytes: &u64| *bytes as f64 / f64::from(1 << 20);
    format!(
        "{seconds:.0} s: {rows} faults, {failed} not as expected; the card has {:.1} MiB resident (at most {:.1}), {:.1} MiB \
         of it its own (at most {:.1}); its log has {:.0} KiB",
        mib(resident),
        mib(resident_peak),
        mib(private),
        mib(private_peak),
        *log as f64 / 1024.0
    )
}
