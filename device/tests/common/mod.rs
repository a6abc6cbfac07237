//! The card's process as users start it: its sockets, its log, its memory and its end.

#![allow(dead_code, reason = "each test file uses its own part of it")]

pub(crate) mod process;

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use dmus_card::fake::Machine;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use process::{Control, Ended, Running, program};

/// A card that serves, ended with the test.
pub(crate) struct CardProcess {
    running: Running,
    folder: TempDir,
}

impl CardProcess {
    /// Starts a card with a socket, a control socket, a log and these further arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = program();
        command.arg("--socket-path").arg(folder.path().join("card.sock"));
        command.arg("--control").arg(folder.path().join("control.sock"));
        let log = File::create(folder.path().join("log")).unwrap();
        Self { running: Running::start(command.args(arguments).stderr(log)), folder }
    }

    /// Returns the path of its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("card.sock")
    }

    /// Returns a machine that has connected to it.
    pub(crate) fn machine(&self) -> Machine {
        Machine::connect(&self.socket())
    }

    /// Returns a connection to its control socket.
    pub(crate) fn control(&self) -> Control {
        Control::connect(&self.folder.path().join("control.sock"))
    }

    /// Returns what it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Returns a number of `/proc/PID/status` in KiB, such as `RssAnon`.
    pub(crate) fn memory_kib(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.running.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Returns the processor time that it has used.
    pub(crate) fn processor_time(&self) -> Duration {
        self.running.processor_time()
    }

    /// Sends a signal, and waits until it ends.
    pub(crate) fn end_with(self, signal: Signal) -> Ended {
        self.running.end_with(signal)
    }
}

/// Returns the card's status, and how long the answer took.
pub(crate) fn status(control: &mut Control) -> (Value, Duration) {
    let begun = Instant::now();
    let status = control.command(&json!({ "cmd": "status" }));
    assert_eq!(status["ok"], true, "{status}");
    (status, begun.elapsed())
}
