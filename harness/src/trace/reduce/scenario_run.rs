//! Runs the scenario of a reduction with guest and driver, and compares its failure with the recorded one.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::host::file_error::FileError;
use crate::trace::failure::{Failure, failures};
use crate::trace::guest_failure::{GuestFailure, RepeatError, repeat};
use crate::trace::read::{Trace, file_of};

/// The file of a run folder with the run's verdict.
const VERDICT_FILE: &str = "verdict.json";

/// What came of a scenario's run.
#[derive(Clone, Debug, Serialize)]
pub struct ScenarioRun {
    /// It fails as the recording does: the same error on the same queue, the same fault, or other sound by a fault that struck.
    pub same: bool,
    /// Its failure, in words.
    pub found: String,
    /// Its run folder, if it has got so far.
    pub run_folder: Option<PathBuf>,
}

/// Runs the scenario in a file; `further` are words for the command line.
///
/// # Errors
/// [`RepeatError::File`] when this program cannot be started, or what the run has left cannot be read.
pub fn run_scenario(path: &Path, further: &[String], failure: &Failure) -> Result<ScenarioRun, RepeatError> {
    let text = path.to_string_lossy();
    let word = shlex::try_quote(&text).unwrap_or_default();
    let further: Vec<String> = further.iter().cloned().chain(["--keep".into()]).collect();
    let folder = match repeat(&format!("dmus run {word}"), &further) {
        Ok(folder) => folder,
        Err(RepeatError::NoFolder { output, .. }) => {
            return Ok(ScenarioRun { same: false, found: format!("it does not run: {output}"), run_folder: None });
        }
        Err(error) => return Err(error),
    };
    let (same, found) = compare(&folder, failure)?;
    Ok(ScenarioRun { same, found, run_folder: Some(folder) })
}

/// Compares what a run has left with a failure. Returns whether it is the same, and the run's in words.
fn compare(folder: &Path, failure: &Failure) -> Result<(bool, String), FileError> {
    // What the card has not recorded, it has not seen.
    let seen = match Trace::read(&file_of(folder)) {
        Ok(trace) => failures(&trace.records),
        Err(_) => Vec::new(),
    };
    let path = folder.join(VERDICT_FILE);
    let verdict: Value = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| FileError::input(&path)(error.into()))?,
        Err(error) => return Err(FileError::input(&path)(error)),
    };
    let passed = verdict["passed"] == true;
    let guest = GuestFailure::of(folder)?;
    let same = match failure {
        Failure::Sound => !passed && guest.is_none() && seen.iter().any(|seen| matches!(seen, Failure::Fault { .. })),
        other => seen.contains(other),
    };
    let found = match (guest, &seen[..]) {
        (Some(guest), _) => format!("{guest} in the guest"),
        (None, [first, ..]) if passed => format!("it passes, with {first}"),
        (None, [first, ..]) => first.to_string(),
        (None, []) => match verdict["failures"][0].as_str().or_else(|| verdict["error"].as_str()) {
            Some(text) => text.to_owned(),
            None if passed => "it passes".into(),
            None => "it fails, and the card sees nothing wrong".into(),
        },
    };
    Ok((same, found))
}

#[cfg(test)]
mod tests {
    use card_trace::{Diagnosis, Head, Queue, Source};

    use crate::host::leftovers::Scratch;
    use crate::trace::fixture;

    use super::*;

    #[test]
    fn the_same_failure_is_the_same_error_on_the_same_queue() {
        let folder = Scratch::new().unwrap();
        let path = folder.path();
        fixture::write(&path.join("card.trace"), |writer| {
            let head = Head::driver_error(Diagnosis::EVENT_MIDI.0, Some(Queue::MIDI_OUT));
            writer.record_with(Source::CARD, head, &[&[0; 12]]);
        });
        fs::write(path.join(VERDICT_FILE), r#"{"passed": false, "failures": ["no_diagnosis"]}"#).unwrap();
        let of = |name: &str, code: Diagnosis, queue: &str| Failure::Diagnosis {
            code: code.0,
            name: name.into(),
            queue: Some(queue.into()),
        };
        let same = of("EVENT_MIDI", Diagnosis::EVENT_MIDI, "midi-out");
        assert_eq!(compare(path, &same).unwrap(), (true, "driver error EVENT_MIDI on midi-out".into()));
        assert!(!compare(path, &of("EVENT_MIDI", Diagnosis::EVENT_MIDI, "control")).unwrap().0);
        assert!(!compare(path, &Failure::Sound).unwrap().0, "no fault has struck");
    }

    #[test]
    fn a_run_that_passes_or_fails_otherwise_is_named_so() {
        let folder = Scratch::new().unwrap();
        let verdict = folder.path().join(VERDICT_FILE);
        fs::write(&verdict, r#"{"passed": true}"#).unwrap();
        assert_eq!(compare(folder.path(), &Failure::Sound).unwrap(), (false, "it passes".into()));
        fs::write(&verdict, r#"{"passed": false, "error": "the guest died"}"#).unwrap();
        assert_eq!(compare(folder.path(), &Failure::Sound).unwrap(), (false, "the guest died".into()));
    }
}
