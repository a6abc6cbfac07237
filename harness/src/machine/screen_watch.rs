//! Watches the screen of a guest that starts from a disk for what a bug check shows, long before a time-out.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::disks::DUMP_DEVICE;
use super::qemu::Machine;
use super::screen;

/// The interval at which the screen is looked at: a picture takes QEMU some milliseconds.
const LOOK: Duration = Duration::from_secs(1);

/// How long a screen has to look like a bug check's while nothing is written to the disk for dumps: a system writes its dump with the same
/// screen, in pieces, and a picture may have been taken while the screen changed.
const SHOWN: Duration = Duration::from_secs(5);

/// What was seen so far.
#[derive(Debug)]
pub(super) struct ScreenWatch {
    picture: PathBuf,
    looked: Instant,
    /// Since when a bug check is shown and no dump grows, and how many bytes of it there are.
    shown: Option<(Instant, u64)>,
}

impl ScreenWatch {
    /// Begins to watch; the pictures are kept in a folder.
    pub(super) fn new(folder: &Path) -> Self {
        Self { picture: folder.join("screen.png"), looked: Instant::now(), shown: None }
    }

    /// Returns how the screen shows that the system has crashed, if it does.
    pub(super) fn crash(&mut self, machine: &mut Machine) -> Option<String> {
        if self.looked.elapsed() < LOOK {
            return None;
        }
        self.looked = Instant::now();
        machine.screen(&self.picture).ok()?;
        let Some(systems) = screen::bug_check(&self.picture) else {
            self.shown = None;
            return None;
        };
        let written = written(machine)?;
        let since = match self.shown {
            Some((since, before)) if before == written => since,
            _ => self.looked,
        };
        self.shown = Some((since, written));
        (since.elapsed() >= SHOWN).then(|| format!("its screen is that of a bug check of {systems}"))
    }
}

/// Returns how many bytes the guest has written to the disk for dumps.
fn written(machine: &mut Machine) -> Option<u64> {
    let answer = machine.execute("query-blockstats", None).ok()?;
    let dump = answer
        .as_array()?
        .iter()
        .find(|device| device["qdev"].as_str().is_some_and(|name| name.ends_with(DUMP_DEVICE)))?;
    dump["stats"]["wr_bytes"].as_u64()
}
