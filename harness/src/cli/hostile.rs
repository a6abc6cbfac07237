//! `dmus run hostile`: the table of a hostile driver's faults, and its soak.

use std::time::{Duration, Instant};

use card_control::Transport;
use dmus::event::TestResult;
use dmus::host::failure::Class;
use dmus::host::lossy;
use dmus::hostile::{Hostile, progress_line};
use dmus::provision::{Artefact, Overrides, Provisioner};
use dmus::report::{HOSTILE_DRIVER, Report, Terminal, TestRecord, error_line, out, out_json};
use dmus::testbed::run_folder::RunFolder;
use serde_json::{Value, json};

use super::error::{Error, Outcome};
use super::reports::Reports;
use super::run_arguments::RunArguments;
use super::setup::workspace;

/// The name of the hostile driver among the scenarios.
const NAME: &str = "hostile";

/// The seed of a soak that names none.
const SEED: u64 = 1;

/// Returns whether the command line names the hostile driver, which is no scenario file.
pub(super) fn is_named(arguments: &RunArguments) -> bool {
    arguments.scenarios.iter().any(|named| named.as_os_str() == NAME && !named.exists())
}

/// Prints that `--soak` belongs to the hostile driver.
pub(super) fn refuse_soak(arguments: &RunArguments) -> Class {
    let error = format!(
        "--soak is for `run {NAME}`, not for `run {}`",
        arguments.scenarios.first().map_or_else(String::new, |named| named.display().to_string())
    );
    error_line(&format!("error ({}): {error}", Class::Usage.name()));
    if arguments.json {
        out_json(&json!({ "passed": 0, "failed": 0, "skipped": 0, "class": Class::Usage, "error": error }));
    }
    Class::Usage
}

/// Prints that waivers and judges belong to drivers in a guest.
pub(super) fn refuse_policy(arguments: &RunArguments) -> Class {
    let error = format!(
        "`run {NAME}` runs no driver in a guest: --waive, --keep-going, --judge, --reference and --rate are for others"
    );
    error_line(&format!("error ({}): {error}", Class::Usage.name()));
    if arguments.json {
        out_json(&json!({ "passed": 0, "failed": 0, "skipped": 0, "class": Class::Usage, "error": error }));
    }
    Class::Usage
}

/// Runs the table or the soak, and prints the rows that are not as expected and a summary.
///
/// # Errors
/// [`Error::Provision`] when QEMU or the card is missing, [`Error::Hostile`] when a machine does not start.
pub(super) fn run(arguments: &RunArguments) -> Outcome {
    let reports = Reports::begin(&arguments.reports)?;
    let terminal = Terminal::new();
    let workspace = workspace(&terminal)?;
    let overrides = Overrides { qemu: arguments.machine.qemu.clone(), ..Overrides::default() };
    let provisioner = Provisioner::new(&workspace, overrides, &terminal)?;
    let (qemu, card) = (provisioner.resolve(Artefact::Qemu)?, provisioner.resolve(Artefact::Card)?);
    drop(provisioner);
    let folder = RunFolder::create(&workspace, NAME, None)?;
    let filter = arguments.selection.filter.as_deref();
    let transport = arguments.transport.map(Transport::from).unwrap_or_default();
    let hostile = Hostile { card: &card, transport, qemu: &qemu, folder: folder.path(), filter, observer: &terminal };
    let reproduce = super::setup::reproduce();
    let begun = Instant::now();
    let report = match arguments.soak {
        None => table(&hostile)?,
        Some(minutes) => soak(&hostile, minutes, arguments.seed.unwrap_or(SEED))?,
    };
    drop(terminal);
    let Findings { passed, failed, text, mut json, records } = report;
    json["passed"] = passed.into();
    json["failed"] = failed.into();
    json["skipped"] = 0.into();
    json["run_folders"] = json!([lossy::text(folder.path())]);
    json["reproduce"] = reproduce.clone().into();
    json["milliseconds"] = (begun.elapsed().as_secs_f64() * 1000.0).into();
    folder.write_json("report.json", &json)?;
    if arguments.json {
        out_json(&json);
    } else {
        out(&text);
    }
    if failed > 0 {
        error_line(&format!("run folder: {}", folder.path().display()));
        error_line(&format!("reproduce: {reproduce}"));
    }
    // Last: a file that cannot be written costs no result.
    let mut report = Report::default();
    records.into_iter().for_each(|record| report.add(record));
    let unwritten = reports.write(&report);
    Ok((failed > 0).then_some(Class::TestFailed).or(unwritten))
}

/// The result of the table or of the soak.
struct Findings {
    passed: usize,
    failed: usize,
    text: String,
    json: Value,
    records: Vec<TestRecord>,
}

fn table(hostile: &Hostile<'_>) -> Result<Findings, Error> {
    let table = hostile.table()?;
    let passed = table.summary.as_expected;
    let failed = table.rows.len() - passed;
    let records = table.rows.iter().map(|row| TestRecord::of_fault(row, hostile.transport, hostile.folder)).collect();
    Ok(Findings { passed, failed, text: table.text(), json: json!(table), records })
}

fn soak(hostile: &Hostile<'_>, minutes: u32, seed: u64) -> Result<Findings, Error> {
    let outcome = hostile.soak(Duration::from_secs(60 * u64::from(minutes)), seed)?;
    let mut lines: Vec<String> = outcome.failures.iter().map(ToString::to_string).collect();
    lines.push(progress_line(&outcome.last));
    let mib = |bytes: u64| bytes >> 20;
    lines.push(format!(
        "bounds: {} MiB of its own, {} MiB resident, {} KiB of log; seed {seed:x}",
        mib(outcome.private_max),
        mib(outcome.resident_max),
        outcome.log_max >> 10
    ));
    lines.extend(outcome.problems.iter().map(|problem| format!("FAIL  {problem}")));
    let holds = outcome.problems.is_empty();
    let (passed, failed) = (usize::from(holds), usize::from(!holds));
    let record = TestRecord {
        result: if holds { TestResult::Passed } else { TestResult::Failed },
        class: (!holds).then_some(Class::TestFailed),
        violations: outcome.problems.clone(),
        milliseconds: f64::from(minutes) * 60_000.0,
        seed: Some(format!("{seed:x}")),
        run_folder: Some(hostile.folder.into()),
        ..TestRecord::new(format!("{HOSTILE_DRIVER} [soak, seed {seed:x}]"), super::setup::reproduce())
    };
    let json = json!({ "soak": outcome });
    Ok(Findings { passed, failed, text: lines.join("\n"), json, records: vec![record] })
}
