//! A probe: card, QEMU and guest for one examination.

use std::time::{Duration, Instant};

use guest_protocol::{Carries, Handle, PinFactory, Request, StreamFormat};

use super::{Context, Findings};
use crate::event::Timeline;
use crate::failure::Error;
use crate::host::leftovers::Scratch;
use crate::machine::{Boot, Card, CardOptions, CardSockets, GuestMemory, MachineOptions, Processes};
use crate::playback::shut_down;
use crate::testbed::bug_check;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::{Health, OpenedFilter, Session, SessionError, StartedDevice};

/// Memory of a guest in bytes: the NT host, the driver's image and pool, and a few seconds of PCM.
const MEMORY: u64 = 128 << 20;

/// Why an examination ended before its end.
#[derive(Debug)]
pub enum ProbeError {
    /// Something failed: most of all, the guest stopped with a bug check.
    Failed(Error),
    /// The harness itself saw a rule broken.
    Violated {
        /// Its number.
        rule: u16,
        /// What it saw.
        what: String,
    },
    /// It does not apply to this driver.
    Inapplicable(String),
}

impl<E: Into<Error>> From<E> for ProbeError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// A guest with its driver loaded.
pub struct ProbeContext<'a, 'o> {
    /// The line to the guest, and the machine behind it.
    pub session: &'a mut Session<'o, Processes>,
    /// What was found out so far.
    pub findings: &'a mut Findings,
}

impl ProbeContext<'_, '_> {
    /// Starts the device.
    ///
    /// # Errors
    /// What the guest says.
    pub fn start(&mut self) -> Result<StartedDevice, ProbeError> {
        Ok(self.session.start_device()?)
    }

    /// Opens the first filter with a pin for which `wanted` holds. Gives the filter and the pin.
    ///
    /// # Errors
    /// What the guest says.
    pub fn open_filter_with(
        &mut self,
        device: &StartedDevice,
        wanted: impl Fn(&PinFactory) -> bool,
    ) -> Result<Option<(OpenedFilter, u32)>, ProbeError> {
        for subdevice in &device.subdevices {
            let filter = self.session.open_filter(subdevice)?;
            if let Some(pin) = filter.pins.iter().position(|pin| pin.instances > 0 && wanted(pin)) {
                return Ok(Some((filter, pin as u32)));
            }
            self.session.done("close a filter", Request::Close(filter.handle))?;
        }
        Ok(None)
    }

    /// Opens the first filter with a music pin to send to, and gives it with that pin and its format.
    ///
    /// # Errors
    /// [`ProbeError::Inapplicable`] if there is none; what the guest says.
    pub fn open_music_filter(
        &mut self,
        device: &StartedDevice,
    ) -> Result<(OpenedFilter, u32, StreamFormat), ProbeError> {
        for (carries, format) in
            [(Carries::DirectMusic, StreamFormat::DirectMusic), (Carries::Midi, StreamFormat::Midi)]
        {
            let wanted = |pin: &PinFactory| pin.flow_in && pin.carries.contains(&carries);
            if let Some((filter, pin)) = self.open_filter_with(device, wanted)? {
                return Ok((filter, pin, format));
            }
        }
        Err(ProbeError::Inapplicable("the driver has no pin that music can be sent to".into()))
    }

    /// A request whose answer is "done".
    ///
    /// # Errors
    /// What the guest says.
    pub fn done(&mut self, step: &str, request: Request) -> Result<(), ProbeError> {
        Ok(self.session.done(step, request)?)
    }

    /// Closes a pin or filter.
    ///
    /// # Errors
    /// What the guest says.
    pub fn close(&mut self, handle: Handle) -> Result<(), ProbeError> {
        self.done("close a handle", Request::Close(handle))
    }

    /// Patience of the harness: time in which the host lets something not run does not count.
    pub(super) fn patience(&self, limit: Duration) -> Patience {
        Patience { until: Instant::now() + limit, stood_still: self.session.health.stood_still() }
    }

    /// Keeps what an examination counted.
    pub fn keep(&mut self, figures: Vec<guest_protocol::Figure>) {
        self.findings.figures.extend(figures.into_iter().map(|figure| (figure.name, figure.value)));
    }
}

/// How long something is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    until: Instant,
    /// What had stood still when it began.
    stood_still: Duration,
}

impl Patience {
    /// Whether it has lasted that long.
    pub(super) fn has_ended(self, probe: &ProbeContext<'_, '_>) -> bool {
        let since = probe.session.health.stood_still().saturating_sub(self.stood_still);
        Instant::now() > self.until + since
    }
}

/// Boots a guest, loads the driver, runs a script, stops and unloads, and notes what the guest counted.
///
/// # Errors
/// The script's, or what happened instead.
pub(crate) fn with_guest(
    context: &Context<'_>,
    folder: &RunFolder,
    findings: &mut Findings,
    card_options: &CardOptions,
    script: impl FnOnce(&mut ProbeContext<'_, '_>) -> Result<(), ProbeError>,
) -> Result<(), ProbeError> {
    let timeline = Timeline::new(folder.create_file("timeline.jsonl")?, context.observer);
    // Sockets want a short path, and nobody else may reach them.
    let scratch = Scratch::new()?;
    let sockets = CardSockets::in_folder(scratch.path());
    let artefacts = &context.provisioned.artefacts;
    let card = Card::start(&artefacts.card, card_options, &sockets, &folder.file("card.log"))?;
    let options = MachineOptions {
        qemu: artefacts.qemu.clone(),
        accelerator: context.provisioned.accelerator.accelerator,
        firmware: context.provisioned.firmware,
        kernel: artefacts.nt_host.clone(),
        driver: Some(artefacts.driver.clone()),
        guest_options: context.conditions.guest_options("info", card_options.clock),
        processors: context.conditions.processors,
        card_socket: Some(sockets.machine),
    };
    let qemu_log = folder.file("qemu.log");
    let boot = Boot { log: &qemu_log, scratch: scratch.path() };
    let processes = Processes::start(&options, GuestMemory::new(MEMORY)?, &boot, card)?;
    let line = processes.machine.line.try_clone().map_err(SessionError::Line)?;
    let console = folder.create_file("console.log")?;
    let mut session =
        Session::new(line, processes, context.timeout, Some(console), &timeline).map_err(SessionError::Line)?;
    let result = examine(&mut session, findings, script, context.timeout).map_err(|setback| match setback {
        ProbeError::Failed(error) => ProbeError::Failed(error.after(session.health.standstills.standstills())),
        other => other,
    });
    if let Err(ProbeError::Failed(error)) = &result
        && let Error::Session(SessionError::BugCheck(found)) = error.underlying()
    {
        let places = bug_check::places(&found.stack, Some(&artefacts.driver), Some(&artefacts.nt_host));
        let again = bug_check::again(context.conditions, &context.reproduce);
        folder.write("bug-check.txt", bug_check::report(found, &places) + &again)?;
    }
    result
}

/// Waits for the guest and loads the driver.
fn begin(session: &mut Session<'_, Processes>, findings: &mut Findings) -> Result<(), SessionError> {
    session.ready()?;
    session.hello()?;
    // Before anything can stop the guest: the titles, at least.
    findings.rules = session.contract()?;
    session.load_driver().map(drop)
}

fn examine(
    session: &mut Session<'_, Processes>,
    findings: &mut Findings,
    script: impl FnOnce(&mut ProbeContext<'_, '_>) -> Result<(), ProbeError>,
    timeout: Duration,
) -> Result<(), ProbeError> {
    begin(session, findings).map_err(|error| blame(session, error.into()))?;
    let mut result = script(&mut ProbeContext { session, findings }).map_err(|setback| blame(session, setback));
    if let Err(ProbeError::Failed(_)) = &result {
        return result;
    }
    match shut_down(session, timeout) {
        Ok(rules) => findings.rules = rules,
        Err(error) if result.is_ok() => result = Err(session.cause("shut down", error).into()),
        Err(_) => {}
    }
    result
}

/// A card that has ended in the middle of an answer went, most likely, with a guest that says why on its own line.
fn blame(session: &mut Session<'_, Processes>, setback: ProbeError) -> ProbeError {
    match setback {
        ProbeError::Failed(error) => ProbeError::Failed(session.cause("speak with the card", error)),
        other => other,
    }
}
