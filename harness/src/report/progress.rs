//! Shows how far a run of many tests is: a counting line on a terminal, plain lines elsewhere.

use std::sync::{Mutex, PoisonError};

use super::terminal::Terminal;
use crate::event::{Event, Observer, TestResult};

/// An observer of a run of many tests, which writes to standard error. On a terminal tests that pass and notes show in the line of
/// progress only; elsewhere each has a line, unless it is quiet.
pub struct Progress {
    terminal: Terminal,
    quiet: bool,
    counts: Mutex<Counts>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    tests: usize,
    begun: usize,
    failed: usize,
}

impl Counts {
    /// Returns what stands before the line of progress.
    fn lead(self) -> String {
        if self.tests == 0 {
            return String::new();
        }
        // Retries are tests too, and are in no plan.
        let of = self.tests.max(self.begun);
        let failed = if self.failed == 0 { String::new() } else { format!(", {} failed", self.failed) };
        format!("running {} of {of}{failed}: ", self.begun)
    }
}

impl Progress {
    /// Creates an observer; a quiet one shows failures and warnings only.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        Self { terminal: Terminal::new(), quiet, counts: Mutex::default() }
    }

    /// Sets how many tests there are.
    pub fn plan(&self, tests: usize) {
        self.count(|counts| counts.tests = tests);
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut counts);
        self.terminal.set_lead(counts.lead());
    }

    /// Returns whether an event has no line of its own.
    fn hides(&self, event: &Event) -> bool {
        let brief = self.quiet || (self.terminal.is_live() && self.has_plan());
        match event {
            Event::Note { .. } => brief,
            Event::TestEnded { result: TestResult::Passed, .. } => brief,
            Event::TestEnded { result: TestResult::Skipped | TestResult::KnownIssue, .. }
            | Event::Provisioning { .. } => self.quiet,
            _ => false,
        }
    }

    fn has_plan(&self) -> bool {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).tests > 0
    }
}

impl Observer for Progress {
    fn event(&self, event: &Event) {
        match event {
            Event::TestBegun { .. } => self.count(|counts| counts.begun += 1),
            Event::TestEnded { result: TestResult::Failed, .. } => self.count(|counts| counts.failed += 1),
            _ => {}
        }
        if self.hides(event) {
            if let Event::Note { text } = event {
                self.terminal.now(text.clone());
            }
        } else {
            self.terminal.event(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_has_begun_and_what_has_failed() {
        let progress = Progress::new(true);
        let lead = || progress.counts.lock().unwrap().lead();
        assert_eq!(lead(), "");
        progress.plan(3);
        let ended = |result| Event::TestEnded { name: "x".into(), result, milliseconds: 1.0, detail: String::new() };
        let begun = Event::TestBegun { name: "x".into() };
        progress.event(&begun);
        assert_eq!(lead(), "running 1 of 3: ");
        progress.event(&ended(TestResult::Passed));
        progress.event(&begun);
        progress.event(&ended(TestResult::Failed));
        assert_eq!(lead(), "running 2 of 3, 1 failed: ");
        progress.event(&begun);
        progress.event(&begun);
        assert_eq!(lead(), "running 4 of 4, 1 failed: ", "a retry is one more");
    }

    #[test]
    fn a_quiet_one_shows_failures_and_what_now_passes() {
        let progress = Progress::new(true);
        let ended = |result| Event::TestEnded { name: "x".into(), result, milliseconds: 1.0, detail: String::new() };
        for (result, hidden) in [
            (TestResult::Passed, true),
            (TestResult::Skipped, true),
            (TestResult::KnownIssue, true),
            (TestResult::Failed, false),
            (TestResult::KnownIssuePasses, false),
        ] {
            assert_eq!(progress.hides(&ended(result)), hidden, "{result:?}");
        }
        assert!(progress.hides(&Event::Note { text: "n".into() }));
        assert!(!progress.hides(&Event::Warning { text: "w".into() }));
    }
}
