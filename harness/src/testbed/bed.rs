//! A running test bed: one owner of card, QEMU, guest session and run folder, which knows which process ended first.

use std::path::{Path, PathBuf};
use std::time::Duration;

use card_control::{InjectedFault, Trigger};
use card_trace::HostMoment;
use guest_protocol::{BugCheck, Bulk, BulkAccess, DriverInfo, Request, RuleState};

use super::bug_check;
use super::error::TestBedError;
use super::guest_marks::{self, GuestMarksError};
use super::provisioned::Provisioned;
use super::run_folder::RunFolder;
use super::session::{Consequence, Hello, MarkRing, Session, SessionError, StartedDevice};
use super::violations::{FindingsReport, ViolationPolicy};
use crate::event::Event;
use crate::host::ended::Ended;
use crate::host::failure::Class;
use crate::host::file_error::FileError;
use crate::host::hash::{hex, sha256_hex};
use crate::host::leftovers::Scratch;
use crate::host::standstill::Standstills;
use crate::image::dump;
use crate::machine::conditions::Conditions;
use crate::machine::{
    Card, CardControl, CardOptions, CardReplacer, Device, DeviceControl, GUEST_TRACE, GuestMemory, Health, LeaveError,
    Offer, Part, ProcessKiller, Processes, Received, Replacement, guest_exit,
};
use crate::provision::inf;

/// The longest time for a guest that hangs to answer a non-maskable interrupt.
const NMI_LIMIT: Duration = Duration::from_secs(20);

/// The file in a run folder that says where a guest hangs.
pub const HANG_FILE: &str = "hang.txt";

/// The file in a run folder that shows the screen of an image that failed.
pub const SCREEN: &str = "screen.png";

/// The file in a run folder that holds the report of a bug check.
pub const BUG_CHECK_FILE: &str = "bug-check.txt";

/// A running test bed. Dropping it ends its processes.
///
/// ```no_run
/// use dmus::playback::{stream_song, while_streaming};
/// use dmus::sound::songs::BuiltIn;
/// use dmus::testbed::{DevicePower, InjectedFault, TestBed};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut bed = TestBed::builder().driver("my.sys").boot()?;
///
/// let song = BuiltIn::by_name("tide").ok_or("there is no such song")?.song()?;
/// stream_song(&mut bed, &song)?.expect_passed()?;
/// bed.expect_interrupts(1..)?;
/// bed.expect_no_diagnosis()?;
///
/// bed.set_power(DevicePower::D3)?;
/// bed.set_power(DevicePower::D0)?;
///
/// while_streaming(&mut bed, &song, |bed| {
///     let session = bed.card_session()?;
///     bed.inject_fault(InjectedFault::LoseSession {})?;
///     bed.wait_for_new_session(session, Duration::from_secs(10))
/// })?;
/// stream_song(&mut bed, &song)?.expect_passed()?;
///
/// bed.shut_down()?;
/// # Ok(())
/// # }
/// ```
pub struct TestBed<'o> {
    /// The session with the guest, and the processes behind it.
    pub session: Session<'o, Processes>,
    provisioned: Provisioned,
    /// The run folder, and the label of this test bed's logs in it.
    folder: Option<(RunFolder, Option<String>)>,
    card_options: CardOptions,
    conditions: Conditions,
    policy: ViolationPolicy,
    timeout: Duration,
    hello: Option<Hello>,
    driver: Option<DriverInfo>,
    device: Option<StartedDevice>,
    /// The client of a device that is not the card, where it has a control socket.
    control: Option<DeviceControl>,
    /// A moment before the guest's first instruction.
    started: HostMoment,
    /// Holds the device's sockets; goes after the processes.
    _scratch: Scratch,
}

impl<'o> TestBed<'o> {
    /// Creates a test bed of its running parts.
    pub(super) fn new(
        session: Session<'o, Processes>,
        provisioned: Provisioned,
        folder: Option<(RunFolder, Option<String>)>,
        (card_options, conditions, policy, timeout): (CardOptions, Conditions, ViolationPolicy, Duration),
        control: Option<DeviceControl>,
        scratch: Scratch,
    ) -> Self {
        Self {
            session,
            provisioned,
            folder,
            card_options,
            conditions,
            policy,
            timeout,
            hello: None,
            driver: None,
            device: None,
            control,
            started: HostMoment::now(),
            _scratch: scratch,
        }
    }

    /// Returns the programs and images that it runs.
    #[must_use]
    pub const fn provisioned(&self) -> &Provisioned {
        &self.provisioned
    }

    /// Returns the run folder, if the logs are kept.
    #[must_use]
    pub fn run_folder(&self) -> Option<&RunFolder> {
        self.folder.as_ref().map(|(folder, _)| folder)
    }

    /// Returns the guest's name and memory, once [`TestBedBuilder::boot`](super::TestBedBuilder::boot) has asked for them.
    #[must_use]
    pub const fn guest(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// Returns the driver as the guest loaded it last.
    #[must_use]
    pub const fn driver(&self) -> Option<&DriverInfo> {
        self.driver.as_ref()
    }

    /// Returns the device as the guest started it last.
    #[must_use]
    pub const fn device(&self) -> Option<&StartedDevice> {
        self.device.as_ref()
    }

    /// Returns the guest's memory.
    #[must_use]
    pub const fn memory(&self) -> &GuestMemory {
        &self.session.health.machine.memory
    }

    /// Writes into a range that the guest has lent: through its memory, or by requests where the harness does not map it.
    ///
    /// # Errors
    /// [`TestBedError::Memory`] where the range is outside guest memory, [`TestBedError::Session`] for what the guest says.
    pub fn write_bulk(&mut self, bulk: Bulk, bytes: &[u8]) -> Result<(), TestBedError> {
        match self.session.bulk_access() {
            BulkAccess::Mapped => self.memory().write(bulk, bytes).map_err(TestBedError::Memory),
            BulkAccess::Line => Ok(self.session.write_bulk(bulk, bytes)?),
        }
    }

    /// Reads a range that the guest has lent, as [`TestBed::write_bulk`] writes.
    ///
    /// # Errors
    /// As for [`TestBed::write_bulk`].
    pub fn read_bulk(&mut self, bulk: Bulk) -> Result<Vec<u8>, TestBedError> {
        match self.session.bulk_access() {
            BulkAccess::Mapped => self.memory().read(bulk).map_err(TestBedError::Memory),
            BulkAccess::Line => Ok(self.session.read_bulk(bulk)?),
        }
    }

    /// Returns the options that the card was started with.
    #[must_use]
    pub const fn card_options(&self) -> &CardOptions {
        &self.card_options
    }

    /// Returns what the guest has logged and printed so far, if the logs are kept.
    #[must_use]
    pub fn console_text(&self) -> Option<String> {
        let (folder, label) = self.folder.as_ref()?;
        let name = label.as_ref().map_or_else(|| "console.log".into(), |label| format!("console-{label}.log"));
        Some(String::from_utf8_lossy(&std::fs::read(folder.file(&name)).ok()?).into_owned())
    }

    /// Returns the card's process; `None` where the driver is for another device.
    #[must_use]
    pub const fn card(&self) -> Option<&Card> {
        self.session.health.device.card()
    }

    /// Returns the card's process, for what only the card can do.
    ///
    /// # Errors
    /// [`TestBedError::NotTheCard`] where the driver is for another device.
    pub fn the_card(&self) -> Result<&Card, TestBedError> {
        self.card().ok_or_else(|| TestBedError::NotTheCard { device: self.device_name() })
    }

    /// Returns the card's control socket.
    ///
    /// # Errors
    /// [`TestBedError::NotTheCard`] where the driver is for another device.
    pub fn card_control(&self) -> Result<CardControl, TestBedError> {
        self.the_card().map(Card::control)
    }

    /// Reads the card's status; `None` where the driver is for another device.
    ///
    /// # Errors
    /// [`TestBedError::Control`] for a card that does not answer.
    pub fn card_status(&self) -> Result<Option<card_control::Status>, TestBedError> {
        self.card().map(Card::status).transpose().map_err(TestBedError::Control)
    }

    /// Takes the MIDI bytes that card or device received from the driver since the last call; `None` where a device does not tell
    /// them.
    ///
    /// # Errors
    /// [`TestBedError::Control`] for a card that does not answer, [`TestBedError::Device`] for a device that does not.
    pub fn take_received(&mut self) -> Result<Option<Received>, TestBedError> {
        if let Some(card) = self.card() {
            return card.control().events().map(Some).map_err(TestBedError::Control);
        }
        let control = self.device_control().filter(|control| control.offers(Offer::Bytes));
        Ok(control.map(DeviceControl::bytes).transpose()?)
    }

    /// Returns the client of a device that is not the card; `None` where it has no control socket.
    #[must_use]
    pub fn device_control(&mut self) -> Option<&mut DeviceControl> {
        self.control.as_mut()
    }

    /// Returns the device that the driver is for.
    #[must_use]
    pub const fn device_source(&self) -> &Device {
        &self.provisioned.device
    }

    /// Returns the name of the device that the driver is for.
    #[must_use]
    pub fn device_name(&self) -> String {
        self.provisioned.device.name()
    }

    /// Injects a fault into the card: now, or with the next interrupt, chain or request that it is for.
    ///
    /// # Errors
    /// [`TestBedError::Control`], [`TestBedError::CardRefused`], or [`TestBedError::NotTheCard`] where the driver
    /// is for another device.
    pub fn inject_fault(&self, fault: InjectedFault) -> Result<(), TestBedError> {
        self.card_control()?.inject_fault(fault, None).map_err(|error| TestBedError::of_command("inject-fault", error))
    }

    /// Injects a fault into the card that is live at an event, a frame or a time.
    ///
    /// # Errors
    /// As for [`inject_fault`](Self::inject_fault); the card refuses a frame or a time that has passed.
    pub fn inject_fault_at(&self, fault: InjectedFault, at: Trigger) -> Result<(), TestBedError> {
        self.card_control()?
            .inject_fault(fault, Some(at))
            .map_err(|error| TestBedError::of_command("inject-fault", error))
    }

    /// Disarms every fault of the card that has not struck. Returns how many were armed.
    ///
    /// # Errors
    /// As for [`inject_fault`](Self::inject_fault).
    pub fn disarm_faults(&self) -> Result<usize, TestBedError> {
        self.card_control()?.disarm_faults().map_err(TestBedError::Control)
    }

    /// Returns what kills the card behind a guard and starts the next one from another thread, which must outlive the test bed. From
    /// now on its end is no death, until [`adopt_card`](Self::adopt_card) takes the next one over.
    ///
    /// # Errors
    /// [`TestBedError::NotTheCard`] where the driver is for another device, or no guard stands before the card;
    /// [`TestBedError::Control`] where the host gives no handle.
    pub fn card_replacer(&mut self) -> Result<CardReplacer, TestBedError> {
        let replacer = self.the_card()?.replacer().map_err(TestBedError::Control)?;
        let replacer = replacer.ok_or_else(|| TestBedError::NotTheCard { device: self.device_name() })?;
        self.session.health.expect_card_to_be_lost();
        Ok(replacer)
    }

    /// Takes over the card that [`CardReplacer::replace`] has started.
    ///
    /// # Errors
    /// [`TestBedError::Machine`] for a card that cannot be watched.
    pub fn adopt_card(&mut self, replacement: Replacement) -> Result<(), TestBedError> {
        Ok(self.session.health.adopt_card(replacement)?)
    }

    /// Returns a handle that kills the card from another thread. From now on its end is no death.
    ///
    /// # Errors
    /// [`TestBedError::NotTheCard`] where the driver is for another device; [`TestBedError::Control`] where the host gives no
    /// handle.
    pub fn card_killer(&mut self) -> Result<ProcessKiller, TestBedError> {
        let killer = self.the_card()?.killer().map_err(TestBedError::Control)?;
        self.session.health.expect_card_to_be_lost();
        Ok(killer)
    }

    /// Stops the process of the card, or of the device in its place, where it is, or lets it continue. Tells whether there
    /// is one.
    pub fn freeze_card(&mut self, frozen: bool) -> bool {
        self.session.health.device.freeze(frozen)
    }

    /// Stops QEMU where it is, or lets it continue.
    pub fn freeze_machine(&mut self, frozen: bool) {
        self.session.health.machine.freeze(frozen);
    }

    /// Kills a process, to test that the verdict blames it.
    pub fn kill(&mut self, part: Part) {
        match part {
            Part::Card => _ = self.session.health.device.kill(),
            Part::Qemu => _ = self.session.health.machine.kill(),
        }
    }

    /// Returns the standstills of the host so far.
    #[must_use]
    pub fn standstills(&self) -> Standstills {
        self.session.health.standstills.standstills()
    }

    /// Returns how long the host has kept a process, or the harness, from running so far.
    #[must_use]
    pub fn stood_still(&self) -> Duration {
        self.session.health.stood_still()
    }

    /// Waits for the guest, loads the driver, and starts its device.
    ///
    /// # Errors
    /// [`TestBedError::Session`] for what the guest, the driver or a process did; [`TestBedError::OtherDriver`] where the
    /// guest loaded another file than the one given.
    pub(super) fn bind_driver(&mut self) -> Result<(), TestBedError> {
        self.greet()?;
        self.load_driver()?;
        self.start_device()?;
        Ok(())
    }

    /// Waits for the guest, and asks for its name and memory.
    ///
    /// # Errors
    /// [`SessionError`] for what the guest or a process did.
    pub(crate) fn greet(&mut self) -> Result<(), SessionError> {
        self.session.ready()?;
        self.hello = Some(self.session.hello()?);
        Ok(())
    }

    /// Loads the driver, and compares what the guest loaded with the file. Returns the SHA-256 of both, in hexadecimal.
    ///
    /// # Errors
    /// [`TestBedError::File`] for a driver image that cannot be read; [`TestBedError::Session`] for what the guest says;
    /// [`TestBedError::OtherDriver`], or [`TestBedError::OtherDriverInImage`], where the hashes differ.
    pub fn load_driver(&mut self) -> Result<String, TestBedError> {
        let path = &self.provisioned.artefacts.driver;
        let file = sha256_hex(&std::fs::read(path).map_err(FileError::input(path))?);
        let driver = self.session.load_driver()?;
        let loaded = hex(&driver.sha256);
        self.driver = Some(driver);
        if let Some(image) = self.provisioned.image.as_ref().filter(|_| loaded != file) {
            let (image, path) = (image.name.clone(), path.clone());
            return Err(TestBedError::OtherDriverInImage { image, path, file, loaded });
        }
        if loaded != file {
            return Err(TestBedError::OtherDriver { path: path.clone(), file, loaded });
        }
        Ok(loaded)
    }

    /// Starts the device of a driver that is loaded.
    ///
    /// # Errors
    /// [`TestBedError::Session`] for what the guest says.
    pub fn start_device(&mut self) -> Result<&StartedDevice, TestBedError> {
        let device = self.session.start_device()?;
        self.compare_interfaces(&device);
        Ok(self.device.insert(device))
    }

    /// Warns of device interfaces that the driver registers and its INF does not install, and the reverse.
    pub fn compare_interfaces(&self, device: &StartedDevice) {
        let installation = self.provisioned.device.installation.as_ref();
        let installed = installation.zip(device.install);
        let Some((installation, install)) =
            installed.and_then(|(all, index)| Some((all, all.installs.get(usize::from(index))?)))
        else {
            return;
        };
        for text in inf::compare_interfaces(&installation.inf, &install.interfaces, &device.interfaces) {
            self.session.observer().event(&Event::Warning { text });
        }
    }

    /// Stops the device and starts it again, with other resources.
    ///
    /// # Errors
    /// [`TestBedError::Session`] for what the guest says.
    pub fn restart_device(&mut self) -> Result<&StartedDevice, TestBedError> {
        let device = self.session.restart_device()?;
        Ok(self.device.insert(device))
    }

    /// Returns what caused an error: see [`Session::cause`].
    pub fn cause<E: Consequence>(&mut self, step: &str, error: E) -> E {
        let error = self.session.cause(step, error);
        if self.provisioned.image.is_none() || error.class() == Class::Interrupted {
            return error;
        }
        if let Some(path) = self.run_file(SCREEN) {
            // A machine that has ended shows nothing, and the error says so itself.
            let _ = self.session.health.machine.screen(&path);
        }
        match error.session_error() {
            Some(SessionError::Crashed { .. }) => {
                self.dump().map_or(error, |found| SessionError::BugCheck(Box::new(found)).into())
            }
            _ => error,
        }
    }

    /// Returns the bug check of the dump that the guest of an image has left, if there is one.
    fn dump(&self) -> Option<BugCheck> {
        let driver = self.provisioned.artefacts.driver.file_name()?.to_string_lossy();
        dump::read(&self.run_file("dump.img")?, &driver)
    }

    /// Returns the path of a file of this test bed in the run folder, by its name with an extension, if the logs are kept.
    fn run_file(&self, name: &str) -> Option<PathBuf> {
        let (folder, label) = self.folder.as_ref()?;
        let labelled = |label: &String| match name.split_once('.') {
            Some((part, extension)) => format!("{part}-{label}.{extension}"),
            None => format!("{name}-{label}"),
        };
        Some(folder.file(&label.as_ref().map_or_else(|| name.into(), labelled)))
    }

    /// Returns what caused an error of a step, writes the report of a bug check into the run folder, and excuses a
    /// time-out by a standstill of the host.
    pub fn explain(&mut self, step: &str, error: TestBedError) -> TestBedError {
        let error = self.cause(step, error).after(self.standstills());
        if let TestBedError::Session(SessionError::BugCheck(found)) = error.underlying() {
            // The error itself goes to the caller in any case.
            let _ = self.write_bug_check(found, "");
        }
        error
    }

    /// Writes the report of a bug check into the run folder, with the command that shows it again. Returns the report.
    ///
    /// # Errors
    /// [`FileError`] where the report cannot be written.
    pub fn write_bug_check(&self, found: &BugCheck, reproduce: &str) -> Result<String, FileError> {
        let report = self.bug_check_report(found);
        if let Some((folder, label)) = &self.folder {
            let name = label.as_ref().map_or_else(|| BUG_CHECK_FILE.into(), |label| format!("bug-check-{label}.txt"));
            let again = if reproduce.is_empty() { String::new() } else { bug_check::again(self.conditions, reproduce) };
            folder.write(&name, report.clone() + &again)?;
        }
        Ok(report)
    }

    /// Returns the report of a bug check, with functions, files and lines where there are symbols.
    #[must_use]
    pub fn bug_check_report(&self, found: &BugCheck) -> String {
        let (driver, nt_host) = self.images();
        bug_check::report(found, &bug_check::places(&found.stack, Some(driver), Some(nt_host)))
    }

    /// Returns what the guest has found so far without stopping: violations of waived rules, violations after which it went
    /// on, and notes.
    #[must_use]
    pub fn findings(&self) -> FindingsReport {
        let (driver, nt_host) = self.images();
        FindingsReport::of(&self.session.collected, &self.policy, driver, nt_host)
    }

    fn images(&self) -> (&Path, &Path) {
        (&self.provisioned.artefacts.driver, &self.provisioned.artefacts.nt_host)
    }

    /// Writes what the guest has marked so far into the run folder, as a trace beside the card's ([`GUEST_TRACE`]). Does nothing where the guest
    /// marks nothing, and where the logs are not kept.
    ///
    /// # Errors
    /// [`GuestMarksError`] for marks whose time is not known, memory that cannot be read, or a file that cannot be written.
    pub fn keep_marks(&self) -> Result<(), GuestMarksError> {
        let Some(((folder, label), range)) = self.folder.as_ref().zip(self.session.marks.range()) else {
            return Ok(());
        };
        let name = label.as_ref().map_or_else(|| GUEST_TRACE.into(), |label| format!("guest-{label}.trace"));
        let ring = MarkRing::read(self.memory(), range)?;
        let driver = self.driver.as_ref().map(|driver| driver.base..driver.base + u64::from(driver.image_bytes));
        guest_marks::write(&folder.file(&name), &ring, driver.as_ref(), self.started)
    }

    /// Finds out where a guest hangs: writes the processor's registers, and the guest's own report to a non-maskable
    /// interrupt, into the run folder. What cannot be had is left out: the failure is the time-out.
    pub fn post_mortem(&mut self, reproduce: &str) {
        let registers = self.session.health.machine.post_mortem();
        if let Some((folder, _)) = &self.folder {
            let _ = folder.write("post-mortem.txt", registers);
        }
        if self.session.health.machine.inject_nmi().is_err() {
            return;
        }
        if let Some(found) = self.session.bug_check(NMI_LIMIT)
            && let Some((folder, _)) = &self.folder
        {
            let again = bug_check::again(self.conditions, reproduce);
            let _ = folder.write(HANG_FILE, self.bug_check_report(&found) + &again);
        }
    }

    /// Stops the device, unloads the driver, and shuts the guest down: where leaks show. Returns the state of the contract's
    /// rules at the very end.
    ///
    /// # Errors
    /// [`TestBedError::Session`] for what the guest says, or the process that ended; [`TestBedError::BadEnd`] for a guest
    /// that left in another way.
    pub fn shut_down(&mut self) -> Result<Vec<RuleState>, TestBedError> {
        self.session.done("stop the device", Request::StopDevice)?;
        self.unload_and_leave()
    }

    /// Unloads a driver whose device is stopped, and shuts the guest down. Returns the state of the contract's rules at the very
    /// end.
    ///
    /// # Errors
    /// As for [`shut_down`](Self::shut_down).
    pub fn unload_and_leave(&mut self) -> Result<Vec<RuleState>, TestBedError> {
        self.session.unload_driver()?;
        let rules = match self.session.contract() {
            // Of a system where Driver Verifier checks, and not the guest itself.
            Err(error) if error.is_unsupported() => Vec::new(),
            other => other?,
        };
        self.session.done("shut down", Request::Shutdown)?;
        self.leave()?;
        Ok(rules)
    }

    /// Waits until a guest that was asked to shut down has left with QEMU and the card.
    ///
    /// # Errors
    /// [`TestBedError::Session`] for the process that ended in another way; [`TestBedError::BadEnd`] for a guest that did.
    pub fn leave(&mut self) -> Result<(), TestBedError> {
        const STEP: &str = "shut down";
        self.session.expect_device(STEP)?;
        let control = self.control.as_mut().filter(|control| control.offers(Offer::Shutdown));
        // One that runs already is the user's to end.
        let control = control.filter(|_| self.provisioned.device.is_served());
        // What ends otherwise than in order shows by its end.
        let end_device = || _ = control.map(DeviceControl::shutdown);
        match self.session.health.leave(self.timeout, end_device) {
            Ok(()) => Ok(()),
            Err(LeaveError::Interrupted) => Err(SessionError::Interrupted(STEP.into()).into()),
            Err(LeaveError::StillThere) => Err(TestBedError::BadEnd("nothing: it still runs".into())),
            Err(LeaveError::Died(death)) if death.part == Part::Card => {
                Err(SessionError::CardDied { death, step: STEP.into() }.into())
            }
            Err(LeaveError::Died(death)) if death.by_debugger => {
                Err(SessionError::EndedByDebugger { step: STEP.into() }.into())
            }
            // A guest that leaves in another way than it should.
            Err(LeaveError::Died(death)) if guest_exit(death.ended).is_some() => {
                Err(TestBedError::BadEnd(death.ended.to_string()))
            }
            Err(LeaveError::Died(death)) if death.ended == Ended::Exit(0) && death.stopped_by.is_none() => {
                Err(TestBedError::BadEnd("a reset".into()))
            }
            Err(LeaveError::Died(death)) => Err(SessionError::QemuFailed { death, step: STEP.into() }.into()),
        }
    }
}

impl Drop for TestBed<'_> {
    fn drop(&mut self) {
        // The run is judged without them.
        if let Err(error) = self.keep_marks() {
            self.session.observer().event(&Event::Warning { text: error.to_string() });
        }
    }
}
