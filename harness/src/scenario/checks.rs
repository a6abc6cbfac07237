//! What belongs together in a scenario file, and what does not: every mistake of a file, not only the first.

use super::document::{CppDriver, Document, TestKind};
use super::expect::Outcome;
use super::malformed::{ScenarioError, Source};
use super::matrix_table::Matrix;
use super::variant_table::VARIANT_MARK;
use crate::event::Step;
use crate::testbed::violations::ViolationPolicy;

/// Longest stall of a scenario: a typing error must not keep a run for hours.
pub(super) const STALL_MS_MAX: u64 = 60_000;

/// Most guests side by side in the run of a kill: each takes half a GiB.
const PARALLEL_MAX: usize = 16;

/// What is wrong with a file.
#[derive(Debug, Default)]
pub(super) struct Wrong(Vec<ScenarioError>);

impl Wrong {
    /// Adds what is wrong.
    pub(super) fn add(&mut self, error: ScenarioError) {
        self.0.push(error);
    }

    /// Returns the value of a part that is right; else nothing in its place, and what is wrong is added.
    pub(super) fn or_default<T: Default>(&mut self, result: Result<T, ScenarioError>) -> T {
        result.unwrap_or_else(|error| {
            self.add(error);
            T::default()
        })
    }

    /// Returns an error of all that is wrong.
    ///
    /// # Errors
    /// [`ScenarioError::File`] for a file that cannot be read; else [`ScenarioError::Malformed`].
    pub(super) fn result(self, file: Source<'_>) -> Result<(), ScenarioError> {
        let mut texts = Vec::new();
        for error in self.0 {
            match error {
                ScenarioError::Malformed { message, .. } if texts.contains(&message) => {}
                ScenarioError::Malformed { message, .. } => texts.push(message),
                other => return Err(other),
            }
        }
        if texts.is_empty() {
            return Ok(());
        }
        Err(ScenarioError::Malformed { path: file.path.into(), message: texts.join("\n\n") })
    }
}

/// Adds everything that does not belong together.
pub(super) fn all(file: Source<'_>, document: &Document, cases: usize, policy: &ViolationPolicy, wrong: &mut Wrong) {
    driver(file, document, wrong);
    kind(file, document, wrong);
    machine(file, document, wrong);
    expectations(file, document, cases, policy, wrong);
    expectations_in_vain(file, document, wrong);
}

/// Checks what is said about the driver.
fn driver(file: Source<'_>, document: &Document, wrong: &mut Wrong) {
    if document.cpp_driver == Some(CppDriver::Broken) && document.expect.outcome != Outcome::GuestCrashed {
        let message = "a broken driver must be stopped: expect outcome = \"guest-crashed\"";
        wrong.add(file.error_at_key("cpp_driver", message));
    }
    if document.cpp_driver == Some(CppDriver::Broken) && document.keep_going {
        wrong.add(file.error_at_key("keep_going", "a broken driver must be stopped: it is not to keep going"));
    }
    let named = matches!(&document.cpp_driver, Some(CppDriver::Named(name)) if !name.contains(VARIANT_MARK));
    if document.test == Some(TestKind::Hostile) && !named {
        let message = "a test of a hostile driver names its folder: cpp_driver = \"hostile\"";
        wrong.add(file.error_at_key("hostile", message));
    }
}

/// Checks what a kind of test has and has not.
fn kind(file: Source<'_>, document: &Document, wrong: &mut Wrong) {
    if document.test.is_some()
        && let Some(axis) = document.matrix.as_ref().and_then(|matrix| matrix.get_ref().axis_of_songs())
    {
        let axes = Matrix::axes_without_song();
        let message = format!("the matrix of a test that plays no song has no axis {axis}, only {axes}");
        wrong.add(file.error_at_key("[matrix]", &message));
    }
    if let Some(rounds) = &document.rounds
        && (!matches!(
            document.test,
            Some(TestKind::Stress | TestKind::CardKills | TestKind::Hostile | TestKind::Kills)
        ) || *rounds.get_ref() == 0)
    {
        let message = "rounds, at least 1, belong to test = \"stress\", \"card-kills\", \"hostile\" and \"kills\"";
        wrong.add(file.error(rounds.span(), message));
    }
    if let Some(parallel) = &document.parallel
        && (document.test != Some(TestKind::Kills) || parallel.get_ref().get() > PARALLEL_MAX)
    {
        let message = format!("parallel, from 1 to {PARALLEL_MAX}, belongs to test = \"kills\"");
        wrong.add(file.error(parallel.span(), &message));
    }
    if document.capture && (document.test.is_some() || document.judge.is_some()) {
        let message = "a song that is captured is judged by its messages: it has no test and no judge";
        wrong.add(file.error_at_key("capture", message));
    }
}

/// Checks what happens to the machine.
fn machine(file: Source<'_>, document: &Document, wrong: &mut Wrong) {
    if let Some(fault) = &document.fault
        && !matches!(fault.get_ref().at, Step::Kernel | Step::DriverStart | Step::Streaming | Step::ShutDown)
    {
        let message = "a process can be killed only at kernel, driver-start, streaming or shut-down";
        wrong.add(file.error(fault.span(), message));
    }
    for stall in &document.stall {
        if !(1..=STALL_MS_MAX).contains(&stall.get_ref().milliseconds) {
            let message = format!("a stall takes 1 to {STALL_MS_MAX} milliseconds");
            wrong.add(file.error(stall.span(), &message));
        }
    }
}

/// What `[expect]` says about the song that a scenario streams.
const ABOUT_SONG: [&str; 7] =
    ["bit_identical", "audible", "frames", "events", "interrupts", "interrupts_not_claimed", "peak"];

/// Checks that nothing is expected where it is not looked at: it would hold whatever happens.
fn expectations_in_vain(file: Source<'_>, document: &Document, wrong: &mut Wrong) {
    let Ok(table) = file.text.parse::<toml::Table>() else { return };
    let Some(said) = table.get("expect").and_then(toml::Value::as_table) else { return };
    let is_test = document.test.is_some();
    if !is_test && document.step.is_empty() {
        return;
    }
    for key in said.keys() {
        let message = if is_test {
            // That a broken driver is stopped is asked for above.
            if key == "outcome" && document.cpp_driver == Some(CppDriver::Broken) {
                continue;
            }
            format!("{key} expects something of a song or of steps: a test of this kind has verdicts of its own")
        } else if ABOUT_SONG.contains(&key.as_str()) {
            format!(
                "{key} expects something of the song that a scenario streams: with steps, a step says it: expect = {{ \
                 bit_identical = true }}, or a value with its bounds"
            )
        } else {
            continue;
        };
        wrong.add(file.error_at_key(key, &message));
    }
}

/// Checks what is expected.
fn expectations(file: Source<'_>, document: &Document, cases: usize, policy: &ViolationPolicy, wrong: &mut Wrong) {
    if document.expect.same_pcm && cases == 1 {
        wrong.add(file.error_at_key("same_pcm", "same_pcm compares cases, and there is only one"));
    }
    if !policy.is_strict() && matches!(document.test, Some(TestKind::Kills | TestKind::QemuLimits)) {
        let message =
            "a test of kills or of QEMU's limits judges no driver: there is nothing to waive or to go on after";
        wrong.add(file.error_at_key("kills", message));
    }
    if document.expect.noted.is_some() && policy.is_strict() {
        let message = "noted expects violations that do not stop the guest: waive rules, or keep_going = true";
        wrong.add(file.error_at_key("noted", message));
    }
}
