//! Kills: harness, card and QEMU are ended by signals at random instants, and each time it is checked that the right process
//! is blamed, by the right signal, soon, and that nothing is left behind.
//!
//! Every kill has a run of the harness of its own, as a user starts it: a demo, the prompt, a part of the contract, a
//! benchmark. A harness that is killed can only be cleaned up after: there the next start is part of the check.

mod error;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::conformance::Dice;
use crate::event::{Event, Observer, Step};
use crate::host::ended::Ended;
use crate::host::failure::Class;
use crate::host::file_error::FileError;
use crate::host::interrupt;
use crate::host::leftovers::{self, Scratch};
use crate::host::process::end_with_harness;
use crate::provision::Workspace;
use crate::testbed::Provisioned;
use crate::testbed::run_folder::RunFolder;

pub use error::KillsError;

/// How long a run may take from the kill to its end: the harness notices within a second, on a machine that is not busy.
const NOTICED_MAX: Duration = Duration::from_secs(4);

/// After which time a run that does not end is given up.
const ENDED_MAX: Duration = Duration::from_secs(60);

/// How long a run gets until the instant of its kill has come.
const REACHED_MAX: Duration = Duration::from_secs(60);

/// How long what ends with the harness may take to end.
const GONE_MAX: Duration = Duration::from_secs(5);

/// A run that ended well so soon after the kill had come to its end before it.
const TOO_LATE: Duration = Duration::from_secs(1);

/// Kills of one number that may come too late, until the run is given up.
const MISSES_MAX: u32 = 20;

/// How long a process gets to run a signal's handler.
const HANDLER: Duration = Duration::from_millis(20);

/// How often a run is looked at.
const POLL: Duration = Duration::from_millis(1);

/// A process to kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Process {
    /// The harness's own.
    Harness,
    /// The card's.
    Card,
    /// QEMU's.
    Qemu,
}

impl Process {
    const ALL: [Self; 3] = [Self::Harness, Self::Card, Self::Qemu];

    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Harness => "harness",
            Self::Card => "card",
            Self::Qemu => "qemu",
        }
    }

    /// A word of its command line that no other child of the harness has.
    const fn sign(self) -> &'static str {
        match self {
            Self::Harness => "",
            Self::Card => "--control",
            Self::Qemu => "-qmp",
        }
    }
}

/// The signals, those first that ask.
const SIGNALS: [(Signal, &str); 5] = [
    (Signal::TERM, "SIGTERM"),
    (Signal::INT, "SIGINT"),
    (Signal::KILL, "SIGKILL"),
    (Signal::SEGV, "SIGSEGV"),
    (Signal::ABORT, "SIGABRT"),
];

/// What is going on when a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A step of a demo; after how many milliseconds of it, at most.
    Demo(Step, u64),
    /// The prompt, with the device started and nothing to do.
    Prompt,
    /// A probe of the contract.
    Contract,
    /// A benchmark, which has no card.
    Bench,
}

/// All of them. A step's milliseconds are some of what it takes; a kill that comes later meets the next step, which is as
/// good.
const PHASES: [Phase; 10] = [
    Phase::Demo(Step::Streaming, 250),
    Phase::Prompt,
    Phase::Demo(Step::Firmware, 100),
    Phase::Contract,
    Phase::Demo(Step::DriverStart, 250),
    Phase::Demo(Step::ShutDown, 25),
    Phase::Demo(Step::Card, 2),
    Phase::Demo(Step::Kernel, 12),
    Phase::Bench,
    Phase::Demo(Step::Judging, 10),
];

/// Milliseconds into the prompt, a probe and a benchmark at which a process is killed, at most.
const PROMPT_MS: u64 = 300;
const CONTRACT_MS: u64 = 500;
const BENCH_MS: u64 = 250;

/// A kill and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// From 1.
    pub number: u32,
    /// What was killed.
    pub process: Process,
    /// By which signal.
    pub signal: &'static str,
    /// What was going on.
    pub phase: String,
    /// The verdict that it should be.
    pub expected: String,
    /// The verdict that it was.
    pub found: String,
    /// From the kill to the end of the run.
    pub milliseconds: f64,
    /// What a harness left that was ended by force, before the next start.
    pub swept: Vec<String>,
    /// What is left behind.
    pub left: Vec<String>,
    /// What is wrong.
    pub complaints: Vec<String>,
}

/// How all went.
#[derive(Clone, Debug, Serialize)]
pub struct KillsReport {
    /// Where the instants come from.
    pub seed: u64,
    /// Kills after which the right process was blamed, by the right signal, and nothing was left.
    pub right: usize,
    /// Kills that came when the run was over, and were done again.
    pub too_late: u32,
    /// The longest time from a kill to the end of its run.
    pub slowest_ms: f64,
    /// Every kill.
    pub rows: Vec<Row>,
    /// How long it all took.
    pub milliseconds: f64,
    /// Where everything is.
    pub artefacts: PathBuf,
}

impl KillsReport {
    /// What did not go well, one a line.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let line = |row: &Row| {
            let Row { number, process, signal, phase, complaints, .. } = row;
            format!("kill {number}, {} by {signal} at {phase}: {}", process.name(), complaints.join("; "))
        };
        self.rows.iter().filter(|row| !row.complaints.is_empty()).map(line).collect()
    }

    /// Every kill, for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:>3}  {:<8} {:<8} {:<22} {:<14} {:<14} {:>6}  left behind\n",
            "", "process", "signal", "phase", "expected", "found", "ms"
        );
        for row in &self.rows {
            let left = match (row.left.is_empty(), row.swept.is_empty()) {
                (true, true) => "nothing".to_owned(),
                (true, false) => format!("nothing after the next start ({} things before)", row.swept.len()),
                (false, _) => row.left.join(", "),
            };
            let _ = writeln!(
                text,
                "{:>3}  {:<8} {:<8} {:<22} {:<14} {:<14} {:>6.0}  {left}",
                row.number,
                row.process.name(),
                row.signal,
                row.phase,
                row.expected,
                row.found,
                row.milliseconds
            );
            for complaint in &row.complaints {
                let _ = writeln!(text, "     WRONG: {complaint}");
            }
        }
        let _ = write!(
            text,
            "{} of {} kills: the right process is blamed and nothing is left; slowest {:.0} ms; {} came too late and were \
             done again; seed {:x}; {:.1} s",
            self.right,
            self.rows.len(),
            self.slowest_ms,
            self.too_late,
            self.seed,
            self.milliseconds / 1000.0
        );
        text
    }
}

/// What is done.
#[derive(Clone, Copy)]
pub struct Kills<'a> {
    /// Where artefacts go.
    pub workspace: &'a Workspace,
    /// What the runs use.
    pub provisioned: &'a Provisioned,
    /// How many.
    pub count: u32,
    /// Where the instants come from.
    pub seed: u64,
    /// Who listens.
    pub observer: &'a dyn Observer,
}

/// What a run is given instead of finding and building it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Prepared {
    /// Where the project is.
    pub workspace: Workspace,
    /// Programs, images, accelerator.
    pub provisioned: Provisioned,
}

impl Prepared {
    /// Reads it.
    ///
    /// # Errors
    /// The file's.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = fs::read(path).map_err(FileError::input(path))?;
        serde_json::from_slice(&text).map_err(|error| FileError::input(path)(error.into()))
    }
}

/// Kills as often as asked.
///
/// # Errors
/// An interruption, or what keeps a run from being started.
pub fn run(kills: &Kills<'_>, folder: &RunFolder) -> Result<KillsReport, KillsError> {
    let begun = Instant::now();
    let mut dice = Dice::new(kills.seed);
    let prepared = folder.file("prepared.json");
    let provisioned = Prepared { workspace: kills.workspace.clone(), provisioned: kills.provisioned.clone() };
    folder.write_json("prepared.json", &provisioned)?;
    let mut report = KillsReport {
        seed: kills.seed,
        right: 0,
        too_late: 0,
        slowest_ms: 0.0,
        rows: Vec::new(),
        milliseconds: 0.0,
        artefacts: folder.path().into(),
    };
    // Another place to begin for another seed: few kills meet other phases each time.
    let first_phase = dice.below(PHASES.len() as u64) as usize;
    for number in 1..=kills.count {
        let index = (number - 1) as usize;
        let process = Process::ALL[index % Process::ALL.len()];
        let (signal, name) = SIGNALS[index / Process::ALL.len() % SIGNALS.len()];
        let mut phase = PHASES[(first_phase + index) % PHASES.len()];
        if phase == Phase::Bench && process == Process::Card {
            phase = Phase::Prompt;
        }
        let mut misses = 0;
        let row = loop {
            let place = folder.file(&format!("{number:03}"));
            let subject = Subject { kills, place: &place, prepared: &prepared, phase, process, signal, name };
            if let Some(row) = subject.kill(number, &mut dice)? {
                break row;
            }
            report.too_late += 1;
            misses += 1;
            if misses == MISSES_MAX {
                let what = format!("no kill at {} came in time, of {MISSES_MAX}", phase.name());
                return Err(FileError::own("kill", &place)(std::io::Error::other(what)).into());
            }
        };
        report.slowest_ms = report.slowest_ms.max(row.milliseconds);
        report.right += usize::from(row.complaints.is_empty());
        let word = if row.complaints.is_empty() { "right" } else { "WRONG" };
        let text = format!("{word}  {} by {name} at {}: {}", process.name(), row.phase, row.found);
        kills.observer.event(&Event::Note { text });
        report.rows.push(row);
    }
    report.milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
    folder.write_json("kills.json", &report)?;
    Ok(report)
}

impl Phase {
    fn name(self) -> String {
        match self {
            Self::Demo(step, _) => step_name(step),
            Self::Prompt => "prompt, idle".into(),
            Self::Contract => "contract, capture".into(),
            Self::Bench => "bench, nt-host".into(),
        }
    }
}

fn step_name(step: Step) -> String {
    let name = serde_json::to_value(step).unwrap_or_default();
    format!("demo, {}", name.as_str().unwrap_or_default())
}

/// A run that something is to be killed of.
struct Subject<'a> {
    kills: &'a Kills<'a>,
    place: &'a Path,
    prepared: &'a Path,
    phase: Phase,
    process: Process,
    signal: Signal,
    name: &'static str,
}

/// A run under way; ended with this value.
struct Running {
    child: Child,
    /// Open as long as the run may read from it.
    _input: Option<ChildStdin>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing happens to one that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn pid(&self) -> i32 {
        // The kernel's numbers of processes are far below.
        i32::try_from(self.child.id()).unwrap_or(i32::MAX)
    }

    fn ended(&mut self) -> Result<Option<Ended>, FileError> {
        let status = self.child.try_wait().map_err(FileError::own("wait for", "a run"))?;
        Ok(status.map(Ended::from))
    }
}

impl Subject<'_> {
    /// Starts a run, kills, and looks. `None`: the run was over before.
    fn kill(&self, number: u32, dice: &mut Dice) -> Result<Option<Row>, KillsError> {
        if self.place.exists() {
            fs::remove_dir_all(self.place).map_err(FileError::own("remove", self.place))?;
        }
        fs::create_dir_all(self.place).map_err(FileError::own("create", self.place))?;
        // Of its own, so that everything in it is this run's. A socket's path must be short.
        let temporary = Scratch::new()?;
        let inner = temporary.path().join("t");
        fs::create_dir(&inner).map_err(FileError::own("create", &inner))?;
        let mut running = self.start(&inner)?;
        let Some(target) = self.reach(&mut running, dice)? else { return Ok(None) };
        let phase = self.phase_now();
        let killed = Instant::now();
        if pidfd_send_signal(&target, self.signal).is_err() {
            return Ok(None);
        }
        if self.signal == Signal::SEGV {
            // The standard library's handler looks whether a stack has overflowed, and if not lets the fault happen again.
            // What was sent does not happen again by itself.
            std::thread::sleep(HANDLER);
            let _ = pidfd_send_signal(&target, self.signal);
        }
        let ended = loop {
            if let Some(ended) = running.ended()? {
                break Some(ended);
            }
            if killed.elapsed() > ENDED_MAX {
                break None;
            }
            wait()?;
        };
        let elapsed = killed.elapsed();
        let in_time = matches!(self.phase, Phase::Demo(step, _) if step != Step::ShutDown && step != Step::Judging);
        if ended == Some(Ended::Exit(0)) && !in_time && elapsed < TOO_LATE {
            return Ok(None);
        }
        let mut row = Row {
            number,
            process: self.process,
            signal: self.name,
            phase,
            expected: self.expected(),
            found: ended.map_or_else(|| format!("nothing in {} s", ENDED_MAX.as_secs()), verdict),
            milliseconds: elapsed.as_secs_f64() * 1000.0,
            swept: Vec::new(),
            left: Vec::new(),
            complaints: Vec::new(),
        };
        let owner = running.child.id();
        drop(running);
        self.look(&mut row, &inner, owner)?;
        Ok(Some(row))
    }

    fn start(&self, temporary: &Path) -> Result<Running, FileError> {
        let log = self.place.join("run.log");
        let file = File::create(&log).map_err(FileError::own("create", &log))?;
        let also = file.try_clone().map_err(FileError::own("create", &log))?;
        let mut command = harness();
        match self.phase {
            Phase::Demo(..) => command.arg("demo").arg("--json").arg("--artefacts").arg(self.place.join("run")),
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

    /// Waits for the instant of the kill. Gives the process; `None` when it has gone by itself.
    fn reach(&self, running: &mut Running, dice: &mut Dice) -> Result<Option<OwnedFd>, KillsError> {
        let deadline = Instant::now() + REACHED_MAX;
        let begun = |running: &Running| match self.phase {
            Phase::Demo(step, _) => self.steps().contains(&step),
            Phase::Prompt => self.said().contains("subdevices:"),
            Phase::Contract | Phase::Bench => child_of(running.pid(), Process::Qemu).is_some(),
        };
        while !begun(running) {
            if running.ended()?.is_some() || Instant::now() > deadline {
                return Ok(None);
            }
            wait()?;
        }
        let most = match self.phase {
            Phase::Demo(_, most) => most,
            Phase::Prompt => PROMPT_MS,
            Phase::Contract => CONTRACT_MS,
            Phase::Bench => BENCH_MS,
        };
        // To the microsecond.
        std::thread::sleep(Duration::from_micros(dice.below(most * 1000)));
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

    /// The steps that a demo has begun.
    fn steps(&self) -> Vec<Step> {
        let text = fs::read_to_string(self.place.join("run/timeline.jsonl")).unwrap_or_default();
        let begun = |line: &str| {
            let event: Value = serde_json::from_str(line).ok()?;
            (event["event"] == "step-begun").then(|| serde_json::from_value(event["step"].clone()).ok())?
        };
        text.lines().filter_map(begun).collect()
    }

    fn said(&self) -> String {
        fs::read_to_string(self.place.join("run.log")).unwrap_or_default()
    }

    fn phase_now(&self) -> String {
        self.steps().last().map_or_else(|| self.phase.name(), |step| step_name(*step))
    }

    fn expected(&self) -> String {
        match (self.process, self.signal) {
            (Process::Card, _) => Class::CardDied.name().into(),
            (Process::Qemu, _) => Class::QemuFailed.name().into(),
            (Process::Harness, Signal::TERM | Signal::INT) => Class::Interrupted.name().into(),
            (Process::Harness, _) => self.name.into(),
        }
    }

    /// Looks at what was said and what is left.
    fn look(&self, row: &mut Row, temporary: &Path, owner: u32) -> Result<(), KillsError> {
        let by_force = self.process == Process::Harness && row.expected == self.name;
        if row.found != row.expected {
            row.complaints.push(format!("the verdict is {} instead of {}", row.found, row.expected));
        }
        if row.milliseconds > NOTICED_MAX.as_secs_f64() * 1000.0 {
            row.complaints.push(format!("the run took {:.1} s to end", row.milliseconds / 1000.0));
        }
        if !by_force && !self.said().contains(self.name) {
            row.complaints.push(format!("nothing that was said names {}", self.name));
        }
        if by_force {
            row.swept = self.left(temporary, owner, Duration::ZERO)?;
            self.next_start(temporary)?;
        }
        row.left = self.left(temporary, owner, GONE_MAX)?;
        row.complaints.extend(row.left.iter().map(|what| format!("left behind: {what}")));
        Ok(())
    }

    /// What is left of a run, after at most so long.
    fn left(&self, temporary: &Path, owner: u32, limit: Duration) -> Result<Vec<String>, KillsError> {
        let begun = Instant::now();
        loop {
            let mut left: Vec<String> =
                leftovers::processes_of(owner).into_iter().map(|pid| format!("process {pid}")).collect();
            let entries = fs::read_dir(temporary).into_iter().flatten().flatten();
            left.extend(entries.map(|entry| format!("folder {}", entry.path().display())));
            let folder = self.place.join("run");
            if folder.exists() && !folder.join("verdict.json").is_file() {
                left.push(format!("run folder {} without a verdict", folder.display()));
            }
            let runs = self.kills.workspace.cache().join("runs");
            left.extend(leftovers::marks_of(owner, &runs, &folder).into_iter().map(|path| path.display().to_string()));
            if left.is_empty() || begun.elapsed() >= limit {
                return Ok(left);
            }
            wait()?;
        }
    }

    /// Starts the harness again, as a user would next.
    fn next_start(&self, temporary: &Path) -> Result<(), KillsError> {
        let log = self.place.join("next.log");
        let file = File::create(&log).map_err(FileError::own("create", &log))?;
        let also = file.try_clone().map_err(FileError::own("create", &log))?;
        let mut command = harness();
        command.args(["doctor", "--sweep"]).env("TMPDIR", temporary);
        command.stdin(Stdio::null()).stdout(also).stderr(file).process_group(0);
        end_with_harness(&mut command);
        let child = command.spawn().map_err(FileError::own("start", "the next run"))?;
        let mut running = Running { child, _input: None };
        while running.ended()?.is_none() {
            wait()?;
        }
        Ok(())
    }
}

/// This very program, even if its file has been replaced meanwhile.
fn harness() -> Command {
    Command::new("/proc/self/exe")
}

fn wait() -> Result<(), KillsError> {
    if interrupt::asked() {
        return Err(crate::testbed::session::SessionError::Interrupted("kill".into()).into());
    }
    std::thread::sleep(POLL);
    Ok(())
}

/// What a run's exit status means.
fn verdict(ended: Ended) -> String {
    match ended {
        Ended::Exit(0) => "passed".into(),
        Ended::Exit(code) => Class::ALL
            .iter()
            .find(|class| i32::from(class.exit_code()) == code)
            .map_or_else(|| ended.to_string(), |class| class.name().to_owned()),
        Ended::Signal(_) => ended.to_string(),
    }
}

/// A run's card or QEMU, once it is what it is to be.
fn child_of(run: i32, process: Process) -> Option<Pid> {
    let tasks = fs::read_dir(format!("/proc/{run}/task")).ok()?;
    let children = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<i32> = children
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    children.into_iter().filter_map(Pid::from_raw).find(|pid| {
        let words = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == process.sign().as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_nine_kills_are_those_that_ask_and_the_one_that_does_not() {
        let mut seen: Vec<(Process, &str)> =
            (0..9).map(|index| (Process::ALL[index % 3], SIGNALS[index / 3 % SIGNALS.len()].1)).collect();
        seen.dedup();
        assert_eq!(seen.len(), 9);
        assert!(seen.iter().all(|(_, name)| ["SIGTERM", "SIGINT", "SIGKILL"].contains(name)));
    }

    #[test]
    fn a_status_is_read_as_the_class_that_it_stands_for() {
        assert_eq!(verdict(Ended::Exit(0)), "passed");
        assert_eq!(verdict(Ended::Exit(5)), "card-died");
        assert_eq!(verdict(Ended::Exit(130)), "interrupted");
        assert_eq!(verdict(Ended::Exit(99)), "exit status 99");
        assert_eq!(verdict(Ended::Signal(9)), "SIGKILL");
    }

    #[test]
    fn a_wrong_row_is_a_complaint_and_shows_in_the_table() {
        let row = Row {
            number: 7,
            process: Process::Card,
            signal: "SIGTERM",
            phase: "demo, streaming".into(),
            expected: "card-died".into(),
            found: "qemu-failed".into(),
            milliseconds: 12.0,
            swept: Vec::new(),
            left: vec!["process 9".into()],
            complaints: vec!["the verdict is qemu-failed instead of card-died".into()],
        };
        let report = KillsReport {
            seed: 1,
            right: 0,
            too_late: 0,
            slowest_ms: 12.0,
            rows: vec![row],
            milliseconds: 20.0,
            artefacts: PathBuf::new(),
        };
        assert_eq!(report.complaints().len(), 1);
        let table = report.table();
        assert!(table.contains("WRONG: the verdict is") && table.contains("process 9"), "{table}");
        assert!(table.contains("0 of 1 kills"), "{table}");
    }
}
