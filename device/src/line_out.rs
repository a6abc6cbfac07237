//! The line-out jack: everything that is rendered, as a WAV file on the host.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavSpec, WavWriter};

use crate::output::Frame;

/// Frames after which the file's header is brought up to date, so that a killed process leaves a file that plays: a
/// second or so.
const HEADER_FRAMES: u64 = 48_000;

/// Why there is no file, or it is incomplete.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the sound file {}: {source}; give it a writable place with room (192 kB for each second)", path.display())]
pub struct LineOutError {
    path: PathBuf,
    source: hound::Error,
}

/// A WAV file that grows.
pub struct LineOut {
    path: PathBuf,
    /// How many files there have been: the sample rate of one cannot change.
    files: u32,
    writer: Option<(WavWriter<BufWriter<File>>, u32)>,
    since_header: u64,
    failed: Option<LineOutError>,
}

impl LineOut {
    /// Prepares to write to `path`. The file is made at once, so that a place which cannot be written to is known before
    /// a machine is started.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(path: &Path, sample_rate: u32) -> Result<Self, LineOutError> {
        let mut line_out = Self { path: path.to_owned(), files: 0, writer: None, since_header: 0, failed: None };
        line_out.begin(sample_rate).map_err(|source| line_out.error(source))?;
        Ok(line_out)
    }

    fn error(&self, source: hound::Error) -> LineOutError {
        LineOutError { path: self.current(), source }
    }

    /// `sound.wav`, then `sound.2.wav` and so on.
    fn current(&self) -> PathBuf {
        match self.files {
            0 | 1 => self.path.clone(),
            more => self.path.with_extension(format!("{more}.wav")),
        }
    }

    fn begin(&mut self, sample_rate: u32) -> Result<(), hound::Error> {
        self.files += 1;
        let spec = WavSpec { channels: 2, sample_rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
        self.writer = Some((WavWriter::create(self.current(), spec)?, sample_rate));
        Ok(())
    }

    /// Writes frames of a rate. After a failure nothing more is written; [`finish`](Self::finish) tells.
    pub fn write(&mut self, frames: &[Frame], sample_rate: u32) {
        if self.failed.is_some() {
            return;
        }
        if let Err(source) = self.try_write(frames, sample_rate) {
            let error = self.error(source);
            log::error!("{error}");
            self.failed = Some(error);
        }
    }

    fn try_write(&mut self, frames: &[Frame], sample_rate: u32) -> Result<(), hound::Error> {
        if let Some((writer, rate)) = &self.writer
            && *rate != sample_rate
        {
            // A file without a frame takes the new rate; one with frames is complete.
            let empty = writer.len() == 0;
            if let Some((writer, _)) = self.writer.take() {
                writer.finalize()?;
            }
            self.files -= u32::from(empty);
            self.begin(sample_rate)?;
        }
        let Some((writer, _)) = &mut self.writer else { return Ok(()) };
        for sample in frames.iter().flatten() {
            writer.write_sample(*sample)?;
        }
        self.since_header += frames.len() as u64;
        if self.since_header >= HEADER_FRAMES {
            self.since_header = 0;
            writer.flush()?;
        }
        Ok(())
    }

    /// Completes the file.
    ///
    /// # Errors
    /// The first thing that went wrong, if anything did.
    pub fn finish(mut self) -> Result<(), LineOutError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        match self.writer.take().map(|(writer, _)| writer.finalize()) {
            Some(Err(source)) => Err(self.error(source)),
            _ => Ok(()),
        }
    }
}
