//! FluidSynth, as its users run it: a program that renders a MIDI file into another file.
//!
//! Its start, the loading of the bank and the first moments are in every run, so a long run less a short one is what
//! rendering takes. The time is the processor's, as the kernel counted it for the ended process.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::clock::{Spent, of_a_child};
use crate::engines::{BLOCK, RATE, Setting};

/// How long one run may take.
const LIMIT: Duration = Duration::from_secs(180);

/// How often it is looked at.
const POLL: Duration = Duration::from_millis(1);

/// Bytes of a frame: two samples of 32-bit floating point.
const FRAME_BYTES: usize = 8;

/// Why FluidSynth gave no figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FluidSynthError {
    /// [`FluidSynthError::Start`] when the program cannot be started; [`FluidSynthError::Failed`] when it prints no
    /// version.
    #[error("cannot start FluidSynth ({}): {source}", path.display())]
    Start {
        /// The program.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of ours.
    #[error("cannot write or read {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It failed.
    #[error("FluidSynth ended with {status}:\n{output}")]
    Failed {
        /// How it ended.
        status: String,
        /// Its output.
        output: String,
    },
    /// It does not end.
    #[error("FluidSynth had not ended after {} s", LIMIT.as_secs())]
    Endless,
    /// The long run is not longer.
    #[error("FluidSynth rendered {long} frames where it was given the longer song, and {short} for the shorter")]
    Frames {
        /// Frames of the long run.
        long: u64,
        /// Frames of the short run.
        short: u64,
    },
}

/// FluidSynth's program, a bank for it, and a folder for its files.
pub(crate) struct FluidSynth {
    program: PathBuf,
    font: PathBuf,
    folder: PathBuf,
    /// Its version.
    pub(crate) version: String,
}

/// A rendering of a song.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rendering {
    /// What it took, the program's start included.
    pub(crate) spent: Spent,
    /// Frames.
    pub(crate) frames: u64,
}

impl FluidSynth {
    /// Asks the program for its version.
    ///
    /// # Errors
    /// [`FluidSynthError::Start`] when the program cannot be started; [`FluidSynthError::Failed`] when it prints no
    /// version.
    pub(crate) fn new(program: &Path, font: &Path, folder: &Path) -> Result<Self, FluidSynthError> {
        let start = |source| FluidSynthError::Start { path: program.to_owned(), source };
        let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().map_err(start)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.lines().find_map(|line| line.rsplit_once("version ").map(|(_, version)| version.trim()));
        let Some(version) = version.filter(|_| output.status.success()) else {
            let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(FluidSynthError::Failed { status: "no version".into(), output });
        };
        Ok(Self {
            program: program.to_owned(),
            font: font.to_owned(),
            folder: folder.to_owned(),
            version: version.to_owned(),
        })
    }

    /// Renders a MIDI file. `points` is what the command `interp` takes: 4 or 7.
    ///
    /// # Errors
    /// [`FluidSynthError::Failed`] or [`FluidSynthError::Endless`] when the program fails or does not end;
    /// [`FluidSynthError::File`] when a file cannot be written.
    pub(crate) fn render(&self, song: &Path, setting: Setting, points: u8) -> Result<Rendering, FluidSynthError> {
        let configuration = self.folder.join(format!("interp-{points}"));
        self.write(&configuration, format!("interp {points}\n").as_bytes())?;
        let out = self.out();
        let log = self.folder.join("fluidsynth.log");
        let file = |path: &Path, source| FluidSynthError::File { path: path.to_owned(), source };
        let output = fs::File::create(&log).map_err(|source| file(&log, source))?;
        let errors = output.try_clone().map_err(|source| file(&log, source))?;
        let effects = if setting.effects { "1" } else { "0" };
        let mut command = Command::new(&self.program);
        command.arg("-niq").arg("-f").arg(&configuration).arg("-F").arg(&out);
        command.args(["-T", "raw", "-O", "float", "-R", effects, "-C", effects]);
        command.args(["-r", &RATE.to_string(), "-z", &BLOCK.to_string()]);
        command.args(["-o", &format!("synth.polyphony={}", setting.voices), "-o", "synth.cpu-cores=1"]);
        command.arg(&self.font).arg(song);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let spent = of_a_child(|| {
            let start = |source| FluidSynthError::Start { path: self.program.clone(), source };
            let mut child = command.spawn().map_err(start)?;
            let begun = Instant::now();
            let status = loop {
                match child.try_wait().map_err(start)? {
                    Some(status) => break status,
                    None if begun.elapsed() > LIMIT => {
                        let _ = child.kill();
                        let _ = child.wait();
                        return Err(FluidSynthError::Endless);
                    }
                    None => std::thread::sleep(POLL),
                }
            };
            if status.success() {
                return Ok(());
            }
            let output = fs::read_to_string(&log).unwrap_or_default().trim().to_owned();
            Err(FluidSynthError::Failed { status: status.to_string(), output })
        })?;
        let bytes = fs::metadata(&out).map_err(|source| file(&out, source))?.len();
        Ok(Rendering { spent, frames: bytes / FRAME_BYTES as u64 })
    }

    /// Returns the figures of a long rendering less those of a short one.
    ///
    /// # Errors
    /// Either failed, or they are of one length.
    pub(crate) fn difference(
        &self,
        long: &Path,
        short: &Path,
        setting: Setting,
        points: u8,
    ) -> Result<Rendering, FluidSynthError> {
        let short = self.render(short, setting, points)?;
        // Last, so that its sound is there to be looked at.
        let long = self.render(long, setting, points)?;
        if long.frames <= short.frames {
            return Err(FluidSynthError::Frames { long: long.frames, short: short.frames });
        }
        Ok(Rendering { spent: long.spent - short.spent, frames: long.frames - short.frames })
    }

    /// Returns the mean power of the samples of these frames of what was last rendered.
    ///
    /// # Errors
    /// [`FluidSynthError::File`] when the rendering cannot be read.
    pub(crate) fn power(&self, frames: Range<usize>) -> Result<f64, FluidSynthError> {
        let samples = self.samples(frames)?;
        let energy: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        Ok(energy / samples.len().max(1) as f64)
    }

    /// Returns the left side of these frames of what was last rendered.
    ///
    /// # Errors
    /// [`FluidSynthError::File`] when the rendering cannot be read.
    pub(crate) fn left(&self, frames: Range<usize>) -> Result<Vec<f32>, FluidSynthError> {
        Ok(self.samples(frames)?.into_iter().step_by(2).collect())
    }

    /// Returns the samples of these frames, left and right in turn; fewer where the rendering ends before.
    fn samples(&self, frames: Range<usize>) -> Result<Vec<f32>, FluidSynthError> {
        let out = self.out();
        let bytes = fs::read(&out).map_err(|source| FluidSynthError::File { path: out, source })?;
        let end = bytes.len().min(frames.end * FRAME_BYTES);
        let bytes = bytes.get(frames.start * FRAME_BYTES..end).unwrap_or_default();
        Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    /// Writes a file beside its others.
    ///
    /// # Errors
    /// [`FluidSynthError::File`] when the file cannot be written.
    pub(crate) fn write(&self, path: &Path, content: &[u8]) -> Result<(), FluidSynthError> {
        fs::write(path, content).map_err(|source| FluidSynthError::File { path: path.to_owned(), source })
    }

    /// Returns the path for a song of this name.
    #[must_use]
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn out(&self) -> PathBuf {
        self.folder.join("out.raw")
    }
}
