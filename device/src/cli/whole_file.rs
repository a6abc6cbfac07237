//! Writes files that appear whole, or not at all: beside their path, and moved there when they are complete.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::mem;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hound::{SampleFormat, WavSpec, WavWriter};
use parking_lot::Mutex;
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, linkat};
use rustix::io::Errno;
use tempfile::{Builder, NamedTempFile};

/// The longest time for a thread to hold the list of files while the process is to end. It takes microseconds on a disk
/// that answers.
const NAMING_TIME_MAX: Duration = Duration::from_millis(50);

/// The files that the process would leave behind if it ended now, and how many it has completed.
static NAMES: Mutex<Names> = Mutex::new(Names { unfinished: BTreeSet::new(), complete: 0 });

struct Names {
    /// Files, and folders that were made for them.
    unfinished: BTreeSet<PathBuf>,
    complete: usize,
}

/// Removes every file that is not finished, and lets none be finished any more, because the process is about to end.
/// Returns how many files have been finished.
pub fn abandon_all() -> usize {
    let Some(mut names) = NAMES.try_lock_for(NAMING_TIME_MAX) else { return 0 };
    let mut unfinished = mem::take(&mut names.unfinished);
    unfinished.retain(|file| fs::remove_file(file).is_err());
    for folder in unfinished {
        let _ = fs::remove_dir(folder);
    }
    let complete = names.complete;
    // For good: other threads stop where they would name a file.
    mem::forget(names);
    complete
}

/// A file or a folder that is removed when the process is interrupted, until this is dropped.
#[derive(Debug)]
pub struct Unfinished(PathBuf);

impl Unfinished {
    /// Makes a folder.
    ///
    /// # Errors
    /// The host's error, when it cannot be made.
    pub fn folder(path: &Path) -> io::Result<Self> {
        let mut names = NAMES.lock();
        fs::create_dir(path)?;
        Ok(Self::named(&mut names, path))
    }

    fn named(names: &mut Names, path: &Path) -> Self {
        names.unfinished.insert(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        NAMES.lock().unfinished.remove(&self.0);
    }
}

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}; give it a writable place with room, nothing was left there", path.display())]
pub struct WholeFileError {
    /// Its path.
    pub path: PathBuf,
    /// The error of the host.
    pub source: io::Error,
}

/// A file in the making.
#[derive(Debug)]
pub struct WholeFile {
    path: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    /// A file without a name in the folder of its path: however this process ends, nothing is left of it.
    Nameless(File),
    /// A file beside its path, removed with this value unless it is finished.
    Beside(NamedTempFile, Unfinished),
    /// A pipe or a device, which is written to and not replaced.
    Special(File),
}

impl WholeFile {
    /// Prepares to write the file at `path`. A file that is there stays until [`finish`](Self::finish).
    ///
    /// # Errors
    /// [`WholeFileError`], when no file can be written there.
    pub fn create(path: &Path) -> Result<Self, WholeFileError> {
        Self::try_create(path).map_err(|source| WholeFileError { path: path.to_owned(), source })
    }

    fn try_create(path: &Path) -> io::Result<Self> {
        let place = place_of(path);
        let target = match fs::metadata(&place) {
            Ok(there) if !there.is_file() => Target::Special(File::options().write(true).open(&place)?),
            there => {
                // A file that must not be written to is not replaced either.
                if there.is_ok() {
                    accessat(CWD, &place, Access::WRITE_OK, AtFlags::empty())?;
                }
                let folder = folder_of(&place);
                match nameless(folder) {
                    Some(file) => Target::Nameless(file),
                    None => beside(folder)?,
                }
            }
        };
        Ok(Self { path: place, target })
    }

    /// Moves the file to its path.
    ///
    /// # Errors
    /// [`WholeFileError`], when the disk is full or the folder has gone.
    pub fn finish(self) -> Result<(), WholeFileError> {
        let Self { path, target } = self;
        let done = match target {
            Target::Nameless(file) => {
                let mut names = NAMES.lock();
                let done = name(&file, &path);
                names.complete += usize::from(done.is_ok());
                done
            }
            Target::Beside(file, _unfinished) => {
                let mut names = NAMES.lock();
                let done = file.persist(&path).map(drop).map_err(|error| error.error);
                names.complete += usize::from(done.is_ok());
                done
            }
            Target::Special(mut file) => file.flush(),
        };
        done.map_err(|source| WholeFileError { path, source })
    }

    /// Writes these bytes and moves the file to its path.
    ///
    /// # Errors
    /// [`WholeFileError`], when the disk is full or the folder has gone.
    pub fn complete(mut self, bytes: &[u8]) -> Result<(), WholeFileError> {
        self.write_all(bytes).map_err(|source| WholeFileError { path: self.path.clone(), source })?;
        self.finish()
    }

    /// Returns the path that the file will have.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Returns the path at which the file of `path` is replaced: a link stays a link, and the file that it leads to is replaced.
#[must_use]
pub fn place_of(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// What the user's mask leaves of it is the mode of a finished file, as of any file.
const MODE: u32 = 0o666;

/// Makes a file without a name. `None`: the file system has none, or the kernel shows no way to name it.
fn nameless(folder: &Path) -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file: File = rustix::fs::open(folder, flags, Mode::from_raw_mode(MODE)).ok()?.into();
    by_descriptor(&file).exists().then_some(file)
}

/// Returns the path by which the kernel leads to an open file.
fn by_descriptor(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Gives a nameless file its name. A file that has the name already is replaced at once.
fn name(file: &File, path: &Path) -> io::Result<()> {
    let link = |path: &Path| linkat(CWD, by_descriptor(file), CWD, path, AtFlags::SYMLINK_FOLLOW);
    match link(path) {
        Err(Errno::EXIST) => {
            let mut builder = Builder::new();
            builder.prefix(".").suffix(".partial");
            let named = builder.make_in(folder_of(path), |path| Ok(link(path)?))?;
            named.into_temp_path().persist(path).map_err(|error| error.error)
        }
        done => Ok(done?),
    }
}

/// Makes a file beside its path.
fn beside(folder: &Path) -> io::Result<Target> {
    let mut builder = Builder::new();
    builder.prefix(".").suffix(".partial");
    let mut names = NAMES.lock();
    let mut options = File::options();
    options.write(true).create_new(true).mode(MODE);
    let file = builder.make_in(folder, |path| options.open(path))?;
    let unfinished = Unfinished::named(&mut names, file.path());
    Ok(Target::Beside(file, unfinished))
}

/// Returns the folder of a path.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::Beside(file, _) => file.write(bytes),
            Target::Nameless(file) | Target::Special(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Beside(file, _) => file.flush(),
            Target::Nameless(file) | Target::Special(file) => file.flush(),
        }
    }
}

impl Seek for WholeFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.target {
            Target::Beside(file, _) => file.seek(to),
            Target::Nameless(file) | Target::Special(file) => file.seek(to),
        }
    }
}

/// A stereo WAV file in the making.
pub struct WholeWav {
    path: PathBuf,
    writer: WavWriter<BufWriter<Shared>>,
    file: Shared,
}

/// Shares a file with the writer of the WAV format, which does not give it back.
#[derive(Clone)]
struct Shared(std::rc::Rc<std::cell::RefCell<WholeFile>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().flush()
    }
}

impl Seek for Shared {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.borrow_mut().seek(to)
    }
}

impl WholeWav {
    /// Prepares a file of 16-bit samples, or of 32-bit floating point ones.
    ///
    /// # Errors
    /// [`WholeFileError`], when no file can be written there.
    pub fn create(path: &Path, sample_rate: u32, float: bool) -> Result<Self, WholeFileError> {
        let (bits_per_sample, sample_format) = if float { (32, SampleFormat::Float) } else { (16, SampleFormat::Int) };
        let spec = WavSpec { channels: 2, sample_rate, bits_per_sample, sample_format };
        let file = Shared(std::rc::Rc::new(std::cell::RefCell::new(WholeFile::create(path)?)));
        let writer = WavWriter::new(BufWriter::new(file.clone()), spec)
            .map_err(|error| WholeFileError { path: path.to_owned(), source: to_io(error) })?;
        Ok(Self { path: path.to_owned(), writer, file })
    }

    /// Appends a sample, of the kind that the file was made for.
    ///
    /// # Errors
    /// [`WholeFileError`], when the disk is full.
    pub fn write(&mut self, sample: impl hound::Sample) -> Result<(), WholeFileError> {
        let path = &self.path;
        self.writer.write_sample(sample).map_err(|error| WholeFileError { path: path.clone(), source: to_io(error) })
    }

    /// Moves the file to its path.
    ///
    /// # Errors
    /// [`WholeFileError`], when the disk is full or the folder has gone.
    pub fn finish(self) -> Result<(), WholeFileError> {
        let Self { path, writer, file } = self;
        writer.finalize().map_err(|error| WholeFileError { path, source: to_io(error) })?;
        let file = std::rc::Rc::into_inner(file.0).expect("the writer of the format has ended").into_inner();
        file.finish()
    }
}

fn to_io(error: hound::Error) -> io::Error {
    match error {
        hound::Error::IoError(error) => error,
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_unfinished_file_is_removed_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song.wav");
        fs::write(&path, "before").unwrap();
        let mut wav = WholeWav::create(&path, 48_000, false).unwrap();
        wav.write(1_i16).unwrap();
        drop(wav);
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn a_file_in_the_making_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("song.wav");
        for before in [false, true] {
            let mut file = WholeFile::create(&path).unwrap();
            if !matches!(file.target, Target::Nameless(_)) {
                // This file system has none.
                return;
            }
            file.write_all(b"new").unwrap();
            assert_eq!(fs::read_dir(&folder).unwrap().count(), usize::from(before));
            file.finish().unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        // Where there are none, a file beside its path does the same.
        let Target::Beside(mut file, unfinished) = beside(folder.path()).unwrap() else { panic!("it has a name") };
        file.write_all(b"newer").unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        WholeFile { path: path.clone(), target: Target::Beside(file, unfinished) }.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"newer");
    }

    #[test]
    fn a_finished_file_has_the_permissions_of_any_file() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        File::create(&plain).unwrap();
        let path = folder.path().join("song.wav");
        let mut wav = WholeWav::create(&path, 48_000, true).unwrap();
        for sample in [0.5_f32, -0.5] {
            wav.write(sample).unwrap();
        }
        wav.finish().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain));
        let read: Vec<f32> = hound::WavReader::open(&path).unwrap().samples().map(Result::unwrap).collect();
        assert_eq!(read, [0.5, -0.5]);
    }

    #[test]
    fn writes_to_a_device_and_keeps_it() {
        WholeFile::create(Path::new("/dev/null")).unwrap().complete(b"nothing").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn writes_through_a_link_and_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("there"), folder.path().join("link"));
        fs::write(&path, "before").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        WholeFile::create(&link).unwrap().complete(b"after").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"after");
    }

    #[test]
    fn an_error_names_a_path_that_cannot_be_written_to() {
        let error = WholeFile::create(Path::new("/no/such/folder/song.wav")).unwrap_err();
        assert!(error.to_string().contains("/no/such/folder/song.wav"), "{error}");
    }
}
