//! Live MIDI at the device's input.

use serde_json::json;

use super::super::answer::{Answer, Refusal};
use super::super::turn::Turn;
use super::super::words::Words;
use crate::host::failure::{Class, Diagnosed};
use crate::playback::PlaybackError;
use crate::playback::judge::compare_midi;
use crate::playback::live::{LIVE_SECONDS_DEFAULT, LiveMidi, play_live};

/// Brings live MIDI in, and compares what comes out of the driver's capture pin.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn capture(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    words.at_most(2)?;
    let source = words.need(0, "the source: a .mid file, a file of MIDI bytes, a FIFO or a MIDI device")?;
    let seconds = match words.get(1) {
        None => LIVE_SECONDS_DEFAULT,
        Some(word) => word.parse().map_err(|_| Refusal::usage(format!("`{word}` is no number of seconds")))?,
    };
    let bed = turn.guest()?;
    let device = bed.device().cloned().ok_or_else(|| Refusal::usage("the device is not started: `start` it first"))?;
    let observer = bed.session.observer();
    let live = LiveMidi { source: source.into(), seconds };
    let played = match play_live(bed, &device, &live, observer) {
        Ok(played) => played,
        Err(PlaybackError::TestBed(error)) => return Err(turn.steps.explain("take live MIDI in", error).into()),
        Err(error) => return Err(Refusal::of(error.class(), error.to_string())),
    };
    let verdict = compare_midi(&played.events, &played.received, false, 0);
    let mut lines = played.report.lines();
    lines.push(verdict.of_capture());
    let text = lines.join("\n");
    if verdict.passed() {
        Ok(Answer::new(text, json!({ "live": played.report, "verdict": verdict })))
    } else {
        Err(Refusal::of(Class::TestFailed, text))
    }
}
