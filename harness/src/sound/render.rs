//! The offline render: the card's synthesizer plays events to a WAV file, without a guest.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use card_control::ExitCode;
use card_control::event_list::Writer;
use card_control::limits::CHANNEL_GROUPS_DEFAULT;
use card_control::log::without_stamp;
use card_control::render::{ProgressLine, RenderSummary};
use rustix::process::{Pid, Signal, kill_process};

use crate::host::ended::Ended;
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::interrupt;
use crate::host::limits;
use crate::host::process::end_with_harness;
use crate::sound::midi::MidiEvent;

/// The options of an offline render.
#[derive(Clone, Debug)]
pub struct RenderOptions {
    /// The card's program.
    pub card: PathBuf,
    /// The list of events.
    pub events: PathBuf,
    /// The WAV file to write.
    pub out: PathBuf,
    /// Frames a second.
    pub sample_rate: u32,
    /// The number of frames.
    pub frames: u64,
    /// Channel groups that the events are for.
    pub channel_groups: u32,
    /// Instruments instead of the built-in ones.
    pub bank: Option<PathBuf>,
}

/// Speed, voices and stems of a render; `None` leaves the choice to the card.
#[derive(Clone, Debug, Default)]
pub struct RenderTuning {
    /// The instruction set of the inner loops, as the card names it.
    pub kernel: Option<String>,
    /// Frames rendered at a time.
    pub block: Option<u32>,
    /// Threads.
    pub threads: Option<u32>,
    /// Voices.
    pub voices: Option<u16>,
    /// A folder for one file a channel.
    pub stems: Option<PathBuf>,
}

/// A complete render.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// The card's summary.
    pub summary: RenderSummary,
    /// The card's warnings, a line each.
    pub warnings: Vec<String>,
}

/// Returns the card's exit code, if no signal ended it.
fn exit_code(ended: Ended) -> Option<ExitCode> {
    match ended {
        Ended::Exit(number) => ExitCode::from_number(number),
        Ended::Signal(_) => None,
    }
}

/// Returns the limit of the host behind a failure, for a message.
fn behind(ended: Ended, output: &str) -> String {
    limits::of_program(Some(ended), output).map_or_else(String::new, |limit| format!(": {}", limit.sentence()))
}

/// Returns what a program said, for a message.
fn said(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!(": {output}") }
}

/// Why the offline render failed.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The card's program failed.
    #[error("the offline render failed ({ended}){}{}", said(.output), behind(*.ended, .output))]
    Failed {
        /// Its exit status or signal.
        ended: Ended,
        /// Its standard error.
        output: String,
    },
    /// A file cannot be written, or the program not started.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Diagnosed for RenderError {
    fn class(&self) -> Class {
        match self {
            Self::Failed { ended, output } if limits::of_program(Some(*ended), output).is_some() => Class::Host,
            Self::Failed { ended, .. } => match exit_code(*ended) {
                Some(ExitCode::Usage) => Class::Usage,
                Some(ExitCode::Bank) => Class::BadInput,
                Some(ExitCode::File | ExitCode::Sandbox) => Class::Host,
                Some(ExitCode::Interrupted) => Class::Interrupted,
                _ => Class::CardDied,
            },
            Self::File(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Failed { ended, output } => match (limits::of_program(Some(*ended), output), exit_code(*ended)) {
                (Some(limit), _) => limit.remedy(),
                (None, Some(ExitCode::Bank)) => Some("give a usable bank with --bank, or leave it out".into()),
                (None, Some(ExitCode::File)) => Some("check the disk and the folder's permissions".into()),
                (None, Some(ExitCode::Sandbox)) => Some(
                    "let the process call seccomp: a kernel with CONFIG_SECCOMP_FILTER, a container that permits it"
                        .into(),
                ),
                (None, _) => None,
            },
            Self::File(error) => error.remedy(),
        }
    }
}

/// A render that runs in the background, killed when this is dropped.
#[derive(Debug)]
pub struct Rendering {
    child: std::process::Child,
}

/// Writes events as the list that the render reads.
///
/// # Errors
/// [`FileError`] when the file cannot be created or written.
pub fn write_events(events: &[MidiEvent], path: &Path) -> Result<(), FileError> {
    let file = std::fs::File::create(path).map_err(FileError::own("create", path))?;
    let write = || {
        let mut list = Writer::new(BufWriter::new(file))?;
        for event in events {
            list.event(event.time, event.channel_group, &event.bytes)?;
        }
        list.finish()?.flush()
    };
    write().map_err(FileError::own("write", path))
}

/// Starts a render.
///
/// # Errors
/// [`RenderError::File`] when the program cannot be started.
pub fn start(options: &RenderOptions) -> Result<Rendering, RenderError> {
    start_with(options, &RenderTuning::default())
}

/// Starts a render with some choices of the caller.
///
/// # Errors
/// [`RenderError::File`] when the program cannot be started.
pub fn start_with(options: &RenderOptions, tuning: &RenderTuning) -> Result<Rendering, RenderError> {
    let mut command = Command::new(&options.card);
    command.arg("render").arg("--events").arg(&options.events).arg("--out").arg(&options.out);
    command.args(["--rate", &options.sample_rate.to_string(), "--frames", &options.frames.to_string()]);
    // As many as a driver requests that needs no more than there are.
    let groups = options.channel_groups.max(CHANNEL_GROUPS_DEFAULT.into());
    command.args(["--channel-groups", &groups.to_string(), "--json", "--progress"]);
    if let Some(bank) = &options.bank {
        command.arg("--bank").arg(bank);
    }
    let mut pass = |word: &str, value: Option<String>| {
        if let Some(value) = value {
            command.args([word, &value]);
        }
    };
    pass("--kernel", tuning.kernel.clone());
    pass("--render-block", tuning.block.map(|block| block.to_string()));
    pass("--threads", tuning.threads.map(|threads| threads.to_string()));
    pass("--voices", tuning.voices.map(|voices| voices.to_string()));
    if let Some(folder) = &tuning.stems {
        command.arg("--stems").arg(folder);
    }
    end_with_harness(&mut command);
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(FileError::own("start", &options.card))?;
    Ok(Rendering { child })
}

impl Rendering {
    /// Waits for its end.
    ///
    /// # Errors
    /// [`RenderError::Failed`] when the program failed, or its summary cannot be parsed.
    pub fn finish(self) -> Result<RenderSummary, RenderError> {
        Ok(self.watch(|_, _| {})?.summary)
    }

    /// Waits for its end; `progress` receives how many frames are rendered, and of how many. When the user interrupts, the
    /// render is stopped.
    ///
    /// # Errors
    /// [`RenderError::Failed`] when the program failed, or its summary cannot be parsed.
    pub fn watch(mut self, mut progress: impl FnMut(u64, u64)) -> Result<Rendered, RenderError> {
        let errors = self.child.stderr.take().map(|mut pipe| {
            std::thread::spawn(move || {
                let mut output = Vec::new();
                // A pipe that breaks ends the output.
                let _ = pipe.read_to_end(&mut output);
                String::from_utf8_lossy(&output).trim().to_owned()
            })
        });
        let mut summary = String::new();
        let lines = self.child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
        for line in lines.map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(ProgressLine { progress: at }) => progress(at.frames, at.of),
                Err(_) => summary = line,
            }
            if interrupt::requested() {
                stop(&self.child);
            }
        }
        let status = self.child.wait().map_err(FileError::own("wait for", Path::new("the offline render")))?;
        let output = errors.and_then(|thread| thread.join().ok()).unwrap_or_default();
        if !status.success() {
            return Err(RenderError::Failed { ended: status.into(), output });
        }
        let summary = serde_json::from_str(&summary).map_err(|error| RenderError::Failed {
            ended: status.into(),
            output: format!("its summary cannot be parsed: {error}\n{output}"),
        })?;
        let warnings = output.lines().map(|line| without_stamp(line).to_owned()).collect();
        Ok(Rendered { summary, warnings })
    }
}

/// Asks the render to stop: it removes its incomplete files.
fn stop(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It is not waited for yet, so the number is its own; the signal may come after its end.
        let _ = kill_process(pid, Signal::TERM);
    }
}

impl Drop for Rendering {
    fn drop(&mut self) {
        // Nothing happens to one that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::host::leftovers::Scratch;

    /// Renders with a script in the card's place.
    fn with_card(script: &str) -> Result<(Rendered, Vec<(u64, u64)>), RenderError> {
        let folder = Scratch::new().unwrap();
        let card = folder.path().join("card");
        std::fs::write(&card, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&card, std::fs::Permissions::from_mode(0o755)).unwrap();
        let options = RenderOptions {
            card,
            events: "events".into(),
            out: "out.wav".into(),
            sample_rate: 48_000,
            frames: 100,
            channel_groups: 1,
            bank: None,
        };
        let mut received = Vec::new();
        let rendered = start(&options)?.watch(|frames, of| received.push((frames, of)))?;
        Ok((rendered, received))
    }

    #[test]
    fn reports_progress_before_the_summary_and_warnings_with_it() {
        let script = r#"echo '[2026-01-02T03:04:05Z WARN  dmus_card] odd' >&2
            echo '{"progress":{"frames":50,"of":100}}'
            echo '{"frames":100,"peak_dbfs":-3.5,"pcm_sha256":"ab","notes_lost":2,"new":"field"}'"#;
        let (Rendered { summary, warnings }, received) = with_card(script).unwrap();
        assert_eq!(received, [(50, 100)]);
        assert_eq!((summary.frames, summary.peak_dbfs, summary.notes_lost), (100, Some(-3.5), 2));
        assert_eq!((summary.stems, warnings), (None, vec!["odd".to_owned()]));
    }

    #[test]
    fn maps_the_cards_exit_codes_to_classes() {
        let classes = [
            (2, Class::Usage),
            (3, Class::BadInput),
            (5, Class::Host),
            (70, Class::CardDied),
            (130, Class::Interrupted),
        ];
        for (code, class) in classes {
            let error = with_card(&format!("echo because >&2; exit {code}")).unwrap_err();
            assert_eq!(error.class(), class, "exit code {code}");
            assert!(error.to_string().contains("because"), "{error}");
        }
    }

    #[test]
    fn shows_a_summary_that_cannot_be_parsed() {
        let error = with_card("echo nonsense; echo also >&2").unwrap_err();
        assert!(error.to_string().contains("cannot be parsed") && error.to_string().contains("also"), "{error}");
    }
}
