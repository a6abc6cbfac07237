//! Reads a ring, also while it is written. Nothing in it is believed: every length, number and seal is checked.
//!
//! The file is read and not mapped, so that one that is cut short meanwhile is an error and no signal.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::act::Act;
use crate::decode::decode;
use crate::header::{HEADER_BYTES, Header, Wrong};
use crate::kind::{Kind, Source};
use crate::slot::{SLOT_BYTES, Slot};
use crate::timeline::Timeline;

/// Slots at the end of a ring that another process may be writing now: more than threads write at once.
const UNSETTLED: u64 = 1 << 14;

/// The reason for which a file is not read as a trace.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    File(#[from] io::Error),
    /// The file is shorter than its header says, or than a header.
    #[error("has {got} bytes where its header needs {needed}: it was cut short")]
    Short {
        /// Its length in bytes.
        got: u64,
        /// The length that it must have.
        needed: u64,
    },
    /// It does not begin as a trace does.
    #[error("is no trace: it does not begin with DMUSTRCE")]
    Magic,
    /// It has another version of the format.
    #[error(
        "has version {major}.{minor} of the format, and this program reads version {}: use the program of that version",
        crate::VERSION_MAJOR
    )]
    Version {
        /// The major version.
        major: u16,
        /// The minor version.
        minor: u16,
    },
    /// A field of the header is out of bounds.
    #[error("has a header in which {field} is {got}, which cannot be: the file is damaged, or no trace")]
    Field {
        /// The field.
        field: &'static str,
        /// Its value.
        got: u64,
    },
}

impl From<Wrong> for ReadError {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Magic => Self::Magic,
            Wrong::Version { major, minor } => Self::Version { major, minor },
            Wrong::Field { field, got } => Self::Field { field, got },
        }
    }
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The number of its first slot: records that were begun later have higher ones.
    pub number: u64,
    /// When, in nanoseconds since the start of the trace.
    pub time: i64,
    /// Its kind.
    pub kind: Kind,
    /// What has recorded it.
    pub source: Source,
    pub(crate) ticks: u64,
    pub(crate) small: u16,
    pub(crate) value: u64,
    pub(crate) payload: Vec<u8>,
}

impl Record {
    /// Returns the record of a first slot and its payload; it has no time yet.
    pub(crate) fn new(number: u64, head: &Slot, payload: Vec<u8>) -> Self {
        Self {
            number,
            time: 0,
            kind: Kind(head.kind),
            source: Source(head.source),
            ticks: head.first,
            small: head.small,
            value: head.last,
            payload,
        }
    }

    /// Returns its number, its last word and its payload, as the format has them.
    #[must_use]
    pub fn raw(&self) -> (u16, u64, &[u8]) {
        (self.small, self.value, &self.payload)
    }

    /// Returns what it says.
    #[must_use]
    pub fn act(&self) -> Act<'_> {
        Act::read(self.kind, self.small, self.value, &self.payload)
    }
}

/// What a trace has at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A record.
    Record(Record),
    /// Slots that are not whole, or continue nothing: records were lost here.
    Gap {
        /// How many slots.
        slots: u64,
    },
}

/// What a trace is read from.
#[derive(Debug)]
enum Origin {
    File(File),
    Bytes(Vec<u8>),
}

impl Origin {
    fn length(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len()),
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }

    fn read(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_exact_at(into, offset),
            Self::Bytes(bytes) => {
                let from = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
                let from = from.and_then(|rest| rest.get(..into.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
                into.copy_from_slice(from);
                Ok(())
            }
        }
    }
}

/// Reads a trace from its oldest record on.
#[derive(Debug)]
pub struct Reader {
    origin: Origin,
    header: Header,
    timeline: Timeline,
    next: u64,
    skipped: u64,
    finished: bool,
}

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    /// [`ReadError::File`] when it cannot be read, [`ReadError::Short`] when it is cut, [`ReadError::Magic`],
    /// [`ReadError::Version`] and [`ReadError::Field`] when it is no trace that this can read.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Self::over(Origin::File(File::open(path)?))
    }

    /// Reads a trace that is in memory.
    ///
    /// # Errors
    /// [`ReadError::Short`], [`ReadError::Magic`], [`ReadError::Version`] and [`ReadError::Field`] as for [`open`](Self::open).
    pub fn of_bytes(bytes: Vec<u8>) -> Result<Self, ReadError> {
        Self::over(Origin::Bytes(bytes))
    }

    fn over(origin: Origin) -> Result<Self, ReadError> {
        let header = header(&origin)?;
        let timeline = Timeline::new(header.ticks, header.nanoseconds);
        let next = header.taken.saturating_sub(header.slots);
        Ok(Self { origin, header, timeline, next, skipped: 0, finished: false })
    }

    /// Returns the header, as it was when records were read last.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Says that nothing writes any more: a record that is not whole at the end is a gap, and not one that is to come.
    pub const fn finish(&mut self) {
        self.finished = true;
    }

    /// Reads everything that is there, of a trace that nothing writes any more.
    ///
    /// # Errors
    /// As for [`open`](Self::open); [`ReadError::Field`] too when the file became another trace meanwhile.
    pub fn read_all(mut self) -> Result<(Header, Vec<Item>), ReadError> {
        self.finish();
        let items = self.read_new()?;
        Ok((self.header, items))
    }

    /// Reads what has been written since the last call. Records that were overwritten before they could be read are a gap.
    ///
    /// # Errors
    /// As for [`open`](Self::open); [`ReadError::Field`] too when the file became another trace meanwhile.
    pub fn read_new(&mut self) -> Result<Vec<Item>, ReadError> {
        let before = header(&self.origin)?;
        self.same(&before)?;
        let end = before.taken.max(self.next);
        let start = self.next.max(end.saturating_sub(before.slots));
        self.skipped = self.skipped.saturating_add(start.saturating_sub(self.next));
        // Twice: a slot whose seal fits in the first copy was whole when the second was made.
        let first = self.copy(start, end)?;
        let second = self.copy(start, end)?;
        self.header = before;
        let after = header(&self.origin)?;
        self.same(&after)?;
        self.header = after;
        let oldest = self.header.taken.saturating_sub(self.header.slots);
        let at = |number: u64| {
            let place = usize::try_from(number.checked_sub(start)?).ok()?;
            Slot::read(first.get(place)?, number)?;
            Slot::read(second.get(place)?, number).filter(|_| number >= oldest)
        };
        let settled = if self.finished { u64::MAX } else { end.saturating_sub(UNSETTLED) };
        let (mut items, next) = decode(start..end, settled, self.header.payload_max, at);
        self.next = next;
        if self.skipped > 0 && self.next > start {
            items.insert(0, Item::Gap { slots: std::mem::take(&mut self.skipped) });
        }
        self.date(&mut items);
        Ok(items)
    }

    /// Checks that the file is still the same trace.
    fn same(&self, now: &Header) -> Result<(), ReadError> {
        if now.slots == self.header.slots && now.taken >= self.header.taken {
            return Ok(());
        }
        Err(ReadError::Field { field: "the number of slots taken", got: now.taken })
    }

    fn copy(&self, start: u64, end: u64) -> Result<Vec<[u8; SLOT_BYTES]>, ReadError> {
        let mask = self.header.slots.saturating_sub(1);
        let count = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        let mut slots = vec![[0; SLOT_BYTES]; count];
        // The ring's end is within at most once.
        let before_end = usize::try_from(self.header.slots.saturating_sub(start & mask)).unwrap_or(usize::MAX);
        let (left, right) = slots.split_at_mut(before_end.min(count));
        let offset =
            |number: u64| (HEADER_BYTES as u64).saturating_add((number & mask).saturating_mul(SLOT_BYTES as u64));
        self.origin.read(left.as_flattened_mut(), offset(start))?;
        self.origin.read(right.as_flattened_mut(), offset(0))?;
        Ok(slots)
    }

    /// Sets the times of records: first the pairs, then what is between them.
    fn date(&mut self, items: &mut [Item]) {
        let records =
            || items.iter().filter_map(|item| if let Item::Record(record) = item { Some(record) } else { None });
        for record in records() {
            if let Act::Clock { nanoseconds, .. } = record.act() {
                self.timeline.add(record.ticks, nanoseconds);
            }
        }
        for item in items {
            if let Item::Record(record) = item {
                record.time = self.timeline.at(record.ticks);
            }
        }
    }
}

fn header(origin: &Origin) -> Result<Header, ReadError> {
    let got = origin.length()?;
    if got < HEADER_BYTES as u64 {
        return Err(ReadError::Short { got, needed: HEADER_BYTES as u64 });
    }
    let mut bytes = [0; HEADER_BYTES];
    origin.read(&mut bytes, 0)?;
    let header = Header::read(&bytes)?;
    let needed = header.file_bytes();
    if got < needed {
        return Err(ReadError::Short { got, needed });
    }
    Ok(header)
}
