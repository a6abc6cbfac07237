//! A driver in the guest that is hostile to the card: the C++ driver `hostile`, one fault at its device's first start and none at
//! later ones, over each transport.
//!
//! What card and QEMU say decides, and not the driver: both live, the card's log names the fault and nothing else first, and a
//! start after it plays as if nothing had been, with nothing more to diagnose.

mod error;
mod fault;
mod report;
mod run;
mod verdict;

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use card_control::Transport;

use crate::conformance::Dice;
use crate::event::{Event, Observer};
use crate::host::leftovers::remove_traces;
use crate::jobs::in_order;
use crate::provision::inf;
use crate::testbed::Provisioned;
use crate::testbed::run_folder::RunFolder;

use run::{Attempt, Tune};
use verdict::Observation;

pub use error::InsideError;
pub use fault::{Fault, FaultError, read, table_of};
pub use report::{Outcome, Report, Row};

/// The transports in the order of the table's columns.
pub const TRANSPORTS: [Transport; 2] = [Transport::VhostUser, Transport::VfioUser];

/// The wave buffer, or interrupt, at which an act in mid-stream happens, is drawn from 2 up to but not including this.
const INSTANTS: u64 = 14;

/// Microseconds from there to the act are drawn up to but not including this: a wave buffer takes some hundred.
const DELAY_US: u64 = 400;

/// The inputs of a run of the hostile driver.
pub struct Inside<'a> {
    /// The folder of the C++ driver: its table and INF.
    pub source: &'a Path,
    /// Programs and images, with the hostile driver as the driver.
    pub provisioned: &'a Provisioned,
    /// The transports to run over.
    pub transports: &'a [Transport],
    /// Only faults whose area or name contains this.
    pub filter: Option<&'a str>,
    /// How many faults are drawn from the table, where no filter names some.
    pub count: usize,
    /// The seed of the draw, and of the instants of acts in mid-stream.
    pub seed: u64,
    /// How many guests run side by side at most.
    pub jobs: NonZeroUsize,
    /// The longest time for a step.
    pub timeout: Duration,
    /// Receives a warning for each outcome that is not as expected.
    pub observer: &'a dyn Observer,
}

/// One guest: a fault over a transport, at an instant.
struct Job {
    row: usize,
    transport: Transport,
    instant: u32,
    delay_us: u32,
}

/// Runs each fault over each transport, in a guest of its own.
///
/// # Errors
/// [`InsideError::TestBed`] when the user interrupts or the host prevents it, [`InsideError::NoFault`] when the filter names none,
/// [`InsideError::WithoutFault`] when the driver does not play without a fault, [`InsideError::Quiet`] when the card's log does not
/// tell, and [`InsideError::Table`], [`InsideError::Inf`] and [`InsideError::File`] for what cannot be read or written.
pub fn run(inside: &Inside<'_>, folder: &RunFolder) -> Result<Report, InsideError> {
    let begun = Instant::now();
    if std::env::var_os("RUST_LOG").is_some() {
        return Err(InsideError::Quiet);
    }
    let inf = inf::read(&fault::inf_of(inside.source))?;
    let mut faults = read(&fault::table_of(inside.source))?;
    let mut dice = Dice::new(inside.seed);
    match inside.filter {
        Some(text) => faults.retain(|fault| fault.is_named(text)),
        // In the table's order.
        None => {
            while faults.len() > inside.count {
                faults.remove(dice.below(faults.len() as u64) as usize);
            }
        }
    }
    if faults.is_empty() {
        return Err(InsideError::NoFault { filter: inside.filter.unwrap_or_default().into() });
    }
    let attempt = |job: &Job, fault: &Fault, tune: &Tune| {
        let mut installation = inf.installation.clone();
        fault::choose(&mut installation, &fault.name, job.instant, job.delay_us);
        let Inside { provisioned, timeout, .. } = *inside;
        let transport = job.transport;
        let attempt = Attempt { provisioned, timeout, folder, fault, transport, installation, tune };
        attempt.run()
    };
    // Without a fault first: what a start after a fault must play.
    let good = Fault::none();
    let tune = Tune::default();
    let mut expected: Option<Vec<u8>> = None;
    for &transport in inside.transports {
        let job = Job { row: 0, transport, instant: 1, delay_us: 0 };
        let seen = attempt(&job, &good, &tune)?;
        if let Some(problem) = seen.problem_without_fault(expected.as_deref()) {
            return Err(InsideError::WithoutFault { transport: transport.name(), problem });
        }
        remove_traces(folder.path(), Some(&run::label(&good, transport)));
        expected = seen.before;
    }
    let expected = expected.unwrap_or_default();
    let mut jobs = Vec::new();
    for row in 0..faults.len() {
        for &transport in inside.transports {
            let instant = 2 + dice.below(INSTANTS - 2) as u32;
            jobs.push(Job { row, transport, instant, delay_us: dice.below(DELAY_US) as u32 });
        }
    }
    let mut rows: Vec<Row> = faults.iter().map(Row::of).collect();
    let job = |job: &Job, _: &dyn Observer| {
        let begun = Instant::now();
        let seen = attempt(job, &faults[job.row], &tune);
        (seen, begun.elapsed())
    };
    in_order(inside.jobs, &jobs, inside.observer, job, |job, (seen, took)| {
        let seen: Observation = seen?;
        let outcome = Outcome::of(job.transport, &faults[job.row], &seen, &expected, (job.instant, job.delay_us), took);
        if outcome.problems.is_empty() {
            remove_traces(folder.path(), Some(&run::label(&faults[job.row], job.transport)));
        }
        let row = &mut rows[job.row];
        for problem in &outcome.problems {
            let text = format!("{}, {} over {}: {problem}", row.area, row.fault, job.transport.name());
            inside.observer.event(&Event::Warning { text });
        }
        row.outcomes.push(outcome);
        Ok::<_, InsideError>(())
    })?;
    let report = Report {
        seed: format!("{:x}", inside.seed),
        transports: inside.transports.to_vec(),
        rows,
        milliseconds: begun.elapsed().as_secs_f64() * 1000.0,
        run_folder: folder.path().into(),
    };
    folder.write("hostile-driver.txt", report.text())?;
    Ok(report)
}
