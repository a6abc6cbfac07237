//! Writes everything that is rendered to a WAV file on the host: the card's line-out jack.

use std::fs::File;
use std::io::{self, BufWriter, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hound::{SampleFormat, WavSpec, WavWriter};
use parking_lot::Mutex;

use crate::session::output::Frame;

/// Frames after which the file's header is brought up to date, so that a killed process leaves a file that plays: a
/// second or so.
const HEADER_FRAMES: u64 = 48_000;

/// Why a sound file is missing or incomplete.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the sound file {}: {source}; give it a writable place with room (192 kB for each second)", path.display())]
pub struct LineOutError {
    path: PathBuf,
    source: hound::Error,
}

/// A WAV file that grows. Its clones are the same file, so that it can be completed while the card still renders.
#[derive(Clone)]
pub struct LineOut {
    path: PathBuf,
    growing: Arc<Mutex<Growing>>,
}

struct Growing {
    path: PathBuf,
    /// The number of files so far: the sample rate of one cannot change.
    files: u32,
    open: Option<Open>,
    since_header: u64,
    failed: Option<LineOutError>,
    /// Whether it has been reported that the file is incomplete.
    reported: bool,
}

/// The file that is written.
struct Open {
    writer: WavWriter<BufWriter<Arc<File>>>,
    file: Arc<File>,
    sample_rate: u32,
}

impl LineOut {
    /// Prepares to write to `path`. The file is made at once, so that a place which cannot be written to is known
    /// before a machine is started.
    ///
    /// # Errors
    /// [`LineOutError`], when the file cannot be made there.
    pub fn create(path: &Path, sample_rate: u32) -> Result<Self, LineOutError> {
        let path = path.to_owned();
        let mut growing =
            Growing { path: path.clone(), files: 0, open: None, since_header: 0, failed: None, reported: false };
        growing.begin(sample_rate).map_err(|source| growing.error(source))?;
        Ok(Self { path, growing: Arc::new(Mutex::new(growing)) })
    }

    /// Writes frames of a rate. After a failure nothing more is written, nor after [`finish`](Self::finish), which
    /// returns it.
    pub fn write(&mut self, frames: &[Frame], sample_rate: u32) {
        self.growing.lock().write(frames, sample_rate);
    }

    /// Completes the file. A second call only reports whether the file is complete.
    ///
    /// # Errors
    /// The first [`LineOutError`] since the file was made, if there was one.
    pub fn finish(&self) -> Result<(), LineOutError> {
        self.growing.lock().finish()
    }

    /// Returns the error of a file whose place takes no more bytes, such as a pipe that is not read.
    #[must_use]
    pub fn stalled(&self) -> LineOutError {
        let source = io::Error::new(io::ErrorKind::TimedOut, "its place takes no more bytes");
        LineOutError { path: self.path.clone(), source: hound::Error::IoError(source) }
    }
}

/// Makes a file in place of one that may be there. The sandbox lets none be opened that is there.
fn create_anew(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(path)?;
            options.open(path)
        }
        made => made,
    }
}

impl Growing {
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
        let path = self.current();
        let file = if self.files == 1 { File::create(path)? } else { create_anew(&path)? };
        self.write_to(Arc::new(file), sample_rate)
    }

    fn write_to(&mut self, file: Arc<File>, sample_rate: u32) -> Result<(), hound::Error> {
        let spec = WavSpec { channels: 2, sample_rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
        let writer = WavWriter::new(BufWriter::new(Arc::clone(&file)), spec)?;
        self.open = Some(Open { writer, file, sample_rate });
        Ok(())
    }

    fn write(&mut self, frames: &[Frame], sample_rate: u32) {
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
        if let Some(open) = self.open.take_if(|open| open.sample_rate != sample_rate) {
            // A file without a frame takes the new rate; one with frames is complete.
            let empty = open.writer.len() == 0;
            open.writer.finalize()?;
            if empty {
                (&*open.file).rewind()?;
                self.write_to(open.file, sample_rate)?;
            } else {
                self.begin(sample_rate)?;
            }
        }
        let Some(Open { writer, .. }) = &mut self.open else { return Ok(()) };
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

    fn finish(&mut self) -> Result<(), LineOutError> {
        let finished = match self.open.take().map(|open| open.writer.finalize()) {
            Some(Err(source)) => Err(self.error(source)),
            _ => Ok(()),
        };
        let outcome = match self.failed.take() {
            Some(error) => Err(error),
            None if self.reported => Err(self.error(hound::Error::IoError(io::Error::other("it is incomplete")))),
            None => finished,
        };
        self.reported |= outcome.is_err();
        outcome
    }
}
