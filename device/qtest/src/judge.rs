//! Carries out a row on a machine, and checks card and QEMU after it.

use std::time::{Duration, Instant};

use card_spec::control::Status;
use card_spec::diagnosis::Diagnosis;
use card_spec::queue::Queue;
use card_spec::wave::WaveStatus;
use serde_json::json;

use crate::driver::{Driver, DriverState};
use crate::failure::{Failure, Result, expect};
use crate::fault::{After, Fault, found};
use crate::table::{ALIVE, Row};

/// How long a reset of the device may take, as the guest sees it. It waits for one slice of the card's work, some
/// milliseconds; the bound is for machines with much else to do.
pub const RESET_LIMIT: Duration = Duration::from_secs(3);

/// How long a fresh driver may take from the reset to its first frames.
pub const RECOVERY_LIMIT: Duration = Duration::from_secs(10);

/// How long a diagnosis that is certain may take.
const DIAGNOSIS_LIMIT: Duration = Duration::from_secs(10);

/// Frames that a fresh driver records.
const FRAMES: u32 = 64;

/// Carries out a row. False when the machine cannot be used after it.
pub(crate) fn judge(driver: &mut Driver, fault: &Fault) -> (Row, bool) {
    let begun = Instant::now();
    let mut row = Row {
        area: fault.area.into(),
        fault: fault.name.clone(),
        queue: fault.queue.map(|queue| queue.to_string()),
        card: ALIVE.into(),
        qemu: ALIVE.into(),
        diagnosis_expected: fault.expected.to_string(),
        diagnosis_found: "unknown".into(),
        diagnosis_on_control_socket: "unknown".into(),
        as_expected: false,
        problem: None,
        milliseconds: 0.0,
        control_milliseconds: 0.0,
        reset_milliseconds: 0.0,
        recovery_milliseconds: 0.0,
    };
    let mut problems = Vec::new();
    let mut usable = fault.after == After::Recovers;
    if let Err(failure) = carry_out(driver, fault, &mut row, &mut problems) {
        if let Failure::Ended { process, status } = &failure {
            *state(&mut row, process) = format!("ended: {status}");
        }
        if let Failure::Silent { process, question, limit } = &failure {
            *state(&mut row, process) = format!("silent for {limit:?} after `{question}`");
        }
        usable &= !failure.is_fatal();
        problems.push(failure.to_string());
    }
    // Both must still run, whichever of them was used last.
    let ended = [("the card", driver.machine.card.process().ended()), ("QEMU", driver.machine.qemu.process().ended())];
    for (process, status) in ended {
        let Some(status) = status else { continue };
        usable = false;
        let state = state(&mut row, process);
        if *state == ALIVE {
            *state = format!("ended: {status}");
            problems.push(format!("{process} ended: {status}"));
        }
    }
    row.as_expected = problems.is_empty();
    row.problem = (!problems.is_empty()).then(|| problems.join("; "));
    row.milliseconds = milliseconds(begun);
    // After a row that went wrong nothing is known about the machine.
    (row.clone(), usable && row.as_expected)
}

fn state<'a>(row: &'a mut Row, process: &str) -> &'a mut String {
    if process.starts_with("QEMU") { &mut row.qemu } else { &mut row.card }
}

/// Carries out the act and the checks. Adds to `problems` what is wrong with this row only.
///
/// # Errors
/// The failure that ends the row.
fn carry_out(driver: &mut Driver, fault: &Fault, row: &mut Row, problems: &mut Vec<String>) -> Result {
    driver.begin(fault.from)?;
    if let Err(failure) = (fault.act)(driver) {
        if failure.is_fatal() {
            return Err(failure);
        }
        problems.push(failure.to_string());
    }
    let sent = Instant::now();
    driver.machine.card.status()?;
    row.control_milliseconds = milliseconds(sent);
    look(driver, fault, row, problems)?;
    driver.machine.qemu.qmp("query-status", &json!({}))?;
    if fault.after == After::Recovers {
        recover(driver, row)?;
    }
    driver.machine.card.status().map(|_| ())
}

/// Reads the card's diagnosis in the identity block and on the control socket.
fn look(driver: &mut Driver, fault: &Fault, row: &mut Row, problems: &mut Vec<String>) -> Result {
    driver.machine.settle()?;
    let deadline = Instant::now() + DIAGNOSIS_LIMIT;
    let (code, queue) = loop {
        let first = driver.machine.first_error()?;
        if first.0 != Diagnosis::NONE || !fault.expected.is_certain() || Instant::now() > deadline {
            break first;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    row.diagnosis_found = found(code, Queue::ALL.get(usize::from(queue)).copied());
    let first = driver.machine.card.status()?.diagnosis.first;
    row.diagnosis_on_control_socket = match first.map(|error| (error.code, error.queue)) {
        None => Diagnosis::NONE.to_string(),
        Some((code, None)) => code,
        Some((code, Some(queue))) => format!("{code} ({queue})"),
    };
    if !fault.expected.holds(code, queue) {
        problems.push(format!("the identity block has {} and not {}", row.diagnosis_found, fault.expected));
    }
    if row.diagnosis_found != row.diagnosis_on_control_socket {
        let (guest, host) = (&row.diagnosis_found, &row.diagnosis_on_control_socket);
        problems.push(format!("the identity block has {guest}, the control socket {host}"));
    }
    Ok(())
}

/// Resets the device as a fresh driver does, and records frames.
fn recover(driver: &mut Driver, row: &mut Row) -> Result {
    let begun = Instant::now();
    driver.machine.set_status(0)?;
    let reset = begun.elapsed();
    row.reset_milliseconds = milliseconds(begun);
    let begun = Instant::now();
    driver.begin(DriverState::Started)?;
    driver.open()?.ended(Status::OK)?;
    let (code, _) = driver.machine.first_error()?;
    expect("the first error of a fresh session", &Diagnosis::NONE, &code)?;
    driver.play()?;
    let wave = driver.record(FRAMES)?.header;
    let recovery = begun.elapsed();
    row.recovery_milliseconds = milliseconds(begun);
    let recorded = (WaveStatus(wave.status.get()), wave.frames.get());
    expect("what a fresh driver records", &(WaveStatus::OK, FRAMES), &recorded)?;
    within("the reset", reset, RESET_LIMIT)?;
    within("the recovery", recovery, RECOVERY_LIMIT)
}

fn within(what: &str, took: Duration, limit: Duration) -> Result {
    if took <= limit {
        return Ok(());
    }
    Err(Failure::Unexpected { what: what.into(), expected: format!("at most {limit:?}"), found: format!("{took:?}") })
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
