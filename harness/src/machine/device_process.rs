//! The process of a device of the user's: a vfio-user server that the harness starts, watches and ends as it does the card.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::card::{CardFreezer, CardSockets, words_of};
use super::death::{Death, Part};
use super::device::DeviceCommand;
use super::error::MachineError;
use crate::host::ended::Ended;
use crate::host::interrupt;
use crate::host::limits::{self, LimitError};
use crate::host::process::{Freezer, Process, SpawnError};
use crate::host::standstill::{OnPurpose, Watched, Who};

/// The longest time from a device's start until it listens: an interpreter on a busy machine takes seconds.
const LISTEN_LIMIT: Duration = Duration::from_secs(10);

/// The interval at which a wait checks whether the device listens.
const POLL: Duration = Duration::from_millis(5);

/// The time after which a socket counts as listening that exists and is not in the kernel's list under its path: its
/// device has bound it under another name, or in another network namespace, as in a container.
const BOUND: Duration = Duration::from_millis(300);

/// The flag of a socket that listens, in `/proc/net/unix` (`__SO_ACCEPTCON` of Linux' `uapi/linux/net.h`).
const ACCEPTS: u64 = 1 << 16;

/// The process of a device of the user's.
#[derive(Debug)]
pub struct DeviceProcess {
    process: Process,
    /// A test has stopped the process.
    stopped: OnPurpose,
    name: String,
    /// The command line, for the record.
    pub command_line: Vec<String>,
}

impl DeviceProcess {
    /// Starts a device and waits until it listens on its sockets. A device that records a trace is given a place beside its log.
    ///
    /// # Errors
    /// [`MachineError::DeviceProgram`] for a program that does not start, [`MachineError::DeviceEnded`] for one that ends,
    /// [`MachineError::DeviceDoesNotListen`] for one that does not listen.
    pub fn start(device: &DeviceCommand, sockets: &CardSockets, log: &Path) -> Result<Self, MachineError> {
        let command = device.command(&sockets.machine, &sockets.control, &log.with_extension("trace"));
        let command_line = words_of(&command);
        let name = device.name();
        let process = Process::spawn(command, Vec::new(), log).map_err(|error| match error {
            SpawnError::Program { program, source } => {
                MachineError::DeviceProgram { device: name.clone(), program, source }
            }
            other @ SpawnError::Log(_) => other.into(),
        })?;
        let mut device_process = Self { process, stopped: OnPurpose::default(), name, command_line };
        device_process.wait_until_it_listens(&sockets.machine)?;
        if device.has_control() {
            device_process.wait_until_it_listens(&sockets.control)?;
        }
        Ok(device_process)
    }

    /// Waits without connecting: a vfio-user server serves its first connection only.
    fn wait_until_it_listens(&mut self, socket: &Path) -> Result<(), MachineError> {
        let begun = Instant::now();
        let mut bound: Option<Instant> = None;
        loop {
            if bound.is_none() && is_socket(socket) {
                bound = Some(Instant::now());
            }
            if listens(socket) || bound.is_some_and(|bound| bound.elapsed() > BOUND) {
                return Ok(());
            }
            if let Some(ended) = self.ended() {
                let death = Death { last_words: (self.tail(), String::new()), ..Death::of(Part::Card, ended) };
                let (device, tail) = (self.name.clone(), self.tail());
                return Err(MachineError::DeviceEnded { device, ended: death.how(), tail });
            }
            if interrupt::requested() {
                return Err(MachineError::Interrupted);
            }
            if begun.elapsed() > LISTEN_LIMIT {
                return Err(MachineError::DeviceDoesNotListen {
                    device: self.name.clone(),
                    socket: socket.into(),
                    seconds: LISTEN_LIMIT.as_secs(),
                    tail: self.tail(),
                });
            }
            self.process.note_limits();
            std::thread::sleep(POLL);
        }
    }

    /// Returns its name, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Stops the process where it is, on purpose, or lets it continue.
    pub fn freeze(&mut self, frozen: bool) {
        self.stopped.set(frozen);
        self.process.freeze(frozen);
    }

    /// Returns a handle that stops the process on purpose from another thread.
    #[must_use]
    pub fn freezer(&self) -> CardFreezer {
        CardFreezer::new(self.stopped.clone(), self.process.freezer())
    }

    /// Returns a handle that stops the process as a busy host would, which counts as a standstill.
    #[must_use]
    pub fn staller(&self) -> Freezer {
        self.process.freezer()
    }

    /// Returns what a watch for standstills needs.
    #[must_use]
    pub fn watched(&self) -> Watched {
        Watched { who: Who::Device, pid: self.process.id(), on_purpose: self.stopped.clone() }
    }

    /// Returns how it ended, if it has.
    pub fn ended(&mut self) -> Option<Ended> {
        self.process.ended()
    }

    /// Notes the limits that it has, while it lives.
    pub(super) fn note_limits(&mut self) {
        self.process.note_limits();
    }

    /// Returns the limit of the host that it has reached, by how it ended and by its log.
    pub(super) fn limit_reached(&mut self) -> Option<LimitError> {
        let found = limits::of_program(self.ended(), &self.tail())?;
        Some(found.of_process("the device", self.process.limits()))
    }

    /// Opens a descriptor that becomes readable when the process ends.
    pub(super) fn pidfd(&self) -> io::Result<OwnedFd> {
        self.process.pidfd()
    }

    /// Waits for its end, at most as long as `limit`.
    pub(super) fn wait(&mut self, limit: Duration) -> Option<Ended> {
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
}

/// Tells whether a process listens on a socket, without connecting to it.
fn listens(socket: &Path) -> bool {
    fs::read_to_string("/proc/net/unix").is_ok_and(|list| is_listed(&list, socket))
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

/// Finds a socket that listens in the text of `/proc/net/unix`: number, references, protocol, flags, type, state, inode,
/// path.
fn is_listed(list: &str, socket: &Path) -> bool {
    let of_socket = |line: &str| {
        let mut words = line.split_whitespace();
        let flags = words.nth(3).and_then(|flags| u64::from_str_radix(flags, 16).ok())?;
        let path = line.split_once(" /").map(|(_, rest)| PathBuf::from(format!("/{rest}")))?;
        (flags & ACCEPTS != 0).then_some(path)
    };
    list.lines().filter_map(of_socket).any(|path| path == socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::failure::{Class, Diagnosed};
    use crate::host::leftovers::Scratch;

    #[test]
    fn finds_a_listener_and_not_a_connection() {
        let list = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                    0000000000000000: 00000003 00000000 00000000 0001 03 4242 /tmp/a b\n\
                    0000000000000000: 00000002 00000000 00010000 0001 01 4243 /tmp/a c\n\
                    0000000000000000: 00000002 00000000 00010000 0001 01 4244\n";
        assert!(is_listed(list, Path::new("/tmp/a c")));
        assert!(!is_listed(list, Path::new("/tmp/a b")));
        let folder = Scratch::new().unwrap();
        let path = folder.path().join("socket");
        assert!(!listens(&path));
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(listens(&path));
    }

    fn start(command: &str) -> MachineError {
        let folder = Scratch::new().unwrap();
        let device = DeviceCommand::parse(command, None).unwrap();
        DeviceProcess::start(&device, &CardSockets::in_folder(folder.path()), &folder.path().join("log")).unwrap_err()
    }

    #[test]
    fn names_a_device_that_ends_before_it_listens() {
        let error = start("sh -c 'echo no such card >&2; exit 3' {socket}");
        assert_eq!(error.class(), Class::CardDied);
        let text = error.to_string();
        let expected = "ended before it listened: exit status 3, by itself; its log ends with:\nno such card";
        assert!(text.starts_with("the device `sh -c ") && text.ends_with(expected), "{text}");
        let error = start("/nowhere/card {socket}");
        assert_eq!(error.class(), Class::Usage);
        assert!(error.to_string().contains("`/nowhere/card`"), "{error}");
    }
}
