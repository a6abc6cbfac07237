//! Shows events as they come: a progress line on a terminal, plain lines elsewhere.

use std::collections::BTreeSet;
use std::io::{IsTerminal, stderr};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::print::error_line;
use crate::event::{Event, Observer, TestResult};

/// The period of the progress line's animation.
const TICK: Duration = Duration::from_millis(120);

/// An observer that writes to standard error.
pub struct Terminal {
    bar: Option<ProgressBar>,
    begun: Mutex<String>,
    /// What stands before the progress line.
    lead: Mutex<String>,
    /// Findings that were shown: several guests make the same ones, and reports count them.
    shown: Mutex<BTreeSet<(Option<u16>, String)>>,
}

impl Terminal {
    /// Creates an observer; it has a progress line where standard error is a terminal.
    #[must_use]
    pub fn new() -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {msg}").expect("the template is sound");
            bar.set_style(style);
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { bar, begun: Mutex::default(), lead: Mutex::default(), shown: Mutex::default() }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => error_line(text),
        }
    }

    /// Returns whether it has a progress line.
    pub(super) fn is_live(&self) -> bool {
        self.bar.is_some()
    }

    /// Sets what stands before the progress line.
    pub(super) fn set_lead(&self, text: String) {
        if let Ok(mut lead) = self.lead.lock() {
            *lead = text;
        }
        self.now(String::new());
    }

    /// Sets the progress line, where there is one.
    pub(super) fn now(&self, text: String) {
        if let (Some(bar), Ok(lead)) = (&self.bar, self.lead.lock()) {
            bar.set_message(format!("{lead}{text}"));
        }
    }

    fn set_begun(&self, text: &str) {
        if let Ok(mut begun) = self.begun.lock() {
            *begun = text.into();
        }
    }

    fn prefix(&self) -> String {
        match self.begun.lock() {
            Ok(begun) if !begun.is_empty() => format!("{begun}: "),
            _ => String::new(),
        }
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Terminal {
    fn event(&self, event: &Event) {
        match event {
            Event::Provisioning { what, why } => {
                self.now(format!("{what}: {why}"));
                // Builds happen in every run; a download is worth a line of its own.
                if why != "cargo build" {
                    self.line(&format!("provisioning {what}: {why}"));
                } else if self.bar.is_none() {
                    self.line(&format!("building {what}"));
                }
            }
            Event::Provisioned { .. } | Event::StepEnded { .. } | Event::Console { .. } | Event::Allocation { .. } => {}
            Event::StepBegun { step } => self.now(format!("{}{}", self.prefix(), step.text())),
            Event::ScenarioStepBegun { step, .. } => self.now(format!("{}{step}", self.prefix())),
            Event::ScenarioStepEnded { .. } => {}
            Event::Guest { level, target, text } => {
                if matches!(*level, "error" | "warn") {
                    self.line(&format!("guest {level} [{target}] {text}"));
                }
            }
            Event::Progress { frames, of_frames, events } => {
                let percent = frames * 100 / (*of_frames).max(1);
                self.now(format!("{}streaming: {percent} % of the frames, {events} events", self.prefix()));
            }
            Event::Live { messages, last_us, latency_us } => {
                let ms = |us: u64| us as f64 / 1e3;
                let latency = latency_us.map_or_else(String::new, |[min, median, max]| {
                    format!("; {:.1}, {:.1}, {:.1} ms at least, in the middle, at most", ms(min), ms(median), ms(max))
                });
                let last = ms(*last_us);
                self.now(format!("{}live: {messages} messages, the last took {last:.1} ms{latency}", self.prefix()));
            }
            Event::Finding { kind, rule, function, irql, message } => {
                let is_new = self.shown.lock().is_ok_and(|mut shown| shown.insert((*rule, function.clone())));
                if !is_new {
                    return;
                }
                let rule = rule.map_or_else(String::new, |rule| format!(" rule {rule}"));
                self.line(&format!("{kind}{rule}: {message} (in {function}, at IRQL {irql})"));
            }
            Event::Note { text } => self.line(text),
            Event::Warning { text } => self.line(&format!("warning: {text}")),
            Event::TestBegun { name } => {
                self.set_begun(name);
                self.now(name.clone());
            }
            Event::TestEnded { name, result, milliseconds, detail } => {
                self.set_begun("");
                let word = match result {
                    TestResult::Passed => "pass",
                    TestResult::Failed => "FAIL",
                    TestResult::Skipped => "skip",
                    TestResult::KnownIssue => "known",
                    TestResult::KnownIssuePasses => "PASS",
                };
                self.line(&format!("{word}  {name}  ({:.2} s)", milliseconds / 1000.0));
                for line in detail.lines() {
                    self.line(&format!("      {line}"));
                }
            }
        }
    }
}
