//! Watches a guest that is being installed: what it says, what happens to it, and whether anything moves.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guest_protocol::line::{Arrived, LineError, ReliableLine, Side};
use guest_protocol::{ToGuest, ToHost, decode_message, encode_message};

use super::error::{ImageError, Stop};
use super::said::{Lines, Said};
use crate::host::file_error::FileError;
use crate::machine::installer::{Happened, Installer};
use crate::machine::screen;

/// The interval at which screen and disks are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Pictures of the screen that are remembered: a cursor that blinks or a ring that turns shows the same ones again, which is no progress.
const PICTURES_MAX: usize = 64;

/// How long a screen has to look like a bug check's, seen more than once: one picture may have been taken while the screen changed.
const CRASH_SHOWN: Duration = Duration::from_secs(5);

/// A sign of the guest.
#[derive(Debug)]
pub(super) enum Sign {
    /// The script said something.
    Said(Said),
    /// The agent sent a message.
    Message(ToHost),
    /// The agent sent so many bytes that are no message of this protocol's version.
    Foreign(usize),
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
    line: ReliableLine,
    since: Instant,
    pictures: BTreeSet<[u8; 32]>,
    /// Bytes read from the disc, and written to the disk.
    transferred: (u64, u64),
    moved: Instant,
    /// When disc, disk or COM1 moved last, whatever the screen shows.
    worked: Instant,
    looked: Option<Instant>,
    /// The last picture, and which Windows have bug checks that look so.
    picture: Option<([u8; 32], Option<&'static str>)>,
    /// Since when the screen looks like a bug check's.
    crash_since: Option<Instant>,
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
            line: new_line(),
            since: Instant::now(),
            pictures: BTreeSet::new(),
            transferred: (0, 0),
            moved: Instant::now(),
            worked: Instant::now(),
            looked: None,
            picture: None,
            crash_since: None,
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
            self.worked = self.moved;
            // A log that cannot be written costs no image; a full disk stops the guest by itself.
            let _ = self.console.write_all(&received);
            signs.extend(self.lines.push(&received).into_iter().map(Sign::Said));
        }
        let arrived = self.line.receive(&received, self.now_ms());
        signs.extend(arrived.into_iter().filter_map(|arrived| match arrived {
            Arrived::Message(bytes) => Some(decode_message(&bytes).map_or(Sign::Foreign(bytes.len()), Sign::Message)),
            // An agent that has connected says that it is ready; text has been looked at above.
            Arrived::Connected { .. } | Arrived::Text(_) => None,
        }));
        if self.transmit().is_err() {
            return Err(self.ended());
        }
        signs.extend(happened.into_iter().map(Sign::Happened));
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            self.looked = Some(Instant::now());
            let Ok(transferred) = self.machine.transferred() else { return Err(self.ended()) };
            let is_new_picture = self.keep_screen().is_some_and(|picture| self.pictures.insert(picture));
            if self.pictures.len() > PICTURES_MAX {
                self.pictures.clear();
            }
            if transferred != self.transferred {
                self.worked = Instant::now();
            }
            if transferred != self.transferred || is_new_picture {
                self.transferred = transferred;
                self.moved = Instant::now();
            }
            self.look_for_crash();
        }
        Ok(signs)
    }

    /// Sends a message to the agent that has connected.
    ///
    /// # Errors
    /// [`LineError`], when the agent does not take the message.
    pub(super) fn send(&mut self, message: &ToGuest) -> Result<(), LineError> {
        self.line.send(&encode_message(message).unwrap_or_default())
    }

    /// Writes what the line has to say, which is nothing before an agent was heard: firmware would take it for keys.
    fn transmit(&mut self) -> std::io::Result<()> {
        let bytes = self.line.transmit(self.now_ms());
        if bytes.is_empty() { Ok(()) } else { self.machine.send(&bytes) }
    }

    fn now_ms(&self) -> u64 {
        self.since.elapsed().as_millis() as u64
    }

    /// Writes the screen to its file, and returns a hash of it; `None` where QEMU gives none.
    fn keep_screen(&mut self) -> Option<[u8; 32]> {
        self.machine.screen(&self.latest).ok()?;
        screen::hash(&self.latest)
    }

    /// Notes since when the screen looks like a bug check's while nothing works. A guest that works is not looked at: pictures are large.
    fn look_for_crash(&mut self) {
        let systems = match screen::hash(&self.latest).filter(|_| self.worked.elapsed() >= CRASH_SHOWN) {
            Some(hash) => match self.picture {
                Some((known, systems)) if known == hash => systems,
                _ => {
                    let systems = screen::bug_check(&self.latest);
                    self.picture = Some((hash, systems));
                    systems
                }
            },
            None => None,
        };
        self.crash_since = systems.and(self.crash_since.or_else(|| Some(Instant::now())));
    }

    /// Returns which Windows have bug checks that look as the screen does, where it has looked so for some seconds and neither disc, disk nor
    /// COM1 has moved for a time.
    pub(super) fn crashed(&self, quiet: Duration) -> Option<&'static str> {
        let shown = self.crash_since.is_some_and(|since| since.elapsed() >= CRASH_SHOWN);
        let (_, systems) = self.picture.filter(|_| shown && self.worked.elapsed() >= quiet)?;
        systems
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

    /// Begins anew with what a restart ends: half a line, the conversation with the agent.
    pub(super) fn restarted(&mut self) {
        self.lines = Lines::default();
        self.line = new_line();
        self.moved = Instant::now();
        self.worked = self.moved;
        self.crash_since = None;
    }

    fn ended(&mut self) -> Stop {
        let ended =
            self.machine.ended().map_or_else(|| "its monitor does not answer".into(), |ended| ended.to_string());
        let tail = self.machine.tail();
        Stop::Qemu { ended: if tail.is_empty() { ended } else { format!("{ended}\n{tail}") } }
    }
}

/// Returns the harness's end of a line, with an epoch that it has not had before.
fn new_line() -> ReliableLine {
    // The last bits of a version 7 identifier are random.
    ReliableLine::new(Side::Harness, uuid::Uuid::now_v7().as_u128() as u32)
}
