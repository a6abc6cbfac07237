//! Runs rows on a number of machines, and starts another machine only where one was lost.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::driver::Driver;
use crate::failure::{Failure, Result};
use crate::fault::Fault;
use crate::judge::judge;
use crate::machine::{Kind, Machine, Programs};
use crate::table::{Row, Table};

/// A run of rows.
pub struct Suite<'a> {
    /// The programs of the machines.
    pub programs: &'a Programs,
    /// How many machines run at a time.
    pub machines: usize,
    /// Only rows whose area or name contains this.
    pub filter: Option<&'a str>,
    /// Is called before each row: true ends the run.
    pub interrupted: &'a (dyn Fn() -> bool + Sync),
    /// Is called with each row when it is done.
    pub observer: &'a (dyn Fn(&Row) + Sync),
}

impl Suite<'_> {
    /// Returns the rows that the filter leaves.
    #[must_use]
    pub fn chosen(&self, faults: Vec<Fault>) -> Vec<Fault> {
        let wanted =
            |fault: &Fault| self.filter.is_none_or(|text| fault.name.contains(text) || fault.area.contains(text));
        faults.into_iter().filter(wanted).collect()
    }

    /// Runs all rows that the filter leaves. Interrupted, it returns those that are done.
    ///
    /// # Errors
    /// As for [`Machine::start`], when a machine does not start; [`Failure::Host`] when a thread of the suite panics.
    pub fn run(&self, faults: Vec<Fault>) -> Result<Table> {
        let begun = Instant::now();
        let faults = self.chosen(faults);
        // Those of one machine together.
        let mut order: Vec<usize> = (0..faults.len()).collect();
        order.sort_by_key(|&index| faults[index].kind);
        let shared = Shared {
            faults: &faults,
            order: &order,
            next: AtomicUsize::new(0),
            started: AtomicUsize::new(0),
            rows: Mutex::new(Vec::new()),
        };
        let results: Vec<Result> = std::thread::scope(|scope| {
            let workers: Vec<_> =
                (0..self.machines.clamp(1, faults.len().max(1))).map(|_| scope.spawn(|| self.work(&shared))).collect();
            let panicked = || {
                let source = std::io::Error::other("it panicked");
                Failure::Host { what: "a thread of the suite failed".into(), source }
            };
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Err(panicked()))).collect()
        });
        results.into_iter().collect::<Result<Vec<()>>>()?;
        let mut rows = shared.rows.into_inner().unwrap_or_else(PoisonError::into_inner);
        rows.sort_by_key(|(index, _)| *index);
        let rows = rows.into_iter().map(|(_, row)| row).collect();
        let started = shared.started.load(Ordering::Relaxed);
        Ok(Table::new(rows, started, begun.elapsed().as_secs_f64() * 1000.0))
    }

    fn work(&self, shared: &Shared<'_>) -> Result {
        let mut current: Option<(Kind, Driver)> = None;
        while let Some(&index) = shared.order.get(shared.next.fetch_add(1, Ordering::Relaxed)) {
            if (self.interrupted)() {
                break;
            }
            let fault = &shared.faults[index];
            let (kind, mut driver) = match current.take().filter(|(kind, _)| *kind == fault.kind) {
                Some(current) => current,
                None => (fault.kind, Driver::new(self.machine(shared, fault.kind)?)),
            };
            let (row, usable) = judge(&mut driver, fault);
            (self.observer)(&row);
            shared.rows.lock().unwrap_or_else(PoisonError::into_inner).push((index, row));
            current = usable.then_some((kind, driver));
        }
        // A machine that still works ends with success.
        current.map_or(Ok(()), |(_, driver)| driver.machine.quit())
    }

    fn machine(&self, shared: &Shared<'_>, kind: Kind) -> Result<Machine> {
        let number = shared.started.fetch_add(1, Ordering::Relaxed);
        let folder: PathBuf = self.programs.folder.join(format!("machine-{number}"));
        Machine::start(self.programs, &folder, kind)
    }
}

struct Shared<'a> {
    faults: &'a [Fault],
    order: &'a [usize],
    next: AtomicUsize,
    started: AtomicUsize,
    rows: Mutex<Vec<(usize, Row)>>,
}
