//! A QEMU without a guest: qtest for memory and I/O, QMP for the machine. Source: QEMU, `docs/devel/testing/qtest.rst`.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::error::LimitsError;
use crate::host::ended::Ended;
use crate::host::process::Process;

/// The longest time for QEMU to answer. It takes milliseconds; a busy host makes it take seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// The longest time for QEMU to end of what was done to it.
const END_LIMIT: Duration = Duration::from_secs(2);

/// Configuration mechanism 1 (PCI 3.0, section 3.2.2.3.2).
const CONFIG_ADDRESS: u32 = 0xcf8;
const CONFIG_DATA: u32 = 0xcfc;

/// QEMU has closed its sockets: it has ended, or is about to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone;

/// A running QEMU.
pub(super) struct Bare {
    process: Process,
    qmp: BufReader<UnixStream>,
    qtest: BufReader<UnixStream>,
    /// Its version; empty where it has ended before it could tell.
    pub(super) version: String,
}

impl Bare {
    /// Starts a machine of a type with these options. A QEMU that ends at once shows in [`ended`](Self::ended).
    pub(super) fn start(qemu: &Path, machine: &str, options: &[String], log: &Path) -> Result<Self, LimitsError> {
        let pair = || UnixStream::pair().map_err(LimitsError::Socket);
        let ((qmp, its_qmp), (qtest, its_qtest)) = (pair()?, pair()?);
        for socket in [&qmp, &qtest] {
            socket.set_read_timeout(Some(ANSWER_LIMIT)).map_err(LimitsError::Socket)?;
        }
        let (its_qmp, its_qtest): (OwnedFd, OwnedFd) = (its_qmp.into(), its_qtest.into());
        let mut command = Command::new(qemu);
        command.args(["-accel", "qtest", "-display", "none", "-nodefaults", "-no-user-config", "-m", "64M"]);
        command.args(["-object", "memory-backend-memfd,id=mem,size=64M,share=on"]);
        command.args(["-machine", &format!("{machine},memory-backend=mem")]);
        command.args(["-chardev", &format!("socket,id=qmp,fd={}", its_qmp.as_raw_fd()), "-qmp", "chardev:qmp"]);
        command.args(["-chardev", &format!("socket,id=qtest,fd={}", its_qtest.as_raw_fd())]);
        command.args(["-qtest", "chardev:qtest", "-qtest-log", "none"]);
        command.args(options);
        let process = Process::spawn(command, vec![its_qmp, its_qtest], log)?;
        let mut bare = Self { process, qmp: BufReader::new(qmp), qtest: BufReader::new(qtest), version: String::new() };
        if let Ok(greeting) = bare.message() {
            let number = |part: &str| greeting["QMP"]["version"]["qemu"][part].as_u64().unwrap_or_default();
            bare.version = format!("{}.{}.{}", number("major"), number("minor"), number("micro"));
            // What QEMU says to it shows in what follows.
            let _ = bare.qmp("qmp_capabilities", json!({}));
        }
        Ok(bare)
    }

    fn message(&mut self) -> Result<Value, Gone> {
        let mut line = String::new();
        match self.qmp.read_line(&mut line) {
            Ok(bytes) if bytes > 0 => serde_json::from_str(&line).map_err(|_| Gone),
            _ => Err(Gone),
        }
    }

    /// Executes a command of the monitor. Returns its answer, which may be an error.
    pub(super) fn qmp(&mut self, command: &str, arguments: Value) -> Result<Value, Gone> {
        let line = format!("{}\n", json!({ "execute": command, "arguments": arguments }));
        self.qmp.get_ref().write_all(line.as_bytes()).map_err(|_| Gone)?;
        loop {
            let answer = self.message()?;
            if answer.get("event").is_none() {
                return Ok(answer);
            }
        }
    }

    fn qtest(&mut self, line: &str) -> Result<String, Gone> {
        self.qtest.get_ref().write_all(format!("{line}\n").as_bytes()).map_err(|_| Gone)?;
        loop {
            let mut answer = String::new();
            match self.qtest.read_line(&mut answer) {
                Ok(bytes) if bytes > 0 => {}
                _ => return Err(Gone),
            }
            // Messages about interrupts come in between.
            if let Some(rest) = answer.trim_end().strip_prefix("OK") {
                return Ok(rest.trim().to_owned());
            }
        }
    }

    fn number(&mut self, line: &str) -> Result<u32, Gone> {
        let answer = self.qtest(line)?;
        u64::from_str_radix(answer.trim_start_matches("0x"), 16).map(|value| value as u32).map_err(|_| Gone)
    }

    /// Reads 32 bits of memory.
    pub(super) fn read(&mut self, address: u64) -> Result<u32, Gone> {
        self.number(&format!("readl {address:#x}"))
    }

    /// Writes 32 bits of memory.
    pub(super) fn write(&mut self, address: u64, value: u32) -> Result<(), Gone> {
        self.qtest(&format!("writel {address:#x} {value:#x}")).map(drop)
    }

    /// Writes a byte of memory.
    pub(super) fn write_byte(&mut self, address: u64, value: u8) -> Result<(), Gone> {
        self.qtest(&format!("writeb {address:#x} {value:#x}")).map(drop)
    }

    /// Writes 32 bits to a port.
    pub(super) fn out(&mut self, port: u32, value: u32) -> Result<(), Gone> {
        self.qtest(&format!("outl {port:#x} {value:#x}")).map(drop)
    }

    /// Reads a register of a function's configuration space.
    pub(super) fn config(&mut self, (bus, device): (u32, u32), offset: u32) -> Result<u32, Gone> {
        self.out(CONFIG_ADDRESS, 1 << 31 | bus << 16 | device << 11 | offset)?;
        self.number(&format!("inl {CONFIG_DATA:#x}"))
    }

    /// Writes a register of a function's configuration space.
    pub(super) fn set_config(&mut self, (bus, device): (u32, u32), offset: u32, value: u32) -> Result<(), Gone> {
        self.out(CONFIG_ADDRESS, 1 << 31 | bus << 16 | device << 11 | offset)?;
        self.out(CONFIG_DATA, value)
    }

    /// Returns how it has ended; `None` where it lives on, and its monitor answers.
    pub(super) fn ended(&mut self) -> Option<Ended> {
        let ended = self.process.wait(END_LIMIT);
        if ended.is_none() && self.qmp("query-status", json!({})).is_err() {
            return self.process.wait(ANSWER_LIMIT);
        }
        ended
    }

    /// Returns what it has said.
    pub(super) fn said(&self) -> String {
        self.process.said()
    }
}
