//! The newest records of the card's trace, and marks in it.

use card_trace::Detail;
use serde_json::json;

use super::super::answer::{Answer, Refusal};
use super::super::turn::Turn;
use super::super::words::{Words, number};
use crate::host::failure::{Class, Diagnosed};
use crate::testbed::TestBedError;
use crate::trace::{Filter, Trace, json_line, text_line};

/// Records that `tail` shows without a number.
const TAIL: u64 = 20;

/// Reads the trace of the run so far.
pub(super) fn read(turn: &mut Turn<'_, '_>) -> Result<Trace, Refusal> {
    turn.card()?;
    let folder = turn.run_folder().ok_or_else(|| Refusal::usage("the run has no folder, and so no trace"))?;
    // What the guest has marked until now; without it there are the card's records.
    let _ = turn.guest()?.keep_marks();
    Trace::read_with_guest(&folder).map_err(|error| Refusal::of(error.class(), error.to_string()))
}

/// Shows the newest records of the trace that a filter chooses, stops its recording, or goes on with it.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn show(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    match words.get(0).as_deref() {
        Some("tail") | None => {
            let mut rest = words.0.iter().skip(1).cloned().collect::<Vec<_>>();
            let count = match rest.first().map(|word| number(word)) {
                Some(Ok(count)) => {
                    rest.remove(0);
                    count
                }
                _ => TAIL,
            };
            let filter = Filter::parse(&rest.join(" ")).map_err(|error| Refusal::usage(error.to_string()))?;
            let trace = read(turn)?;
            let chosen: Vec<_> = trace.records.iter().filter(|record| filter.chooses(record)).collect();
            let from = chosen.len().saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
            let newest = &chosen[from..];
            let lines: Vec<String> = newest.iter().map(|record| text_line(record, Detail::Names)).collect();
            let records: Vec<_> = newest.iter().map(|record| json_line(record, Detail::Names)).collect();
            let text = if lines.is_empty() { "no record is chosen".into() } else { lines.join("\n") };
            Ok(Answer::new(text, json!({ "records": records, "chosen": chosen.len() })))
        }
        Some(switch @ ("on" | "off")) => {
            words.at_most(1)?;
            record(turn, switch == "on")
        }
        Some(other) => Err(Refusal::usage(format!(
            "`{other}` is nothing of a trace: write trace tail [N] [FILTER], trace on or trace off; a mark is `mark TEXT`"
        ))),
    }
}

/// Stops the recording of the card's trace, or goes on with it.
fn record(turn: &mut Turn<'_, '_>, on: bool) -> Result<Answer, Refusal> {
    match turn.card()?.record(on).map_err(|error| TestBedError::of_command("record", error)) {
        Ok(()) if on => Ok(Answer::of_text("the card records from now on")),
        Ok(()) => Ok(Answer::of_text(
            "the card records marks only, until `trace on`; a trace with such a part cannot be replayed",
        )),
        Err(TestBedError::Control(error)) => Err(Refusal::of(Class::CardDied, error.to_string())),
        Err(error) => Err(Refusal::of(error.class(), error.to_string())),
    }
}

/// Puts a mark into the trace.
pub(in super::super) fn mark(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    words.need(0, "the text of the mark")?;
    let command = json!({ "cmd": "mark", "text": words.0.join(" ") }).to_string();
    match turn.card()?.raw(&command).map_err(|error| TestBedError::of_command("mark", error)) {
        Ok(_) => Ok(Answer::of_text("the mark is in the trace")),
        Err(TestBedError::Control(error)) => Err(Refusal::of(Class::CardDied, error.to_string())),
        Err(error) => Err(Refusal::of(error.class(), error.to_string())),
    }
}
