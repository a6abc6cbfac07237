//! The program as users start it: its process, its control socket, and a raw front-end.

use std::io::{BufRead, BufReader, ErrorKind, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use dmus_card::fake::{HEADER_BYTES, encode};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// How long a test waits for what happens at once on a quiet machine. Long, because machines that run tests are busy.
pub(crate) const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// How long a process may take to end after a signal. It promises 200 ms; the rest is for busy machines, and less than
/// any wait that it could be in.
pub(crate) const LEAVING: Duration = Duration::from_secs(2);

/// Version 1 of vhost-user, in the flags of every message.
pub(crate) const VERSION_1: u32 = 1;
/// The sender of a message wants an answer to it.
pub(crate) const NEED_REPLY: u32 = 8;

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vhost-device-dmus"));
    command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end, and returns exit code, standard output and standard error.
pub(crate) fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = program().args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().expect("an exit, not a signal"), text(stdout), text(stderr))
}

/// How a process has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// Its standard error, if that was not sent elsewhere.
    pub(crate) log: String,
    /// How long it took.
    pub(crate) after: Duration,
}

/// A process that is ended with the test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Waits until it ends, and returns exit code and standard error.
    pub(crate) fn wait(self) -> (Option<i32>, String) {
        let ended = self.wait_within(WAIT_LIMIT);
        (ended.code, ended.log)
    }

    /// Waits until it ends.
    pub(crate) fn wait_within(mut self, limit: Duration) -> Ended {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < limit, "the process does not end within {limit:?}");
            std::thread::sleep(Duration::from_millis(1));
        };
        let after = begun.elapsed();
        let mut log = String::new();
        if let Some(mut stderr) = self.0.stderr.take() {
            stderr.read_to_string(&mut log).unwrap();
        }
        Ended { code: status.code(), log, after }
    }

    /// Sends a signal, and waits until it ends.
    pub(crate) fn end_with(self, signal: Signal) -> Ended {
        kill_process(self.pid(), signal).unwrap();
        let ended = self.wait_within(LEAVING);
        println!("{signal:?}: left after {:?} with {:?}", ended.after, ended.code);
        ended
    }

    /// Returns the processor time that it has used.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_ascii_whitespace().collect();
        // User and system time, in hundredths of a second on every Linux.
        let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until `condition` holds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT_LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Connects as soon as the card listens.
pub(crate) fn connect(path: &Path) -> UnixStream {
    let mut connected = None;
    wait_until("the card listens", || {
        connected = UnixStream::connect(path).ok();
        connected.is_some()
    });
    let stream = connected.unwrap();
    stream.set_read_timeout(Some(WAIT_LIMIT)).unwrap();
    stream.set_write_timeout(Some(WAIT_LIMIT)).unwrap();
    stream
}

/// A connection to the control socket.
pub(crate) struct Control(pub(crate) BufReader<UnixStream>);

impl Control {
    pub(crate) fn connect(path: &Path) -> Self {
        Self(BufReader::new(connect(path)))
    }

    pub(crate) fn write(&mut self, text: &str) {
        self.0.get_ref().write_all(text.as_bytes()).unwrap();
    }

    /// Returns the next answer; `None` when the connection has ended.
    pub(crate) fn answer(&mut self) -> Option<Value> {
        let mut answer = String::new();
        match self.0.read_line(&mut answer) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&answer).unwrap()),
            Err(error) => panic!("no answer: {error}"),
        }
    }

    pub(crate) fn say(&mut self, line: &str) -> Value {
        self.write(&format!("{line}\n"));
        self.answer().expect("an answer")
    }

    pub(crate) fn command(&mut self, command: &Value) -> Value {
        self.say(&command.to_string())
    }
}

pub(crate) fn place(folder: &TempDir, name: &str) -> (PathBuf, String) {
    let path = folder.path().join(name);
    let text = path.to_str().unwrap().to_owned();
    (path, text)
}

/// Sends a vhost-user message as it stands, with descriptors.
pub(crate) fn send(mut socket: &UnixStream, code: u32, flags: u32, body: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let bytes = encode(code, flags, body);
    let mut space = [const { MaybeUninit::uninit() }; rustix::cmsg_space!(ScmRights(32))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(descriptors)));
    }
    let sent = sendmsg(socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL).unwrap();
    socket.write_all(&bytes[sent..]).unwrap();
}

/// Reads one vhost-user answer: its code and its body.
pub(crate) fn receive(mut socket: &UnixStream) -> (u32, Vec<u8>) {
    let mut header = [0; HEADER_BYTES];
    socket.read_exact(&mut header).unwrap();
    let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
    let mut body = vec![0; word(8) as usize];
    socket.read_exact(&mut body).unwrap();
    (word(0), body)
}

/// Writes the same again and again, until the card has not read for a while.
pub(crate) fn fill(stream: &mut UnixStream, bytes: &[u8]) {
    stream.set_nonblocking(true).unwrap();
    let (mut sent, mut refused) = (0, 0);
    while refused < 100 {
        match stream.write(&bytes[sent..]) {
            Ok(more) => (sent, refused) = ((sent + more) % bytes.len(), 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => panic!("{error}"),
        }
    }
    stream.set_nonblocking(false).unwrap();
}
