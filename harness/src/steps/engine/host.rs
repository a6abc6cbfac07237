//! Acts on the host: signals, control sockets, the shell.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::side::{Side, StepError};
use crate::host::interrupt;
use crate::playback::PlaybackError;
use crate::steps::document::{HostStep, Process, SuspendStep};
use crate::testbed::TestBedError;
use crate::testbed::session::SessionError;

/// The longest time of a command of the shell that names none.
const SHELL_LIMIT: Duration = Duration::from_secs(60);

/// The interval at which a wait for a command of the shell looks whether the run is to go on.
const POLL: Duration = Duration::from_millis(10);

/// Most characters of an output that a report shows.
const SHOWN_MAX: usize = 500;

impl Side<'_> {
    /// Carries an act out, unless it needs QEMU's monitor. `folder` is where the shell runs.
    pub(super) fn host(&self, host: &HostStep, folder: &Path) -> Result<String, StepError> {
        if let Some(process) = host.kill {
            return self.kill(process);
        }
        if let Some(suspend) = host.suspend {
            return self.suspend(suspend);
        }
        let output = match (&host.control, &host.shell) {
            (Some(line), _) => self.the_card()?.raw(line).map_err(|error| TestBedError::of_command(line, error))?,
            (None, Some(command)) => self.shell(command, host, folder)?,
            (None, None) => String::new(),
        };
        expect_output(host, &output)
    }

    fn kill(&self, process: Process) -> Result<String, StepError> {
        let killer = match process {
            Process::Card => &self.card_killer,
            Process::Qemu => &self.qemu_killer,
        };
        let Some(killer) = killer else {
            let text = format!("{} has no process that is the harness's to kill", self.device);
            return Err(PlaybackError::Act(text).into());
        };
        self.note_kill(process);
        killer.kill();
        Ok(format!("{} was killed, as the step says", name(process)))
    }

    fn suspend(&self, suspend: SuspendStep) -> Result<String, StepError> {
        let freezer = match suspend.process {
            Process::Card => self.card_freezer.as_ref(),
            Process::Qemu => Some(&self.qemu_freezer),
        };
        let Some(freezer) = freezer else {
            let text = format!("{} has no process that is the harness's to stop", self.device);
            return Err(PlaybackError::Act(text).into());
        };
        freezer.freeze(true);
        let begun = Instant::now();
        let time = Duration::from_millis(suspend.ms.into());
        while begun.elapsed() < time && !self.is_abandoned() && !interrupt::requested() {
            std::thread::sleep(POLL.min(time.saturating_sub(begun.elapsed())));
        }
        freezer.freeze(false);
        Ok(format!("{} stood still for {} ms", name(suspend.process), suspend.ms))
    }

    /// Runs a command of the shell, and ends it with all that it started at its limit.
    fn shell(&self, text: &str, host: &HostStep, folder: &Path) -> Result<String, StepError> {
        let failed = |what: String| StepError::from(PlaybackError::Act(format!("`{text}` {what}")));
        let out = self.run_folder.join("shell.log");
        let start = std::fs::metadata(&out).map_or(0, |meta| meta.len());
        let file = std::fs::File::options().create(true).append(true).open(&out);
        let file = file.map_err(|error| failed(format!("has no file for its output: {error}")))?;
        let twin = file.try_clone().map_err(|error| failed(format!("has no file for its output: {error}")))?;
        let mut command = Command::new("sh");
        command.args(["-c", text]).current_dir(folder).env("DMUS_RUN_FOLDER", self.run_folder);
        command.stdin(Stdio::null()).stdout(file).stderr(twin);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|error| failed(format!("did not start: {error}")))?;
        let limit = host.limit_s.as_ref().map_or(SHELL_LIMIT, |limit| Duration::from_secs((*limit.get_ref()).into()));
        let begun = Instant::now();
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if begun.elapsed() < limit && !interrupt::requested() && !self.is_abandoned() => {
                    std::thread::sleep(POLL);
                }
                Ok(None) => {
                    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
                        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                    }
                    let _ = child.wait();
                    if interrupt::requested() {
                        return Err(TestBedError::from(SessionError::Interrupted(format!("run `{text}`"))).into());
                    }
                    return Err(failed(format!("had not ended after {} s and was killed", limit.as_secs())));
                }
                Err(error) => return Err(failed(format!("cannot be waited for: {error}"))),
            }
        };
        let bytes = std::fs::read(&out).unwrap_or_default();
        let output = String::from_utf8_lossy(bytes.get(start as usize..).unwrap_or_default()).into_owned();
        if status.success() {
            return Ok(output);
        }
        Err(failed(format!("ended with {status}: {}", shown(&output))))
    }
}

/// Compares an output with the text that it must contain.
pub(super) fn expect_output(host: &HostStep, output: &str) -> Result<String, StepError> {
    match &host.output {
        Some(text) if !output.contains(text.as_str()) => {
            Err(StepError::Unexpected(format!("the output does not contain \"{text}\": {}", shown(output))))
        }
        _ => Ok(shown(output)),
    }
}

/// Returns as much of an output as a report shows.
fn shown(output: &str) -> String {
    let output = output.trim();
    match output.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}...", &output[..end]),
        None => output.to_owned(),
    }
}

const fn name(process: Process) -> &'static str {
    match process {
        Process::Card => "the card",
        Process::Qemu => "QEMU",
    }
}
