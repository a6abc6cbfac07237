//! One step more, behind those that were carried out: what a prompt types.

use std::path::Path;

use super::act::PlannedStep;
use super::order::Order;
use super::read::{Plan, PlanError, PlanInput};
use crate::document::{Problems, Source, read};
use crate::steps::document::StepList;

impl Plan {
    /// Reads a list of one step, and checks it behind the steps that were carried out on the same guest. `loads` says whether one
    /// of those has loaded the driver, or the next is to. `path` is where the text stands: what it names is beside that.
    ///
    /// # Errors
    /// [`PlanError`] with everything that is wrong, a sentence each.
    pub fn next(
        done: &[PlannedStep],
        loads: bool,
        path: impl AsRef<Path>,
        text: &str,
    ) -> Result<PlannedStep, PlanError> {
        let source = Source { path: path.as_ref(), text };
        let mut problems = Problems::default();
        let list: Option<StepList> = read(source, &mut problems);
        let steps = list.map(|list| list.step).unwrap_or_default();
        let mut plan = Self::read(PlanInput { source, steps: &steps, cleanup: &[] }, &mut problems);
        if problems.is_empty() {
            // What was carried out was right: only what it leaves open counts.
            let mut before = Problems::default();
            Order::begin(loads, source, &mut before).before(done, &mut problems).list(&plan.steps);
        }
        let step = plan.steps.pop().filter(|_| problems.is_empty());
        let number = (done.len() + 1).to_string();
        step.map(|step| PlannedStep { number, ..step }).ok_or_else(|| PlanError(problems.messages().join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(done: &[PlannedStep], text: &str) -> Result<PlannedStep, String> {
        let text = format!("title = \"\"\n[[step]]\n{text}\n");
        Plan::next(done, true, "prompt", &text).map_err(|error| error.to_string())
    }

    #[test]
    fn checks_a_step_behind_those_that_were_carried_out() {
        assert!(step(&[], "start = true").unwrap_err().contains("the driver is not loaded"));
        let mut done = vec![step(&[], "load = true").unwrap()];
        assert!(step(&done, "play = {}").unwrap_err().contains("the device is not started"));
        done.push(step(&done, "start = true").unwrap());
        assert!(step(&done, "load = true").unwrap_err().contains("loaded already"));
        done.push(step(&done, "open = { as = \"a\" }").unwrap());
        assert_eq!(done[2].number, "3");
        assert!(step(&done, "close = \"b\"").unwrap_err().contains("no stream is called `b`"));
        assert!(step(&done, "close = \"a\"").is_ok());
    }

    #[test]
    fn says_what_is_wrong_with_a_step_without_a_place_in_a_file() {
        let error = step(&[], "advance = { frames = 1, ms = 1 }").unwrap_err();
        assert_eq!(error, "advance has either frames or ms");
    }
}
