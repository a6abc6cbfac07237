//! A recording that can be replayed: whole, with what its card was started with.

use std::io;

use card_control::PROGRAM;
use card_trace::{Act, CardStart, Header, Item, ReadError, Reader, Record, Source};

/// Why a trace cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read.
    #[error("the recording {path} cannot be read: {source}")]
    File {
        /// Its path.
        path: String,
        /// The host's error.
        source: io::Error,
    },
    /// It is no trace that this program reads.
    #[error("the recording {path} {source}")]
    Read {
        /// Its path.
        path: String,
        /// What is wrong with it.
        source: ReadError,
    },
    /// Records are missing.
    #[error(
        "the recording has lost records ({overwritten} overwritten, {gap_slots} slots not whole), so the card cannot be brought to where it was; \
         record with a larger ring (--trace FILE,size=256M)"
    )]
    Lost {
        /// Records that were overwritten.
        overwritten: u64,
        /// Slots that are not whole.
        gap_slots: u64,
    },
    /// What the driver sent is cut.
    #[error(
        "record {number} of the recording holds only a part of what the driver sent; record with a larger ring (--trace FILE,size=256M)"
    )]
    Cut {
        /// The record.
        number: u64,
    },
    /// Recording was switched off for a while.
    #[error(
        "recording was stopped (record {number}), so what the driver did until it went on is not known; record without `trace off`"
    )]
    Stopped {
        /// The record.
        number: u64,
    },
    /// There is no record of how the card was started.
    #[error(
        "the recording does not say with which bank and options its card was started, as those of cards before version 0.3 do not; record it again"
    )]
    NoStart,
    /// Another device has recorded it.
    #[error(
        "the recording {path} is of {program}, and only those of the project's card can be replayed; `dmus trace show` and `dmus trace diff` read it"
    )]
    OtherDevice {
        /// Its path.
        path: String,
        /// What recorded it.
        program: String,
    },
    /// It was recorded with another bank.
    #[error(
        "the recording was made with the bank {recorded} ({recorded_bytes} bytes, SHA-256 {recorded_sha256}) and this card has {given} ({given_sha256}); \
         name the recorded one with --bank FILE"
    )]
    OtherBank {
        /// The name of the recorded bank.
        recorded: String,
        /// Its bytes.
        recorded_bytes: u64,
        /// The begin of its hash.
        recorded_sha256: String,
        /// The name of this card's bank.
        given: String,
        /// The begin of its hash.
        given_sha256: String,
    },
    /// The function of its card cannot be made.
    #[error("the function of the recorded card cannot be made here: {0}")]
    Function(#[from] vfio_user_card::ServeError),
    /// Its memory cannot be made.
    #[error("the recording's guest memory ({bytes} bytes in {regions} regions) cannot be made here: {cause}")]
    Memory {
        /// Bytes of all regions.
        bytes: u64,
        /// How many regions.
        regions: usize,
        /// Why not.
        cause: String,
    },
}

/// A recording that can be replayed.
#[derive(Debug)]
pub struct Recording {
    header: Header,
    records: Vec<Record>,
}

impl Recording {
    /// Reads a recording from the bytes of a trace; `path` is where they are from.
    ///
    /// # Errors
    /// [`RecordingError::Read`] when they are no trace that this program reads, [`RecordingError::OtherDevice`] when no card of the project
    /// has recorded them, [`RecordingError::Lost`] and [`RecordingError::Cut`] when a
    /// part of it is missing, [`RecordingError::NoStart`] when it does not say how its card was started.
    pub fn read(bytes: Vec<u8>, path: &str) -> Result<Self, RecordingError> {
        let read = Reader::of_bytes(bytes).and_then(Reader::read_all);
        let (header, items) = read.map_err(|source| RecordingError::Read { path: path.to_owned(), source })?;
        let mut records = Vec::with_capacity(items.len());
        let mut gap_slots = 0_u64;
        for item in items {
            match item {
                Item::Record(record) => records.push(record),
                Item::Gap { slots } => gap_slots = gap_slots.saturating_add(slots),
            }
        }
        let is_start = |record: &Record| matches!(record.act(), Act::Card(_));
        if !header.program.starts_with(PROGRAM) && !records.iter().any(is_start) {
            return Err(RecordingError::OtherDevice { path: path.to_owned(), program: header.program });
        }
        if header.overwritten > 0 || gap_slots > 0 {
            return Err(RecordingError::Lost { overwritten: header.overwritten, gap_slots });
        }
        // What the harness has put between is the guest's, which a replay has not.
        records.retain(|record| record.source != Source::GUEST);
        if let Some(stopped) = records.iter().find(|record| record.act() == (Act::Recording { on: false })) {
            return Err(RecordingError::Stopped { number: stopped.number });
        }
        let is_cut = |record: &&Record| matches!(record.act(), Act::ChainTaken { cut: true, .. });
        if let Some(cut) = records.iter().find(is_cut) {
            return Err(RecordingError::Cut { number: cut.number });
        }
        let recording = Self { header, records };
        recording.start().ok_or(RecordingError::NoStart)?;
        Ok(recording)
    }

    /// Returns its header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Returns its records, oldest first.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Returns what its card was started with.
    #[must_use]
    pub fn start(&self) -> Option<CardStart<'_>> {
        self.records.iter().find_map(|record| if let Act::Card(start) = record.act() { Some(start) } else { None })
    }

    /// Checks that a bank of this identity, with this name, is the recorded one.
    ///
    /// # Errors
    /// [`RecordingError::OtherBank`], or [`RecordingError::NoStart`].
    pub fn check_bank(&self, (bytes, sha256): (u64, [u8; 32]), name: &str) -> Result<(), RecordingError> {
        let start = self.start().ok_or(RecordingError::NoStart)?;
        if (start.bank_bytes, start.bank_sha256) == (bytes, sha256) {
            return Ok(());
        }
        let short = |hash: [u8; 32]| hex::encode(hash.get(..8).unwrap_or_default()) + "...";
        Err(RecordingError::OtherBank {
            recorded: start.bank.to_owned(),
            recorded_bytes: start.bank_bytes,
            recorded_sha256: short(start.bank_sha256),
            given: name.to_owned(),
            given_sha256: short(sha256),
        })
    }
}
