//! `dmus trace reduce`: the least of a recording that fails in the same way.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use card_trace::{Act, Kind, Record, TooLarge};
use clap::Args;
use dmus::event::{Event, Observer};
use dmus::host::failure::Class;
use dmus::host::file_error::FileError;
use dmus::host::leftovers::Scratch;
use dmus::report::{Terminal, error_line, out, out_json};
use dmus::trace::failure::{Failure, failures, is_of_the_transport, main_failure, seen, sound_differs_at};
use dmus::trace::reduce::{
    GuestOracle, Least, Oracle, Part, PartKind, Progress, Reducer, ReplayOracle, ScenarioParts, ScenarioRun, parts,
    records, run_scenario, scenario, setting,
};
use dmus::trace::{GuestFailure, Replayer, Trace};
use serde_json::json;

use super::error::{Error, Outcome, UsageError};
use super::trace_replay::ReplayerArguments;

/// Options of `trace reduce`.
#[derive(Debug, Args)]
pub(crate) struct ReduceArguments {
    /// The recording, or a run folder
    file: PathBuf,
    #[command(flatten)]
    replayer: ReplayerArguments,
    /// Where to write what is left, as a trace; beside it, with .toml, as a scenario
    #[arg(long, value_name = "FILE", default_value = "reduced.trace")]
    out: PathBuf,
    /// Do not run the scenario with guest and driver
    #[arg(long)]
    card_only: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a reduction has left.
struct Reduced {
    failure: String,
    left: Vec<Part>,
    /// The parts that are left while their numbers are as recorded.
    as_recorded: Vec<Part>,
    /// The time of the first event that was recorded.
    begins: Option<i64>,
    progress: Progress,
    recorded: Trace,
    /// The failure, if the card sees it.
    seen: Option<Failure>,
}

/// Reduces a recording.
///
/// # Errors
/// [`Error::Replay`] when the recording cannot be replayed, [`Error::File`] when a result cannot be written.
pub(super) fn reduce(arguments: &ReduceArguments) -> Outcome {
    let terminal = Terminal::new();
    let replayer = arguments.replayer.replayer(&terminal)?;
    let scratch = Scratch::new()?;
    let begun = Instant::now();
    let guest = if arguments.file.is_dir() { GuestFailure::of(&arguments.file)? } else { None };
    let setting = setting(&arguments.file, &Trace::read(&arguments.file)?.records)?;
    let reduced = match guest {
        Some(failure) => reduce_with_guest(arguments, failure, &setting, scratch.path(), &terminal)?,
        None => reduce_on_card(arguments, &replayer, scratch.path(), &terminal)?,
    };
    let Some(reduced) = reduced else { return Ok(Some(Class::TestFailed)) };
    let written = write(arguments, &replayer, &reduced, &setting, scratch.path(), &terminal)?;
    drop(terminal);
    let Reduced { failure, left, progress, recorded, .. } = &reduced;
    let (seconds, recorded) = (begun.elapsed().as_secs_f64(), recorded.records.len());
    if arguments.json {
        out_json(&json!({
            "failure": failure,
            "records": { "recorded": recorded, "reduced": written.records },
            "parts": { "recorded": progress.of_parts, "reduced": left.len() },
            "tests": progress.tests,
            "cached": progress.cached,
            "seconds": seconds,
            "trace": arguments.out,
            "scenario": written.scenario,
            "scenario_run": written.run,
        }));
        return Ok(None);
    }
    out(&format!("failure      {failure}"));
    out(&format!("records      {recorded} recorded, {} left", written.records));
    out(&format!("given        {} parts recorded, {} left", progress.of_parts, left.len()));
    out(&format!("tried        {}, {} more were known, in {seconds:.1} s", progress.tests, progress.cached));
    out(&format!("trace        {}", arguments.out.display()));
    out(&format!("scenario     {}", written.scenario.display()));
    match &written.run {
        Some(run) if run.same => out("             run with guest and driver it fails in the same way"),
        Some(run) => out(&format!("             run with guest and driver it does not fail so: {}", run.found)),
        None if reduced.seen.is_none() => out("             it is what was run last, and failed in the same way"),
        None => out("             not run (--card-only)"),
    }
    if let Some(folder) = written.run.as_ref().and_then(|run| run.run_folder.as_ref()) {
        out(&format!("run folder   {}", folder.display()));
    }
    Ok(None)
}

/// Reduces a recording whose failure the card sees, by replays without QEMU. `None`, with a line that says why, where there is none.
fn reduce_on_card(
    arguments: &ReduceArguments,
    replayer: &Replayer,
    scratch: &Path,
    terminal: &Terminal,
) -> Result<Option<Reduced>, Error> {
    let recording = dmus::trace::file_of(&arguments.file);
    let replay = replayer.replay(&recording, &scratch.join("first.trace"))?;
    let Some((failure, seen_at)) = failure_of(replayer, &recording, &replay.recorded, &replay.replayed, scratch)?
    else {
        error_line(match failures(&replay.recorded.records).is_empty() {
            true => {
                "the recording holds no failure that the card can see: no error of the driver, no fault, no failed request; \
                     trace replay repeats a run whose failure is inside the guest"
            }
            false => "the recorded failure is not there in the replay: trace replay shows where it diverges",
        });
        return Ok(None);
    };
    let of_transport = matches!(failure, Failure::Diagnosis { code, .. } if is_of_the_transport(code));
    let is_access = |record: &Record| matches!(record.act(), Act::RegisterWrite { .. } | Act::RegisterRead { .. });
    let of_registers = of_transport && replay.replayed.records.iter().any(is_access);
    if of_transport && !of_registers {
        let text = format!(
            "{failure} is found by the transport, which a replay does not have, so no part of the recording can be tried without QEMU"
        );
        return Err(UsageError(text).into());
    }
    let text = format!("reduces {} records to the least with: {failure}", replay.recorded.records.len());
    terminal.event(&Event::Note { text });
    let (known, folder) = (failures(&replay.replayed.records), scratch.to_owned());
    let mut oracle = ReplayOracle { replayer: replayer.clone(), failure: failure.clone(), known, folder };
    let all = parts(&replay.recorded.records, of_registers);
    let begins = first_event(&all);
    let reduced = with_progress(terminal, &replay.recorded, &mut oracle, all, seen_at)?;
    let Some(Least { parts: left, as_recorded, progress }) = reduced else {
        error_line(&format!(
            "{failure} is not there when the card is given the recording part by part; please report it with the recording"
        ));
        return Ok(None);
    };
    Ok(Some(Reduced {
        failure: failure.to_string(),
        left,
        as_recorded,
        begins,
        progress,
        recorded: replay.recorded,
        seen: Some(failure),
    }))
}

/// Reduces events and faults of a run whose failure is inside the guest, by runs with guest and driver. `None`, with a line that says why,
/// where these alone do not make it fail.
fn reduce_with_guest(
    arguments: &ReduceArguments,
    failure: GuestFailure,
    setting: &str,
    scratch: &Path,
    terminal: &Terminal,
) -> Result<Option<Reduced>, Error> {
    let recorded = Trace::read(&arguments.file)?;
    let text = format!("{failure} is inside the guest: events and faults are reduced by runs with guest and driver");
    terminal.event(&Event::Note { text });
    let is_given = |part: &Part| {
        matches!(part.kind, PartKind::Fixed | PartKind::Event(_)) || matches!(part.record.act(), Act::Command { .. })
    };
    let all: Vec<Part> = parts(&recorded.records, false).into_iter().filter(is_given).collect();
    let name = failure.to_string();
    let about = ScenarioParts { title: format!("Reduced from a recording: {name}"), setting, begins: None };
    let mut oracle = GuestOracle { about, failure, folder: scratch.to_owned(), further: arguments.replayer.further() };
    let Some(Least { parts: left, as_recorded, progress }) =
        with_progress(terminal, &recorded, &mut oracle, all, u64::MAX)?
    else {
        error_line(&format!(
            "{name} is not there when a scenario plays the recorded events with the recorded faults: trace replay repeats the run itself"
        ));
        return Ok(None);
    };
    Ok(Some(Reduced { failure: name, as_recorded, begins: None, left, progress, recorded, seen: None }))
}

/// Reduces parts, and shows each pass.
fn with_progress(
    terminal: &Terminal,
    recorded: &Trace,
    oracle: &mut dyn Oracle,
    all: Vec<Part>,
    seen_at: u64,
) -> Result<Option<Least>, Error> {
    let mut shown = "";
    let mut show = |pass: &'static str, progress: Progress| {
        if std::mem::replace(&mut shown, pass) != pass {
            let Progress { parts, tests, .. } = progress;
            terminal.event(&Event::Note { text: format!("{pass}: {parts} parts are left after {tests} tries") });
        }
    };
    Ok(Reducer::new(&recorded.header, oracle, &mut show).reduce(all, seen_at)?)
}

/// Returns the failure that a replay shows, and the record of the recording at which it is seen first.
fn failure_of(
    replayer: &Replayer,
    recording: &Path,
    recorded: &Trace,
    replayed: &Trace,
    scratch: &Path,
) -> Result<Option<(Failure, u64)>, Error> {
    let found = failures(&replayed.records);
    let Some(failure) = main_failure(&found).cloned() else { return Ok(None) };
    if matches!(failure, Failure::Fault { .. }) {
        let plain = scratch.join("plain.trace");
        replayer.run(recording, &plain, true)?;
        let differs_at = sound_differs_at(&recorded.records, &Trace::read(&plain)?.records);
        if let Some(number) = differs_at {
            return Ok(Some((Failure::Sound, number)));
        }
    }
    let first = seen(&recorded.records).into_iter().find(|(other, _)| *other == failure);
    Ok(first.or(Some((failure, u64::MAX))))
}

struct Written {
    records: usize,
    scenario: PathBuf,
    /// What came of the scenario, where it was run.
    run: Option<ScenarioRun>,
}

/// Writes what is left: the trace of its replay, which is a whole recording, and the scenario.
fn write(
    arguments: &ReduceArguments,
    replayer: &Replayer,
    reduced: &Reduced,
    setting: &str,
    scratch: &Path,
    observer: &dyn Observer,
) -> Result<Written, Error> {
    let too_large = |error: TooLarge| UsageError(error.to_string());
    let given = scratch.join("given.trace");
    let file = card_trace::copy(&reduced.recorded.header, &records(&reduced.left)).map_err(too_large)?;
    fs::write(&given, file).map_err(FileError::own("write", &given))?;
    let whole = scratch.join("whole.trace");
    replayer.run(&given, &whole, false)?;
    let whole = Trace::read(&whole)?;
    let kept = without_steps(&whole.records);
    let bytes = card_trace::copy(&whole.header, kept.iter().copied()).map_err(too_large)?;
    fs::write(&arguments.out, bytes).map_err(FileError::own("write", &arguments.out))?;
    let path = arguments.out.with_extension("toml");
    let about =
        ScenarioParts { title: format!("Reduced from a recording: {}", reduced.failure), setting, begins: None };
    let mut text = scenario(&about, &reduced.left, reduced.seen.as_ref());
    let mut run = None;
    if let Some(failure) = reduced.seen.as_ref().filter(|_| !arguments.card_only) {
        let mut found = tried(arguments, &text, failure, scratch, observer)?;
        if !found.same {
            // Frames and times that a replay has made less may not meet each other in a guest.
            let about = ScenarioParts { begins: reduced.begins, ..about };
            let other = scenario(&about, &reduced.as_recorded, reduced.seen.as_ref());
            let again =
                if other == text { found.clone() } else { tried(arguments, &other, failure, scratch, observer)? };
            if again.same {
                (text, found) = (other, again);
            }
        }
        run = Some(found);
    }
    let remark = match &run {
        Some(run) if !run.same => {
            format!("# With guest and driver it does not fail as recorded: {}\n", one_line(&run.found))
        }
        _ => String::new(),
    };
    fs::write(&path, remark + &text).map_err(FileError::own("write", &path))?;
    Ok(Written { records: kept.len(), scenario: path, run })
}

/// Returns the time of the first event among parts.
fn first_event(parts: &[Part]) -> Option<i64> {
    parts.iter().filter_map(|part| if let PartKind::Event(event) = &part.kind { Some(event.time) } else { None }).min()
}

/// Runs the scenario before it is written.
fn tried(
    arguments: &ReduceArguments,
    text: &str,
    failure: &Failure,
    scratch: &Path,
    observer: &dyn Observer,
) -> Result<ScenarioRun, Error> {
    observer.event(&Event::Note { text: "runs the scenario with guest and driver".into() });
    let path = scratch.join("reduced.toml");
    fs::write(&path, text).map_err(FileError::own("write", &path))?;
    Ok(run_scenario(&path, &arguments.replayer.further(), failure)?)
}

/// Returns text without the ends of its lines, for a comment.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Leaves out steps of time that another one follows at once: a replay renders to the last of them. What pairs clocks goes with them.
fn without_steps(records: &[Record]) -> Vec<&Record> {
    let others = records.iter().filter(|record| record.kind != Kind::CLOCK);
    let mut kept: Vec<&Record> = Vec::new();
    for record in others {
        if record.kind == Kind::RENDERED && kept.last().is_some_and(|last| last.kind == Kind::RENDERED) {
            kept.pop();
        }
        kept.push(record);
    }
    kept
}
