//! Builds a test bed: provisions it, and starts the card, QEMU and the session with the guest, in this order.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use card_trace::HostMoment;
use guest_protocol::InstallationError;
use guest_protocol::options::MARKS;

use super::assembly::{bare_options, guest_line};
use super::bed::TestBed;
use super::error::TestBedError;
use super::provisioned::Provisioned;
use super::provisioning::provision;
use super::run_folder::RunFolder;
use super::session::{Session, SessionError};
use super::violations::ViolationPolicy;
use crate::debugger::{self, Debugging};
use crate::event::{Observer, Silent};
use crate::host::file_error::FileError;
use crate::host::leftovers::Scratch;
use crate::image::ImageGuest;
use crate::machine::conditions::Conditions;
use crate::machine::device::{DeviceCommand, DeviceSource};
use crate::machine::{
    Accelerator, Boot, Card, CardOptions, CardSockets, Device, DeviceControl, DeviceProcess, GuestMemory,
    MachineDevice, MachineError, MachineOptions, Processes, RunningDevice,
};
use crate::provision::{Artefacts, Overrides, Workspace, example};

/// Memory of a guest in bytes, unless told otherwise: the NT host, the driver's image and pool, and a few seconds of PCM.
pub const MEMORY_DEFAULT: u64 = 128 << 20;

/// The default level of the guest's log.
pub const GUEST_LOG_DEFAULT: &str = "info";

/// The default of the longest time for a step of the session.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// The destination of the logs of card, QEMU and guest.
#[derive(Clone, Debug)]
enum Logs {
    /// Into a new run folder of this name.
    NewRun(String),
    /// Into a run folder; of several test beds in one folder, each labels its files.
    Run { folder: RunFolder, label: Option<String> },
    /// Into the temporary folder, which goes with the test bed. What the guest says is not kept.
    Temporary,
}

/// Builds a [`TestBed`].
#[derive(Clone)]
pub struct TestBedBuilder<'o> {
    workspace: Option<Workspace>,
    overrides: Overrides,
    accelerator: Option<Accelerator>,
    provisioned: Option<Provisioned>,
    logs: Logs,
    card: CardOptions,
    device: Option<Device>,
    debugging: Option<Debugging>,
    memory: u64,
    guest_log: String,
    guest_options: Option<String>,
    conditions: Conditions,
    policy: ViolationPolicy,
    timeout: Duration,
    observer: &'o dyn Observer,
}

impl Default for TestBedBuilder<'static> {
    fn default() -> Self {
        Self::new()
    }
}

impl TestBedBuilder<'static> {
    /// Begins with the project's own driver, a card in lockstep, one processor, and a new run folder.
    #[must_use]
    pub fn new() -> Self {
        Self {
            workspace: None,
            overrides: Overrides::default(),
            accelerator: None,
            provisioned: None,
            logs: Logs::NewRun("testbed".into()),
            card: CardOptions::default(),
            device: None,
            debugging: None,
            memory: MEMORY_DEFAULT,
            guest_log: GUEST_LOG_DEFAULT.into(),
            guest_options: None,
            conditions: Conditions::default(),
            policy: ViolationPolicy::default(),
            timeout: TIMEOUT_DEFAULT,
            observer: &Silent,
        }
    }
}

impl TestBed<'static> {
    /// Begins a test bed; see [`TestBedBuilder::new`].
    #[must_use]
    pub fn builder() -> TestBedBuilder<'static> {
        TestBedBuilder::new()
    }
}

impl<'o> TestBedBuilder<'o> {
    /// Sets the driver image (`.sys`, x86-64) to load instead of the project's own.
    #[must_use]
    pub fn driver(mut self, driver: impl Into<PathBuf>) -> Self {
        self.overrides.driver = Some(driver.into());
        self
    }

    /// Sets the QEMU to use instead of the system's or the provisioned one.
    #[must_use]
    pub fn qemu(mut self, qemu: impl Into<PathBuf>) -> Self {
        self.overrides.qemu = Some(qemu.into());
        self
    }

    /// Sets the accelerator instead of choosing it by calibration.
    #[must_use]
    pub fn accelerator(mut self, accelerator: Accelerator) -> Self {
        self.accelerator = Some(accelerator);
        self
    }

    /// Sets the checkout whose card, guest and driver are used, and under whose target folder everything is kept, instead
    /// of the checkout that this library was compiled from: see [`Workspace::of_checkout`].
    #[must_use]
    pub fn workspace(mut self, workspace: Workspace) -> Self {
        self.workspace = Some(workspace);
        self
    }

    /// Sets what was provisioned before, so that nothing is built, downloaded or calibrated now.
    #[must_use]
    pub fn provisioned(mut self, provisioned: Provisioned) -> Self {
        self.provisioned = Some(provisioned);
        self
    }

    /// Has the guest stopped for a debugger.
    #[must_use]
    pub fn debugging(mut self, debugging: Debugging) -> Self {
        self.debugging = Some(debugging);
        self
    }

    /// Names the run folder that is created for the logs.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.logs = Logs::NewRun(name.into());
        self
    }

    /// Sets the run folder into which the logs go.
    #[must_use]
    pub fn run_folder(mut self, folder: &RunFolder) -> Self {
        self.logs = Logs::Run { folder: folder.clone(), label: None };
        self
    }

    /// Sets the run folder, and a label in the logs' names that tells them from those of other test beds in it.
    #[must_use]
    pub fn labelled_run_folder(mut self, folder: &RunFolder, label: impl Into<String>) -> Self {
        self.logs = Logs::Run { folder: folder.clone(), label: Some(label.into()) };
        self
    }

    /// Keeps the logs only as long as the test bed lives.
    #[must_use]
    pub fn temporary_logs(mut self) -> Self {
        self.logs = Logs::Temporary;
        self
    }

    /// Sets the card's options.
    #[must_use]
    pub fn card(mut self, card: &CardOptions) -> Self {
        self.card = card.clone();
        self
    }

    /// Sets the device that the driver is for, instead of the project's card. It needs a driver of its own.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = Some(device);
        self
    }

    /// Sets the size of the guest's memory, in bytes.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// Sets the level of the guest's log, `error` to `trace`.
    #[must_use]
    pub fn guest_log(mut self, level: impl Into<String>) -> Self {
        self.guest_log = level.into();
        self
    }

    /// Sets the guest's options, lines of `name=value`, instead of those that follow from conditions, log level and clock.
    #[must_use]
    pub fn guest_options(mut self, options: impl Into<String>) -> Self {
        self.guest_options = Some(options.into());
        self
    }

    /// Sets the conditions that the guest runs under: processors, delays, verifier, interrupts.
    #[must_use]
    pub fn conditions(mut self, conditions: Conditions) -> Self {
        self.conditions = conditions;
        self
    }

    /// Sets which violations do not stop the guest.
    #[must_use]
    pub fn violation_policy(mut self, policy: &ViolationPolicy) -> Self {
        self.policy = policy.clone();
        self
    }

    /// Sets how long a step of the session may take without progress.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the observer of what happens while the test bed is built and used.
    #[must_use]
    pub fn observer<'n>(self, observer: &'n dyn Observer) -> TestBedBuilder<'n> {
        TestBedBuilder { observer, ..self }
    }

    /// Starts the test bed, waits for the guest, loads the driver and starts its device.
    ///
    /// # Errors
    /// As for [`start`](Self::start), and [`TestBedError::Session`] for what the guest, the driver or a process did;
    /// [`TestBedError::OtherDriver`] where the guest loaded another file than the one given.
    pub fn boot(self) -> Result<TestBed<'o>, TestBedError> {
        let mut bed = self.start()?;
        let booted = bed.bind_driver();
        booted.map_err(|error| bed.explain("boot the guest", error))?;
        Ok(bed)
    }

    /// Starts card, QEMU and session. The guest boots meanwhile; [`Session::ready`] waits for it.
    ///
    /// # Errors
    /// [`TestBedError::Provision`], [`TestBedError::Driver`] and [`TestBedError::File`] for what could not be provisioned;
    /// [`TestBedError::Machine`] for a card or a QEMU that did not start, and how it ended.
    pub fn start(self) -> Result<TestBed<'o>, TestBedError> {
        self.start_card()?.start_machine()
    }

    /// Provisions, and starts the card, or the device in its place, alone, whose start can then be timed apart from QEMU's.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_card(mut self) -> Result<StartedCard<'o>, TestBedError> {
        let mut provisioned = self.provision()?;
        provisioned.debugging = self.debugging.take().or(provisioned.debugging);
        if provisioned.debugging.is_some() && matches!(self.logs, Logs::Temporary) {
            // The files for debuggers are the user's.
            self.logs = Logs::NewRun("debug".into());
        }
        if let Logs::NewRun(name) = self.logs.clone() {
            let folder = RunFolder::create(&self.find_workspace()?, &name, None)?;
            self.logs = Logs::Run { folder, label: None };
        }
        // In a folder of its own: sockets need a short path that no other user can reach.
        let scratch = Scratch::for_sockets()?;
        let sockets = CardSockets::in_folder(scratch.path());
        let device = match &provisioned.device.source {
            DeviceSource::Card => {
                let log = self.log(&scratch, "card");
                RunningDevice::Card(Card::start(&provisioned.artefacts.card, &self.card, &sockets, &log)?)
            }
            DeviceSource::Command(command) => {
                RunningDevice::Process(DeviceProcess::start(command, &sockets, &self.log(&scratch, "device"))?)
            }
            DeviceSource::Example(name) => {
                let command = DeviceCommand::of_program(&self.example(name)?, self.card.trace);
                RunningDevice::Process(DeviceProcess::start(&command, &sockets, &self.log(&scratch, "device"))?)
            }
            DeviceSource::Qemu(_) | DeviceSource::VfioUser(_) | DeviceSource::None => RunningDevice::NotOurs,
        };
        Ok(StartedCard { builder: self, provisioned, scratch, sockets, device })
    }

    fn find_workspace(&mut self) -> Result<Workspace, TestBedError> {
        if let Some(workspace) = &self.workspace {
            return Ok(workspace.clone());
        }
        let found = Workspace::find()?;
        self.workspace = Some(found.clone());
        Ok(found)
    }

    /// Builds an example card, unless this process has built it. Returns its program.
    fn example(&mut self, name: &str) -> Result<PathBuf, TestBedError> {
        match example::built(name) {
            Some(program) => Ok(program),
            None => Ok(example::build(name, &self.find_workspace()?, self.observer)?),
        }
    }

    fn provision(&mut self) -> Result<Provisioned, TestBedError> {
        let device = self.device.take();
        if let Some(mut provisioned) = self.provisioned.take() {
            if let Some(device) = device {
                provisioned.device = device;
            }
            return Ok(provisioned);
        }
        if let Some(device) = device.as_ref().filter(|device| !device.is_card() && self.overrides.driver.is_none()) {
            return Err(TestBedError::NoDriver { device: device.name() });
        }
        let workspace = self.find_workspace()?;
        let provisioned = provision(&workspace, self.overrides.clone(), self.accelerator, self.observer)?;
        Ok(Provisioned { device: device.unwrap_or_default(), ..provisioned })
    }

    fn log(&self, scratch: &Scratch, part: &str) -> PathBuf {
        self.file(scratch, part, "log")
    }

    /// Returns the path of a file of the run.
    fn file(&self, scratch: &Scratch, part: &str, extension: &str) -> PathBuf {
        match &self.logs {
            Logs::Run { folder, label: Some(label) } => folder.file(&format!("{part}-{label}.{extension}")),
            Logs::Run { folder, label: None } => folder.file(&format!("{part}.{extension}")),
            Logs::NewRun(_) | Logs::Temporary => scratch.path().join(format!("{part}.{extension}")),
        }
    }

    /// Prepares the debugger's session, where one is wanted.
    fn debugger(
        &self,
        provisioned: &Provisioned,
        scratch: &Scratch,
    ) -> Result<Option<debugger::Session>, TestBedError> {
        let Some(debugging) = &provisioned.debugging else { return Ok(None) };
        let folder = match &self.logs {
            Logs::Run { folder, label: Some(label) } => folder.file(&format!("debug-{label}")),
            Logs::Run { folder, label: None } => folder.file("debug"),
            Logs::NewRun(_) | Logs::Temporary => scratch.path().join("debug"),
        };
        let Artefacts { nt_host, driver, .. } = &provisioned.artefacts;
        Ok(Some(debugging.prepare(&debugger::Images { nt_host, driver }, &folder, scratch.path())?))
    }

    /// Creates the file that keeps what the guest says.
    fn console(&self) -> Result<Option<File>, FileError> {
        Ok(match &self.logs {
            Logs::Run { folder, label: Some(label) } => Some(folder.create_file(&format!("console-{label}.log"))?),
            Logs::Run { folder, label: None } => Some(folder.create_file("console.log")?),
            Logs::NewRun(_) | Logs::Temporary => None,
        })
    }

    /// Returns whether the guest marks what it does: beside a trace, where the conditions have it, and not where the guest is measured.
    fn marks(&self) -> bool {
        let measured = self.guest_options.is_some() || !self.conditions.verifier;
        self.card.trace && self.conditions.marks && !measured && HostMoment::TICKS_ARE_TSC
    }

    fn machine_options(&self, provisioned: &Provisioned, socket: &Path) -> Result<MachineOptions, TestBedError> {
        let device = &provisioned.device;
        let guest_options = self
            .guest_options
            .clone()
            .unwrap_or_else(|| self.conditions.guest_options(&self.guest_log, self.card.clock));
        let mut guest_options = guest_options + &self.policy.guest_options();
        if self.marks() {
            guest_options += &format!("{MARKS}=on\n");
        }
        let name = device.name();
        let installation = device.installation.as_ref().map(|installation| {
            let too_large = |error: InstallationError| MachineError::Resource {
                what: "the installation for the guest",
                source: std::io::Error::other(error),
            };
            installation.to_bytes().map_err(too_large)
        });
        Ok(MachineOptions {
            processors: self.conditions.processors,
            driver: Some(provisioned.artefacts.driver.clone()),
            installation: installation.transpose()?,
            device: match &device.source {
                DeviceSource::Card => MachineDevice::Card(self.card.transport, socket.to_path_buf()),
                DeviceSource::Command(_) | DeviceSource::Example(_) => {
                    MachineDevice::VfioUser { name, socket: socket.to_path_buf() }
                }
                DeviceSource::VfioUser(socket) => MachineDevice::VfioUser { name, socket: socket.clone() },
                DeviceSource::Qemu(arguments) => MachineDevice::Qemu { name, arguments: arguments.clone() },
                DeviceSource::None => MachineDevice::Absent,
            },
            ..bare_options(provisioned, guest_options + &device.guest_options())
        })
    }
}

/// A card that listens, or the device in its place, and what the rest of its test bed is built from.
pub struct StartedCard<'o> {
    builder: TestBedBuilder<'o>,
    provisioned: Provisioned,
    device: RunningDevice,
    sockets: CardSockets,
    /// Holds the device's sockets; goes after the device.
    scratch: Scratch,
}

impl<'o> StartedCard<'o> {
    /// Starts QEMU and the session with the guest.
    ///
    /// # Errors
    /// [`TestBedError::Machine`] for a card or a QEMU that ended before the guest ran, and how it ended;
    /// [`TestBedError::File`] for a log that cannot be created.
    pub fn start_machine(self) -> Result<TestBed<'o>, TestBedError> {
        let Self { builder, provisioned, scratch, sockets, device } = self;
        let mut options = builder.machine_options(&provisioned, &sockets.machine)?;
        let debugger = builder.debugger(&provisioned, &scratch)?;
        if let Some(session) = &debugger {
            options.stub = Some(session.stub().clone());
            options.guest_options += &session.guest_options();
        }
        let image = provisioned.image.as_ref();
        let prepare = |image: &ImageGuest| {
            let file = |part: &str, extension: &str| builder.file(&scratch, part, extension);
            image.prepare(&provisioned.artefacts.qemu, file)
        };
        options.disks = image.map(prepare).transpose()?;
        let memory = image.map_or(builder.memory, |image| image.memory.max(builder.memory));
        let qemu_log = builder.log(&scratch, "qemu");
        let boot = Boot { log: &qemu_log, scratch: scratch.path() };
        let processes = Processes::start(&options, GuestMemory::new(memory)?, &boot, device)?;
        let control = control_of(&provisioned.device, &sockets).map(DeviceControl::connect);
        let control = control.transpose().map_err(MachineError::from)?;
        // The session listens from now on: the guest enters and is ready within milliseconds.
        let line = guest_line(&processes.machine).map_err(SessionError::Line)?;
        let console = builder.console()?;
        let mut session =
            Session::new(line, processes, builder.timeout, console, builder.observer).map_err(SessionError::Line)?;
        session.set_boot_limit(image.map(|image| image.boot_limit));
        if let Some(session) = debugger {
            session.announce();
        }
        let folder = match builder.logs {
            Logs::Run { folder, label } => Some((folder, label)),
            Logs::NewRun(_) | Logs::Temporary => None,
        };
        let options = (builder.card, builder.conditions, builder.policy, builder.timeout);
        Ok(TestBed::new(session, provisioned, folder, options, control, scratch))
    }
}

/// Returns the control socket of a device that is not the card, if it has one.
fn control_of<'a>(device: &'a Device, sockets: &'a CardSockets) -> Option<&'a Path> {
    match &device.source {
        DeviceSource::Command(command) if command.has_control() => Some(&sockets.control),
        DeviceSource::Example(_) => Some(&sockets.control),
        DeviceSource::Card => None,
        _ => device.control.as_deref(),
    }
}
