#![allow(unsafe_code, reason = "only `pre_exec` runs code in a child between fork and exec")]

//! Child processes that cannot outlive the harness, with files passed to them.
//!
//! Waits poll `try_wait`: crate `wait-timeout` would install a handler for SIGCHLD in the whole process.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use command_fds::CommandFdExt;
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, getppid, kill_process_group, pidfd_open, set_parent_process_death_signal,
};

use crate::host::ended::Ended;
use crate::host::file_error::FileError;
use crate::host::leftovers::{OWNER_VARIABLE, owner};
use crate::host::limits;

/// The interval at which a wait checks whether the process has ended.
const POLL: Duration = Duration::from_millis(2);

/// The longest time for a process to end after SIGTERM, before SIGKILL.
const GRACE: Duration = Duration::from_millis(500);

/// Lines of the end of a log that a failure shows.
const TAIL_LINES: usize = 20;

/// Why a process did not start.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The program could not be started.
    #[error("cannot start {program}: {source}{}", behind(.source))]
    Program {
        /// The program.
        program: String,
        /// The error of the start.
        source: io::Error,
    },
    /// Its log could not be created.
    #[error(transparent)]
    Log(#[from] FileError),
}

/// Returns the limit of the host behind a failed start, for a message.
fn behind(source: &io::Error) -> String {
    limits::of_start(source).map_or_else(String::new, |limit| format!(": {}", limit.sentence()))
}

/// Makes what a command starts end with the harness, however that ends: the kernel kills it when the thread that starts it
/// ends. What it starts itself carries the harness's identity in its environment, by which the next start of the harness
/// finds it. Start it on a thread that outlives it.
pub(crate) fn end_with_harness(command: &mut Command) {
    command.env(OWNER_VARIABLE, owner());
    let harness = getpid();
    let prepare = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The harness may have died between fork and the line above.
        if getppid() != Some(harness) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    };
    // SAFETY: Between fork and exec the closure only makes system calls (prctl, getppid); it neither allocates nor takes
    // locks.
    unsafe { command.pre_exec(prepare) };
}

/// A running child: leader of a process group that is killed when this is dropped, and killed by the kernel when the
/// thread that started it ends, so also when the harness is killed. Start it on a thread that lives long enough.
#[derive(Debug)]
pub struct Process {
    child: Child,
    ended: Option<Ended>,
    log: PathBuf,
    /// Its limits as they were seen last: a process that has ended has none.
    limits: String,
}

impl Process {
    /// Starts a program with its output going to a log file. Open files are passed to it under their own numbers, and closed
    /// here.
    ///
    /// # Errors
    /// [`SpawnError::Program`] where the program cannot be started, [`SpawnError::Log`] where its log cannot be created.
    pub fn spawn(command: Command, passed: Vec<OwnedFd>, log: &Path) -> Result<Self, SpawnError> {
        let file = File::create(log).map_err(FileError::own("create", log))?;
        let also = file.try_clone().map_err(FileError::own("create", log))?;
        Self::spawn_into(command, passed, also, file, log)
    }

    /// Starts a program whose standard output goes to a file of its own and only its standard error to the log.
    ///
    /// # Errors
    /// [`SpawnError::Program`] where the program cannot be started, [`SpawnError::Log`] where a file cannot be created.
    pub fn spawn_split(command: Command, stdout: &Path, log: &Path) -> Result<Self, SpawnError> {
        let file = File::create(log).map_err(FileError::own("create", log))?;
        let out = File::create(stdout).map_err(FileError::own("create", stdout))?;
        Self::spawn_into(command, Vec::new(), out, file, log)
    }

    fn spawn_into(
        mut command: Command,
        passed: Vec<OwnedFd>,
        stdout: File,
        stderr: File,
        log: &Path,
    ) -> Result<Self, SpawnError> {
        let program = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0);
        command.preserved_fds(passed);
        end_with_harness(&mut command);
        let child = command.spawn().map_err(|source| SpawnError::Program { program, source })?;
        Ok(Self { child, ended: None, log: log.into(), limits: String::new() })
    }

    /// Opens a descriptor that becomes readable when the process ends.
    ///
    /// # Errors
    /// The error of `pidfd_open`: the host has no more descriptors.
    pub fn pidfd(&self) -> io::Result<OwnedFd> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
        // The process has not been waited for, so the number is still this child's.
        Ok(pidfd_open(pid, PidfdFlags::empty())?)
    }

    /// Returns its number, which is its own until it has been waited for.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns how it ended, if it has.
    pub fn ended(&mut self) -> Option<Ended> {
        if self.ended.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            self.ended = Some(status.into());
        }
        self.ended
    }

    /// Notes the limits that it has, while it lives: a wrapper may have changed them since it was started.
    pub fn note_limits(&mut self) {
        if let Ok(table) = fs::read_to_string(format!("/proc/{}/limits", self.child.id()))
            && self.ended.is_none()
            && !table.is_empty()
        {
            self.limits = table;
        }
    }

    /// Returns the limits that were noted last, as `/proc/PID/limits` words them.
    #[must_use]
    pub fn limits(&self) -> &str {
        &self.limits
    }

    /// Waits for its end, at most as long as `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<Ended> {
        let begun = Instant::now();
        loop {
            let ended = self.ended();
            if ended.is_some() || begun.elapsed() >= limit {
                return ended;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Ends it with SIGTERM, and half a second later with SIGKILL.
    pub fn stop(&mut self) -> Ended {
        self.signal(Signal::TERM);
        if let Some(ended) = self.wait(GRACE) {
            return ended;
        }
        self.kill()
    }

    /// Ends it and its children with SIGKILL.
    pub fn kill(&mut self) -> Ended {
        self.signal(Signal::KILL);
        let ended = self.ended.unwrap_or_else(|| match self.child.wait() {
            Ok(status) => status.into(),
            Err(_) => Ended::Signal(Signal::KILL.as_raw()),
        });
        self.ended = Some(ended);
        ended
    }

    /// Returns a handle with which another thread stops the process and lets it continue.
    #[must_use]
    pub fn freezer(&self) -> Freezer {
        Freezer(i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).filter(|_| self.ended.is_none()))
    }

    /// Stops it where it is (SIGSTOP), or lets it continue.
    pub fn freeze(&mut self, frozen: bool) {
        self.signal(if frozen { Signal::STOP } else { Signal::CONT });
    }

    fn signal(&mut self, signal: Signal) {
        // Only while it has not been waited for: afterwards the number may be another process's.
        if self.ended().is_none()
            && let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            // It may end at this very moment; then there is nothing left to signal.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Returns what it has written to its log.
    #[must_use]
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Returns the last lines of its log.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = self.said();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

/// Stops a process where it is, and lets it continue. Only the owner of the process waits for it, and outlives this.
#[derive(Debug)]
pub struct Freezer(Option<Pid>);

impl Freezer {
    /// Stops it, or lets it continue.
    pub fn freeze(&self, frozen: bool) {
        if let Some(group) = self.0 {
            // It may have ended; then there is nothing to stop.
            let _ = kill_process_group(group, if frozen { Signal::STOP } else { Signal::CONT });
        }
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.freeze(false);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.kill();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    use crate::host::leftovers::Scratch;

    fn shell(script: &str) -> (Process, Scratch) {
        let folder = Scratch::new().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let process = Process::spawn(command, Vec::new(), &folder.path().join("log")).unwrap();
        (process, folder)
    }

    #[test]
    fn tells_an_exit_from_a_kill() {
        let (mut process, _folder) = shell("exit 33");
        assert_eq!(process.wait(Duration::from_secs(10)), Some(Ended::Exit(33)));
        let (mut process, _folder) = shell("kill -ABRT $$");
        assert_eq!(process.wait(Duration::from_secs(10)), Some(Ended::Signal(6)));
    }

    #[test]
    fn kills_the_children_of_a_dropped_process() {
        let folder = Scratch::new().unwrap();
        let note = folder.path().join("child");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", note.display())]);
        let process = Process::spawn(command, Vec::new(), &folder.path().join("log")).unwrap();
        while !note.exists() {
            std::thread::sleep(POLL);
        }
        let child: i32 = fs::read_to_string(&note).unwrap().trim().parse().unwrap();
        drop(process);
        let gone = || {
            // An orphan that was killed stays as a zombie until init has waited for it.
            fs::read_to_string(format!("/proc/{child}/stat")).map_or(true, |stat| stat.contains(") Z "))
        };
        let begun = Instant::now();
        while !gone() {
            assert!(begun.elapsed() < Duration::from_secs(10), "the child is still alive");
            std::thread::sleep(POLL);
        }
    }

    #[test]
    fn passes_files_under_their_own_numbers() {
        let folder = Scratch::new().unwrap();
        let path = folder.path().join("passed");
        fs::write(&path, "hello").unwrap();
        let file: OwnedFd = File::open(&path).unwrap().into();
        let mut command = Command::new("sh");
        // By its path: not every shell redirects from numbers beyond 9.
        command.args(["-c", &format!("cat /proc/self/fd/{}", file.as_raw_fd())]);
        let mut process = Process::spawn(command, vec![file], &folder.path().join("log")).unwrap();
        assert_eq!(process.wait(Duration::from_secs(10)), Some(Ended::Exit(0)));
        assert_eq!(process.tail(), "hello");
    }
}
