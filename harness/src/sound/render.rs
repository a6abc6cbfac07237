//! The offline render: the card's own synthesizer, without a guest, over the same events.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::host::ended::Ended;
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::interrupt;
use crate::host::limits;
use crate::host::process::end_with_harness;
use crate::machine::CARD_DISLIKES_BANK;
use crate::sound::bank::without_stamp;
use crate::sound::midi::{MidiEvent, write_listing};

/// How the card ends when its command line is wrong, such as with a kernel that the processor does not have.
const CARD_DISLIKES_WORDS: Ended = Ended::Exit(2);

/// How the card ends when it cannot write a sound file.
const CARD_CANNOT_WRITE: Ended = Ended::Exit(5);

/// How the card ends when it was interrupted.
const CARD_INTERRUPTED: Ended = Ended::Exit(130);

/// What to render.
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
    /// How many frames.
    pub frames: u64,
    /// Instruments instead of the built-in ones.
    pub bank: Option<PathBuf>,
}

/// How to render it; what is not said is left to the card.
#[derive(Clone, Debug, Default)]
pub struct RenderManner {
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

/// A file of a song taken apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stem {
    /// Its name in the folder.
    pub file: String,
    /// The channel group, from 1; none for what the effects add.
    pub group: Option<u16>,
    /// The channel, from 1.
    pub channel: Option<u8>,
    /// Peak level in dB below full scale; none for silence.
    pub peak_dbfs: Option<f64>,
}

/// A song taken apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stems {
    /// The files.
    pub stems: Vec<Stem>,
    /// How far the sum of the files is from the mix, in dB relative to full scale; none when they are the same.
    pub deviation_dbfs: Option<f64>,
}

/// What the render says of itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RenderSummary {
    /// Frames written.
    pub frames: u64,
    /// Peak level in dB below full scale; none for silence.
    pub peak_dbfs: Option<f64>,
    /// SHA-256 of the samples.
    pub pcm_sha256: String,
    /// Notes that found no voice.
    #[serde(default)]
    pub notes_lost: u64,
    /// The song taken apart, if it was.
    #[serde(default)]
    pub stems: Option<Stems>,
    /// What the card warned of.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

/// A line of progress.
#[derive(Deserialize)]
struct Progress {
    progress: Frames,
}

#[derive(Deserialize)]
struct Frames {
    frames: u64,
    of: u64,
}

/// The limit of the host behind it, for a message.
fn behind(ended: Ended, said: &str) -> String {
    limits::of_program(Some(ended), said).map_or_else(String::new, |limit| format!(": {}", limit.sentence()))
}

/// Why there is no offline render.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The program refused or failed.
    #[error("the offline render failed ({ended}): {said}{}", behind(*.ended, .said))]
    Failed {
        /// How it ended.
        ended: Ended,
        /// What it said.
        said: String,
    },
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Diagnosed for RenderError {
    fn class(&self) -> Class {
        match self {
            Self::Failed { ended, said } if limits::of_program(Some(*ended), said).is_some() => Class::Host,
            Self::Failed { ended: CARD_DISLIKES_WORDS, .. } => Class::Usage,
            Self::Failed { ended: CARD_DISLIKES_BANK, .. } => Class::BadInput,
            Self::Failed { ended: CARD_CANNOT_WRITE, .. } => Class::Host,
            Self::Failed { ended: CARD_INTERRUPTED, .. } => Class::Interrupted,
            Self::Failed { .. } => Class::CardDied,
            Self::File(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Failed { ended, said } if limits::of_program(Some(*ended), said).is_some() => {
                limits::of_program(Some(*ended), said).and_then(|limit| limit.remedy())
            }
            Self::Failed { ended: CARD_DISLIKES_BANK, .. } => {
                Some("give a usable bank with --bank, or leave it out".into())
            }
            Self::Failed { ended: CARD_CANNOT_WRITE, .. } => Some("check the disk and the folder's permissions".into()),
            Self::Failed { .. } => None,
            Self::File(error) => error.remedy(),
        }
    }
}

/// A render that runs beside other things.
#[derive(Debug)]
pub struct Rendering {
    child: std::process::Child,
}

/// Writes the events where the render will read them.
///
/// # Errors
/// The file's.
pub fn write_events(events: &[MidiEvent], path: &Path) -> Result<(), FileError> {
    let file = std::fs::File::create(path).map_err(FileError::own("create", path))?;
    let mut out = BufWriter::new(file);
    write_listing(events, &mut out).and_then(|()| out.flush()).map_err(FileError::own("write", path))
}

/// Starts a render.
///
/// # Errors
/// When the program cannot be started.
pub fn start(options: &RenderOptions) -> Result<Rendering, RenderError> {
    start_in(options, &RenderManner::default())
}

/// Starts a render in a certain manner.
///
/// # Errors
/// When the program cannot be started.
pub fn start_in(options: &RenderOptions, manner: &RenderManner) -> Result<Rendering, RenderError> {
    let mut command = Command::new(&options.card);
    command.arg("render").arg("--events").arg(&options.events).arg("--out").arg(&options.out);
    command.args(["--rate", &options.sample_rate.to_string(), "--frames", &options.frames.to_string()]);
    command.args(["--json", "--progress"]);
    if let Some(bank) = &options.bank {
        command.arg("--bank").arg(bank);
    }
    let mut say = |word: &str, value: Option<String>| {
        if let Some(value) = value {
            command.args([word, &value]);
        }
    };
    say("--kernel", manner.kernel.clone());
    say("--render-block", manner.block.map(|block| block.to_string()));
    say("--threads", manner.threads.map(|threads| threads.to_string()));
    say("--voices", manner.voices.map(|voices| voices.to_string()));
    if let Some(folder) = &manner.stems {
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
    /// When it failed, or said nothing sensible.
    pub fn finish(self) -> Result<RenderSummary, RenderError> {
        self.watch(|_, _| {})
    }

    /// Waits for its end; `progress` hears how many frames are done, and of how many. When the user wants to leave, so
    /// does the render.
    ///
    /// # Errors
    /// As for [`finish`](Self::finish).
    pub fn watch(mut self, mut progress: impl FnMut(u64, u64)) -> Result<RenderSummary, RenderError> {
        let errors = self.child.stderr.take().map(|mut pipe| {
            std::thread::spawn(move || {
                let mut said = Vec::new();
                // What cannot be read was not said.
                let _ = pipe.read_to_end(&mut said);
                String::from_utf8_lossy(&said).trim().to_owned()
            })
        });
        let mut summary = String::new();
        let lines = self.child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
        for line in lines.map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(Progress { progress: Frames { frames, of } }) => progress(frames, of),
                Err(_) => summary = line,
            }
            if interrupt::asked() {
                ask_to_leave(&self.child);
            }
        }
        let status = self.child.wait().map_err(FileError::own("wait for", Path::new("the offline render")))?;
        let said = errors.and_then(|thread| thread.join().ok()).unwrap_or_default();
        if !status.success() {
            return Err(RenderError::Failed { ended: status.into(), said });
        }
        let mut summary: RenderSummary = serde_json::from_str(&summary).map_err(|error| RenderError::Failed {
            ended: status.into(),
            said: format!("its summary is not understood: {error}\n{said}"),
        })?;
        summary.warnings = said.lines().map(without_stamp).collect();
        Ok(summary)
    }
}

/// So that it takes away what it has not finished.
fn ask_to_leave(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It is not waited for yet, so the number is its own; it may be about to end by itself.
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

    /// A stand-in for the card that does what the script says.
    fn with_card(script: &str) -> Result<(RenderSummary, Vec<(u64, u64)>), RenderError> {
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
            bank: None,
        };
        let mut heard = Vec::new();
        let summary = start(&options)?.watch(|frames, of| heard.push((frames, of)))?;
        Ok((summary, heard))
    }

    #[test]
    fn progress_is_heard_before_the_summary_and_warnings_come_with_it() {
        let script = r#"echo '[2026-01-02T03:04:05Z WARN  dmus_card] odd' >&2
            echo '{"progress":{"frames":50,"of":100}}'
            echo '{"frames":100,"peak_dbfs":-3.5,"pcm_sha256":"ab","notes_lost":2,"new":"field"}'"#;
        let (summary, heard) = with_card(script).unwrap();
        assert_eq!(heard, [(50, 100)]);
        assert_eq!((summary.frames, summary.peak_dbfs, summary.notes_lost), (100, Some(-3.5), 2));
        assert_eq!((summary.stems, summary.warnings), (None, vec!["odd".to_owned()]));
    }

    #[test]
    fn how_the_card_ends_says_who_has_to_act() {
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
    fn a_summary_that_is_none_is_shown() {
        let error = with_card("echo nonsense; echo also >&2").unwrap_err();
        assert!(error.to_string().contains("not understood") && error.to_string().contains("also"), "{error}");
    }
}
