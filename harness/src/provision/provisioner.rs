//! Holds the cache while artefacts are provisioned.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::ProvisionError;
use super::workspace::Workspace;
use crate::event::{Event, Observer};
use crate::host::file_error::FileError;
use crate::host::interrupt;
use crate::host::leftovers::CACHE_LOCK;

/// The interval at which the lock of the cache is tried.
const POLL: Duration = Duration::from_millis(50);

/// Provisions artefacts. Holds the cache's lock as long as it lives.
pub struct Provisioner<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) observer: &'a dyn Observer,
    pub(super) overrides: Overrides,
    _lock: File,
}

/// Options of the command line that replace artefacts.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// A QEMU to use.
    pub qemu: Option<PathBuf>,
    /// A driver image to use instead of `dmuscard.sys`.
    pub driver: Option<PathBuf>,
    /// Build a `dmuscard.sys` with full debug information, beside the one that ships.
    pub full_debug_info: bool,
}

impl<'a> Provisioner<'a> {
    /// Waits until no other process provisions, and locks the cache.
    ///
    /// # Errors
    /// [`ProvisionError::File`] when the cache cannot be created, [`ProvisionError::Interrupted`] when the user interrupts.
    pub fn new(
        workspace: &'a Workspace,
        overrides: Overrides,
        observer: &'a dyn Observer,
    ) -> Result<Self, ProvisionError> {
        let cache = workspace.cache();
        fs::create_dir_all(workspace.logs()).map_err(FileError::own("create", &cache))?;
        let path = cache.join(CACHE_LOCK);
        let lock = File::create(&path).map_err(FileError::own("create", &path))?;
        if lock.try_lock().is_err() {
            observer.event(&Event::Note { text: "another dmus provisions; waiting for it".into() });
            while lock.try_lock().is_err() {
                if interrupt::requested() {
                    return Err(ProvisionError::Interrupted("waiting for another dmus".into()));
                }
                std::thread::sleep(POLL);
            }
        }
        Ok(Self { workspace, observer, overrides, _lock: lock })
    }

    /// Reports that work begins, to the observer and in `provision.log`.
    pub(super) fn begin(&self, what: &str, why: &str) {
        self.observer.event(&Event::Provisioning { what: what.into(), why: why.into() });
        self.journal(&format!("{what}: {why}"));
    }

    /// Reports an artefact and its path to the observer.
    pub(super) fn record(&self, what: &str, found: &str) {
        self.observer.event(&Event::Provisioned { what: what.into(), found: found.into() });
    }

    /// Appends to `provision.log`, which explains what was provisioned and why.
    pub(super) fn journal(&self, text: &str) {
        let path = self.workspace.cache().join("provision.log");
        if let Ok(mut file) = File::options().create(true).append(true).open(path) {
            // A run does not fail without the explanation.
            let _ = writeln!(file, "{} {text}", jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default());
        }
    }
}

/// Returns the canonical path of a file that the user named.
pub(super) fn named_file(path: &Path) -> Result<PathBuf, ProvisionError> {
    path.canonicalize().map_err(|error| FileError::input(path)(error).into())
}
