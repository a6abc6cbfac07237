//! Where live MIDI comes from.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, OFlags};
use rustix::io::Errno;

use super::parser::{Garbage, LiveParser};
#[cfg(feature = "midir")]
use super::port::{Brought, Port, PortError};
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::sound::midi::{MidiError, MidiMessage, Song};

/// The first bytes of a Standard MIDI File.
const SONG: &[u8] = b"MThd";

/// What stands before the name of a port that has no file.
const PORT: &str = "port:";

/// The time of a byte on a MIDI cable: ten bits at 31250 baud.
const BYTE_TIME: Duration = Duration::from_micros(320);

/// Bytes that are read at once.
const CHUNK: usize = 256;

/// Why there is no live MIDI.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// It is neither a file, nor a FIFO, nor a device.
    #[error("{} is {kind}, and live MIDI comes from a file, a FIFO or a MIDI device", path.display())]
    Kind {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// It is a named port, and this program was built without the feature that takes them.
    #[error("`{0}` is a MIDI port without a file, and this dmus was built without the feature midir")]
    NotBuilt(String),
    /// There is no such port.
    #[cfg(feature = "midir")]
    #[error(transparent)]
    Port(#[from] PortError),
    /// It is no song.
    #[error(transparent)]
    Song(#[from] MidiError),
    /// It cannot be opened or read.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Diagnosed for LiveError {
    fn class(&self) -> Class {
        match self {
            Self::Kind { .. } => Class::Usage,
            Self::NotBuilt(_) => Class::MissingArtefact,
            #[cfg(feature = "midir")]
            Self::Port(PortError::Name { .. }) => Class::Usage,
            #[cfg(feature = "midir")]
            Self::Port(_) => Class::Host,
            Self::Song(error) => error.class(),
            Self::File(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Kind { .. } => {
                Some("name a .mid file, a FIFO (mkfifo), or a device such as /dev/snd/midiC1D0".into())
            }
            Self::NotBuilt(_) => {
                Some("build it with --features midir, or name the device's file, such as /dev/snd/midiC1D0".into())
            }
            #[cfg(feature = "midir")]
            Self::Port(_) => Some("name one of them, or a file, a FIFO (mkfifo) or a device".into()),
            Self::Song(error) => error.remedy(),
            Self::File(error) => error.remedy(),
        }
    }
}

/// Returns the name of a port, where a source is one: a file of that name goes first.
fn port_of(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix(PORT).filter(|_| !path.exists())
}

#[derive(Debug)]
enum Source {
    /// A song; its events from this one on are still to come.
    Song { song: Song, next: usize },
    /// Bytes, as a cable carries them.
    Bytes { bytes: Vec<u8>, next: usize },
    /// A FIFO; whether something has written to it since it was opened.
    Fifo { file: File, written: bool },
    /// A device.
    Device(File),
    /// A named port.
    #[cfg(feature = "midir")]
    Port(Port),
    /// It has ended.
    Ended,
}

/// What carries live MIDI.
enum Kind {
    File,
    Fifo,
    Device,
}

impl Kind {
    fn of(path: &Path) -> Result<Self, LiveError> {
        let kind = std::fs::metadata(path).map_err(FileError::input(path))?.file_type();
        if kind.is_file() {
            Ok(Self::File)
        } else if kind.is_fifo() {
            Ok(Self::Fifo)
        } else if kind.is_char_device() {
            Ok(Self::Device)
        } else {
            let kind = if kind.is_dir() {
                "a folder"
            } else if kind.is_socket() {
                "a socket"
            } else {
                "a block device"
            };
            Err(LiveError::Kind { path: path.into(), kind })
        }
    }
}

/// What has come.
#[derive(Debug, Default)]
pub struct Polled {
    /// Whole messages, in their order. Their times count from the beginning of the input, in nanoseconds.
    pub messages: Vec<MidiMessage>,
    /// What happened to the source, for the user.
    pub notes: Vec<String>,
    /// Nothing comes any more.
    pub ended: bool,
}

/// Live MIDI.
#[derive(Debug)]
pub struct LiveInput {
    path: PathBuf,
    source: Source,
    parser: LiveParser,
    begun: Instant,
}

impl LiveInput {
    /// Checks that a source can be opened, without opening a FIFO or a device: a writer that waits for its reader goes on waiting.
    ///
    /// # Errors
    /// As [`open`](Self::open) has them.
    pub fn check(path: &Path) -> Result<(), LiveError> {
        if let Some(name) = port_of(path) {
            #[cfg(feature = "midir")]
            return Ok(Port::find(name).map(drop)?);
            #[cfg(not(feature = "midir"))]
            return Err(LiveError::NotBuilt(name.into()));
        }
        match Kind::of(path)? {
            Kind::File => read_file(path).map(drop),
            Kind::Fifo | Kind::Device => {
                let readable = rustix::fs::access(path, Access::READ_OK).map_err(io::Error::from);
                Ok(readable.map_err(FileError::input(path))?)
            }
        }
    }

    /// Opens a file, a FIFO, a device, or a port by `port:` and a part of its name; none of them is waited for.
    ///
    /// # Errors
    /// [`LiveError::Kind`] for anything else, [`LiveError::Song`] for a Standard MIDI File that is malformed, [`LiveError::File`] for
    /// what cannot be opened; for a port [`LiveError::NotBuilt`] without the feature `midir`, and with it `LiveError::Port` where
    /// there is no such port.
    pub fn open(path: &Path) -> Result<Self, LiveError> {
        if let Some(name) = port_of(path) {
            #[cfg(feature = "midir")]
            return Ok(Self {
                path: path.into(),
                source: Source::Port(Port::open(name)?),
                parser: LiveParser::default(),
                begun: Instant::now(),
            });
            #[cfg(not(feature = "midir"))]
            return Err(LiveError::NotBuilt(name.into()));
        }
        let source = match Kind::of(path)? {
            Kind::File => read_file(path)?,
            Kind::Fifo => Source::Fifo { file: open_to_poll(path)?, written: false },
            Kind::Device => Source::Device(open_to_poll(path)?),
        };
        Ok(Self { path: path.into(), source, parser: LiveParser::default(), begun: Instant::now() })
    }

    /// Begins: songs and bytes of files count from now.
    pub fn begin(&mut self) {
        self.begun = Instant::now();
    }

    /// Waits for messages, at most as long as `wait`.
    ///
    /// # Errors
    /// [`LiveError::File`] for a FIFO or a device that cannot be read.
    pub fn poll(&mut self, wait: Duration) -> Result<Polled, LiveError> {
        let mut polled = Polled::default();
        let mut chunk = [0; CHUNK];
        let count = match &mut self.source {
            Source::Song { song, next } => {
                let elapsed = self.begun.elapsed();
                let due = |time: u64| Duration::from_nanos(time.saturating_mul(100));
                while let Some(event) = song.events.get(*next).filter(|event| due(event.time) <= elapsed) {
                    polled
                        .messages
                        .push(MidiMessage { time_ns: elapsed.as_nanos() as u64, bytes: event.bytes.clone() });
                    *next += 1;
                }
                polled.ended = *next == song.events.len();
                if polled.messages.is_empty() && !polled.ended {
                    let until = song.events.get(*next).map_or(wait, |event| due(event.time).saturating_sub(elapsed));
                    std::thread::sleep(until.min(wait));
                }
                return Ok(polled);
            }
            Source::Bytes { bytes, next } => {
                let due = (self.begun.elapsed().as_nanos() / BYTE_TIME.as_nanos()) as usize;
                let ready = bytes[*next..].len().min(due.saturating_sub(*next)).min(CHUNK);
                if ready == 0 && *next < bytes.len() {
                    std::thread::sleep(wait.min(BYTE_TIME));
                }
                chunk[..ready].copy_from_slice(&bytes[*next..*next + ready]);
                *next += ready;
                polled.ended = *next == bytes.len();
                Some(ready)
            }
            Source::Fifo { file, .. } | Source::Device(file) => {
                read_within(file, &mut chunk, wait).map_err(FileError::own("read", &self.path))?
            }
            #[cfg(feature = "midir")]
            Source::Port(port) => {
                if port.has_lost() {
                    polled.notes.push(format!(
                        "{}: messages came faster than they were taken, and are lost",
                        self.path.display()
                    ));
                }
                match port.poll(wait) {
                    Brought::Bytes(bytes) => {
                        polled.messages = self.parser.push(self.begun.elapsed().as_nanos() as u64, &bytes);
                        return Ok(polled);
                    }
                    Brought::Gone => None,
                }
            }
            Source::Ended => {
                polled.ended = true;
                Some(0)
            }
        };
        match count {
            Some(count) => {
                let now = self.begun.elapsed().as_nanos() as u64;
                if let Source::Fifo { written, .. } = &mut self.source {
                    *written |= count > 0;
                }
                polled.messages = self.parser.push(now, &chunk[..count]);
            }
            None => self.writer_has_gone(&mut polled)?,
        }
        if polled.ended {
            self.parser.cut();
        }
        Ok(polled)
    }

    /// A FIFO without a writer waits for the next one; a device that ends has been unplugged.
    fn writer_has_gone(&mut self, polled: &mut Polled) -> Result<(), LiveError> {
        self.parser.cut();
        match &mut self.source {
            Source::Fifo { file, written } => {
                if std::mem::take(written) {
                    polled.notes.push(format!("{}: closed by its writer; it waits for the next", self.path.display()));
                }
                // One that has had no writer since it was opened is polled in silence.
                *file = open_to_poll(&self.path)?;
            }
            _ => {
                polled.notes.push(format!("{}: the device has gone", self.path.display()));
                polled.ended = true;
                self.source = Source::Ended;
            }
        }
        Ok(())
    }

    /// Returns how many bytes came over a FIFO, from a device, or of a file that is no song.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.parser.bytes()
    }

    /// Returns what of them was no message.
    #[must_use]
    pub const fn garbage(&self) -> &Garbage {
        self.parser.garbage()
    }
}

/// Reads a song, or bytes.
fn read_file(path: &Path) -> Result<Source, LiveError> {
    let bytes = std::fs::read(path).map_err(FileError::input(path))?;
    if !bytes.starts_with(SONG) {
        return Ok(Source::Bytes { bytes, next: 0 });
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    Ok(Source::Song { song: Song::parse(&name, &bytes)?, next: 0 })
}

/// Opens a file whose reads do not wait.
fn open_to_poll(path: &Path) -> Result<File, LiveError> {
    let mut options = OpenOptions::new();
    let flags = (OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY).bits();
    Ok(options.read(true).custom_flags(flags.cast_signed()).open(path).map_err(FileError::input(path))?)
}

/// Reads what there is within a time. `None` at an end: there is no writer, or no device, any more.
fn read_within(file: &mut File, chunk: &mut [u8], wait: Duration) -> io::Result<Option<usize>> {
    let wait = Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: wait.subsec_nanos().into() };
    let mut fds = [PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN)];
    match poll(&mut fds, Some(&wait)) {
        Ok(0) | Err(Errno::INTR) => return Ok(Some(0)),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    match file.read(chunk) {
        Ok(0) => Ok(None),
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(Some(0)),
        Err(error)
            if [Errno::NODEV, Errno::IO].map(Errno::raw_os_error).contains(&error.raw_os_error().unwrap_or(0)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::host::leftovers::Scratch;

    const SHORT: Duration = Duration::from_millis(5);

    fn fifo(folder: &Path) -> PathBuf {
        let path = folder.join("keys");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        path
    }

    /// Polls until so many messages have come, or the input has ended.
    fn messages(input: &mut LiveInput, count: usize, notes: &mut Vec<String>) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while found.len() < count {
            let polled = input.poll(SHORT).unwrap();
            found.extend(polled.messages.into_iter().map(|message| message.bytes));
            notes.extend(polled.notes);
            if polled.ended {
                break;
            }
        }
        found
    }

    #[test]
    fn a_fifo_is_not_waited_for_and_may_be_closed_and_opened_again() {
        let folder = Scratch::new().unwrap();
        let path = fifo(folder.path());
        let mut input = LiveInput::open(&path).unwrap();
        for _ in 0..3 {
            let polled = input.poll(SHORT).unwrap();
            assert!(polled.messages.is_empty() && polled.notes.is_empty() && !polled.ended);
        }
        let mut notes = Vec::new();
        for key in [60, 62] {
            let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
            writer.write_all(&[0x90, key, 100, 0x90]).unwrap();
            assert_eq!(messages(&mut input, 1, &mut notes), [vec![0x90, key, 100]]);
            drop(writer);
            // The end of the writer.
            while notes.len() < usize::from(key - 58) / 2 {
                notes.extend(input.poll(SHORT).unwrap().notes);
            }
        }
        assert!(notes[1].ends_with("closed by its writer; it waits for the next"), "{notes:?}");
        assert_eq!((input.bytes(), input.garbage().bytes), (8, 2), "the status byte before each end");
    }

    #[test]
    fn bytes_of_a_file_come_as_a_cable_carries_them_and_end() {
        let folder = Scratch::new().unwrap();
        let path = folder.path().join("bytes");
        std::fs::write(&path, [0xC0, 5, 0x90, 1, 2, 3, 4, 0x33]).unwrap();
        let mut input = LiveInput::open(&path).unwrap();
        input.begin();
        let found = messages(&mut input, usize::MAX, &mut Vec::new());
        assert_eq!(found, [vec![0xC0, 5], vec![0x90, 1, 2], vec![0x90, 3, 4]]);
        assert_eq!(input.garbage().named, ["before byte 8: the stream ends within a message of 2 bytes so far"]);
    }

    #[test]
    fn a_port_that_cannot_be_had_is_named_with_the_remedy() {
        for refused in [
            LiveInput::check(Path::new("port:a keyboard of nowhere")).unwrap_err(),
            LiveInput::open(Path::new("port:a keyboard of nowhere")).unwrap_err(),
        ] {
            assert!(refused.remedy().unwrap().contains("device"), "{refused}");
            if cfg!(not(feature = "midir")) {
                assert!(refused.to_string().contains("without the feature midir"), "{refused}");
                assert_eq!(refused.class(), Class::MissingArtefact);
            }
        }
        let folder = Scratch::new().unwrap();
        assert!(port_of(&folder.path().join("port:x")).is_none(), "only at the beginning");
    }

    #[test]
    fn what_cannot_carry_midi_is_refused_by_what_it_is() {
        let folder = Scratch::new().unwrap();
        let error = LiveInput::open(folder.path()).unwrap_err();
        assert_eq!(error.class(), Class::Usage);
        assert!(error.to_string().contains(" is a folder, and live MIDI comes from"), "{error}");
        let error = LiveInput::open(&folder.path().join("none")).unwrap_err();
        assert!(matches!(error, LiveError::File(_)), "{error}");
    }
}
