//! Typed events of runs. Every layer reports them to an observer; `report` renders them.

use std::fs::File;
use std::io::Write;
use std::sync::Mutex;
use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::run_id::run_id;

/// An event of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A missing artefact is being downloaded or built.
    Provisioning {
        /// The artefact.
        what: String,
        /// From where, and why.
        why: String,
    },
    /// An artefact is there.
    Provisioned {
        /// The artefact.
        what: String,
        /// Its path or version.
        found: String,
    },
    /// A step of a run begins.
    StepBegun {
        /// The step.
        step: Step,
    },
    /// A step has succeeded.
    StepEnded {
        /// The step.
        step: Step,
        /// The duration in milliseconds.
        milliseconds: f64,
    },
    /// A step of a scenario begins.
    ScenarioStepBegun {
        /// Its number, such as `3` or `3.2.1`.
        number: String,
        /// What reports call it.
        step: String,
    },
    /// A step of a scenario has ended.
    ScenarioStepEnded {
        /// Its number.
        number: String,
        /// Whether it did what it says.
        passed: bool,
        /// How long it took on the host, in milliseconds.
        milliseconds: f64,
        /// How long it took in card time, in milliseconds, where there is a card.
        card_ms: Option<f64>,
        /// What was found, or why it failed.
        detail: String,
    },
    /// A line of the guest's log.
    Guest {
        /// `error` to `trace`.
        level: &'static str,
        /// The module that logs it.
        target: String,
        /// The text.
        text: String,
    },
    /// Text on the console that is no protocol message, such as the firmware's.
    Console {
        /// The text.
        text: String,
    },
    /// The driver allocates on a stack that is new since the guest's boot.
    Allocation {
        /// The stack's name.
        hash: u64,
        /// The function that allocates.
        function: String,
        /// The driver's part of the stack.
        #[serde(skip)]
        stack: Vec<guest_protocol::StackFrame>,
        /// It was made to fail.
        failed: bool,
    },
    /// The guest has found something without stopping, for the first time.
    Finding {
        /// `waived`, `violation` or `note`.
        kind: &'static str,
        /// The number of the rule or check, where there is one.
        rule: Option<u16>,
        /// The function that found it.
        function: String,
        /// The IRQL at that moment.
        irql: u8,
        /// What was found, and the remedy.
        message: String,
    },
    /// The progress of a stream.
    Progress {
        /// Frames received.
        frames: u64,
        /// Frames in all.
        of_frames: u64,
        /// Events delivered.
        events: u64,
    },
    /// Live MIDI comes in.
    Live {
        /// Messages that have come in.
        messages: u64,
        /// How long the last one took that came out, in microseconds.
        last_us: u64,
        /// The least, the median and the greatest time so far, in microseconds; `None` before the first.
        latency_us: Option<[u64; 3]>,
    },
    /// A note for the user.
    Note {
        /// The text.
        text: String,
    },
    /// A warning: something is wrong that does not end the run.
    Warning {
        /// The text.
        text: String,
    },
    /// A test begins.
    TestBegun {
        /// Its name.
        name: String,
    },
    /// A test has ended.
    TestEnded {
        /// Its name.
        name: String,
        /// Its result.
        result: TestResult,
        /// The duration in milliseconds.
        milliseconds: f64,
        /// The reason for its failure or skip, or its finding.
        detail: String,
    },
}

/// The steps of a run, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The card's process starts.
    Card,
    /// From QEMU's start to the guest's first instruction.
    Firmware,
    /// From there until the guest is ready for requests.
    Kernel,
    /// Load the driver, start the device, open filter and pins.
    DriverStart,
    /// Stream events in and PCM out.
    Streaming,
    /// Compare the PCM with the offline render.
    Judging,
    /// Close, unload, shut down.
    ShutDown,
}

impl Step {
    /// Returns what happens in it, for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Card => "start the card",
            Self::Firmware => "start QEMU, run the firmware",
            Self::Kernel => "boot the guest",
            Self::DriverStart => "start the driver, open its pins",
            Self::Streaming => "stream the song",
            Self::Judging => "compare with the offline render",
            Self::ShutDown => "unload the driver, shut down",
        }
    }
}

/// The result of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestResult {
    /// Every expectation holds.
    Passed,
    /// An expectation does not hold.
    Failed,
    /// Something that the test needs is missing.
    Skipped,
    /// It fails as a known issue of its scenario says.
    KnownIssue,
    /// It passes, although a known issue of its scenario says that it fails.
    KnownIssuePasses,
}

impl TestResult {
    /// Returns its name for people and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::KnownIssue => "known-issue",
            Self::KnownIssuePasses => "known-issue-passes",
        }
    }
}

/// Receives the events of runs.
pub trait Observer: Sync {
    /// Receives an event. Called from several threads.
    fn event(&self, event: &Event);
}

/// An observer that discards events.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: &Event) {}
}

/// The version of the lines of a timeline. It grows when a field that readers may know changes its meaning or goes; fields and
/// events that are added leave it as it is.
pub const TIMELINE_VERSION: u32 = 1;

/// An observer that writes every event to a file, a line of JSON with its time each, and passes it on. The first line has the
/// version of the lines and the id of the run.
pub struct Timeline<'a> {
    next: &'a dyn Observer,
    file: Mutex<File>,
    begun: Instant,
}

#[derive(Serialize)]
struct Line<'a> {
    seconds: f64,
    #[serde(flatten)]
    event: &'a Event,
}

/// The first line of a timeline.
#[derive(Serialize)]
struct Head<'a> {
    seconds: f64,
    event: &'a str,
    schema_version: u32,
    run_id: &'a str,
    begun: jiff::Timestamp,
}

impl<'a> Timeline<'a> {
    /// Creates a timeline whose times count from now.
    #[must_use]
    pub fn new(file: File, next: &'a dyn Observer) -> Self {
        let timeline = Self { next, file: Mutex::new(file), begun: Instant::now() };
        timeline.write(&Head {
            seconds: 0.0,
            event: "timeline",
            schema_version: TIMELINE_VERSION,
            run_id: run_id(),
            begun: jiff::Timestamp::now(),
        });
        timeline
    }

    fn write(&self, line: &impl Serialize) {
        if let (Ok(mut text), Ok(mut file)) = (serde_json::to_vec(line), self.file.lock()) {
            text.push(b'\n');
            // A full disk must not end the run that the timeline describes.
            let _ = file.write_all(&text);
        }
    }
}

impl Observer for Timeline<'_> {
    fn event(&self, event: &Event) {
        self.write(&Line { seconds: self.begun.elapsed().as_secs_f64(), event });
        self.next.event(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;

    /// Returns an event of each kind.
    fn events() -> Vec<Event> {
        let text = || "text".to_owned();
        vec![
            Event::Provisioning { what: text(), why: text() },
            Event::Provisioned { what: text(), found: text() },
            Event::StepBegun { step: Step::DriverStart },
            Event::StepEnded { step: Step::DriverStart, milliseconds: 1.5 },
            Event::ScenarioStepBegun { number: text(), step: text() },
            Event::ScenarioStepEnded {
                number: text(),
                passed: true,
                milliseconds: 1.5,
                card_ms: Some(2.5),
                detail: text(),
            },
            Event::Guest { level: "warn", target: text(), text: text() },
            Event::Console { text: text() },
            Event::Allocation { hash: 1, function: text(), stack: Vec::new(), failed: false },
            Event::Finding { kind: "note", rule: Some(7), function: text(), irql: 2, message: text() },
            Event::Progress { frames: 1, of_frames: 2, events: 3 },
            Event::Note { text: text() },
            Event::Warning { text: text() },
            Event::TestBegun { name: text() },
            Event::TestEnded { name: text(), result: TestResult::Passed, milliseconds: 1.5, detail: text() },
        ]
    }

    /// The lines of [`events`] in version 1, without their times.
    const VERSION_1: &str = r#"
{"event":"provisioning","what":"text","why":"text"}
{"event":"provisioned","what":"text","found":"text"}
{"event":"step-begun","step":"driver-start"}
{"event":"step-ended","step":"driver-start","milliseconds":1.5}
{"event":"scenario-step-begun","number":"text","step":"text"}
{"event":"scenario-step-ended","number":"text","passed":true,"milliseconds":1.5,"card_ms":2.5,"detail":"text"}
{"event":"guest","level":"warn","target":"text","text":"text"}
{"event":"console","text":"text"}
{"event":"allocation","hash":1,"function":"text","failed":false}
{"event":"finding","kind":"note","rule":7,"function":"text","irql":2,"message":"text"}
{"event":"progress","frames":1,"of_frames":2,"events":3}
{"event":"note","text":"text"}
{"event":"warning","text":"text"}
{"event":"test-begun","name":"text"}
{"event":"test-ended","name":"text","result":"passed","milliseconds":1.5,"detail":"text"}
"#;

    #[test]
    fn what_readers_of_the_version_know_stays() {
        assert_eq!(TIMELINE_VERSION, 1, "add the lines of the new version");
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("timeline.jsonl");
        let timeline = Timeline::new(File::create(&path).unwrap(), &Silent);
        events().iter().for_each(|event| timeline.event(event));
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let head = lines.next().unwrap();
        assert_eq!((head["event"].as_str(), head["schema_version"].as_u64()), (Some("timeline"), Some(1)));
        assert_eq!(head["run_id"], run_id());
        assert!(head["begun"].as_str().is_some_and(|begun| begun.parse::<jiff::Timestamp>().is_ok()), "{head}");
        let expected = VERSION_1.trim().lines();
        for (line, expected) in lines.by_ref().zip(expected.clone()) {
            let known: serde_json::Value = serde_json::from_str(expected).unwrap();
            for (name, value) in known.as_object().unwrap() {
                assert_eq!(line.get(name), Some(value), "{name} is known to readers: {line}");
            }
            assert!(line["seconds"].as_f64().is_some_and(|seconds| seconds >= 0.0), "{line}");
        }
        assert_eq!(text.lines().count(), 1 + expected.count(), "{text}");
    }
}
