//! The offline render: the card's own synthesizer, without a guest, over the same events.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::failure::{Class, Diagnosed, FileError};
use crate::machine::CARD_DISLIKES_BANK;
use crate::midi::{MidiEvent, write_listing};
use crate::process::Ended;

/// How the card ends when it cannot write a sound file.
const CARD_CANNOT_WRITE: Ended = Ended::Exit(5);

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

/// What the render says of itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RenderSummary {
    /// Frames written.
    pub frames: u64,
    /// Peak level in dB below full scale; none for silence.
    pub peak_dbfs: Option<f64>,
    /// SHA-256 of the samples.
    pub pcm_sha256: String,
}

/// Why there is no offline render.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The program refused or failed.
    #[error("the offline render failed ({ended}): {said}")]
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
            Self::Failed { ended: CARD_DISLIKES_BANK, .. } => Class::BadInput,
            Self::Failed { ended: CARD_CANNOT_WRITE, .. } => Class::Host,
            Self::Failed { .. } => Class::CardDied,
            Self::File(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
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
    let mut command = Command::new(&options.card);
    command.arg("render").arg("--events").arg(&options.events).arg("--out").arg(&options.out);
    command.args(["--rate", &options.sample_rate.to_string(), "--frames", &options.frames.to_string(), "--json"]);
    if let Some(bank) = &options.bank {
        command.arg("--bank").arg(bank);
    }
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
    pub fn finish(mut self) -> Result<RenderSummary, RenderError> {
        let (out, err, status) =
            take_output(&mut self.child).map_err(FileError::own("wait for", Path::new("the offline render")))?;
        let said = String::from_utf8_lossy(&err).trim().to_owned();
        if !status.success() {
            return Err(RenderError::Failed { ended: status.into(), said });
        }
        serde_json::from_slice(&out).map_err(|error| RenderError::Failed {
            ended: status.into(),
            said: format!("its summary is not understood: {error}\n{said}"),
        })
    }
}

impl Drop for Rendering {
    fn drop(&mut self) {
        // Nothing happens to one that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn take_output(child: &mut std::process::Child) -> std::io::Result<(Vec<u8>, Vec<u8>, std::process::ExitStatus)> {
    use std::io::Read;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    // The summary is one short line, so the pipes cannot fill while the other is read.
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_end(&mut out)?;
    }
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_end(&mut err)?;
    }
    Ok((out, err, child.wait()?))
}
