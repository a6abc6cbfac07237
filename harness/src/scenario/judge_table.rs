//! The judge of a scenario: a name, or a table with a reference or a tolerance.

use std::path::Path;

use schemars::JsonSchema;
use toml::{Spanned, Table, Value};

use super::malformed::{ScenarioError, Source};
use crate::playback::judge::{Judge, MIDI_TOLERANCE_MS_DEFAULT, Tolerance};

/// The forms of a judge: a name, or a table.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "its shape is read by hand: a table's bounds are written in two ways")]
pub(super) enum JudgeForm {
    /// A name.
    Name(JudgeName),
    /// A reference or a tolerance.
    Table(JudgeTable),
}

/// The names of judges.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "as for its user")]
pub(super) enum JudgeName {
    /// The offline render of the project's synthesizer, bit for bit.
    Offline,
    /// The MIDI bytes that the device received.
    MidiBytes,
    /// That it plays to its end.
    Plays,
}

/// A judge with a file or a tolerance.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "as for its user")]
pub(super) struct JudgeTable {
    /// A WAV file beside the scenario to compare the PCM with.
    reference: Option<String>,
    /// How far off the PCM may be: `"max=3,rms=-60"`, or a table with max, peak, rms, offset.
    tolerance: Option<serde_json::Value>,
    /// How much later than its time a MIDI message may come, in milliseconds.
    midi_tolerance_ms: Option<u32>,
}

/// What a judge can be.
const FORMS: &str = "judge is \"offline\", \"midi-bytes\" or \"plays\", or a table: reference = \"FILE.wav\" with tolerance \
                     (max, peak, rms, offset), or midi_tolerance_ms";

/// Reads the value of `judge`. A reference is beside the scenario.
///
/// # Errors
/// [`ScenarioError::Malformed`] for another name, an unknown key, a bound out of range, or a reference that is not there.
pub(super) fn read(
    file: Source<'_>,
    folder: &Path,
    value: Option<&Spanned<Value>>,
) -> Result<Option<Judge>, ScenarioError> {
    let Some(spanned) = value else { return Ok(None) };
    let fail = |message: &str| Err(file.error(spanned.span(), message));
    match spanned.get_ref() {
        Value::String(name) => Judge::by_name(name).map_or_else(|| fail(FORMS), |judge| Ok(Some(judge))),
        Value::Table(table) => {
            if let Some(key) =
                table.keys().find(|key| !["reference", "tolerance", "midi_tolerance_ms"].contains(&key.as_str()))
            {
                return fail(&format!("unknown key `{key}`: {FORMS}"));
            }
            let tolerance = match table.get("tolerance").map(tolerance).transpose() {
                Ok(tolerance) => tolerance,
                Err(message) => return fail(&message),
            };
            match (table.get("reference"), table.get("midi_tolerance_ms")) {
                (Some(Value::String(reference)), None) => {
                    let wav = folder.join(reference);
                    if !wav.is_file() {
                        return fail(&format!("there is no file {}", wav.display()));
                    }
                    Ok(Some(Judge::Reference { wav, tolerance: tolerance.unwrap_or_default() }))
                }
                (None, Some(Value::Integer(ms))) if tolerance.is_none() => match u32::try_from(*ms) {
                    Ok(tolerance_ms) => Ok(Some(Judge::MidiBytes { tolerance_ms })),
                    Err(_) => {
                        fail(&format!("midi_tolerance_ms is a number of milliseconds, as {MIDI_TOLERANCE_MS_DEFAULT}"))
                    }
                },
                _ => fail(FORMS),
            }
        }
        _ => fail(FORMS),
    }
}

/// Reads a tolerance: as the command line takes it, or as a table of its bounds.
fn tolerance(value: &Value) -> Result<Tolerance, String> {
    match value {
        Value::String(text) => text.parse().map_err(|error: crate::playback::judge::ToleranceError| error.to_string()),
        Value::Table(table) => of_table(table),
        _ => Err("tolerance is a text such as \"max=3,rms=-60\", or a table with max, peak, rms, offset".into()),
    }
}

fn of_table(table: &Table) -> Result<Tolerance, String> {
    let parts: Vec<String> = table.iter().map(|(key, value)| format!("{key}={value}")).collect();
    parts.join(",").parse().map_err(|error: crate::playback::judge::ToleranceError| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::host::leftovers::Scratch;

    #[derive(Deserialize)]
    struct Document {
        judge: Option<Spanned<Value>>,
    }

    fn parse(folder: &Path, text: &str) -> Result<Option<Judge>, String> {
        let file = Source { path: Path::new("x.toml"), text };
        let document: Document = toml::from_str(text).unwrap();
        read(file, folder, document.judge.as_ref()).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_each_form() {
        let folder = Scratch::new().unwrap();
        std::fs::write(folder.path().join("r.wav"), b"x").unwrap();
        let parse = |text: &str| parse(folder.path(), text).unwrap();
        assert_eq!(parse("x = 1"), None);
        assert_eq!(parse("judge = 'plays'"), Some(Judge::Plays));
        assert_eq!(parse("judge = 'midi-bytes'"), Some(Judge::MidiBytes { tolerance_ms: 20 }));
        assert_eq!(parse("[judge]\nmidi_tolerance_ms = 5"), Some(Judge::MidiBytes { tolerance_ms: 5 }));
        let wav = folder.path().join("r.wav");
        let exact = Judge::Reference { wav: wav.clone(), tolerance: Tolerance::default() };
        assert_eq!(parse("judge = { reference = 'r.wav' }"), Some(exact));
        let tolerance = Tolerance { max: Some(3), peak: None, rms: Some(-60.0), offset: 8 };
        let bounded = Some(Judge::Reference { wav, tolerance });
        assert_eq!(parse("[judge]\nreference = 'r.wav'\ntolerance = 'max=3,rms=-60,offset=8'"), bounded);
        assert_eq!(parse("[judge]\nreference = 'r.wav'\ntolerance = { max = 3, rms = -60.0, offset = 8 }"), bounded);
    }

    #[test]
    fn shows_the_place_of_what_is_no_judge() {
        let folder = Scratch::new().unwrap();
        for (text, part) in [
            ("judge = 'good'", "judge is \"offline\""),
            ("judge = 3", "judge is \"offline\""),
            ("judge = { reference = 'r.wav' }", "there is no file"),
            ("judge = { reference = 'r.wav', tolerances = 1 }", "unknown key `tolerances`"),
            ("judge = { reference = 'r.wav', tolerance = 'max=x' }", "`max=x` is no part"),
            ("judge = { midi_tolerance_ms = -1 }", "milliseconds"),
            ("judge = {}", "judge is \"offline\""),
        ] {
            let error = parse(folder.path(), text).unwrap_err();
            assert!(error.contains("x.toml:1:") && error.contains(part), "{text}: {error}");
        }
    }
}
