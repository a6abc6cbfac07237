//! Watches a guest that is being installed: what it says, what happens to it, and whether anything moves.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guest_protocol::{Deframer, Received, ToHost};

use super::error::{ImageError, Stop};
use super::said::{Lines, Said};
use super::screen;
use crate::host::file_error::FileError;
use crate::machine::installer::{Happened, Installer};

/// The interval at which screen and disks are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Pictures of the screen that are remembered: a cursor that blinks or a ring that turns shows the same ones again, which is no progress.
const PICTURES_MAX: usize = 64;

/// A sign of the guest.
#[derive(Debug)]
pub(super) enum Sign {
    /// The script said something.
    Said(Said),
    /// The agent sent a message.
    Message(ToHost),
    /// Something happened to the machine.
    Happened(Happened),
}

/// The watch.
pub(super) struct Watch {
    /// The machine.
    pub(super) machine: Installer,
    latest: PathBuf,
    console: File,
    lines: Lines,
    deframer: Deframer,
    pictures: BTreeSet<[u8; 32]>,
    /// Bytes read from the disc, and written to the disk.
    transferred: (u64, u64),
    moved: Instant,
    looked: Option<Instant>,
}

impl Watch {
    /// Watches a machine; its console's text is appended to a file of the folder.
    ///
    /// # Errors
    /// [`ImageError::File`] when that cannot be opened.
    pub(super) fn new(machine: Installer, folder: &Path) -> Result<Self, ImageError> {
        let path = folder.join("console.log");
        let console = File::options().create(true).append(true).open(&path).map_err(FileError::own("write", &path))?;
        Ok(Self {
            machine,
            latest: folder.join("screen.png"),
            console,
            lines: Lines::default(),
            deframer: Deframer::new(),
            pictures: BTreeSet::new(),
            transferred: (0, 0),
            moved: Instant::now(),
            looked: None,
        })
    }

    /// Returns what the guest has shown since the last time.
    ///
    /// # Errors
    /// [`Stop::Qemu`] when QEMU has ended.
    pub(super) fn signs(&mut self) -> Result<Vec<Sign>, Stop> {
        let happened = self.machine.happened();
        let received = self.machine.receive();
        let (Ok(happened), Ok(received)) = (happened, received) else { return Err(self.ended()) };
        let mut signs = Vec::new();
        if !received.is_empty() {
            self.moved = Instant::now();
            // A log that cannot be written costs no image; a full disk stops the guest by itself.
            let _ = self.console.write_all(&received);
            signs.extend(self.lines.push(&received).into_iter().map(Sign::Said));
            signs.extend(self.deframer.push(&received).into_iter().filter_map(|received| match received {
                Received::Message(message) => Some(Sign::Message(message)),
                Received::Text(_) => None,
            }));
        }
        signs.extend(happened.into_iter().map(Sign::Happened));
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            self.looked = Some(Instant::now());
            let Ok(transferred) = self.machine.transferred() else { return Err(self.ended()) };
            let is_new_picture = self.keep_screen().is_some_and(|picture| self.pictures.insert(picture));
            if self.pictures.len() > PICTURES_MAX {
                self.pictures.clear();
            }
            if transferred != self.transferred || is_new_picture {
                self.transferred = transferred;
                self.moved = Instant::now();
            }
        }
        Ok(signs)
    }

    /// Writes the screen to its file, and returns a hash of it; `None` where QEMU gives none.
    fn keep_screen(&mut self) -> Option<[u8; 32]> {
        self.machine.screen(&self.latest).ok()?;
        screen::hash(&self.latest)
    }

    /// Writes the screen to its file once more, and returns that; where QEMU gives none, the last one that it gave.
    pub(super) fn screen(&mut self) -> Option<PathBuf> {
        self.keep_screen();
        self.latest.is_file().then(|| self.latest.clone())
    }

    /// Returns for how long nothing has moved.
    pub(super) fn still(&self) -> Duration {
        self.moved.elapsed()
    }

    /// Returns how many bytes the guest has read from the disc.
    pub(super) const fn disc_read(&self) -> u64 {
        self.transferred.0
    }

    /// Begins anew with what a restart ends: half a line, half a frame.
    pub(super) fn restarted(&mut self) {
        self.lines = Lines::default();
        self.deframer = Deframer::new();
        self.moved = Instant::now();
    }

    fn ended(&mut self) -> Stop {
        let ended =
            self.machine.ended().map_or_else(|| "its monitor does not answer".into(), |ended| ended.to_string());
        let tail = self.machine.tail();
        Stop::Qemu { ended: if tail.is_empty() { ended } else { format!("{ended}\n{tail}") } }
    }
}
