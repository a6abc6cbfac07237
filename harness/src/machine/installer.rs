//! A machine with disks, on which an operating system is installed: firmware, an empty disk, an installation disc, and the payload's disk.
//!
//! It pauses where its guest restarts or turns it off, so that its disk between two starts is a state that is kept.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::card::words_of;
use super::error::MachineError;
use super::option::with_path;
use super::qemu::Accelerator;
use super::qmp::Qmp;
use crate::host::ended::Ended;
use crate::host::file_error::FileError;
use crate::host::interrupt;
use crate::host::process::Process;

/// The longest time for a job on a disk: a commit copies some ten gigabytes.
const JOB_LIMIT: Duration = Duration::from_secs(3600);

/// The longest time for a reset of the machine's devices.
const RESET_LIMIT: Duration = Duration::from_secs(60);

/// The interval at which a job is looked at.
const JOB_POLL: Duration = Duration::from_millis(50);

/// The names of the machine's parts.
const TARGET: &str = "target";
const TARGET_DEVICE: &str = "target-device";
const DISC_DEVICE: &str = "disc-device";

/// How a machine starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallerFirmware {
    /// SeaBIOS.
    Bios,
    /// OVMF: its code, and the machine's own variables, which it writes.
    Uefi {
        /// The code.
        code: PathBuf,
        /// The variables.
        variables: PathBuf,
    },
}

/// The options of a machine.
#[derive(Clone, Debug)]
pub struct InstallerOptions {
    /// The program of QEMU.
    pub qemu: PathBuf,
    /// The accelerator.
    pub accelerator: Accelerator,
    /// The firmware.
    pub firmware: InstallerFirmware,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// The disk that is installed on, a qcow2.
    pub target: PathBuf,
    /// The installation disc, as its publisher has it; without, the machine has no drive for discs.
    pub disc: Option<PathBuf>,
    /// The payload's disk, raw. The guest may write it.
    pub payload: PathBuf,
    /// The file that takes QEMU's output.
    pub log: PathBuf,
}

/// What has happened to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// The guest restarts; the machine is paused.
    Restart,
    /// The guest has turned the machine off; the machine is paused.
    Off,
    /// A disk could not be written, and the machine is paused. Whether the host's disk is full.
    DiskError {
        /// Whether the host's disk is full.
        full: bool,
        /// The device, as QEMU names it.
        device: String,
    },
    /// The guest has said that it has crashed.
    Panicked,
}

/// A running QEMU.
#[derive(Debug)]
pub struct Installer {
    process: Process,
    qmp: Qmp,
    line: UnixStream,
    /// The command line, for the record.
    pub command_line: Vec<String>,
}

impl Installer {
    /// Starts QEMU, paused before the guest's first instruction.
    ///
    /// # Errors
    /// [`MachineError`] when a socket or the process cannot be made, or QEMU ends before its monitor answers.
    pub fn start(options: &InstallerOptions) -> Result<Self, MachineError> {
        let mut command = Command::new(&options.qemu);
        let cpu = if options.accelerator == Accelerator::Kvm { "host" } else { "max" };
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-S"]);
        command.args(["-action", "reboot=shutdown,shutdown=pause", "-machine", "q35", "-cpu", cpu]);
        command.args(["-accel", options.accelerator.name(), "-smp", "2", "-m", &format!("{}M", options.memory_mib)]);
        command.args(["-vga", "std", "-rtc", "base=utc,clock=host"]);
        if let InstallerFirmware::Uefi { code, variables } = &options.firmware {
            command.arg("-drive").arg(with_path("if=pflash,unit=0,format=raw,readonly=on,file=", code));
            command.arg("-drive").arg(with_path("if=pflash,unit=1,format=raw,file=", variables));
        }
        // A full disk of the host pauses the guest instead of failing its writes.
        command.arg("-drive").arg(with_path(
            &format!("if=none,id={TARGET},format=qcow2,discard=unmap,werror=enospc,file="),
            &options.target,
        ));
        command.args(["-device", &format!("ide-hd,bus=ide.0,drive={TARGET},id={TARGET_DEVICE},bootindex=1")]);
        if let Some(disc) = &options.disc {
            command.arg("-drive").arg(with_path("if=none,id=disc,media=cdrom,format=raw,readonly=on,file=", disc));
            command.args(["-device", &format!("ide-cd,bus=ide.1,drive=disc,id={DISC_DEVICE},bootindex=2")]);
        }
        // Set-up looks for an answer file on removable disks only, and every Windows has a driver of USB 2.
        command.arg("-drive").arg(with_path("if=none,id=payload,format=raw,file=", &options.payload));
        command.args(["-device", "usb-ehci,id=usb", "-device", "usb-storage,bus=usb.0,drive=payload,removable=on"]);
        let resource = |what| move |source| MachineError::Resource { what, source };
        let (line, guest_line) = UnixStream::pair().map_err(resource("the serial line"))?;
        line.set_nonblocking(true).map_err(resource("the serial line"))?;
        let guest_line: OwnedFd = guest_line.into();
        command.args(["-chardev", &format!("socket,id=line,fd={}", guest_line.as_raw_fd()), "-serial", "chardev:line"]);
        let (process, qmp, command_line) = spawn(command, vec![guest_line], &options.log)?;
        Ok(Self { process, qmp, line, command_line })
    }

    /// Lets the guest run; after a restart or an end, from the firmware on.
    ///
    /// # Errors
    /// The monitor's error, as when QEMU has ended.
    pub fn go(&mut self, from_firmware: bool) -> io::Result<()> {
        if from_firmware {
            // A reset is carried out later, and while restarts pause the machine it would only pause it once more.
            self.qmp.command("set-action", Some(&json!({ "reboot": "reset" })))?;
            self.qmp.command("system_reset", None)?;
            let begun = Instant::now();
            while !self.qmp.take_events()?.iter().any(|event| event["event"] == "RESET") {
                if begun.elapsed() > RESET_LIMIT {
                    return Err(ErrorKind::TimedOut.into());
                }
            }
            self.qmp.command("set-action", Some(&json!({ "reboot": "shutdown" })))?;
        }
        self.qmp.command("cont", None).map(drop)
    }

    /// Returns what has happened since the last time.
    ///
    /// # Errors
    /// The connection's error, as when QEMU has ended.
    pub fn happened(&mut self) -> io::Result<Vec<Happened>> {
        Ok(self.qmp.take_events()?.iter().filter_map(happened).collect())
    }

    /// Writes the screen to a PNG file.
    ///
    /// # Errors
    /// The monitor's error, as when QEMU has ended.
    pub fn screen(&mut self, path: &Path) -> io::Result<()> {
        let arguments = json!({ "filename": path, "format": "png" });
        self.qmp.command("screendump", Some(&arguments)).map(drop)
    }

    /// Presses and releases a key of QEMU's names, such as `ret`.
    ///
    /// # Errors
    /// The monitor's error, as when QEMU has ended.
    pub fn press(&mut self, key: &str) -> io::Result<()> {
        let arguments = json!({ "keys": [{ "type": "qcode", "data": key }] });
        self.qmp.command("send-key", Some(&arguments)).map(drop)
    }

    /// Returns how many bytes the guest has read from the disc and written to the disk, since QEMU's start.
    ///
    /// # Errors
    /// The monitor's error, as when QEMU has ended.
    pub fn transferred(&mut self) -> io::Result<(u64, u64)> {
        let answer = self.qmp.command("query-blockstats", None)?;
        let of = |id: &str, what: &str| {
            let mut devices = answer.as_array().into_iter().flatten();
            let device = devices.find(|device| device["qdev"].as_str().is_some_and(|name| name.ends_with(id)));
            device.and_then(|device| device["stats"][what].as_u64()).unwrap_or_default()
        };
        Ok((of(DISC_DEVICE, "rd_bytes"), of(TARGET_DEVICE, "wr_bytes")))
    }

    /// Receives what has come in on COM1; empty where nothing has.
    ///
    /// # Errors
    /// The error of the socket, as when QEMU has ended.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            match self.line.read(&mut buffer) {
                Ok(0) => return Ok(received),
                Ok(count) => received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(received),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends on COM1. The line takes some hundred KiB at once, which no request of an installation needs.
    ///
    /// # Errors
    /// The error of the socket, as when the guest takes nothing.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.line.write_all(bytes)
    }

    /// Begins a new file on top of the disk: what is written from now on goes there, and the file below stays as it is.
    ///
    /// # Errors
    /// The monitor's error, as when the host's disk is full.
    pub fn layer(&mut self, path: &Path) -> io::Result<()> {
        let arguments = json!({ "device": TARGET, "snapshot-file": path, "format": "qcow2" });
        self.qmp.command("blockdev-snapshot-sync", Some(&arguments)).map(drop)
    }

    /// Writes all layers into the lowest file, which then is the disk.
    ///
    /// # Errors
    /// The monitor's or the job's error, as when the host's disk is full; [`ErrorKind::TimedOut`] for a job without an end.
    pub fn merge(&mut self) -> io::Result<()> {
        let arguments = json!({ "device": TARGET, "job-id": "merge" });
        self.qmp.command("block-commit", Some(&arguments))?;
        let begun = Instant::now();
        let mut completing = false;
        loop {
            for event in self.qmp.take_events()? {
                let failure = event["data"]["error"].as_str().map(str::to_owned);
                match (event["event"].as_str().unwrap_or_default(), failure) {
                    ("BLOCK_JOB_READY", _) if !completing => {
                        completing = true;
                        self.qmp.command("block-job-complete", Some(&json!({ "device": "merge" })))?;
                    }
                    ("BLOCK_JOB_COMPLETED", None) => return Ok(()),
                    ("BLOCK_JOB_COMPLETED" | "BLOCK_JOB_CANCELLED", failure) => {
                        return Err(io::Error::other(failure.unwrap_or_else(|| "it was cancelled".into())));
                    }
                    _ => {}
                }
            }
            if begun.elapsed() > JOB_LIMIT || interrupt::requested() {
                return Err(ErrorKind::TimedOut.into());
            }
            std::thread::sleep(JOB_POLL);
        }
    }

    /// Returns how it ended, if it has.
    pub fn ended(&mut self) -> Option<Ended> {
        self.process.ended()
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

    /// Ends QEMU, its disks flushed.
    pub fn quit(mut self) {
        // One that does not answer is ended as the process is dropped.
        let _ = self.qmp.command("quit", None);
        self.process.wait(Duration::from_secs(10));
    }
}

/// Makes an empty qcow2 file of a size in bytes, by QEMU.
///
/// # Errors
/// [`MachineError`] when QEMU does not start, or cannot make it.
pub fn create_disk(qemu: &Path, path: &Path, bytes: u64, log: &Path) -> Result<(), MachineError> {
    create(qemu, path, &json!({ "driver": "qcow2", "file": "file", "size": bytes }), log)
}

/// Makes a qcow2 file on top of another one, which stays as it is, by QEMU.
///
/// # Errors
/// [`MachineError`] when QEMU does not start, or cannot make it.
pub fn create_overlay(qemu: &Path, path: &Path, bytes: u64, below: &Path, log: &Path) -> Result<(), MachineError> {
    let below = below.to_string_lossy();
    let options = json!({
        "driver": "qcow2", "file": "file", "size": bytes, "backing-file": below, "backing-fmt": "qcow2",
    });
    create(qemu, path, &options, log)
}

fn create(qemu: &Path, path: &Path, options: &Value, log: &Path) -> Result<(), MachineError> {
    File::create(path).map_err(FileError::own("create", path))?;
    let mut command = Command::new(qemu);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-machine", "none", "-S"]);
    let (mut process, mut qmp, _) = spawn(command, Vec::new(), log)?;
    let made = make_qcow2(&mut qmp, path, options);
    let _ = qmp.command("quit", None);
    process.wait(Duration::from_secs(10));
    made.map_err(|source| MachineError::Resource { what: "a disk for the guest", source })
}

fn make_qcow2(qmp: &mut Qmp, path: &Path, options: &Value) -> io::Result<()> {
    qmp.command("blockdev-add", Some(&json!({ "driver": "file", "node-name": "file", "filename": path })))?;
    qmp.command("blockdev-create", Some(&json!({ "job-id": "create", "options": options })))?;
    let begun = Instant::now();
    loop {
        let jobs = qmp.command("query-jobs", None)?;
        let job = jobs.as_array().and_then(|jobs| jobs.iter().find(|job| job["id"] == "create"));
        if let Some(job) = job.filter(|job| job["status"] == "concluded") {
            let failure = job["error"].as_str().map(str::to_owned);
            qmp.command("job-dismiss", Some(&json!({ "id": "create" })))?;
            return failure.map_or(Ok(()), |failure| Err(io::Error::other(failure)));
        }
        if begun.elapsed() > JOB_LIMIT || interrupt::requested() {
            return Err(ErrorKind::TimedOut.into());
        }
        std::thread::sleep(JOB_POLL);
    }
}

/// Starts a QEMU with a monitor, and waits until that answers.
fn spawn(
    mut command: Command,
    mut inherited: Vec<OwnedFd>,
    log: &Path,
) -> Result<(Process, Qmp, Vec<String>), MachineError> {
    let resource = |source| MachineError::Resource { what: "the monitor", source };
    let (monitor, of_qemu) = UnixStream::pair().map_err(resource)?;
    let of_qemu: OwnedFd = of_qemu.into();
    command.args(["-chardev", &format!("socket,id=qmp,fd={}", of_qemu.as_raw_fd()), "-qmp", "chardev:qmp"]);
    inherited.push(of_qemu);
    let command_line = words_of(&command);
    let mut process = Process::spawn(command, inherited, log)?;
    let mut qmp = Qmp::new(monitor).map_err(resource)?;
    if let Err(error) = qmp.connect(&mut || !interrupt::requested()) {
        if interrupt::requested() {
            return Err(MachineError::Interrupted);
        }
        let ended = process.wait(Duration::from_secs(2)).map_or_else(|| error.to_string(), |ended| ended.to_string());
        return Err(MachineError::QemuNotStarted { ended, tail: process.tail(), from_outside: false });
    }
    Ok((process, qmp, command_line))
}

/// Returns what an event of QEMU's means for an installation.
fn happened(event: &Value) -> Option<Happened> {
    let data = &event["data"];
    match event["event"].as_str()? {
        "SHUTDOWN" if data["reason"] == "guest-reset" => Some(Happened::Restart),
        "SHUTDOWN" if data["reason"] == "guest-shutdown" => Some(Happened::Off),
        "GUEST_PANICKED" => Some(Happened::Panicked),
        "BLOCK_IO_ERROR" if data["action"] == "stop" => Some(Happened::DiskError {
            full: data["nospace"] == true,
            device: data["qom-path"].as_str().or_else(|| data["device"].as_str()).unwrap_or_default().to_owned(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_restart_from_an_end_and_a_full_disk_from_a_failing_one() {
        let of = |event: &str, data: Value| happened(&json!({ "event": event, "data": data }));
        assert_eq!(of("SHUTDOWN", json!({ "guest": true, "reason": "guest-reset" })), Some(Happened::Restart));
        assert_eq!(of("SHUTDOWN", json!({ "guest": true, "reason": "guest-shutdown" })), Some(Happened::Off));
        assert_eq!(of("SHUTDOWN", json!({ "guest": false, "reason": "host-qmp-quit" })), None);
        let full = |nospace| json!({ "device": "target", "action": "stop", "nospace": nospace });
        for nospace in [true, false] {
            let expected = Happened::DiskError { full: nospace, device: "target".into() };
            assert_eq!(of("BLOCK_IO_ERROR", full(nospace)), Some(expected));
        }
        assert_eq!(of("BLOCK_IO_ERROR", json!({ "device": "target", "action": "report" })), None);
    }
}
