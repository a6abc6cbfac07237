//! Reads the trace of a file, or of a run folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use card_trace::{Header, Item, ReadError, Reader, Record, Source};

use crate::host::failure::{Class, Diagnosed};
use crate::host::interrupt;
use crate::machine::{CARD_TRACE, DEVICE_TRACE, GUEST_TRACE};

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

    /// Reads a trace, or that of a run folder, and puts the records of its guest ([`guest_file_of`]) between its own, by their time. The
    /// guest's have the numbers behind the last one of the card.
    ///
    /// # Errors
    /// [`TraceError`] as for [`read`](Self::read), also for the guest's file where there is one.
    pub fn read_with_guest(path: &Path) -> Result<Self, TraceError> {
        let file = file_of(path);
        let trace = Self::read(&file)?;
        match guest_file_of(&file) {
            Some(guest) => Ok(trace.with_guest(Self::read(&guest)?)),
            None => Ok(trace),
        }
    }

    /// Puts the records of a guest between its own.
    fn with_guest(mut self, guest: Self) -> Self {
        // Both count nanoseconds of one clock, each from its own start.
        let [ours, theirs] = [&self.header, &guest.header].map(|header| i128::from(header.nanoseconds));
        let later = i64::try_from(theirs - ours).unwrap_or(0);
        let behind = self.header.taken;
        let of_guest = guest.records.into_iter().filter(|record| record.source == Source::GUEST).map(|mut record| {
            record.time = record.time.saturating_add(later);
            record.number = record.number.saturating_add(behind);
            record
        });
        self.records.extend(of_guest);
        // The card's records keep their order, in which they were begun: a time that goes back by a little moves none.
        let mut latest = i64::MIN;
        self.records.sort_by_cached_key(|record| {
            if record.source == Source::GUEST {
                return record.time;
            }
            latest = latest.max(record.time);
            latest
        });
        self
    }
}

/// Returns the file of the guest's marks beside the trace of a card or a device, if there is one.
#[must_use]
pub fn guest_file_of(file: &Path) -> Option<PathBuf> {
    let name = file.file_name()?.to_str()?;
    let [card, device, guest] = [CARD_TRACE, DEVICE_TRACE, GUEST_TRACE].map(|name| name.trim_end_matches(".trace"));
    let rest = name.strip_prefix(card).or_else(|| name.strip_prefix(device))?;
    let beside = file.with_file_name(format!("{guest}{rest}"));
    beside.is_file().then_some(beside)
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
    let of_folder = [CARD_TRACE, DEVICE_TRACE, GUEST_TRACE].map(|name| path.join(name));
    let found = of_folder.iter().find(|file| file.exists()).unwrap_or(&of_folder[0]);
    if path.is_dir() { found.clone() } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use card_trace::{GuestAct, HostMoment, copy};

    use super::*;
    use crate::host::leftovers::Scratch;
    use crate::trace::fixture;

    #[test]
    fn records_of_the_guest_stand_between_those_of_the_card_by_their_time() {
        let folder = Scratch::new().unwrap();
        // Another file's clock begins at another moment.
        let before = HostMoment::now();
        let (card, guest) = (folder.path().join(CARD_TRACE), folder.path().join(GUEST_TRACE));
        let mut between = before;
        fixture::write(&card, |writer| {
            // Longer than it takes until ticks are paired again, so that both files know how long a tick is.
            let pause = || std::thread::sleep(Duration::from_millis(30));
            writer.record_with(Source::HARNESS, card_trace::Head::mark(), &[b"first"]);
            pause();
            between = HostMoment::now();
            pause();
            writer.record_with(Source::HARNESS, card_trace::Head::mark(), &[b"second"]);
        });
        let after = HostMoment::now();
        let peak = GuestAct::PoolPeak { processor: 0, bytes: 5 };
        let records = [Record::of_guest(between.ticks, &peak), Record::of_clock(after.ticks, after.nanoseconds)];
        let header =
            Header { ticks: before.ticks, nanoseconds: before.nanoseconds, ..Trace::read(&card).unwrap().header };
        std::fs::write(&guest, copy(&header, &records).unwrap()).unwrap();
        assert_eq!(guest_file_of(&card), Some(guest.clone()));
        let trace = Trace::read_with_guest(folder.path()).unwrap();
        let kinds: Vec<_> = trace.records.iter().filter_map(|record| record.kind.name()).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind != "clock").collect::<Vec<_>>(), [&"mark", &"pool-peak", &"mark"]);
        let numbers: std::collections::BTreeSet<u64> = trace.records.iter().map(|record| record.number).collect();
        assert_eq!(numbers.len(), trace.records.len(), "each record has a number of its own");
        std::fs::write(&guest, b"no trace").unwrap();
        assert!(Trace::read_with_guest(folder.path()).unwrap_err().to_string().contains("guest.trace"));
        std::fs::remove_file(&guest).unwrap();
        assert_eq!(Trace::read_with_guest(folder.path()).unwrap().records.len(), trace.records.len() - 1);
    }

    #[test]
    fn the_guests_file_has_the_label_of_the_cards() {
        let folder = Scratch::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("guest-2.trace"), []).unwrap();
        assert_eq!(guest_file_of(&path("card-2.trace")), Some(path("guest-2.trace")));
        assert_eq!(guest_file_of(&path("device-2.trace")), Some(path("guest-2.trace")));
        for other in ["card.trace", "card-3.trace", "reduced.trace", "guest-2.trace"] {
            assert_eq!(guest_file_of(&path(other)), None, "{other}");
        }
    }
}
