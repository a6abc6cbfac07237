//! What the engine says while it works: typed events, rendered by whoever listens.

use std::fs::File;
use std::io::Write;
use std::sync::Mutex;
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Something happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Something missing is being brought in or built.
    Provisioning {
        /// What.
        what: String,
        /// From where, and why.
        why: String,
    },
    /// It is there.
    Provisioned {
        /// What.
        what: String,
        /// Where, and which version.
        found: String,
    },
    /// A step of a performance begins.
    StepBegun {
        /// Which.
        step: Step,
    },
    /// It has ended well.
    StepEnded {
        /// Which.
        step: Step,
        /// How long it took.
        milliseconds: f64,
    },
    /// A line of the guest's log.
    Guest {
        /// `error` to `trace`.
        level: &'static str,
        /// Who says it.
        target: String,
        /// The text.
        text: String,
    },
    /// Text on the console that is no message, such as the firmware's.
    Console {
        /// The text.
        text: String,
    },
    /// The driver allocates by a stack that has not been seen since the guest's boot.
    Allocation {
        /// The stack's name.
        hash: u64,
        /// What allocates.
        function: String,
        /// The driver's part of the stack.
        #[serde(skip)]
        stack: Vec<guest_protocol::StackFrame>,
        /// It was made to fail.
        failed: bool,
    },
    /// How far the stream has got.
    Progress {
        /// Frames done.
        frames: u64,
        /// Of how many.
        of_frames: u64,
        /// Events delivered.
        events: u64,
    },
    /// Something worth knowing.
    Note {
        /// The text.
        text: String,
    },
    /// Something that looks wrong but does not end the run.
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
        /// How.
        result: TestResult,
        /// How long it took.
        milliseconds: f64,
        /// Why it failed or was skipped; what was found.
        detail: String,
    },
}

/// The steps of a performance, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// What happens in it, for people.
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

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestResult {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// It could not be tried.
    Skipped,
}

/// Whoever listens.
pub trait Observer: Sync {
    /// Takes an event. Called from several threads.
    fn event(&self, event: &Event);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: &Event) {}
}

/// Writes every event to a file, a line of JSON each with its time, and passes it on.
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

impl<'a> Timeline<'a> {
    /// Times count from now.
    #[must_use]
    pub fn new(file: File, next: &'a dyn Observer) -> Self {
        Self { next, file: Mutex::new(file), begun: Instant::now() }
    }
}

impl Observer for Timeline<'_> {
    fn event(&self, event: &Event) {
        let line = Line { seconds: self.begun.elapsed().as_secs_f64(), event };
        if let (Ok(mut text), Ok(mut file)) = (serde_json::to_vec(&line), self.file.lock()) {
            text.push(b'\n');
            // A timeline that cannot be written must not end the run that it describes.
            let _ = file.write_all(&text);
        }
        self.next.event(event);
    }
}
