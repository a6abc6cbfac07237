//! Carries out lists of steps, with their limits, and keeps what came of each.

use std::path::Path;
use std::time::{Duration, Instant};

use super::host::expect_output;
use super::record::{StepRecord, StepResult};
use super::side::{Side, StepError};
use super::state::Engine;
use super::test::StepsTest;
use crate::event::Event;
use crate::host::failure::{Class, Diagnosed};
use crate::playback::PlaybackError;
use crate::steps::document::HostStep;
use crate::steps::plan::{Act, Fails, PlannedBranch, PlannedStep};
use crate::testbed::TestBedError;
use crate::testbed::session::{SessionError, StartedDevice};

/// Why a list of steps has ended early.
#[derive(Debug)]
pub(super) enum Halt {
    /// An expectation does not hold; that is among the failures.
    Unmet,
    /// Something failed.
    Failed(PlaybackError),
    /// Another list has failed.
    Abandoned,
    /// A prompt was left before the last step.
    Left,
}

impl Engine<'_, '_> {
    /// Carries out steps, one after another, until one ends them.
    pub(super) fn list(&mut self, steps: &[PlannedStep]) -> Result<(), Halt> {
        for (index, step) in steps.iter().enumerate() {
            let done = self.pause_before(step).and_then(|()| match &step.act {
                Act::Include(included) => self.list(included),
                _ => self.step(step),
            });
            if let Err(halt) = done {
                for later in &steps[index + 1..] {
                    not_reached(self.side, later);
                }
                return Err(halt);
            }
        }
        Ok(())
    }

    /// Carries out a step within its limits.
    pub(super) fn step(&mut self, step: &PlannedStep) -> Result<(), Halt> {
        let limit = step.host_s.map(|seconds| Duration::from_secs(seconds.into()));
        // A wait ends by itself at its limit, and says for what.
        let own = limit.filter(|_| !matches!(step.act, Act::Wait(_)));
        self.bed.session.end_within(own.or_else(|| self.test.host_left(self.side)));
        let watch = Watch::begin(self.side, step);
        let done = self.act(step);
        let done = match done {
            // The cause is found while the processes' ends are fresh.
            Err(StepError::Failed(error)) => Err(StepError::Failed(self.bed.cause(&step.title(), error))),
            other => other,
        };
        self.bed.session.end_within(None);
        let done = watch.limits(done, limit);
        if self.cleans_up {
            watch.note(done);
            return Ok(());
        }
        let held = done.is_ok();
        let halt = watch.end(done, matches!(step.act, Act::Expect(_, false)));
        if held && self.test.interaction.is_some() {
            self.done.push(step.clone());
        }
        if halt.is_ok() { self.test.total_limits(self.side) } else { halt }
    }

    /// Does what a step says. Returns what was found.
    fn act(&mut self, step: &PlannedStep) -> Result<String, StepError> {
        match &step.act {
            Act::Load => self.load(),
            Act::Start => self.start(),
            Act::Stop => self.stop(),
            Act::Restart => self.restart(),
            Act::Power(state) => self.power(*state),
            Act::Remove => self.remove(),
            Act::UnloadDriver => self.unload(),
            Act::UnloadDownload(name) => self.unload_download(name),
            Act::Open(open) => self.open(open),
            Act::Close(name) => self.close(name),
            Act::State(state) => self.state(state),
            Act::Format(format) => self.format(format),
            Act::Play(play, music) => self.play(play, music),
            Act::Send(send, song) => self.send(send, song.as_ref()),
            Act::Capture(capture, song) => self.capture(capture, song.as_ref()),
            Act::Property(property) => self.property(property),
            Act::Download(download) => self.download(download, &folder_of(step)),
            Act::Wait(wait) => self.wait(wait, step.host_s),
            Act::Advance(advance) => self.side.advance(advance),
            Act::Fault(fault) => self.side.inject(fault),
            Act::Host(host) if host.qmp.is_some() => self.qmp(host),
            Act::Host(host) if host.control.is_some() && self.side.card.is_none() => Err(PlaybackError::Act(
                "control is a line for the project's card, and the driver is for another device".into(),
            )
            .into()),
            Act::Host(host) => self.side.host(host, &folder_of(step)),
            Act::Expect(expect, _) => self.expect(expect, &folder_of(step)),
            Act::Save(save) if save.value.is_of_card() => self.side.save_of_card(save),
            Act::Save(save) => {
                let value = self.value(save.value)?;
                self.side.save(&save.name, value);
                Ok(format!("{} is {value}", save.value.name()))
            }
            Act::Parallel(branches) => self.parallel(branches),
            // A list takes them apart.
            Act::Include(_) => Ok(String::new()),
        }
    }

    /// Executes a command of QEMU's monitor.
    fn qmp(&mut self, host: &HostStep) -> Result<String, StepError> {
        let name = host.qmp.as_deref().unwrap_or_default();
        let arguments = host.arguments.as_ref().map(serde_json::to_value).transpose();
        let arguments =
            arguments.map_err(|error| PlaybackError::Act(format!("the arguments have no JSON form: {error}")))?;
        let answer = self.bed.session.health.machine.execute(name, arguments.as_ref());
        let answer = answer.map_err(|error| PlaybackError::Act(format!("QEMU's monitor refuses `{name}`: {error}")))?;
        expect_output(host, &answer.to_string())
    }

    /// Carries out lists side by side: the one that talks to the guest on this thread, each of the others on one of its own.
    fn parallel(&mut self, branches: &[PlannedBranch]) -> Result<String, StepError> {
        let talks = |branch: &&PlannedBranch| branch.steps.iter().any(|step| step.act.needs_guest());
        let own = branches.iter().position(|branch| talks(&branch));
        let side = self.side;
        let results = std::thread::scope(|scope| {
            let others: Vec<_> = branches
                .iter()
                .enumerate()
                .filter(|(index, _)| Some(*index) != own)
                .map(|(_, branch)| scope.spawn(move || abandon_others(side, side_list(side, &branch.steps))))
                .collect();
            let mut results = Vec::new();
            if let Some(own) = own {
                results.push(abandon_others(side, self.list(&branches[own].steps)));
            }
            let joined = others.into_iter().map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(Halt::Failed(PlaybackError::Act("a list of steps has panicked".into()))))
            });
            results.extend(joined);
            results
        });
        side.abandon(false);
        let mut unmet = false;
        let mut failed = None;
        for result in results {
            match result {
                Ok(()) | Err(Halt::Abandoned | Halt::Left) => {}
                Err(Halt::Unmet) => unmet = true,
                // The end of a process explains more than what followed from it.
                Err(Halt::Failed(error)) if failed.is_none() => failed = Some(error),
                Err(Halt::Failed(_)) => {}
            }
        }
        match failed {
            Some(error) => Err(StepError::Failed(error)),
            None if unmet => Err(StepError::Abandoned),
            None => Ok(String::new()),
        }
    }

    /// Returns the device that is started.
    pub(super) fn started_device(&self) -> Result<StartedDevice, StepError> {
        let missing = || TestBedError::Expectation {
            expected: "a device that is started".into(),
            found: "none: put a step `start = true` before this one".into(),
        };
        Ok(self.bed.device().cloned().ok_or_else(missing)?)
    }
}

impl StepsTest<'_> {
    /// Returns how much of the time for all steps is left on the host.
    pub(super) fn host_left(&self, side: &Side<'_>) -> Option<Duration> {
        let limit = Duration::from_secs(self.limits.host_s?.into());
        Some(limit.saturating_sub(side.begun.elapsed()))
    }

    /// Compares the time that the steps have taken so far with the limits for all of them.
    pub(super) fn total_limits(&self, side: &Side<'_>) -> Result<(), Halt> {
        let host = self.limits.host_s.map(|limit| Duration::from_secs(limit.into()));
        if let Some(limit) = host.filter(|limit| side.begun.elapsed() > *limit) {
            side.fail(format!("the steps have taken more than {} s on the host, the limit of all", limit.as_secs()));
            return Err(Halt::Unmet);
        }
        let passed = self.limits.card_ms.and_then(|limit| Some((limit, side.card_ms(&side.status()?) as u64)));
        if let Some((limit, passed)) = passed.filter(|(limit, passed)| passed > limit) {
            side.fail(format!("{passed} ms of card time have passed, the limit of all steps is {limit}"));
            return Err(Halt::Unmet);
        }
        Ok(())
    }
}

/// Has the other lists end where one has failed.
fn abandon_others(side: &Side<'_>, result: Result<(), Halt>) -> Result<(), Halt> {
    if result.is_err() {
        side.abandon(true);
    }
    result
}

/// Carries out a list of steps that do not talk to the guest.
fn side_list(side: &Side<'_>, steps: &[PlannedStep]) -> Result<(), Halt> {
    for (index, step) in steps.iter().enumerate() {
        let done = if side.is_abandoned() {
            not_reached(side, step);
            Err(Halt::Abandoned)
        } else if let Act::Include(included) = &step.act {
            side_list(side, included)
        } else {
            let limit = step.host_s.map(|seconds| Duration::from_secs(seconds.into()));
            let watch = Watch::begin(side, step);
            let done = watch.limits(side_act(side, step), limit);
            watch.end(done, matches!(step.act, Act::Expect(_, false)))
        };
        if let Err(halt) = done {
            for later in &steps[index + 1..] {
                not_reached(side, later);
            }
            return Err(halt);
        }
    }
    Ok(())
}

/// Does what a step says that does not talk to the guest.
fn side_act(side: &Side<'_>, step: &PlannedStep) -> Result<String, StepError> {
    match &step.act {
        Act::Advance(advance) => side.advance(advance),
        Act::Fault(fault) => side.inject(fault),
        Act::Host(host) => side.host(host, &folder_of(step)),
        Act::Wait(wait) => {
            let limit = step.host_s.map_or(side.timeout, |seconds| Duration::from_secs(seconds.into()));
            side.wait(wait, limit, || Ok(None))
        }
        Act::Save(save) => side.save_of_card(save),
        Act::Send(send, _) => {
            let messages: Vec<Vec<u8>> = send.messages.iter().map(|bytes| bytes.0.clone()).collect();
            let answers =
                side.the_card()?.midi_in(&messages, send.group.unwrap_or(1)).map_err(TestBedError::Control)?;
            match answers.into_iter().find_map(Result::err) {
                Some(reason) => Err(PlaybackError::NotTaken { reason }.into()),
                None => Ok(format!("{} messages", messages.len())),
            }
        }
        Act::Expect(expect, _) => {
            let mut wrong = side.expect_of_card(expect)?;
            wrong.extend(side.expect_diagnosis(expect)?);
            if wrong.is_empty() { Ok(String::new()) } else { Err(StepError::Unexpected(wrong.join("; "))) }
        }
        // The plan has let no other step into such a list.
        _ => Err(PlaybackError::Act("it talks to the guest, which another list does".into()).into()),
    }
}

/// Returns the folder of the file that a step stands in.
fn folder_of(step: &PlannedStep) -> std::path::PathBuf {
    step.place.path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf()
}

/// Records that a step was not reached, and those in it.
fn not_reached(side: &Side<'_>, step: &PlannedStep) {
    match &step.act {
        Act::Include(steps) => steps.iter().for_each(|step| not_reached(side, step)),
        Act::Parallel(branches) => {
            branches.iter().flat_map(|branch| &branch.steps).for_each(|step| not_reached(side, step));
        }
        _ => {
            let begun_ms = side.begun.elapsed().as_secs_f64() * 1000.0;
            side.record(record_of(step, StepResult::NotReached, begun_ms, 0.0, None, String::new()));
        }
    }
}

fn record_of(
    step: &PlannedStep,
    result: StepResult,
    begun_ms: f64,
    milliseconds: f64,
    card_ms: Option<f64>,
    detail: String,
) -> StepRecord {
    StepRecord {
        number: step.number.clone(),
        verb: step.verb.0,
        name: step.name.clone(),
        file: step.place.path.clone(),
        line: step.place.line,
        result,
        begun_ms,
        milliseconds,
        card_ms,
        detail,
    }
}

/// Takes the time of a step.
struct Watch<'w> {
    side: &'w Side<'w>,
    step: &'w PlannedStep,
    begun: Instant,
    card_begun: Option<f64>,
}

impl<'w> Watch<'w> {
    fn begin(side: &'w Side<'w>, step: &'w PlannedStep) -> Self {
        let status = side.status();
        side.begin_step(status.as_ref());
        side.observer.event(&Event::ScenarioStepBegun { number: step.number.clone(), step: step.title() });
        Self { side, step, begun: Instant::now(), card_begun: status.map(|status| side.card_ms(&status)) }
    }

    /// Returns how much card time has passed, in milliseconds.
    fn card_ms(&self) -> Option<f64> {
        Some(self.side.card_ms(&self.side.status()?) - self.card_begun?)
    }

    /// Compares a step that did what it says with its limits, and one that must fail with how it did.
    fn limits(&self, done: Result<String, StepError>, limit: Option<Duration>) -> Result<String, StepError> {
        let done = match &self.step.fails {
            Some(fails) => must_fail(fails, done),
            None => done,
        };
        let found = done?;
        if let Some(limit) = limit.filter(|limit| self.begun.elapsed() > *limit) {
            let text = format!(
                "it took {:.1} s on the host, at most {} s are allowed",
                self.begun.elapsed().as_secs_f64(),
                limit.as_secs()
            );
            return Err(StepError::Unexpected(text));
        }
        if let Some(bounds) = self.step.card_ms {
            let Some(card_ms) = self.card_ms() else {
                return Err(StepError::Unexpected("there is no card whose time could be compared with card_ms".into()));
            };
            if let Some(text) =
                bounds.violation("its time on the card's clock, in milliseconds,", card_ms.round() as i128)
            {
                return Err(StepError::Unexpected(text));
            }
        }
        Ok(found)
    }

    /// Records what came of the step, and returns whether the steps go on.
    fn end(self, done: Result<String, StepError>, goes_on: bool) -> Result<(), Halt> {
        let title = self.step.title();
        match done {
            Ok(found) => {
                self.record(StepResult::Passed, found);
                Ok(())
            }
            Err(StepError::Unexpected(text)) => {
                self.side.fail(format!("{title}: {text}"));
                self.record(StepResult::Failed, text);
                if goes_on { Ok(()) } else { Err(Halt::Unmet) }
            }
            Err(StepError::Abandoned) => {
                // Of the lists of this very step one has failed, which has said why.
                let of_lists = matches!(self.step.act, Act::Parallel(_));
                self.record(StepResult::Failed, "another list of steps has failed".into());
                Err(if of_lists { Halt::Unmet } else { Halt::Abandoned })
            }
            Err(StepError::Failed(error)) => {
                self.record(StepResult::Failed, error.to_string());
                let error = match error {
                    at @ PlaybackError::AtStep { .. } => at,
                    other => PlaybackError::AtStep { step: title, failed: Box::new(other) },
                };
                Err(Halt::Failed(error))
            }
        }
    }

    /// Records what came of a step behind the others, where nothing changes the verdict.
    fn note(self, done: Result<String, StepError>) {
        let text = match done {
            Ok(found) => return self.record(StepResult::Passed, found),
            Err(StepError::Unexpected(text)) => text,
            Err(StepError::Failed(error)) => error.to_string(),
            Err(StepError::Abandoned) => "another list of steps has failed".into(),
        };
        self.side.observer.event(&Event::Warning { text: format!("{}: {text}", self.step.title()) });
        self.record(StepResult::Noted, text);
    }

    fn record(self, result: StepResult, detail: String) {
        let milliseconds = self.begun.elapsed().as_secs_f64() * 1000.0;
        let begun_ms = (self.begun - self.side.begun).as_secs_f64() * 1000.0;
        let card_ms = self.card_ms();
        self.side.observer.event(&Event::ScenarioStepEnded {
            number: self.step.number.clone(),
            passed: result == StepResult::Passed,
            milliseconds,
            card_ms,
            detail: detail.clone(),
        });
        self.side.record(record_of(self.step, result, begun_ms, milliseconds, card_ms, detail));
    }
}

/// Turns the failure that a step must have into what it says, and anything else into a failure.
fn must_fail(fails: &Fails, done: Result<String, StepError>) -> Result<String, StepError> {
    let statuses: Vec<String> = fails.statuses.iter().map(ToString::to_string).collect();
    let text = fails.text.as_ref().map(|text| format!("\"{text}\""));
    let status = (!statuses.is_empty()).then(|| statuses.join(" or "));
    let wanted = status.into_iter().chain(text).collect::<Vec<_>>().join(" and ");
    let error = match done {
        Ok(_) => return Err(StepError::Unexpected(format!("it succeeded, and must fail with {wanted}"))),
        Err(StepError::Failed(error)) => error,
        Err(other) => return Err(other),
    };
    // What ends the run is no failure of the driver's that a step can expect.
    let ends = error.is_unsupported()
        || matches!(error.class(), Class::Interrupted | Class::Host | Class::GuestCrashed | Class::Timeout)
        || matches!(
            error.testbed(),
            Some(TestBedError::Session(SessionError::CardDied { .. } | SessionError::QemuFailed { .. }))
        );
    if ends {
        return Err(StepError::Failed(error));
    }
    let status = match error.testbed() {
        Some(TestBedError::Session(SessionError::Refused { failure, .. })) => match failure.kind {
            guest_protocol::FailureKind::Status(status) => Some(status),
            _ => None,
        },
        _ => None,
    };
    let text = error.to_string();
    let fits = (fails.statuses.is_empty() || fails.statuses.iter().any(|wanted| status == Some(wanted.0)))
        && fails.text.as_ref().is_none_or(|part| text.contains(part.as_str()));
    if fits {
        Ok(text)
    } else {
        Err(StepError::Unexpected(format!("it must fail with {wanted}, and failed so: {text}")))
    }
}
