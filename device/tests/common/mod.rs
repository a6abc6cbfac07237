//! The card's process as users start it: its sockets, its log, its memory and its end.

#![allow(dead_code, reason = "each test file uses its own part of it")]

pub(crate) mod process;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use dmus_card::fake::Machine;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a process may take for what it does at once on a machine that is not busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A card's process, ended with the test.
pub(crate) struct CardProcess {
    child: Child,
    folder: TempDir,
}

impl CardProcess {
    /// Starts a card with a socket, a control socket and these further arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_vhost-device-dmus"))
            .arg("--socket-path")
            .arg(folder.path().join("card.sock"))
            .arg("--control")
            .arg(folder.path().join("control.sock"))
            .args(arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    /// The path of its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("card.sock")
    }

    /// A machine that has connected to it.
    pub(crate) fn machine(&self) -> Machine {
        Machine::connect(&self.socket())
    }

    /// A connection to its control socket.
    pub(crate) fn control(&self) -> Control {
        Control::connect(&self.folder.path().join("control.sock"))
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// A number of `/proc/PID/status` in KiB, such as `RssAnon`.
    pub(crate) fn memory_kib(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Processor time used, in clock ticks of the kernel (100 a second).
    pub(crate) fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether it runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end; how it ended, and how long that took.
    pub(crate) fn wait(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, begun.elapsed());
            }
            assert!(begun.elapsed() < PATIENCE, "the card does not end; its log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for CardProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection to a control socket.
pub(crate) struct Control(BufReader<UnixStream>);

impl Control {
    fn connect(path: &Path) -> Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match UnixStream::connect(path) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    return Self(BufReader::new(stream));
                }
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Says a command; its answer, and how long it took.
    pub(crate) fn ask(&mut self, command: &Value) -> (Value, Duration) {
        let begun = Instant::now();
        writeln!(self.0.get_ref(), "{command}").unwrap();
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        (serde_json::from_str(&answer).unwrap(), begun.elapsed())
    }

    /// The card's status, and how long it took.
    pub(crate) fn status(&mut self) -> (Value, Duration) {
        let (status, time) = self.ask(&json!({ "cmd": "status" }));
        assert_eq!(status["ok"], true, "{status}");
        (status, time)
    }
}
