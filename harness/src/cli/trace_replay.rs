//! `dmus trace replay`: a recorded run once more, on a card without QEMU or with guest and driver.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use dmus::event::{Event, Observer};
use dmus::host::failure::Class;
use dmus::host::leftovers::Scratch;
use dmus::kills::Prepared;
use dmus::report::{Terminal, out, out_json};
use dmus::trace::failure::{Failure, failures, is_of_the_transport};
use dmus::trace::{Difference, GuestFailure, Replay, Replayer, command_of, repeat, stats};
use serde_json::json;

use super::error::Outcome;
use super::setup::card_of;

/// What replays a recording, for `trace replay` and `trace reduce`.
#[derive(Debug, Args)]
pub(crate) struct ReplayerArguments {
    /// The bank that was recorded with, if it is not the built-in one
    #[arg(long, value_name = "FILE")]
    pub(crate) bank: Option<PathBuf>,
    /// The card's program, instead of the one of this version
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) card: Option<PathBuf>,
    /// What another run has found and built
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) prepared: Option<PathBuf>,
}

impl ReplayerArguments {
    /// Returns what replays.
    ///
    /// # Errors
    /// [`Error::Provision`](super::error::Error) when the card's program is not there and does not build, `Error::File` when what another run
    /// has found cannot be read.
    pub(super) fn replayer(&self, observer: &dyn Observer) -> Result<Replayer, super::error::Error> {
        let card = match (&self.card, &self.prepared) {
            (Some(card), _) => card.clone(),
            (None, Some(path)) => Prepared::read(path)?.provisioned.artefacts.card,
            (None, None) => card_of(None, observer)?,
        };
        Ok(Replayer { card, bank: self.bank.clone() })
    }

    /// Returns the words by which a run that this one starts has what this one has.
    pub(super) fn further(&self) -> Vec<String> {
        let prepared = self.prepared.iter().flat_map(|path| ["--prepared".into(), path.to_string_lossy().into_owned()]);
        prepared.collect()
    }
}

/// Options of `trace replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// The recording, or a run folder
    file: PathBuf,
    #[command(flatten)]
    replayer: ReplayerArguments,
    /// Keep the trace of the replay in this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replay on the card only, also where the failure is inside the guest
    #[arg(long)]
    card_only: bool,
    /// How many items are shown before and after the first divergence
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=1000))]
    context: u16,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// What came of a repetition with guest and driver.
struct Repeated {
    command: String,
    recorded: GuestFailure,
    again: Option<GuestFailure>,
    folder: PathBuf,
}

/// Replays a recording, and repeats a run whose failure is inside the guest.
///
/// # Errors
/// [`Error::Replay`](super::error::Error) when the recording cannot be replayed, `Error::Repeat` when the run cannot be repeated.
pub(super) fn replay(arguments: &ReplayArguments) -> Outcome {
    let terminal = Terminal::new();
    let replayer = arguments.replayer.replayer(&terminal)?;
    let scratch = Scratch::new()?;
    let recording = dmus::trace::file_of(&arguments.file);
    let out_file = arguments.out.clone().unwrap_or_else(|| scratch.path().join("replayed.trace"));
    let begun = Instant::now();
    let replay = replayer.replay(&recording, &out_file)?;
    let milliseconds = begun.elapsed().as_secs_f64() * 1e3;
    let divergence = replay.divergence(arguments.context.into());
    let repeated = match arguments.card_only {
        true => None,
        false => repeated(arguments, &terminal)?,
    };
    drop(terminal);
    let seen = failures(&replay.recorded.records);
    if arguments.json {
        out_json(&json!({
            "same": divergence.is_none(),
            "milliseconds": milliseconds,
            "done": replay.done,
            "failures": seen,
            "divergence": divergence,
            "guest": repeated.as_ref().map(|repeated| json!({
                "command": repeated.command,
                "recorded": repeated.recorded,
                "again": repeated.again,
                "same": repeated.again.as_ref() == Some(&repeated.recorded),
                "run_folder": repeated.folder,
            })),
        }));
    } else {
        print(&replay, milliseconds, &seen, divergence.as_ref());
        if let Some(repeated) = &repeated {
            print_repeated(repeated);
        }
    }
    let guest_differs = repeated.is_some_and(|repeated| repeated.again != Some(repeated.recorded));
    Ok((divergence.is_some() || guest_differs).then_some(Class::TestFailed))
}

/// Repeats the run of a folder with guest and driver, if its failure is inside the guest.
fn repeated(arguments: &ReplayArguments, observer: &dyn Observer) -> Result<Option<Repeated>, super::error::Error> {
    let folder: &Path = &arguments.file;
    if !folder.is_dir() {
        return Ok(None);
    }
    let Some(recorded) = GuestFailure::of(folder)? else { return Ok(None) };
    let command = command_of(folder)?;
    let text = format!(
        "the failure ({recorded}) is inside the guest: the run is repeated with guest and driver, by {command}"
    );
    observer.event(&Event::Note { text });
    let again = repeat(&command, &arguments.replayer.further())?;
    Ok(Some(Repeated { command, recorded, again: GuestFailure::of(&again)?, folder: again }))
}

fn print(replay: &Replay, milliseconds: f64, seen: &[Failure], divergence: Option<&Difference>) {
    let Replay { done, recorded, .. } = replay;
    out(&format!(
        "recorded     {} records in {:.1} ms, by {}",
        recorded.records.len(),
        stats(recorded).span_ns as f64 / 1e6,
        recorded.header.program
    ));
    out(&format!(
        "replayed     on a card without QEMU, in {milliseconds:.0} ms: {} chains, {} commands",
        done.chains, done.commands
    ));
    if done.accesses > 0 {
        out(&format!("made again   {} accesses to registers and configuration space", done.accesses));
    }
    if done.given > 0 {
        out(&format!("given        {} errors that the recorded transport had found, as they were", done.given));
    }
    for failure in seen {
        let by = match failure {
            Failure::Diagnosis { code, .. } if is_of_the_transport(*code) => "as recorded: the transport found it",
            _ if divergence.is_none() => "found again",
            _ => "recorded",
        };
        out(&format!("failure      {failure}: {by}"));
    }
    match divergence {
        None => out("the same     answers, sound, notices, faults, errors and interrupts"),
        Some(difference) => out(&format!("diverges     {}", difference_text(difference))),
    }
}

fn print_repeated(repeated: &Repeated) {
    let Repeated { recorded, again, folder, .. } = repeated;
    let text = match again {
        Some(again) if again == recorded => format!("{recorded}: the same again"),
        Some(again) => format!("{recorded} when it was recorded, {again} now"),
        None => format!("{recorded} when it was recorded, and nothing now"),
    };
    out(&format!("guest        {text}"));
    out(&format!("run folder   {}", folder.display()));
}

/// Puts a difference of two traces into words.
pub(super) fn difference_text(difference: &Difference) -> String {
    let number = |number: Option<u64>| number.map_or_else(|| "its end".into(), |number| format!("record {number}"));
    let mut text = format!(
        "{}: the first {} are equal, then {} of the first and {} of the second differ",
        difference.lane,
        difference.equal,
        number(difference.left_number),
        number(difference.right_number)
    );
    for line in &difference.before {
        text += &format!("\n    {line}");
    }
    for (sign, side) in [('-', &difference.left), ('+', &difference.right)] {
        for line in side {
            text += &format!("\n  {sign} {line}");
        }
        if side.is_empty() {
            text += &format!("\n  {sign} (nothing more)");
        }
    }
    if !difference.also.is_empty() {
        let lanes: Vec<String> = difference.also.iter().map(ToString::to_string).collect();
        text += &format!("\nalso different: {}", lanes.join(", "));
    }
    text
}
