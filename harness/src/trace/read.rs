//! Reads the trace of a file, or of a run folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use card_trace::{Header, Item, ReadError, Reader, Record};

use crate::host::failure::{Class, Diagnosed};
use crate::host::interrupt;
use crate::machine::{CARD_TRACE, DEVICE_TRACE};

/// The interval at which a trace that is followed is read again.
const FOLLOW_EVERY: Duration = Duration::from_millis(50);

/// Why a trace is not read.
#[derive(Debug, thiserror::Error)]
#[error("the trace {path} {source}", path = path.display())]
pub struct TraceError {
    path: PathBuf,
    source: ReadError,
}

impl Diagnosed for TraceError {
    fn class(&self) -> Class {
        match self.source {
            ReadError::File(_) => Class::Usage,
            _ => Class::BadInput,
        }
    }

    fn remedy(&self) -> Option<String> {
        matches!(self.source, ReadError::File(_)).then(|| {
            format!(
                "name a file that a card has recorded with --trace, or a run folder with {CARD_TRACE} or {DEVICE_TRACE}"
            )
        })
    }
}

/// A trace that nothing writes any more.
#[derive(Debug)]
pub struct Trace {
    /// Its header.
    pub header: Header,
    /// Its records, oldest first.
    pub records: Vec<Record>,
    /// Slots of records that are not whole.
    pub gap_slots: u64,
}

impl Trace {
    /// Reads a trace, or that of a run folder.
    ///
    /// # Errors
    /// [`TraceError`] when there is none, or when the file is no trace that this program reads.
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let path = file_of(path);
        let (header, items) =
            Reader::open(&path).and_then(Reader::read_all).map_err(|source| TraceError { path, source })?;
        let mut gap_slots = 0;
        let mut records = Vec::new();
        for item in items {
            match item {
                Item::Record(record) => records.push(record),
                Item::Gap { slots } => gap_slots += slots,
            }
        }
        Ok(Self { header, records, gap_slots })
    }
}

/// Passes everything in a trace to `show`, and what is written to it from then on, until the program is interrupted.
///
/// # Errors
/// [`TraceError`] when there is no trace, or when it is damaged meanwhile.
pub fn follow(path: &Path, mut show: impl FnMut(&Item)) -> Result<(), TraceError> {
    let path = file_of(path);
    let failed = |source| TraceError { path: path.clone(), source };
    let mut reader = Reader::open(&path).map_err(failed)?;
    while !interrupt::requested() {
        reader.read_new().map_err(failed)?.iter().for_each(&mut show);
        std::thread::sleep(FOLLOW_EVERY);
    }
    Ok(())
}

/// Returns the trace of a run folder, or the file itself.
#[must_use]
pub fn file_of(path: &Path) -> PathBuf {
    let of_folder = [CARD_TRACE, DEVICE_TRACE].map(|name| path.join(name));
    let found = of_folder.iter().find(|file| file.exists()).unwrap_or(&of_folder[0]);
    if path.is_dir() { found.clone() } else { path.to_owned() }
}
