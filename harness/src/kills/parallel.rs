//! A run of songs side by side in which a process is killed: the test that it belongs to fails, every other one passes.

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use serde_json::Value;

use super::error::KillsError;
use super::phase::{Process, name_of, step_name};
use super::report::Row;
use super::run::{
    GONE_MAX, REACHED_MAX, Running, children_of, expected, harness, left_of, send, steps_in, verdict, wait,
};
use crate::conformance::Dice;
use crate::event::{Step, TestResult};
use crate::host::failure::Class;
use crate::host::file_error::FileError;
use crate::host::leftovers::Scratch;
use crate::host::process::end_with_harness;
use crate::provision::Workspace;

/// The name of the phase that tables show.
pub(super) const NAME: &str = "songs side by side";

/// The steps at whose beginning, or a little later, a process is killed.
const STEPS: [Step; 6] =
    [Step::Streaming, Step::Firmware, Step::DriverStart, Step::Judging, Step::Kernel, Step::ShutDown];

/// Milliseconds after the beginning of the step within which a process is killed: a part of what most steps take.
const INSTANT_MS: u64 = 150;

/// The longest time from the kill of the harness to the end of the run: several guests end at once.
const ENDED_IN: Duration = Duration::from_secs(8);

/// Tests for each guest that runs side by side: some have ended at the kill, some run, some are to begin.
const TESTS_A_JOB: usize = 3;

/// A run of songs side by side, and what is killed in it.
pub(super) struct ParallelRun<'a> {
    pub(super) workspace: &'a Workspace,
    /// The folder of what the run is made of.
    pub(super) place: &'a Path,
    /// The file with the inputs of the run.
    pub(super) prepared: &'a Path,
    /// How many guests run side by side.
    pub(super) jobs: NonZeroUsize,
    pub(super) process: Process,
    pub(super) signal: Signal,
}

/// A process to kill, and the run folder of its test.
struct Target {
    process: OwnedFd,
    /// None of the harness.
    folder: Option<PathBuf>,
}

impl ParallelRun<'_> {
    /// Starts the run, kills the process, and compares the report with what is expected. `None`: there was nothing left to kill, or
    /// the process had done all that its test needs.
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
        let steps = target.folder.as_deref().map(steps_in).unwrap_or_default();
        let killed = Instant::now();
        if !send(&target.process, self.signal) {
            return Ok(None);
        }
        let ended = running.wait_after(killed)?;
        let elapsed = killed.elapsed();
        let owner = running.child.id();
        drop(running);
        let step = steps.last().map_or_else(|| NAME.to_owned(), |step| step_name(*step).replace("demo", NAME));
        let mut row = Row {
            number,
            process: self.process,
            signal: name_of(self.signal),
            phase: step,
            expected: expected(self.process, self.signal),
            found: ended.map_or_else(|| "no end".into(), verdict),
            milliseconds: elapsed.as_secs_f64() * 1000.0,
            swept: Vec::new(),
            left: Vec::new(),
            violations: Vec::new(),
        };
        let last = |step| steps.contains(&step);
        if row.found == "passed" && (last(Step::ShutDown) || last(Step::Judging)) && self.all_passed() {
            return Ok(None);
        }
        let by_force = self.process == Process::Harness && row.expected == row.signal;
        if row.found != row.expected {
            row.violations.push(format!("the verdict is {} instead of {}", row.found, row.expected));
        }
        if self.process == Process::Harness && elapsed > ENDED_IN {
            row.violations.push(format!("the run took {:.1} s to end", elapsed.as_secs_f64()));
        }
        if !by_force {
            self.compare(target.folder.as_deref(), &mut row);
        }
        let left = |limit| left_of(self.workspace, &self.place.join("run"), &inner, owner, limit);
        if by_force {
            row.swept = left(Duration::ZERO)?;
        }
        row.left = left(GONE_MAX)?;
        row.violations.extend(row.left.iter().map(|what| format!("left behind: {what}")));
        Ok(Some(row))
    }

    /// Returns how many tests the run has.
    fn tests(&self) -> usize {
        self.jobs.get() * TESTS_A_JOB
    }

    fn start(&self, temporary: &Path) -> Result<Running, FileError> {
        let scenario = self.place.join("side-by-side.toml");
        // Card and QEMU are attached in both ways.
        let text = format!(
            "title = \"{NAME}\"\n[matrix]\ntransport = [\"vhost-user\", \"vfio-user\"]\nrepeat = {}\n",
            self.tests().div_ceil(2)
        );
        fs::write(&scenario, text).map_err(FileError::own("write", &scenario))?;
        let log = self.place.join("run.log");
        let file = File::create(&log).map_err(FileError::own("create", &log))?;
        let also = file.try_clone().map_err(FileError::own("create", &log))?;
        let mut command = harness();
        command.arg("run").arg(&scenario).arg("--json").arg("--jobs").arg(self.jobs.to_string());
        command.arg("--prepared").arg(self.prepared).env("TMPDIR", temporary);
        command.stdin(Stdio::null()).stdout(also).stderr(file).process_group(0);
        end_with_harness(&mut command);
        let child = command.spawn().map_err(FileError::own("start", "a run"))?;
        Ok(Running { child, _input: None })
    }

    /// Waits for the instant of the kill and returns the process, one of those that there are; `None` when the run has ended before.
    fn reach(&self, running: &mut Running, dice: &mut Dice) -> Result<Option<Target>, KillsError> {
        let deadline = Instant::now() + REACHED_MAX;
        let step = STEPS[dice.below(STEPS.len() as u64) as usize];
        let (delay, choice) = (dice.below(INSTANT_MS * 1000), dice.below(u64::from(u32::MAX)) as usize);
        // A harness is killed while one of its tests is at the step.
        let part = if self.process == Process::Harness { Process::Card } else { self.process };
        while running.ended()?.is_none() && Instant::now() < deadline {
            let children = children_of(running.pid(), part);
            let at_step = |folder: &PathBuf| steps_in(folder).contains(&step);
            let found: Vec<(Pid, PathBuf)> =
                children.into_iter().filter_map(|pid| Some((pid, folder_of(pid).filter(at_step)?))).collect();
            if let Some((pid, folder)) = found.get(choice % found.len().max(1)) {
                // To the microsecond.
                std::thread::sleep(Duration::from_micros(delay));
                if self.process == Process::Harness {
                    let process =
                        Pid::from_raw(running.pid()).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
                    return Ok(process.map(|process| Target { process, folder: None }));
                }
                let process = pidfd_open(*pid, PidfdFlags::empty()).ok();
                // The descriptor stands for that process only if it still is a child of the run; else another one is taken.
                let same = children_of(running.pid(), self.process).contains(pid);
                if let Some(process) = process.filter(|_| same) {
                    return Ok(Some(Target { process, folder: Some(folder.clone()) }));
                }
            }
            wait()?;
        }
        Ok(None)
    }

    /// Returns the report of the run.
    fn report(&self) -> Option<Value> {
        let text = fs::read_to_string(self.place.join("run.log")).ok()?;
        text.lines().rev().find_map(|line| serde_json::from_str(line).ok().filter(Value::is_object))
    }

    fn all_passed(&self) -> bool {
        let tests = self.report().and_then(|report| report["tests"].as_array().cloned()).unwrap_or_default();
        tests.len() >= self.tests() && tests.iter().all(|test| test["result"] == TestResult::Passed.name())
    }

    /// Compares the report with what is expected: the test of the killed process fails as its class says, and names the signal; every
    /// other one passes; and of an interrupted run every test is in the report or counted as not run.
    fn compare(&self, folder: Option<&Path>, row: &mut Row) {
        let Some(report) = self.report() else {
            row.violations.push("the run has no report".into());
            return;
        };
        let tests = report["tests"].as_array().cloned().unwrap_or_default();
        let planned = self.tests().div_ceil(2) * 2;
        let counted = tests.len() + report["not_run"].as_u64().unwrap_or_default() as usize;
        if counted != planned {
            row.violations.push(format!("{counted} tests have a result or are not run, of {planned}"));
        }
        let interrupted = row.expected == Class::Interrupted.name();
        if !interrupted && tests.len() != planned {
            row.violations.push(format!("{} tests have a result, of {planned}", tests.len()));
        }
        let mut blamed = false;
        for test in &tests {
            let own = folder.is_some() && test["run_folder"].as_str().map(Path::new) == folder;
            let (result, class) =
                (test["result"].as_str().unwrap_or_default(), test["class"].as_str().unwrap_or_default());
            let failed = result == TestResult::Failed.name() && class == row.expected;
            blamed |= own && failed;
            let right = if own { failed } else { result == TestResult::Passed.name() || (interrupted && failed) };
            if !right {
                let name = test["name"].as_str().unwrap_or_default();
                let whose = if own { "whose process was killed" } else { "beside the killed one" };
                row.violations.push(format!("{name}, {whose}: {result} {class}: {}", test["violations"]));
            }
            if own && !test["violations"].to_string().contains(row.signal) {
                row.violations.push(format!("no violation of its test names {}", row.signal));
            }
        }
        if folder.is_some() && !blamed {
            row.violations.push("no test of the report has the killed process's run folder and class".into());
        }
    }
}

/// Returns the run folder of the test that a card or a QEMU belongs to: its output goes into a log there.
fn folder_of(pid: Pid) -> Option<PathBuf> {
    let logs = [1, 2]
        .into_iter()
        .filter_map(|descriptor| fs::read_link(format!("/proc/{}/fd/{descriptor}", pid.as_raw_nonzero())).ok());
    logs.filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .find_map(|path| path.parent().map(Path::to_path_buf))
}
