#![allow(unsafe_code, reason = "what a child does between fork and exec can only be given to `pre_exec`")]

//! Runs a child process that cannot outlive the thread that started it.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use signal_hook::low_level::signal_name;

use crate::failure::{Failure, Result};

/// How often a process that should end is looked at.
const POLL: Duration = Duration::from_millis(2);

/// A running process; ended when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    ended: Option<ExitStatus>,
}

/// Memory of a process, in bytes, as `/proc/PID/status` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Resident {
    /// `VmRSS`: all pages that are resident, guest memory included.
    pub now: u64,
    /// `VmHWM`: the most that it ever was.
    pub peak: u64,
    /// `RssAnon`: what the process has allocated for itself.
    pub private: u64,
}

impl Process {
    /// Starts a program.
    ///
    /// # Errors
    /// [`Failure::Host`], when the program cannot be started.
    pub fn start(name: &'static str, mut command: Command) -> Result<Self> {
        let parent = getpid();
        let die_with_parent = move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have ended before that.
            if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::NotConnected.into()) }
        };
        // SAFETY: the closure makes two system calls, which are async-signal-safe, and allocates nothing: an error that
        // is made of an error number or a kind is in no heap.
        unsafe { command.pre_exec(die_with_parent) };
        let program = command.get_program().to_string_lossy().into_owned();
        let child =
            command.stdin(Stdio::null()).spawn().map_err(Failure::host(format!("cannot start {name} ({program})")))?;
        Ok(Self { name, child, ended: None })
    }

    /// Returns its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns how it ended, if it has.
    pub fn ended(&mut self) -> Option<String> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended.map(text)
    }

    /// Waits for its end, for `limit` at most; `None` when it still runs.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if self.ended().is_some() || Instant::now() > deadline {
                return self.ended;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Returns why it did not answer: it has ended, or it is silent.
    pub(crate) fn unanswered(&mut self, question: &str, limit: Duration) -> Failure {
        // The end of a process shows on its sockets a little before it can be waited for.
        const SHORTLY: Duration = Duration::from_millis(500);
        let process = self.name;
        if self.wait(SHORTLY).is_some()
            && let Some(status) = self.ended()
        {
            return Failure::Ended { process, status };
        }
        Failure::Silent { process, question: question.trim().into(), limit }
    }

    /// Reads its memory.
    ///
    /// # Errors
    /// [`Failure::Host`], when `/proc` cannot be read.
    pub fn resident(&self) -> Result<Resident> {
        let path = format!("/proc/{}/status", self.id());
        let text = std::fs::read_to_string(&path).map_err(Failure::host(format!("cannot read {path}")))?;
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
        };
        Ok(Resident { now: bytes("VmRSS"), peak: bytes("VmHWM"), private: bytes("RssAnon") })
    }

    /// Reads the processor time that all its threads have used.
    ///
    /// # Errors
    /// [`Failure::Host`], when `/proc` cannot be read.
    pub fn processor_time(&self) -> Result<Duration> {
        /// Fields behind the name of the command, which may hold spaces: `utime` and `stime` (proc_pid_stat(5)).
        const FIELDS: [usize; 2] = [11, 12];
        let path = format!("/proc/{}/stat", self.id());
        let text = std::fs::read_to_string(&path).map_err(Failure::host(format!("cannot read {path}")))?;
        let rest: Vec<&str> =
            text.rsplit_once(')').map(|(_, rest)| rest.split_ascii_whitespace().collect()).unwrap_or_default();
        let ticks: u64 = FIELDS.iter().filter_map(|&field| rest.get(field)?.parse::<u64>().ok()).sum();
        Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned),
        (None, None) => "an unknown status".into(),
    }
}
