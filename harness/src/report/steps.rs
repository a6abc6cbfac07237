//! The steps of a test, of its test bed and of its scenario, as its run folder has them.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepOutcome {
    /// It did what it says.
    Passed,
    /// It failed, and so does its test.
    Failed,
    /// It failed where that changes no verdict.
    Noted,
    /// It was not reached.
    NotReached,
    /// The run ended in it.
    Open,
}

impl StepOutcome {
    /// Returns it as words.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Noted => "noted",
            Self::NotReached => "not reached",
            Self::Open => "did not end",
        }
    }

    fn of_verdict(name: &str) -> Self {
        match name {
            "passed" => Self::Passed,
            "noted" => Self::Noted,
            "not-reached" => Self::NotReached,
            _ => Self::Failed,
        }
    }
}

/// A step and its times.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StepTime {
    /// Its name; of a step of a scenario, what reports call it.
    pub(super) name: String,
    /// Of a step of a scenario, its number.
    pub(super) number: Option<String>,
    /// Its outcome.
    pub(super) outcome: StepOutcome,
    /// When it began, in milliseconds from the begin of the run.
    pub(super) begun: f64,
    /// When it ended; of one that did not, when it began.
    pub(super) ended: f64,
    /// Its duration in milliseconds, as it was measured where it ran; `None` for one that did not end.
    pub(super) milliseconds: Option<f64>,
    /// Its duration in card time, in milliseconds, where there is a card.
    pub(super) card_ms: Option<f64>,
    /// What was found, or why it failed.
    pub(super) detail: String,
}

impl StepTime {
    /// Returns a step of a scenario as a line of text.
    pub(super) fn line(&self) -> Option<String> {
        self.number.as_ref()?;
        let mut line = format!("{}: {}", self.name, self.outcome.words());
        if let Some(milliseconds) = self.milliseconds {
            line += &format!(", {milliseconds:.0} ms");
        }
        if let Some(card_ms) = self.card_ms {
            line += &format!(", {card_ms:.1} ms of card time");
        }
        if !self.detail.is_empty() {
            line += &format!(": {}", self.detail);
        }
        Some(line)
    }
}

/// Reads the steps of a run folder, in order of their begin; then those that were not reached. What is not there is left out.
pub(super) fn read(folder: &Path, verdict: Option<&Value>) -> Vec<StepTime> {
    let text = fs::read_to_string(folder.join("timeline.jsonl")).unwrap_or_default();
    let mut steps = of_timeline(&text);
    for of_verdict in verdict.and_then(|verdict| verdict.get("steps")?.as_array()).into_iter().flatten() {
        let text = |name: &str| of_verdict.get(name).and_then(Value::as_str);
        let (Some(number), Some(result)) = (text("number"), text("result")) else { continue };
        let outcome = StepOutcome::of_verdict(result);
        // The timeline has each that began; it does not tell a failure from a note.
        match steps.iter_mut().find(|step| step.number.as_deref() == Some(number)) {
            Some(step) => step.outcome = outcome,
            None => steps.push(StepTime {
                name: name_of(of_verdict, number),
                number: Some(number.into()),
                outcome,
                begun: steps.last().map_or(0.0, |last| last.ended),
                ended: steps.last().map_or(0.0, |last| last.ended),
                milliseconds: None,
                card_ms: None,
                detail: String::new(),
            }),
        }
    }
    steps
}

/// Returns what the timeline would call a step: its number, verb, name and place.
fn name_of(step: &Value, number: &str) -> String {
    let text = |name: &str| step.get(name).and_then(Value::as_str);
    let mut words = format!("step {number} `{}`", text("verb").unwrap_or_default());
    if let Some(name) = text("name") {
        words += &format!(" \"{name}\"");
    }
    let file = text("file").and_then(|file| Some(Path::new(file).file_name()?.display().to_string()));
    if let (Some(file), Some(line)) = (file, step.get("line").and_then(Value::as_u64)) {
        words += &format!(" ({file}:{line})");
    }
    words
}

/// Reads the steps of a timeline; lines that are cut short or of other events are passed over.
fn of_timeline(text: &str) -> Vec<StepTime> {
    let mut steps: Vec<StepTime> = Vec::new();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let text = |name: &str| line.get(name).and_then(Value::as_str);
        let number = |name: &str| line.get(name).and_then(Value::as_f64);
        let at = number("seconds").unwrap_or(0.0) * 1000.0;
        // A step of the test bed is known by its name, one of the scenario by its number.
        let key = text("number").or_else(|| text("step"));
        match text("event") {
            Some("step-begun" | "scenario-step-begun") => {
                // A test bed takes one step after another: what has no end of its own ends where the next begins.
                if let Some(open) = steps.iter_mut().rev().find(|step| step.number.is_none())
                    && open.outcome == StepOutcome::Open
                {
                    (open.outcome, open.ended) = (StepOutcome::Passed, at);
                    open.milliseconds = Some(at - open.begun);
                }
                steps.push(StepTime {
                    name: text("step").unwrap_or_default().into(),
                    number: text("number").map(Into::into),
                    outcome: StepOutcome::Open,
                    begun: at,
                    ended: at,
                    milliseconds: None,
                    card_ms: None,
                    detail: String::new(),
                });
            }
            Some("step-ended" | "scenario-step-ended") => {
                let is_it = |step: &&mut StepTime| Some(step.number.as_deref().unwrap_or(&step.name)) == key;
                if let Some(open) = steps.iter_mut().rev().find(is_it) {
                    let has_failed = line.get("passed").and_then(Value::as_bool) == Some(false);
                    open.outcome = if has_failed { StepOutcome::Failed } else { StepOutcome::Passed };
                    open.ended = at;
                    open.milliseconds = number("milliseconds");
                    open.card_ms = number("card_ms");
                    open.detail = text("detail").unwrap_or_default().into();
                }
            }
            _ => {}
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::host::leftovers::Scratch;

    #[test]
    fn reads_steps_and_leaves_one_open_that_did_not_end() {
        let text = "{\"seconds\":0.5,\"event\":\"step-begun\",\"step\":\"card\"}\n\
                    {\"seconds\":0.6,\"event\":\"step-ended\",\"step\":\"card\",\"milliseconds\":99.0}\n\
                    {\"seconds\":0.7,\"event\":\"note\",\"text\":\"x\"}\n\
                    {\"seconds\":0.7,\"event\":\"step-begun\",\"step\":\"firmware\"}\n\
                    {\"seconds\":0.75,\"event\":\"step-begun\",\"step\":\"kernel\"}\n{\"secon";
        let expected = [
            ("card", 500.0, 600.0, Some(99.0), StepOutcome::Passed),
            ("firmware", 700.0, 750.0, Some(50.0), StepOutcome::Passed),
            ("kernel", 750.0, 750.0, None, StepOutcome::Open),
        ];
        let found = of_timeline(text);
        let found: Vec<_> = found
            .iter()
            .map(|step| (step.name.as_str(), step.begun, step.ended, step.milliseconds, step.outcome))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn tells_a_failure_of_a_scenarios_step_from_a_note_and_lists_what_was_not_reached() {
        let folder = Scratch::new().unwrap();
        let ended = |number: &str, passed: bool| {
            format!(
                "{{\"seconds\":0.2,\"event\":\"scenario-step-begun\",\"number\":\"{number}\",\"step\":\"step {number} `play`\"}}\n\
                 {{\"seconds\":0.3,\"event\":\"scenario-step-ended\",\"number\":\"{number}\",\"passed\":{passed},\
                 \"milliseconds\":100.4,\"card_ms\":1.5,\"detail\":\"late\"}}\n"
            )
        };
        let text = ended("1", true) + &ended("2", false) + &ended("3", false);
        fs::write(folder.path().join("timeline.jsonl"), text).unwrap();
        let verdict = json!({ "steps": [
            { "number": "1", "verb": "play", "result": "passed" },
            { "number": "2", "verb": "play", "result": "failed" },
            { "number": "3", "verb": "play", "result": "noted" },
            { "number": "4", "verb": "expect", "name": "it sounds", "file": "a/b.toml", "line": 7, "result": "not-reached" },
        ] });
        let steps = read(folder.path(), Some(&verdict));
        let outcomes: Vec<_> = steps.iter().map(|step| step.outcome.words()).collect();
        assert_eq!(outcomes, ["passed", "failed", "noted", "not reached"]);
        let lines: Vec<_> = steps.iter().filter_map(StepTime::line).collect();
        assert_eq!(lines[1], "step 2 `play`: failed, 100 ms, 1.5 ms of card time: late");
        assert_eq!(lines[3], "step 4 `expect` \"it sounds\" (b.toml:7): not reached");
        assert_eq!(read(&folder.path().join("absent"), None), []);
    }
}
