//! QEMU: its command line, its start, and what its exit status means.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use card_control::Transport;
use card_control::qemu::{VFIO_USER_DEVICE, device_option};
use guest_protocol::{DRIVER_FILE, INSTALLATION_FILE, OPTIONS_FILE, exit};
use serde::{Deserialize, Serialize};
use signal_hook::low_level::signal_name;

use super::card::words_of;
use super::death::{Death, Part};
use super::device::QemuArguments;
use super::disks::Disks;
use super::error::MachineError;
use super::health::Health;
use super::killer::ProcessKiller;
use super::memory::GuestMemory;
use super::option::with_path;
use super::qmp::{Answers, Qmp};
use super::stub::{ENDED_BY_DEBUGGER, Stub, StubWatch};
use crate::host::ended::Ended;
use crate::host::file_error::FileError;
use crate::host::interrupt;
use crate::host::limits::{self, LimitError};
use crate::host::process::{Freezer, Process};
use crate::host::standstill::{OnPurpose, Watched, Who};

/// The longest time for a QEMU whose monitor is silent to end, so that the message can tell how it ended.
const START_GRACE: Duration = Duration::from_secs(20);

/// The machine, without controllers that no guest here uses: a fifth of the time to the guest's first instruction.
const MACHINE: &str = "q35,memory-backend=mem,sata=off,smbus=off,i8042=off,vmport=off";

/// The machine of a guest that starts from a disk: with the controllers that a system has drivers for.
const DISK_MACHINE: &str = "q35,memory-backend=mem";

/// Processors that the machine could have. Where that is one, QEMU's emulator translates locked instructions to plain ones, without
/// the barrier that they are: a driver's `KeMemoryBarrier` (`lock or`) would not order its write to a ring before its next read, and card
/// and driver could each miss what the other has just written.
const MAX_PROCESSORS: u8 = 2;

/// The words of QEMU's log when a signal ends it; the signal's number follows.
const LEAVES_BY_SIGNAL: &str = "terminating on signal ";

/// The words of QEMU's log before it aborts for want of its card: those of vhost-user, and of a character device.
const MISSES_CARD: [&str; 4] = ["vhost", "msg header", "Failed to write msg", "Failed to set msg fds"];

/// The words of QEMU's log when a vfio-user server does not answer, has gone, or answers what it was not asked.
const LOSES_DEVICE: [&str; 6] = [
    "timed out waiting for reply",
    "failed to read header",
    "Unable to write to socket",
    "bad header size",
    "unexpected reply",
    "unexpected message",
];

/// The accelerator that executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// QEMU's translation: slower than hardware where that works, and the same everywhere.
    Tcg,
    /// The host's processor, through `/dev/kvm`.
    Kvm,
}

impl Accelerator {
    /// Returns its name on QEMU's command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        }
    }
}

/// The firmware of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// qboot: some 60 ms faster than SeaBIOS; it leaves the placing of PCI BARs to the guest.
    Qboot,
    /// SeaBIOS.
    SeaBios,
}

/// The options of a machine.
#[derive(Clone, Debug)]
pub struct MachineOptions {
    /// The program of QEMU.
    pub qemu: PathBuf,
    /// The accelerator that executes the guest's instructions.
    pub accelerator: Accelerator,
    /// The firmware.
    pub firmware: Firmware,
    /// The number of processors: 1, or 2 of which the second takes the card's interrupts.
    pub processors: u8,
    /// The guest: an ELF file with a PVH entry.
    pub kernel: PathBuf,
    /// The driver image, which the guest reads through `fw_cfg`.
    pub driver: Option<PathBuf>,
    /// The guest's options, lines of `name=value`, which the guest reads through `fw_cfg`.
    pub guest_options: String,
    /// What the installation of the driver leaves, which the guest reads through `fw_cfg`.
    pub installation: Option<Vec<u8>>,
    /// The device that the driver is for.
    pub device: MachineDevice,
    /// QEMU's stub for a debugger, if there is to be one.
    pub stub: Option<Stub>,
    /// The disks of a guest that starts from one, instead of the kernel. Firmware, driver and options are its own then.
    pub disks: Option<Disks>,
}

impl MachineOptions {
    /// Adds the kernel, and the files that it reads, to QEMU's command line.
    fn add_kernel_to(&self, command: &mut Command, scratch: &Path) -> Result<(), MachineError> {
        command.arg("-no-reboot");
        if self.firmware == Firmware::Qboot {
            command.args(["-bios", "qboot.rom"]);
        }
        command.arg("-kernel").arg(&self.kernel);
        let guest_options = scratch.join("options");
        fs::write(&guest_options, &self.guest_options).map_err(FileError::own("write", &guest_options))?;
        command.arg("-fw_cfg").arg(with_path(&format!("name={OPTIONS_FILE},file="), &guest_options));
        if let Some(driver) = &self.driver {
            command.arg("-fw_cfg").arg(with_path(&format!("name={DRIVER_FILE},file="), driver));
        }
        if let Some(installation) = &self.installation {
            let path = scratch.join("installation");
            fs::write(&path, installation).map_err(FileError::own("write", &path))?;
            command.arg("-fw_cfg").arg(with_path(&format!("name={INSTALLATION_FILE},file="), &path));
        }
        Ok(())
    }
}

/// The device of a machine, as arguments of QEMU.
#[derive(Clone, Debug, Default)]
pub enum MachineDevice {
    /// None.
    #[default]
    Absent,
    /// The card, by how it is attached and the socket on which it listens.
    Card(Transport, PathBuf),
    /// A vfio-user server.
    VfioUser {
        /// Its name, for messages.
        name: String,
        /// The socket on which it listens.
        socket: PathBuf,
    },
    /// A device of QEMU's own.
    Qemu {
        /// Its name, for messages.
        name: String,
        /// The arguments.
        arguments: QemuArguments,
    },
}

/// The status of a QEMU that refuses an option.
const REFUSED: Ended = Ended::Exit(1);

/// The driver of a vfio-user server's function, in QEMU.
pub const VFIO_USER: &str = VFIO_USER_DEVICE;

impl MachineDevice {
    /// Returns its name, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Absent => "no device",
            Self::Card(..) => Part::Card.text(),
            Self::VfioUser { name, .. } | Self::Qemu { name, .. } => name,
        }
    }

    /// Tells whether a QEMU that ended like this, with these last words, refused the device.
    pub(super) fn is_refused(&self, ended: Ended, words: &str) -> bool {
        match self {
            Self::Absent | Self::Card(..) => false,
            Self::VfioUser { .. } => ended == REFUSED && words.contains(VFIO_USER),
            Self::Qemu { .. } => ended == REFUSED,
        }
    }

    /// Adds the device to QEMU's command line.
    fn add_to(&self, command: &mut Command) {
        match self {
            Self::Absent => {}
            Self::Card(Transport::VhostUser, socket) => {
                command.arg("-chardev").arg(with_path("socket,id=card,path=", socket));
                command.args(["-device", &device_option("card")]);
            }
            Self::Card(Transport::VfioUser, socket) | Self::VfioUser { socket, .. } => {
                // A socket is only taken in this form.
                let path = socket.to_string_lossy();
                let option = serde_json::json!({ "driver": VFIO_USER, "socket": { "type": "unix", "path": path } });
                command.args(["-device", &option.to_string()]);
            }
            Self::Qemu { arguments, .. } => {
                // Sound devices refuse to be without a host's sound; this one plays nothing.
                command.args(["-audio", "driver=none"]);
                command.args(arguments.arguments());
            }
        }
    }
}

/// The files of a machine.
#[derive(Clone, Debug)]
pub struct Boot<'a> {
    /// The file that takes QEMU's output.
    pub log: &'a Path,
    /// The folder of files that exist only while QEMU runs.
    pub scratch: &'a Path,
}

/// A running QEMU.
#[derive(Debug)]
pub struct Machine {
    process: Process,
    /// A test has stopped the process.
    stopped: OnPurpose,
    qmp: Qmp,
    /// Watches the stub. It ends with its monitor, which ends with the process.
    stub: Option<StubWatch>,
    /// The harness's end of the guest's serial line.
    pub line: UnixStream,
    /// The guest's memory.
    pub memory: GuestMemory,
    /// The command line, for the record.
    pub command_line: Vec<String>,
    /// Whether the guest starts from a disk, and leaves the machine on when it has ended.
    starts_from_disk: bool,
}

impl Machine {
    /// Starts QEMU without a card, and waits until its monitor answers.
    ///
    /// # Errors
    /// [`MachineError::QemuNotStarted`] for a QEMU that ends before its monitor answers; the other variants for what
    /// the host refused or the user interrupted.
    pub fn start(options: &MachineOptions, memory: GuestMemory, boot: &Boot<'_>) -> Result<Self, MachineError> {
        let mut machine = Self::spawn(options, memory, boot)?;
        let Err(error) = machine.connect(&mut || !interrupt::requested()) else { return Ok(machine) };
        if interrupt::requested() {
            return Err(MachineError::Interrupted);
        }
        machine.wait(START_GRACE);
        let tail = machine.tail();
        if let Some(limit) = machine.limit_reached() {
            return Err(limit.during("QEMU did not start").into());
        }
        let death = machine.death();
        let from_outside = death.as_ref().is_some_and(Death::from_outside);
        let ended = death.map_or_else(|| error.to_string(), |death| death.how());
        Err(MachineError::QemuNotStarted { ended, tail, from_outside })
    }

    /// Starts QEMU's process.
    ///
    /// # Errors
    /// [`MachineError::Resource`] where a socket cannot be created, [`MachineError::Spawn`] where the process cannot be
    /// started, [`MachineError::File`] where the guest's options cannot be written.
    pub(super) fn spawn(options: &MachineOptions, memory: GuestMemory, boot: &Boot<'_>) -> Result<Self, MachineError> {
        let resource = |what| move |source| MachineError::Resource { what, source };
        let pair = |what| UnixStream::pair().map_err(resource(what));
        let (line, guest_line) = pair("the serial line")?;
        let (qmp, guest_qmp) = pair("the monitor")?;
        let (guest_line, guest_qmp): (OwnedFd, OwnedFd) = (guest_line.into(), guest_qmp.into());
        let memory_file = memory.file().map_err(resource("guest memory"))?;

        let mut command = Command::new(&options.qemu);
        command.args(["-nodefaults", "-no-user-config", "-display", "none"]);
        let machine = if options.disks.is_some() { DISK_MACHINE } else { MACHINE };
        command.args(["-machine", machine, "-accel", options.accelerator.name(), "-cpu", "max"]);
        command.args(["-m", &format!("{}M", memory.bytes() >> 20)]);
        command.args([
            "-object",
            &format!(
                "memory-backend-file,id=mem,size={},share=on,mem-path=/proc/self/fd/{}",
                memory.bytes(),
                memory_file.as_raw_fd()
            ),
        ]);
        command.args(["-smp", &format!("{},maxcpus={MAX_PROCESSORS}", options.processors)]);
        if let Some(disks) = &options.disks {
            disks.add_to(&mut command);
        }
        command.args(["-chardev", &format!("socket,id=line,fd={}", guest_line.as_raw_fd()), "-serial", "chardev:line"]);
        command.args(["-chardev", &format!("socket,id=qmp,fd={}", guest_qmp.as_raw_fd())]);
        command.args(["-qmp", "chardev:qmp"]);
        command.args(["-device", &format!("isa-debug-exit,iobase={:#x},iosize=4", exit::PORT)]);
        if options.disks.is_none() {
            options.add_kernel_to(&mut command, boot.scratch)?;
        }
        options.device.add_to(&mut command);
        let mut inherited = vec![guest_line, guest_qmp, memory_file];
        let mut monitor = None;
        if let Some(stub) = &options.stub {
            let (ours, of_qemu) = stub.add_to(&mut command).map_err(resource("the stub's monitor"))?;
            inherited.push(of_qemu);
            monitor = Some((stub.clone(), ours));
        }
        let command_line = words_of(&command);
        let process = Process::spawn(command, inherited, boot.log)?;
        let watch = |(stub, monitor)| StubWatch::begin(stub, monitor).map_err(resource("the stub's watch"));
        let stub = monitor.map(watch).transpose()?;
        // From here on only QEMU holds its ends: when it ends, the lines end here.
        let qmp = Qmp::new(qmp).map_err(resource("the monitor"))?;
        let (stopped, starts_from_disk) = (OnPurpose::default(), options.disks.is_some());
        Ok(Self { process, stopped, qmp, stub, line, memory, command_line, starts_from_disk })
    }

    /// Waits until the monitor answers, as long as QEMU lives and `worth_it` returns true.
    pub(super) fn connect(&mut self, worth_it: &mut dyn FnMut() -> bool) -> io::Result<()> {
        let Self { process, qmp, .. } = self;
        qmp.connect(&mut || {
            process.note_limits();
            worth_it()
        })
    }

    /// Notes the limits that it has, while it lives.
    pub(super) fn note_limits(&mut self) {
        self.process.note_limits();
    }

    /// Returns the limit of the host that it has reached, by how it ended and by its log.
    pub(super) fn limit_reached(&mut self) -> Option<LimitError> {
        let found = limits::of_program(self.ended(), &self.tail())?;
        Some(found.of_process("QEMU", self.process.limits()))
    }

    /// Opens a descriptor that becomes readable when the process ends.
    pub(super) fn pidfd(&self) -> io::Result<OwnedFd> {
        self.process.pidfd()
    }

    /// Asks the monitor whether QEMU answers within `limit`.
    pub(super) fn answers(&mut self, limit: Duration) -> Answers {
        self.qmp.answers(limit)
    }

    /// Tells whether QEMU logged that it had lost its card.
    pub(super) fn missed_card(&self) -> bool {
        let said = self.process.said();
        MISSES_CARD.iter().any(|words| said.contains(words))
    }

    /// Returns the line of QEMU's log that says that it has lost its vfio-user server.
    pub(super) fn lost_device(&self) -> Option<String> {
        let said = self.process.said();
        let line = said.lines().find(|line| LOSES_DEVICE.iter().any(|words| line.contains(words)))?;
        Some(line.split_once(": ").map_or(line, |(_, words)| words).to_owned())
    }

    /// Returns how long a debugger, or the guest itself, has kept the machine from running so far.
    pub(super) fn paused(&self) -> Duration {
        self.stub.as_ref().map_or(Duration::ZERO, StubWatch::total)
    }

    /// Tells whether QEMU logged that a debugger had ended it.
    pub(super) fn ended_by_debugger(&self) -> bool {
        self.stub.is_some() && self.process.said().contains(ENDED_BY_DEBUGGER)
    }

    /// Returns the signal that made QEMU leave with a status, and the signal's sender.
    pub(super) fn stopped_by(&mut self) -> Option<String> {
        if !matches!(self.ended(), Some(Ended::Exit(_))) {
            return None;
        }
        let said = self.process.said();
        let Some((_, words)) = said.rsplit_once(LEAVES_BY_SIGNAL) else {
            return self.qmp.ended_by_signal().then(|| "a signal".into());
        };
        let words = words.lines().next().unwrap_or_default();
        let (number, sender) = words.split_once(' ').unwrap_or((words, ""));
        let name = number.parse().ok().and_then(signal_name).unwrap_or("a signal");
        Some(format!("{name} {sender}").trim_end().to_owned())
    }

    /// Stops QEMU where it is, on purpose, or lets it continue: a guest whose processors run nothing for a while.
    pub fn freeze(&mut self, frozen: bool) {
        self.stopped.set(frozen);
        self.process.freeze(frozen);
    }

    /// Returns a handle that stops QEMU as a busy host would, which counts as a standstill.
    #[must_use]
    pub fn staller(&self) -> Freezer {
        self.process.freezer()
    }

    /// Returns a handle that kills QEMU from another thread.
    ///
    /// # Errors
    /// The host's error, where it gives no descriptor of the process.
    pub fn killer(&self) -> io::Result<ProcessKiller> {
        self.process.pidfd().map(ProcessKiller::new)
    }

    /// Returns what a watch for standstills needs.
    #[must_use]
    pub fn watched(&self) -> Watched {
        Watched { who: Who::Qemu, pid: self.process.id(), on_purpose: self.stopped.clone() }
    }

    /// Returns how it ended, if it has.
    pub fn ended(&mut self) -> Option<Ended> {
        self.process.ended()
    }

    /// Waits for its end, at most as long as `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<Ended> {
        self.process.wait(limit)
    }

    /// Ends it with SIGTERM, and then with SIGKILL.
    pub fn stop(&mut self) -> Ended {
        self.process.stop()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) -> Ended {
        self.process.kill()
    }

    /// Returns the last lines of its log.
    #[must_use]
    pub fn tail(&self) -> String {
        self.process.tail()
    }

    /// Returns QEMU's version with its package.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.qmp.version
    }

    /// Interrupts a guest that does not answer in a way that it cannot mask: the NT host answers with a bug check that
    /// says where it is.
    ///
    /// # Errors
    /// The monitor's error, or [`io::ErrorKind::TimedOut`] where QEMU does not answer.
    pub fn inject_nmi(&mut self) -> io::Result<()> {
        self.qmp.inject_nmi()
    }

    /// Returns whether the guest starts from a disk.
    #[must_use]
    pub const fn starts_from_disk(&self) -> bool {
        self.starts_from_disk
    }

    /// Ends QEMU by its monitor. One that does not answer has ended, or is ended with its owner.
    pub(super) fn quit(&mut self) {
        let _ = self.qmp.command("quit", None);
    }

    /// Returns why QEMU has shut down, by its own event: `guest-shutdown` where the guest has turned the machine off.
    pub(super) fn shutdown_reason(&mut self) -> Option<String> {
        self.qmp.shutdown_reason()
    }

    /// Writes the screen to a PNG file.
    ///
    /// # Errors
    /// The monitor's error, as when QEMU has ended.
    pub fn screen(&mut self, path: &Path) -> io::Result<()> {
        let arguments = serde_json::json!({ "filename": path, "format": "png" });
        self.qmp.command("screendump", Some(&arguments)).map(drop)
    }

    /// Executes a command of the monitor. Returns its answer.
    ///
    /// # Errors
    /// The monitor's error, or [`io::ErrorKind::TimedOut`] where QEMU does not answer.
    pub fn execute(&mut self, command: &str, arguments: Option<&serde_json::Value>) -> io::Result<serde_json::Value> {
        self.qmp.command(command, arguments)
    }

    /// Returns what the processor was doing, for a guest that does not answer: registers and interrupt controllers.
    #[must_use]
    pub fn post_mortem(&mut self) -> String {
        ["info status", "info registers", "info lapic", "info pic", "info pci"]
            .map(|part| format!("{part}\n{}\n", self.qmp.human(part).unwrap_or_else(|error| error.to_string())))
            .concat()
    }
}

/// Blames QEMU alone, where it has no card.
impl Health for Machine {
    fn death(&mut self) -> Option<Death> {
        let ended = self.ended()?;
        let stopped_by = self.stopped_by();
        Some(Death { stopped_by, last_words: (String::new(), self.tail()), ..Death::of(Part::Qemu, ended) })
    }

    fn limit(&mut self) -> Option<LimitError> {
        self.limit_reached()
    }
}

/// Returns the value that the guest wrote to `isa-debug-exit`, if QEMU's exit status comes from there.
#[must_use]
pub const fn guest_exit(ended: Ended) -> Option<u8> {
    match ended {
        Ended::Exit(status) if status & 1 == 1 && status > 1 && status < 256 => Some((status >> 1) as u8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_exits_of_the_guest_from_those_of_qemu() {
        assert_eq!(guest_exit(Ended::Exit(33)), Some(exit::COMPLETED));
        assert_eq!(guest_exit(Ended::Exit(35)), Some(exit::BUG_CHECK));
        assert_eq!(guest_exit(Ended::Exit(37)), Some(exit::GUEST_FAILED));
        // QEMU's own statuses.
        assert_eq!(guest_exit(Ended::Exit(0)), None);
        assert_eq!(guest_exit(Ended::Exit(1)), None);
        assert_eq!(guest_exit(Ended::Signal(6)), None);
    }
}
