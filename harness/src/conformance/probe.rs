//! A probe's guest: a test bed with the driver loaded, on which a probe runs and notes what it finds.

use std::time::{Duration, Instant};

use guest_protocol::{Handle, PinFactory, Request, StreamFormat};

use super::context::Context;
use super::error::{ConformanceError, ProbeError, is_about_the_device};
use super::findings::Findings;
use crate::event::Timeline;
use crate::host::leftovers::remove_traces;
use crate::machine::CardOptions;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::{OpenedFilter, SessionError, StartedDevice};
use crate::testbed::{TestBed, TestBedBuilder, TestBedError};

/// Runs a probe with a context, a run folder, and a place for its findings.
type Run = fn(&Context<'_>, &RunFolder, &mut Findings) -> Result<(), ProbeError>;

/// A probe: drives a driver through calls to see rules kept.
pub(super) struct Probe {
    /// Its name, as the guest's rules name it.
    pub(super) name: &'static str,
    /// Its description.
    pub(super) text: &'static str,
    /// The rules that are inapplicable if the probe is.
    pub(super) rules: &'static [u16],
    /// The function that runs it.
    pub(super) run: Run,
}

/// A guest with its driver loaded, and what a probe has found out so far.
pub struct ProbeContext<'a, 'o> {
    /// The test bed.
    pub bed: &'a mut TestBed<'o>,
    /// The findings so far.
    pub findings: &'a mut Findings,
    /// Frames a second; without, the pins' data ranges decide.
    pub sample_rate: Option<u32>,
    /// Whether the probe leaves the device stopped.
    pub stopped: bool,
}

impl ProbeContext<'_, '_> {
    /// Starts the device.
    ///
    /// # Errors
    /// [`ProbeError::Failed`] for what the guest says.
    pub fn start(&mut self) -> Result<StartedDevice, ProbeError> {
        Ok(self.bed.session.start_device()?)
    }

    /// Opens the first filter with a pin for which `wanted` holds. Returns the filter and the pin.
    ///
    /// # Errors
    /// [`ProbeError::Failed`] for what the guest says.
    pub fn open_filter_with(
        &mut self,
        device: &StartedDevice,
        wanted: impl Fn(&PinFactory) -> bool,
    ) -> Result<Option<(OpenedFilter, u32)>, ProbeError> {
        Ok(self.bed.open_filter_with(device, wanted)?)
    }

    /// Opens the first filter with a music pin to send to. Returns it with that pin and its format.
    ///
    /// # Errors
    /// [`ProbeError::Inapplicable`] if there is none; [`ProbeError::Failed`] for what the guest says.
    pub fn open_music_filter(
        &mut self,
        device: &StartedDevice,
    ) -> Result<(OpenedFilter, u32, StreamFormat), ProbeError> {
        let found = self.bed.open_music_filter(device)?;
        found.ok_or_else(|| ProbeError::Inapplicable("the driver has no pin that music can be sent to".into()))
    }

    /// Sends a request whose reply is "done".
    ///
    /// # Errors
    /// [`ProbeError::Failed`] for what the guest says.
    pub fn done(&mut self, step: &str, request: Request) -> Result<(), ProbeError> {
        Ok(self.bed.session.done(step, request)?)
    }

    /// Closes a pin or filter.
    ///
    /// # Errors
    /// [`ProbeError::Failed`] for what the guest says.
    pub fn close(&mut self, handle: Handle) -> Result<(), ProbeError> {
        self.done("close a handle", Request::Close(handle))
    }

    /// Begins a wait of the harness's. Time in which the host keeps a process from running does not count.
    pub(super) fn patience(&self, limit: Duration) -> Patience {
        Patience { until: Instant::now() + limit, stood_still: self.bed.stood_still() }
    }

    /// Keeps what a probe counted in the guest.
    pub fn keep(&mut self, figures: Vec<guest_protocol::Figure>) {
        self.findings.figures.extend(figures.into_iter().map(|figure| (figure.name, figure.value)));
    }
}

/// The time that the harness waits for something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    until: Instant,
    /// The total of standstills when the wait began.
    stood_still: Duration,
}

impl Patience {
    /// Tells whether the wait is over.
    pub(super) fn has_ended(self, probe: &ProbeContext<'_, '_>) -> bool {
        let since = probe.bed.stood_still().saturating_sub(self.stood_still);
        Instant::now() > self.until + since
    }
}

/// Boots a guest, loads the driver, runs a probe, stops and unloads, and notes what the guest counted.
///
/// # Errors
/// What ended the probe: [`ProbeError::Violated`], [`ProbeError::Inapplicable`] and [`ProbeError::NotExercised`] are its own;
/// [`ProbeError::Failed`] is also what the test bed failed with before and after it.
pub(super) fn with_guest(
    context: &Context<'_>,
    folder: &RunFolder,
    findings: &mut Findings,
    card_options: &CardOptions,
    probe: impl FnOnce(&mut ProbeContext<'_, '_>) -> Result<(), ProbeError>,
) -> Result<(), ProbeError> {
    let timeline = Timeline::new(folder.create_file("timeline.jsonl")?, context.observer);
    let mut bed = TestBedBuilder::new()
        .provisioned(context.provisioned.clone())
        .run_folder(folder)
        .card(&CardOptions {
            transport: context.transport,
            sandbox: context.sandbox,
            trace: true,
            ..card_options.clone()
        })
        .conditions(context.conditions)
        .violation_policy(context.policy)
        .timeout(context.timeout)
        .observer(&timeline)
        .start()?;
    let result = run_in(&mut bed, findings, context.sample_rate, probe).map_err(|error| match error {
        ProbeError::Failed(error) => ProbeError::Failed(error.after(bed.standstills())),
        other => other,
    });
    findings.report.add(bed.findings());
    if let Err(ProbeError::Failed(error)) = &result
        && let Some(TestBedError::Session(SessionError::BugCheck(found))) = error.testbed()
    {
        bed.write_bug_check(found, &context.reproduce)?;
    }
    drop(bed);
    if !matches!(result, Err(ProbeError::Failed(_) | ProbeError::Violated { .. })) {
        remove_traces(folder.path(), None);
    }
    result
}

/// Waits for the guest and loads the driver.
fn begin(bed: &mut TestBed<'_>, findings: &mut Findings) -> Result<(), SessionError> {
    bed.session.ready()?;
    bed.session.hello()?;
    // Before anything can stop the guest: the titles, at least.
    findings.rules = bed.session.contract()?;
    bed.session.load_driver().map(drop)
}

fn run_in(
    bed: &mut TestBed<'_>,
    findings: &mut Findings,
    sample_rate: Option<u32>,
    probe: impl FnOnce(&mut ProbeContext<'_, '_>) -> Result<(), ProbeError>,
) -> Result<(), ProbeError> {
    begin(bed, findings).map_err(|error| blame(bed, error.into()))?;
    let mut context = ProbeContext { bed, findings, sample_rate, stopped: false };
    let result = probe(&mut context);
    let ProbeContext { bed, findings, stopped, .. } = context;
    let mut result = result.map_err(|error| blame(bed, error));
    if let Err(ProbeError::Failed(error)) = &result
        && !is_about_the_device(error)
    {
        return result;
    }
    match if stopped { bed.unload_and_leave() } else { bed.shut_down() } {
        Ok(rules) => findings.rules = rules,
        Err(error) if result.is_ok() => result = Err(bed.cause("shut down", error).into()),
        Err(_) => {}
    }
    result
}

/// Traces a failure to its cause: a card that has ended in the middle of an answer went, most likely, with a guest that says
/// why on its own line.
fn blame(bed: &mut TestBed<'_>, error: ProbeError) -> ProbeError {
    match error {
        ProbeError::Failed(error) => ProbeError::Failed(bed.cause::<ConformanceError>("speak with the card", error)),
        other => other,
    }
}
