//! The steps of a scenario file.

use toml::Spanned;

use super::checks::Wrong;
use super::document::Document;
use super::malformed::Source;
use crate::document::Problems;
use crate::steps::{LimitsTable, Plan, PlanInput};

/// Reads the steps and checks them, with what has no meaning beside steps.
pub(super) fn read(file: Source<'_>, document: &Document, wrong: &mut Wrong) -> Plan {
    let mut problems = Problems::default();
    let input = PlanInput { source: file.plain(), steps: &document.step, cleanup: &document.cleanup };
    let plan = Plan::read(input, &mut problems);
    plan.check_order(file.plain(), &mut problems);
    let first = document.step.first().map(Spanned::span);
    match first {
        None if !document.cleanup.is_empty() => {
            wrong.add(file.error_at_key("[[cleanup]]", "there are no steps to clean up behind: name [[step]]s"));
        }
        None if document.limits != LimitsTable::default() => {
            let message = "limits are about steps, and there are none: name [[step]]s, or use --timeout";
            wrong.add(file.error_at_key("[limits]", message));
        }
        None => {}
        Some(_) => beside_steps(file, document, wrong),
    }
    if !problems.is_empty() {
        wrong.add(file.malformed(problems));
    }
    plan
}

/// Adds what has no meaning beside steps, with the step that takes its place.
fn beside_steps(file: Source<'_>, document: &Document, wrong: &mut Wrong) {
    for (there, key, instead) in [
        (document.test.is_some(), "test", "a test of a kind has its own course"),
        (document.judge.is_some(), "judge", "a step `expect` says what decides"),
        (document.capture, "capture", "use the steps `send` and `capture`"),
        (document.fault.is_some(), "[fault]", "use a step `host = { kill = ... }`"),
        (!document.stall.is_empty(), "[[stall]]", "use a step `host = { suspend = ... }`"),
        (document.machine.restarts > 0, "restarts", "use steps `restart = true`"),
    ] {
        if there {
            let message = format!("`{}` has no meaning beside steps: {instead}", key.trim_matches(['[', ']']));
            wrong.add(file.error_at_key(key, &message));
        }
    }
}
