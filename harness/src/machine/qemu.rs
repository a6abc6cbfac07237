//! QEMU: its command line, its start, and what its exit status means.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use card_control::qemu::device_option;
use guest_protocol::{DRIVER_FILE, OPTIONS_FILE, exit};
use serde::{Deserialize, Serialize};
use signal_hook::low_level::signal_name;

use super::card::words_of;
use super::death::{Death, Part};
use super::error::MachineError;
use super::health::Health;
use super::memory::GuestMemory;
use super::qmp::{Answers, Qmp};
use crate::host::ended::Ended;
use crate::host::file_error::FileError;
use crate::host::interrupt;
use crate::host::limits::{self, LimitError};
use crate::host::process::{Freezer, Process};
use crate::host::standstill::{OnPurpose, Watched, Who};

/// How long a QEMU whose monitor is silent gets to end, so that its end can be told.
const START_GRACE: Duration = Duration::from_secs(20);

/// What QEMU says when a signal makes it leave: before its number.
const LEAVES_BY_SIGNAL: &str = "terminating on signal ";

/// What QEMU says before it aborts for want of its card: vhost-user's own words, and a character device's.
const MISSES_CARD: [&str; 4] = ["vhost", "msg header", "Failed to write msg", "Failed to set msg fds"];

/// What runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// QEMU's own translation: slower than hardware where that works, and the same everywhere.
    Tcg,
    /// The host's processor, through `/dev/kvm`.
    Kvm,
}

impl Accelerator {
    /// As QEMU's command line has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        }
    }
}

/// What runs before the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// qboot: some 60 ms faster; it leaves it to the guest to place PCI BARs.
    Qboot,
    /// SeaBIOS.
    SeaBios,
}

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct MachineOptions {
    /// QEMU.
    pub qemu: PathBuf,
    /// What runs the guest's instructions.
    pub accelerator: Accelerator,
    /// What runs before the guest.
    pub firmware: Firmware,
    /// How many processors: one, or a second that takes the card's interrupts.
    pub processors: u8,
    /// The guest: an ELF file with a PVH entry.
    pub kernel: PathBuf,
    /// The driver image, passed through `fw_cfg`.
    pub driver: Option<PathBuf>,
    /// The guest's options, passed through `fw_cfg`: lines of `name=value`.
    pub guest_options: String,
    /// The socket on which the card listens.
    pub card_socket: Option<PathBuf>,
}

/// Where a machine keeps its files.
#[derive(Clone, Debug)]
pub struct Boot<'a> {
    /// QEMU's own output goes here.
    pub log: &'a Path,
    /// Files that exist only while it runs go here.
    pub scratch: &'a Path,
}

/// A running QEMU.
#[derive(Debug)]
pub struct Machine {
    process: Process,
    /// A test has stopped it.
    stopped: OnPurpose,
    qmp: Qmp,
    /// The guest's serial line.
    pub line: UnixStream,
    /// The guest's memory.
    pub memory: GuestMemory,
    /// The command line, for the record.
    pub command_line: Vec<String>,
}

impl Machine {
    /// Starts QEMU without a card, and waits until its monitor answers.
    ///
    /// # Errors
    /// When a process or a socket cannot be made, or QEMU ends before its monitor answers.
    pub fn start(options: &MachineOptions, memory: GuestMemory, boot: &Boot<'_>) -> Result<Self, MachineError> {
        let mut machine = Self::spawn(options, memory, boot)?;
        let Err(error) = machine.connect(&mut || !interrupt::asked()) else { return Ok(machine) };
        if interrupt::asked() {
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

    /// Starts QEMU's process with some memory.
    ///
    /// # Errors
    /// When a process or a socket cannot be made.
    pub(super) fn spawn(options: &MachineOptions, memory: GuestMemory, boot: &Boot<'_>) -> Result<Self, MachineError> {
        let resource = |what| move |source| MachineError::Resource { what, source };
        let pair = |what| UnixStream::pair().map_err(resource(what));
        let (line, guest_line) = pair("the serial line")?;
        let (qmp, guest_qmp) = pair("the monitor")?;
        let (guest_line, guest_qmp): (OwnedFd, OwnedFd) = (guest_line.into(), guest_qmp.into());
        let memory_file = memory.file().map_err(resource("guest memory"))?;
        let guest_options = boot.scratch.join("options");
        fs::write(&guest_options, &options.guest_options).map_err(FileError::own("write", &guest_options))?;

        let mut command = Command::new(&options.qemu);
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        command.args(["-machine", "q35,memory-backend=mem", "-accel", options.accelerator.name(), "-cpu", "max"]);
        command.args(["-m", &format!("{}M", memory.bytes() >> 20)]);
        command.args([
            "-object",
            &format!(
                "memory-backend-file,id=mem,size={},share=on,mem-path=/proc/self/fd/{}",
                memory.bytes(),
                memory_file.as_raw_fd()
            ),
        ]);
        command.args(["-smp", &options.processors.to_string()]);
        if options.firmware == Firmware::Qboot {
            command.args(["-bios", "qboot.rom"]);
        }
        command.arg("-kernel").arg(&options.kernel);
        command.args(["-chardev", &format!("socket,id=line,fd={}", guest_line.as_raw_fd()), "-serial", "chardev:line"]);
        command.args(["-chardev", &format!("socket,id=qmp,fd={}", guest_qmp.as_raw_fd())]);
        command.args(["-qmp", "chardev:qmp"]);
        command.args(["-device", &format!("isa-debug-exit,iobase={:#x},iosize=4", exit::PORT)]);
        command.arg("-fw_cfg").arg(with_path(&format!("name={OPTIONS_FILE},file="), &guest_options));
        if let Some(driver) = &options.driver {
            command.arg("-fw_cfg").arg(with_path(&format!("name={DRIVER_FILE},file="), driver));
        }
        if let Some(socket) = &options.card_socket {
            command.arg("-chardev").arg(with_path("socket,id=card,path=", socket));
            command.args(["-device", &device_option("card")]);
        }
        let command_line = words_of(&command);
        let process = Process::spawn(command, vec![guest_line, guest_qmp, memory_file], boot.log)?;
        // From here on only QEMU holds its ends: when it ends, the lines end here.
        let qmp = Qmp::new(qmp).map_err(resource("the monitor"))?;
        Ok(Self { process, stopped: OnPurpose::default(), qmp, line, memory, command_line })
    }

    /// Waits until the monitor answers, or QEMU has ended, or `worth_it` says that there is nothing to wait for.
    pub(super) fn connect(&mut self, worth_it: &mut dyn FnMut() -> bool) -> io::Result<()> {
        let Self { process, qmp, .. } = self;
        qmp.connect(&mut || {
            process.note_limits();
            worth_it()
        })
    }

    /// Notes which limits it has, while it lives.
    pub(super) fn note_limits(&mut self) {
        self.process.note_limits();
    }

    /// The limit of the host that it has reached, by its end and its words.
    pub(super) fn limit_reached(&mut self) -> Option<LimitError> {
        let found = limits::of_program(self.ended(), &self.tail())?;
        Some(found.of_process("QEMU", self.process.limits()))
    }

    /// A descriptor that becomes readable when it ends.
    pub(super) fn pidfd(&self) -> io::Result<OwnedFd> {
        self.process.pidfd()
    }

    /// Asks for a word from the monitor.
    pub(super) fn answers(&mut self, limit: Duration) -> Answers {
        self.qmp.answers(limit)
    }

    /// Whether QEMU said that it had lost its card.
    pub(super) fn missed_card(&self) -> bool {
        let said = self.process.said();
        MISSES_CARD.iter().any(|words| said.contains(words))
    }

    /// The signal that made a QEMU leave that has ended with a status, and who sent it.
    pub(super) fn asked(&mut self) -> Option<String> {
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

    /// Stops QEMU where it is, or lets it go on: a guest whose processors run nothing for a while.
    pub fn freeze(&mut self, frozen: bool) {
        self.stopped.set(frozen);
        self.process.freeze(frozen);
    }

    /// Stops QEMU as a busy host would.
    #[must_use]
    pub fn staller(&self) -> Freezer {
        self.process.freezer()
    }

    /// What a watch needs of it.
    #[must_use]
    pub fn watched(&self) -> Watched {
        Watched { who: Who::Qemu, pid: self.process.id(), on_purpose: self.stopped.clone() }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<Ended> {
        self.process.ended()
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Option<Ended> {
        self.process.wait(limit)
    }

    /// Ends it.
    pub fn stop(&mut self) -> Ended {
        self.process.stop()
    }

    /// Kills it, without a word.
    pub fn kill(&mut self) -> Ended {
        self.process.kill()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn tail(&self) -> String {
        self.process.tail()
    }

    /// QEMU's version with its package.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.qmp.version
    }

    /// Asks a guest that does not answer to stop and say where it is: the NT host answers a non-maskable interrupt with a
    /// bug check.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub fn inject_nmi(&mut self) -> io::Result<()> {
        self.qmp.inject_nmi()
    }

    /// What the processor was doing, for a guest that does not answer: registers and the interrupt controllers.
    #[must_use]
    pub fn post_mortem(&mut self) -> String {
        ["info status", "info registers", "info lapic", "info pic", "info pci"]
            .map(|part| format!("{part}\n{}\n", self.qmp.human(part).unwrap_or_else(|error| error.to_string())))
            .concat()
    }
}

/// A QEMU without a card has nobody to share its death with.
impl Health for Machine {
    fn death(&mut self) -> Option<Death> {
        let ended = self.ended()?;
        let asked = self.asked();
        Some(Death { asked, last_words: (String::new(), self.tail()), ..Death::of(Part::Qemu, ended) })
    }

    fn limit(&mut self) -> Option<LimitError> {
        self.limit_reached()
    }
}

/// What the guest meant by QEMU's exit status, if it was the guest's: the value written to `isa-debug-exit`.
#[must_use]
pub const fn guest_exit(ended: Ended) -> Option<u8> {
    match ended {
        Ended::Exit(status) if status & 1 == 1 && status > 1 && status < 256 => Some((status >> 1) as u8),
        _ => None,
    }
}

/// An option that ends in a path. In QEMU's options a comma within a value is doubled.
fn with_path(option: &str, path: &Path) -> OsString {
    let mut text = OsString::from(option);
    text.push(path.to_string_lossy().replace(',', ",,"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_are_told_apart() {
        assert_eq!(guest_exit(Ended::Exit(33)), Some(exit::COMPLETED));
        assert_eq!(guest_exit(Ended::Exit(35)), Some(exit::BUG_CHECK));
        assert_eq!(guest_exit(Ended::Exit(37)), Some(exit::GUEST_FAILED));
        // QEMU's own.
        assert_eq!(guest_exit(Ended::Exit(0)), None);
        assert_eq!(guest_exit(Ended::Exit(1)), None);
        assert_eq!(guest_exit(Ended::Signal(6)), None);
    }

    #[test]
    fn commas_in_paths_survive_qemus_option_parser() {
        assert_eq!(with_path("file=", Path::new("/a,b")), "file=/a,,b");
    }
}
