//! Steps one by one for a prompt, and the places where it takes over.

use std::path::Path;

use super::interaction::{Pause, StepFailure, Stepping};
use super::list::Halt;
use super::state::Engine;
use crate::host::failure::{Class, Diagnosed};
use crate::machine::CardControl;
use crate::playback::PlaybackError;
use crate::steps::document::Process;
use crate::steps::plan::{Act, PlannedStep, STREAM};
use crate::testbed::session::SessionError;
use crate::testbed::{TestBed, TestBedError};

impl<'o> Stepping<'o> for Engine<'_, 'o> {
    fn bed(&mut self) -> &mut TestBed<'o> {
        self.bed
    }

    fn card(&self) -> Option<&CardControl> {
        self.side.card.as_ref()
    }

    fn done(&self) -> &[PlannedStep] {
        &self.done
    }

    fn loads(&self) -> bool {
        self.test.plan.loads
    }

    fn file(&self) -> Option<&Path> {
        self.test.plan.steps.first().map(|step| step.place.path.as_path())
    }

    fn streams(&self) -> Vec<String> {
        self.streams.keys().cloned().collect()
    }

    fn answered(&self) -> Option<&(u32, Vec<u8>)> {
        self.answered.as_ref()
    }

    fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    fn carry_out(&mut self, step: &PlannedStep) -> Result<String, StepFailure> {
        let held = self.done.len();
        let done = self.step(step);
        if self.done.len() == held
            && let Act::Open(open) = &step.act
            && self.lost.is_none()
        {
            // A stream that did not come to its state is not left open behind the back of later steps.
            let name = open.name.clone().unwrap_or_else(|| STREAM.into());
            if !matches!(&done, Err(Halt::Failed(error)) if !goes_on(error)) && self.streams.contains_key(&name) {
                let _ = self.close(&name);
            }
        }
        match done {
            Ok(()) if self.done.len() > held => Ok(self.side.last_detail()),
            // An expectation that does not end the steps, or a limit of all of them.
            Ok(()) | Err(Halt::Unmet | Halt::Abandoned | Halt::Left) => Err(unmet(self.side.last_detail())),
            Err(Halt::Failed(PlaybackError::AtStep { failed, .. })) => Err(self.note(*failed)),
            Err(Halt::Failed(error)) => Err(self.note(error)),
        }
    }

    fn explain(&mut self, what: &str, error: TestBedError) -> StepFailure {
        let error = self.bed.cause(what, PlaybackError::from(error));
        self.note(error)
    }
}

/// Returns the failure of something that was carried out and does not hold.
const fn unmet(text: String) -> StepFailure {
    StepFailure { class: Class::TestFailed, text, remedy: None, report: None, lost: false }
}

impl Engine<'_, '_> {
    /// Notes why something failed, and keeps an error behind which the guest does not answer.
    fn note(&mut self, error: PlaybackError) -> StepFailure {
        let failure = self.failure(&error);
        if failure.lost {
            self.lost = Some(error);
        }
        failure
    }

    fn failure(&self, error: &PlaybackError) -> StepFailure {
        let report = match error.testbed() {
            Some(TestBedError::Session(SessionError::BugCheck(found))) => {
                Some(self.bed.bug_check_report(found).trim_end().to_owned())
            }
            _ => None,
        };
        let killed = match (error.testbed(), self.side.killed()) {
            (Some(TestBedError::Session(SessionError::CardDied { death, .. })), Some(Process::Card))
            | (Some(TestBedError::Session(SessionError::QemuFailed { death, .. })), Some(Process::Qemu)) => {
                death.from_outside()
            }
            _ => false,
        };
        let class = error.class();
        let remedy = if killed { Some(KILLED.into()) } else { error.remedy() };
        StepFailure { class, text: error.to_string(), remedy, report, lost: !goes_on(error) }
    }

    /// Lets a prompt take over before a step, where it wants to.
    pub(super) fn pause_before(&mut self, step: &PlannedStep) -> Result<(), Halt> {
        let Some(interaction) = self.test.interaction.filter(|it| !self.cleans_up && it.stops_before(step)) else {
            return Ok(());
        };
        let goes_on = interaction.take_over(self, &Pause::Before(step.title()));
        match self.lost.take() {
            Some(error) => Err(Halt::Failed(error)),
            None if goes_on => Ok(()),
            None => Err(Halt::Left),
        }
    }

    /// Lets a prompt take over behind the steps, where it wants to.
    pub(super) fn pause_behind(&mut self, done: Result<(), Halt>) -> Result<(), Halt> {
        let Some(interaction) = self.test.interaction else { return done };
        let pause = match &done {
            Ok(()) => Pause::End,
            Err(Halt::Failed(error)) => Pause::Failed(self.failure(error)),
            Err(Halt::Unmet) => Pause::Failed(unmet(self.side.last_failure())),
            Err(Halt::Abandoned | Halt::Left) => return done,
        };
        if interaction.stops_at(&pause) {
            interaction.take_over(self, &pause);
        }
        // What failed first is the verdict.
        match self.lost.take() {
            Some(error) if done.is_ok() => Err(Halt::Failed(error)),
            _ => done,
        }
    }
}

/// The remedy where a step has killed the process.
const KILLED: &str = "a step `host` with `kill` ended it: boot anew (`again` at the prompt), or leave that step out";

/// Returns whether the guest still answers after an error.
pub(super) fn goes_on(error: &PlaybackError) -> bool {
    match error.testbed() {
        Some(TestBedError::Session(error)) => matches!(error, SessionError::Refused { .. }),
        Some(TestBedError::Control(_)) => false,
        _ => error.class() != Class::Interrupted,
    }
}
