//! A prompt between steps: what it can do there, and when it opens.

use std::fmt;
use std::path::Path;

use crate::host::failure::Class;
use crate::machine::CardControl;
use crate::steps::plan::PlannedStep;
use crate::testbed::{TestBed, TestBedError};

/// Why steps pause.
#[derive(Clone, Debug)]
pub enum Pause {
    /// Before a step, which is named.
    Before(String),
    /// Behind the last step.
    End,
    /// Something failed.
    Failed(StepFailure),
}

/// Takes over where steps pause.
pub trait Interaction: fmt::Debug + Sync {
    /// Returns whether steps pause before this one.
    fn stops_before(&self, step: &PlannedStep) -> bool;

    /// Returns whether steps pause here, other than before a step.
    fn stops_at(&self, pause: &Pause) -> bool;

    /// Takes over. Returns whether the steps go on.
    fn take_over(&self, steps: &mut dyn Stepping<'_>, pause: &Pause) -> bool;
}

/// Why a step, or a request in the place of one, did not do what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepFailure {
    /// The part at fault.
    pub class: Class,
    /// What happened, in a sentence.
    pub text: String,
    /// What to do, where that is known.
    pub remedy: Option<String>,
    /// The report of the bug check that ended the guest.
    pub report: Option<String>,
    /// Whether the guest no longer answers.
    pub lost: bool,
}

/// Steps that pause: what is open, and what can be done.
pub trait Stepping<'o> {
    /// Returns the test bed.
    fn bed(&mut self) -> &mut TestBed<'o>;

    /// Returns the card's control socket, where the device is the card.
    fn card(&self) -> Option<&CardControl>;

    /// Returns the steps that did what they say.
    fn done(&self) -> &[PlannedStep];

    /// Returns whether one of the steps loads the driver, so that it was not loaded before the first.
    fn loads(&self) -> bool;

    /// Returns the scenario's file; `None` where there are no steps but those that are typed.
    fn file(&self) -> Option<&Path>;

    /// Returns the names of the streams that are open.
    fn streams(&self) -> Vec<String>;

    /// Returns status and value that the driver returned for the last property request.
    fn answered(&self) -> Option<&(u32, Vec<u8>)>;

    /// Returns whether the guest no longer answers.
    fn is_lost(&self) -> bool;

    /// Carries out a step. Returns what was found.
    ///
    /// # Errors
    /// [`StepFailure`] with what failed, or what does not hold.
    fn carry_out(&mut self, step: &PlannedStep) -> Result<String, StepFailure>;

    /// Finds the cause of an error of a request, and notes whether the guest still answers.
    fn explain(&mut self, what: &str, error: TestBedError) -> StepFailure;
}
