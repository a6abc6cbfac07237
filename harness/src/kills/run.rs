//! One run of the harness in which a process is killed.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

use super::error::KillsError;
use super::phase::{Phase, Process, name_of, step_name};
use super::report::Row;
use crate::conformance::Dice;
use crate::event::Step;
use crate::host::ended::Ended;
use crate::host::failure::Class;
use crate::host::file_error::FileError;
use crate::host::interrupt;
use crate::host::leftovers::{self, Scratch};
use crate::host::process::end_with_harness;
use crate::provision::Workspace;

/// The longest time from the kill to the end of a run. The harness notices within a second on a machine that is not
/// busy.
pub(super) const NOTICED_MAX: Duration = Duration::from_secs(4);

/// After which time a run that does not end is given up.
pub(super) const ENDED_MAX: Duration = Duration::from_secs(60);

/// The longest time of a run until the instant of its kill.
pub(super) const REACHED_MAX: Duration = Duration::from_secs(60);

/// The longest time for the processes that end with the harness to end.
pub(super) const GONE_MAX: Duration = Duration::from_secs(5);

/// A run that passed so soon after the kill had ended before it.
const TOO_LATE: Duration = Duration::from_secs(1);

/// The time that a process gets to run a signal's handler.
const HANDLER: Duration = Duration::from_millis(20);

/// The interval at which a run's state is polled.
const POLL: Duration = Duration::from_millis(1);

/// A run of the harness, and what is killed in it.
pub(super) struct KillRun<'a> {
    pub(super) workspace: &'a Workspace,
    /// The folder of everything that the run leaves.
    pub(super) place: &'a Path,
    /// The file with the inputs of the run.
    pub(super) prepared: &'a Path,
    pub(super) phase: Phase,
    pub(super) process: Process,
    pub(super) signal: Signal,
}

/// A running harness, killed when this is dropped.
pub(super) struct Running {
    pub(super) child: Child,
    /// Open as long as the run may read from it.
    pub(super) _input: Option<ChildStdin>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing happens to one that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Returns the number of the harness's process.
    pub(super) fn pid(&self) -> i32 {
        // The kernel's numbers of processes are far below.
        i32::try_from(self.child.id()).unwrap_or(i32::MAX)
    }

    /// Returns how the run ended, once it has.
    pub(super) fn ended(&mut self) -> Result<Option<Ended>, FileError> {
        let status = self.child.try_wait().map_err(FileError::own("wait for", "a run"))?;
        Ok(status.map(Ended::from))
    }
}

impl Running {
    /// Waits for the end of the run after the kill; `None` when it does not end.
    pub(super) fn wait_after(&mut self, killed: Instant) -> Result<Option<Ended>, KillsError> {
        loop {
            if let Some(ended) = self.ended()? {
                return Ok(Some(ended));
            }
            if killed.elapsed() > ENDED_MAX {
                return Ok(None);
            }
            wait()?;
        }
    }
}

/// Sends a signal; returns whether there was a process to get it.
pub(super) fn send(target: &OwnedFd, signal: Signal) -> bool {
    if pidfd_send_signal(target, signal).is_err() {
        return false;
    }
    if signal == Signal::SEGV {
        // The standard library's handler checks for a stack overflow, and otherwise lets the fault happen again. A
        // signal that was sent does not happen again by itself.
        std::thread::sleep(HANDLER);
        let _ = pidfd_send_signal(target, signal);
    }
    true
}

impl KillRun<'_> {
    /// Starts the run, kills the process, and compares the consequences. `None`: the run was over before.
    pub(super) fn kill(&self, number: u32, dice: &mut Dice) -> Result<Option<Row>, KillsError> {
        if self.place.exists() {
            fs::remove_dir_all(self.place).map_err(FileError::own("remove", self.place))?;
        }
        fs::create_dir_all(self.place).map_err(FileError::own("create", self.place))?;
        // A folder of its own: everything in it is this run's. A socket's path must be short.
        let temporary = Scratch::new()?;
        let inner = temporary.path().join("t");
        fs::create_dir(&inner).map_err(FileError::own("create", &inner))?;
        let mut running = self.start(&inner)?;
        let Some(target) = self.reach(&mut running, dice)? else { return Ok(None) };
        let phase = self.phase_now();
        let killed = Instant::now();
        if !send(&target, self.signal) {
            return Ok(None);
        }
        let ended = running.wait_after(killed)?;
        let elapsed = killed.elapsed();
        let in_time = matches!(self.phase, Phase::Demo(step, _) if step != Step::ShutDown && step != Step::Judging);
        if ended == Some(Ended::Exit(0)) && !in_time && elapsed < TOO_LATE {
            return Ok(None);
        }
        let mut row = Row {
            number,
            process: self.process,
            signal: name_of(self.signal),
            phase,
            expected: expected(self.process, self.signal),
            found: ended.map_or_else(|| format!("nothing in {} s", ENDED_MAX.as_secs()), verdict),
            milliseconds: elapsed.as_secs_f64() * 1000.0,
            swept: Vec::new(),
            left: Vec::new(),
            violations: Vec::new(),
        };
        let owner = running.child.id();
        drop(running);
        self.compare(&mut row, &inner, owner)?;
        Ok(Some(row))
    }

    fn start(&self, temporary: &Path) -> Result<Running, FileError> {
        let log = self.place.join("run.log");
        let file = File::create(&log).map_err(FileError::own("create", &log))?;
        let also = file.try_clone().map_err(FileError::own("create", &log))?;
        let mut command = harness();
        match self.phase {
            Phase::Demo(..) => command.arg("demo").arg("--json").arg("--run-folder").arg(self.place.join("run")),
            Phase::Prompt => command.args(["boot", "--guest-log", "info"]),
            Phase::Contract => command.args(["run", "contract", "--case", "capture", "--json"]),
            Phase::Bench => command.args(["bench", "nt-host", "--json"]),
        };
        command.arg("--prepared").arg(self.prepared).env("TMPDIR", temporary);
        let input = if self.phase == Phase::Prompt { Stdio::piped() } else { Stdio::null() };
        command.stdin(input).stdout(also).stderr(file).process_group(0);
        end_with_harness(&mut command);
        let mut child = command.spawn().map_err(FileError::own("start", "a run"))?;
        let mut input = child.stdin.take();
        if let Some(input) = &mut input {
            input.write_all(b"load\nstart\n").map_err(FileError::own("write to", "a run"))?;
        }
        Ok(Running { child, _input: input })
    }

    /// Waits for the instant of the kill and returns the process; `None` when it has ended by itself.
    fn reach(&self, running: &mut Running, dice: &mut Dice) -> Result<Option<OwnedFd>, KillsError> {
        let deadline = Instant::now() + REACHED_MAX;
        let begun = |running: &Running| match self.phase {
            Phase::Demo(step, _) => self.steps().contains(&step),
            Phase::Prompt => self.output().contains("subdevices:"),
            Phase::Contract | Phase::Bench => child_of(running.pid(), Process::Qemu).is_some(),
        };
        while !begun(running) {
            if running.ended()?.is_some() || Instant::now() > deadline {
                return Ok(None);
            }
            wait()?;
        }
        // To the microsecond.
        std::thread::sleep(Duration::from_micros(dice.below(self.phase.milliseconds() * 1000)));
        // A process that is just about to start is waited for.
        while running.ended()?.is_none() && Instant::now() < deadline {
            let found = match self.process {
                Process::Harness => Pid::from_raw(running.pid()),
                part => child_of(running.pid(), part),
            };
            if let Some(pid) = found {
                let target = pidfd_open(pid, PidfdFlags::empty()).ok();
                // The descriptor stands for that process only if it still is a child of the run.
                let same = self.process == Process::Harness || child_of(running.pid(), self.process) == Some(pid);
                if let Some(target) = target.filter(|_| same) {
                    return Ok(Some(target));
                }
            }
            if self.steps().contains(&Step::ShutDown) && self.process != Process::Harness && found.is_none() {
                return Ok(None);
            }
            wait()?;
        }
        Ok(None)
    }

    /// Returns the steps that a demo has begun.
    fn steps(&self) -> Vec<Step> {
        steps_in(&self.place.join("run"))
    }

    /// Returns the output of the run.
    fn output(&self) -> String {
        fs::read_to_string(self.place.join("run.log")).unwrap_or_default()
    }

    fn phase_now(&self) -> String {
        self.steps().last().map_or_else(|| self.phase.name(), |step| step_name(*step))
    }

    /// Compares the run's verdict, time and output with what is expected, and what is left with nothing.
    fn compare(&self, row: &mut Row, temporary: &Path, owner: u32) -> Result<(), KillsError> {
        let by_force = self.process == Process::Harness && row.expected == name_of(self.signal);
        if row.found != row.expected {
            row.violations.push(format!("the verdict is {} instead of {}", row.found, row.expected));
        }
        if row.milliseconds > NOTICED_MAX.as_secs_f64() * 1000.0 {
            row.violations.push(format!("the run took {:.1} s to end", row.milliseconds / 1000.0));
        }
        if !by_force && !self.output().contains(name_of(self.signal)) {
            row.violations.push(format!("no line of the output names {}", name_of(self.signal)));
        }
        if by_force {
            row.swept = self.left(temporary, owner, Duration::ZERO)?;
        }
        row.left = self.left(temporary, owner, GONE_MAX)?;
        row.violations.extend(row.left.iter().map(|what| format!("left behind: {what}")));
        Ok(())
    }

    /// Lists what is left of a run, once nothing is left or the limit is over.
    fn left(&self, temporary: &Path, owner: u32, limit: Duration) -> Result<Vec<String>, KillsError> {
        left_of(self.workspace, &self.place.join("run"), temporary, owner, limit)
    }
}

/// Returns the verdict that names a process which was killed by a signal.
pub(super) fn expected(process: Process, signal: Signal) -> String {
    match (process, signal) {
        (Process::Card, _) => Class::CardDied.name().into(),
        (Process::Qemu, _) => Class::QemuFailed.name().into(),
        (Process::Harness, Signal::TERM | Signal::INT) => Class::Interrupted.name().into(),
        (Process::Harness, _) => name_of(signal).into(),
    }
}

/// Returns the steps that a run has begun, by the timeline in its run folder.
pub(super) fn steps_in(folder: &Path) -> Vec<Step> {
    let text = fs::read_to_string(folder.join("timeline.jsonl")).unwrap_or_default();
    let begun = |line: &str| {
        let event: Value = serde_json::from_str(line).ok()?;
        (event["event"] == "step-begun").then(|| serde_json::from_value(event["step"].clone()).ok())?
    };
    text.lines().filter_map(begun).collect()
}

/// Lists what is left of a run, once nothing is left or the limit is over: its processes, its temporary folders, marks of its run
/// folders, and a run folder of its own without a verdict.
pub(super) fn left_of(
    workspace: &Workspace,
    folder: &Path,
    temporary: &Path,
    owner: u32,
    limit: Duration,
) -> Result<Vec<String>, KillsError> {
    let begun = Instant::now();
    loop {
        let mut left: Vec<String> =
            leftovers::processes_of(owner).into_iter().map(|pid| format!("process {pid}")).collect();
        let entries = fs::read_dir(temporary).into_iter().flatten().flatten();
        left.extend(entries.map(|entry| format!("folder {}", entry.path().display())));
        if folder.exists() && !folder.join("verdict.json").is_file() {
            left.push(format!("run folder {} without a verdict", folder.display()));
        }
        let runs = workspace.cache().join("runs");
        left.extend(leftovers::marks_of(owner, &runs, folder).into_iter().map(|path| path.display().to_string()));
        if left.is_empty() || begun.elapsed() >= limit {
            return Ok(left);
        }
        wait()?;
    }
}

/// Returns a command of this very program, even if its file has been replaced.
pub(super) fn harness() -> Command {
    Command::new("/proc/self/exe")
}

/// Waits a little.
///
/// # Errors
/// [`KillsError::Session`] when the user interrupts.
pub(super) fn wait() -> Result<(), KillsError> {
    if interrupt::requested() {
        return Err(crate::testbed::session::SessionError::Interrupted("kill".into()).into());
    }
    std::thread::sleep(POLL);
    Ok(())
}

/// Returns the name of the class that a run's exit status stands for.
pub(super) fn verdict(ended: Ended) -> String {
    match ended {
        Ended::Exit(0) => "passed".into(),
        Ended::Exit(code) => Class::ALL
            .iter()
            .find(|class| i32::from(class.exit_code()) == code)
            .map_or_else(|| ended.to_string(), |class| class.name().to_owned()),
        Ended::Signal(_) => ended.to_string(),
    }
}

/// Finds a run's card or QEMU, once it has executed its program.
fn child_of(run: i32, process: Process) -> Option<Pid> {
    children_of(run, process).first().copied()
}

/// Finds a run's cards or QEMUs that have executed their program.
pub(super) fn children_of(run: i32, process: Process) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{run}/task")).into_iter().flatten();
    let children = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<i32> = children
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    let is_it = |pid: &Pid| {
        let words = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == process.option().as_bytes())
    };
    children.into_iter().filter_map(Pid::from_raw).filter(is_it).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_class_of_an_exit_status() {
        assert_eq!(verdict(Ended::Exit(0)), "passed");
        assert_eq!(verdict(Ended::Exit(5)), "card-died");
        assert_eq!(verdict(Ended::Exit(130)), "interrupted");
        assert_eq!(verdict(Ended::Exit(99)), "exit status 99");
        assert_eq!(verdict(Ended::Signal(9)), "SIGKILL");
    }
}
