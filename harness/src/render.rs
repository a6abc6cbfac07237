//! The offline render: the card's own synthesizer, without a guest, over the same events.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::failure::{Class, Diagnosed, FileError};
use crate::midi::{MidiEvent, write_listing};

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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RenderSummary {
    /// Frames written.
    pub frames: u64,
    /// Largest magnitude.
    pub peak: u32,
    /// SHA-256 of the samples.
    pub pcm_sha256: String,
}

/// Why there is no offline render.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The program refused or failed.
    #[error("the offline render failed ({status}): {said}")]
    Failed {
        /// How it ended.
        status: String,
        /// What it said.
        said: String,
        /// A bank was named: then it is the likely cause.
        with_bank: bool,
    },
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Diagnosed for RenderError {
    fn class(&self) -> Class {
        match self {
            Self::Failed { with_bank: true, .. } => Class::BadInput,
            Self::Failed { .. } => Class::CardDied,
            Self::File(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Failed { with_bank: true, .. } => Some("check the bank: .dls or .sf2".into()),
            Self::Failed { .. } => None,
            Self::File(error) => error.remedy(),
        }
    }
}

/// A render that runs beside other things.
#[derive(Debug)]
pub struct Rendering {
    child: std::process::Child,
    with_bank: bool,
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
    Ok(Rendering { child, with_bank: options.bank.is_some() })
}

impl Rendering {
    /// Waits for its end.
    ///
    /// # Errors
    /// When it failed, or said nothing sensible.
    pub fn finish(mut self) -> Result<RenderSummary, RenderError> {
        let failed = |status: String, said: String, with_bank| RenderError::Failed { status, said, with_bank };
        let output = take_output(&mut self.child).map_err(|error| failed(error.to_string(), String::new(), false))?;
        let said = String::from_utf8_lossy(&output.1).trim().to_owned();
        if !output.2.success() {
            return Err(failed(output.2.to_string(), said, self.with_bank));
        }
        serde_json::from_slice(&output.0)
            .map_err(|error| failed(format!("its summary is not understood: {error}"), said, false))
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
