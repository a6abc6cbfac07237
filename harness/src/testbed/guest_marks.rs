//! Turns a guest's marks into records of a trace, with the host's ticks, and writes them to a file beside the card's.

use std::fs;
use std::ops::Range;
use std::path::Path;

use card_trace::{FLAG_TSC, GuestAct, Header, HostMoment, MarksSummary, Record, Routine, copy};
use guest_protocol::{MARK_BYTES, Mark, MarkKind, pair_error};

use super::session::MarkRing;
use crate::host::file_error::FileError;

/// Why a guest's marks were not written.
#[derive(Debug, thiserror::Error)]
pub enum GuestMarksError {
    /// The guest has marks, and none pairs its ticks with the host's.
    #[error(
        "the guest's {marks} marks are left out of the trace: their time is not known, for the host did not run guest and harness at the same time; \
         repeat the run on a host that is less busy"
    )]
    NoPair {
        /// How many marks.
        marks: usize,
    },
    /// Guest memory cannot be read.
    #[error("the guest's marks cannot be read from its memory: {0}")]
    Memory(#[from] std::io::Error),
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A sample of the guest's ticks and the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    guest: u64,
    host: u64,
    /// The ticks by which the two can be apart.
    error: u64,
}

/// The guest's ticks as the host's: counters of one machine run alike, so that between two samples nothing but a stop of the machine moves
/// them.
#[derive(Debug)]
struct Alignment {
    samples: Vec<Sample>,
    /// What the host's counter is ahead, where one offset fits all samples, and the ticks by which it can be wrong: less than those of any
    /// sample.
    offset: Option<(i128, u64)>,
}

impl Alignment {
    /// Takes the samples among marks. One that is not later than the one before it in both counters is left out.
    fn of(marks: &[Mark]) -> Self {
        let mut samples: Vec<Sample> = Vec::new();
        for mark in marks.iter().filter(|mark| mark.kind == MarkKind::Pair) {
            let sample = Sample { guest: mark.ticks, host: mark.value, error: pair_error(mark.number) };
            if samples.last().is_none_or(|last| last.guest < sample.guest && last.host < sample.host) {
                samples.push(sample);
            }
        }
        let offset = common_offset(&samples);
        Self { samples, offset }
    }

    /// Returns the host's ticks at some of the guest's; `None` without a sample. Before the first sample and after the last one both counters are
    /// taken to run alike.
    fn host(&self, guest: u64) -> Option<u64> {
        if let Some((offset, _)) = self.offset {
            let host = i128::from(guest).saturating_add(offset).max(0);
            return Some(u64::try_from(host).unwrap_or(u64::MAX));
        }
        let after = self.samples.partition_point(|sample| sample.guest <= guest);
        let before = after.checked_sub(1).and_then(|at| self.samples.get(at));
        let host = match (before, self.samples.get(after)) {
            (Some(a), Some(b)) => {
                let scaled = u128::from(guest - a.guest) * u128::from(b.host - a.host) / u128::from(b.guest - a.guest);
                a.host.saturating_add(u64::try_from(scaled).unwrap_or(u64::MAX))
            }
            (Some(nearest), None) => nearest.host.saturating_add(guest - nearest.guest),
            (None, Some(nearest)) => nearest.host.saturating_sub(nearest.guest - guest),
            (None, None) => return None,
        };
        Some(host)
    }

    /// Returns the most ticks by which a time between two samples can be wrong: what the samples themselves can be, and where the counters have
    /// not run alike between two of them, all of that.
    fn error(&self) -> u64 {
        if let Some((_, error)) = self.offset {
            return error;
        }
        let own = self.samples.iter().map(|sample| sample.error).max().unwrap_or(0);
        let moved = self.samples.iter().zip(self.samples.iter().skip(1)).map(|(a, b)| {
            let apart = (b.host - a.host).abs_diff(b.guest - a.guest);
            let width = a.error.saturating_add(b.error);
            if apart <= width { 0 } else { apart }
        });
        own.saturating_add(moved.max().unwrap_or(0))
    }
}

/// Returns the offset that fits all samples, as the middle of those that do, and how far the others are from it; `None` where none does, because
/// the machine was stopped or the counters do not run alike.
fn common_offset(samples: &[Sample]) -> Option<(i128, u64)> {
    let offset = |sample: &Sample| i128::from(sample.host) - i128::from(sample.guest);
    let least = samples.iter().map(|sample| offset(sample) - i128::from(sample.error)).max()?;
    let most = samples.iter().map(|sample| offset(sample) + i128::from(sample.error)).min()?;
    let width = u64::try_from(most - least).ok()?;
    Some((least + i128::from(width / 2), width.div_ceil(2)))
}

/// Returns the records of a ring of marks, in order of time, after the one that says by how much their times can be wrong. `driver` is where the
/// driver's image is; `nanoseconds_a_tick` is the host's.
fn records(
    ring: &MarkRing,
    driver: Option<&Range<u64>>,
    nanoseconds_a_tick: f64,
) -> Result<Vec<Record>, GuestMarksError> {
    let first = ring.taken.saturating_sub(ring.count);
    let (places, _) = ring.places.as_chunks::<{ MARK_BYTES as usize }>();
    let place = |number: u64| usize::try_from(number % ring.count.max(1)).ok().and_then(|at| places.get(at));
    let marks: Vec<Mark> =
        (first..ring.taken).filter_map(|number| place(number).and_then(|bytes| Mark::read(bytes, number))).collect();
    let alignment = Alignment::of(&marks);
    let mut found: Vec<Record> = marks
        .iter()
        .filter_map(|mark| Some(Record::of_guest(alignment.host(mark.ticks)?, &act(mark, driver)?)))
        .collect();
    found.sort_by_key(Record::ticks);
    let Some(sample) = alignment.samples.first() else {
        return if marks.is_empty() { Ok(Vec::new()) } else { Err(GuestMarksError::NoPair { marks: marks.len() }) };
    };
    let error_ticks = alignment.error();
    let summary = MarksSummary {
        samples: u32::try_from(alignment.samples.len()).unwrap_or(u32::MAX),
        error_ticks,
        error_ns: (error_ticks as f64 * nanoseconds_a_tick).ceil() as u64,
        marks: found.len() as u64,
        overwritten: first,
        unread: (ring.taken - first).saturating_sub(marks.len() as u64),
    };
    let at = found.first().map_or(sample.host, Record::ticks);
    found.insert(0, Record::of_guest(at, &GuestAct::Marks(summary)));
    Ok(found)
}

/// Returns what a mark says; `None` for a pair, which the times have become.
fn act(mark: &Mark, driver: Option<&Range<u64>>) -> Option<GuestAct> {
    let processor = mark.processor;
    let [low, high] = mark.number.to_le_bytes();
    let routine = || match driver.filter(|range| range.contains(&mark.value)) {
        Some(range) => Routine { place: mark.value - range.start, in_driver: true },
        None => Routine { place: mark.value, in_driver: false },
    };
    Some(match mark.kind {
        MarkKind::Pair => return None,
        MarkKind::Irql => GuestAct::Irql { processor, old: low, new: high },
        MarkKind::IsrBegin | MarkKind::IsrEnd => GuestAct::Isr {
            processor,
            begins: mark.kind == MarkKind::IsrBegin,
            vector: low,
            level: high,
            routine: routine(),
        },
        MarkKind::DpcBegin | MarkKind::DpcEnd => {
            GuestAct::Dpc { processor, begins: mark.kind == MarkKind::DpcBegin, routine: routine() }
        }
        MarkKind::PutMessage => GuestAct::PutMessage { processor, first: low, time: mark.value.cast_signed() },
        MarkKind::PutEnd => GuestAct::PutEnd { processor, events: mark.number.into(), status: mark.value as u32 },
        MarkKind::PoolPeak => GuestAct::PoolPeak { processor, bytes: mark.value },
    })
}

/// Writes a ring of marks to a trace. `started` is a moment before the first of them.
///
/// # Errors
/// [`GuestMarksError::NoPair`] for marks whose time is not known, [`GuestMarksError::File`] where the file cannot be written.
pub(super) fn write(
    path: &Path,
    ring: &MarkRing,
    driver: Option<&Range<u64>>,
    started: HostMoment,
) -> Result<(), GuestMarksError> {
    let now = HostMoment::now();
    let ticks = now.ticks.saturating_sub(started.ticks).max(1);
    let nanoseconds_a_tick = now.nanoseconds.saturating_sub(started.nanoseconds) as f64 / ticks as f64;
    let mut records = records(ring, driver, nanoseconds_a_tick)?;
    if records.is_empty() {
        return Ok(());
    }
    records.push(Record::of_clock(now.ticks, now.nanoseconds));
    let header = Header {
        minor: card_trace::VERSION_MINOR,
        slots: 0,
        flags: FLAG_TSC,
        taken: 0,
        continued: 0,
        overwritten: 0,
        ticks: started.ticks,
        nanoseconds: started.nanoseconds,
        since_epoch: started.since_epoch,
        process: std::process::id(),
        payload_max: 0,
        program: format!("dmus {}, of the guest", env!("CARGO_PKG_VERSION")),
    };
    let failed = FileError::own("write", path);
    let bytes = copy(&header, &records).map_err(|error| failed(std::io::Error::other(error)))?;
    fs::write(path, bytes).map_err(FileError::own("write", path))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use card_trace::Act;

    use super::*;

    fn mark(ticks: u64, kind: MarkKind, number: u16, value: u64) -> Mark {
        Mark { ticks, kind, processor: 0, number, value }
    }

    /// Returns a ring of so many places in which marks were put from a number on.
    fn ring(count: u64, first: u64, marks: &[Mark]) -> MarkRing {
        let mut places = vec![0; (count * MARK_BYTES) as usize];
        for (number, mark) in (first..).zip(marks) {
            let at = ((number % count) * MARK_BYTES) as usize;
            let words = [mark.ticks, mark.label(number), mark.value].map(u64::to_le_bytes);
            places[at..at + 24].copy_from_slice(words.as_flattened());
        }
        MarkRing { taken: first + marks.len() as u64, places, count }
    }

    fn acts(records: &[Record]) -> Vec<(u64, GuestAct)> {
        let act = |record: &Record| match record.act() {
            Act::Guest(act) => (record.ticks(), act),
            other => panic!("{other:?}"),
        };
        records.iter().map(act).collect()
    }

    #[test]
    fn marks_get_the_ticks_of_the_host_and_places_in_the_driver() {
        let marks = [
            mark(1000, MarkKind::Pair, 8, 51_000),
            mark(1100, MarkKind::IsrBegin, u16::from_le_bytes([0x91, 9]), 0xffff_8000_0001_2345),
            mark(1200, MarkKind::PutMessage, u16::from_le_bytes([0x90, 3]), 77),
            mark(3000, MarkKind::Pair, 16, 53_000),
            mark(3100, MarkKind::DpcEnd, 0, 0x1000),
        ];
        let driver = 0xffff_8000_0001_0000..0xffff_8000_0002_0000;
        let found = acts(&records(&ring(8, 0, &marks), Some(&driver), 0.5).unwrap());
        let summary =
            MarksSummary { samples: 2, error_ticks: 1024, error_ns: 512, marks: 3, overwritten: 0, unread: 0 };
        assert_eq!(found[0], (51_100, GuestAct::Marks(summary)));
        let routine = Routine { place: 0x2345, in_driver: true };
        assert_eq!(found[1], (51_100, GuestAct::Isr { processor: 0, begins: true, vector: 0x91, level: 9, routine }));
        assert_eq!(found[2], (51_200, GuestAct::PutMessage { processor: 0, first: 0x90, time: 77 }));
        let routine = Routine { place: 0x1000, in_driver: false };
        assert_eq!(found[3], (53_100, GuestAct::Dpc { processor: 0, begins: false, routine }));
    }

    #[test]
    fn samples_that_one_offset_fits_make_the_error_less_than_that_of_any() {
        let samples = [
            mark(1000, MarkKind::Pair, 32, 51_000),
            mark(1500, MarkKind::PoolPeak, 0, 5),
            mark(2000, MarkKind::Pair, 32, 58_000),
        ];
        let found = acts(&records(&ring(8, 0, &samples), None, 1.0).unwrap());
        let GuestAct::Marks(summary) = found[0].1 else { panic!("{found:?}") };
        // 50,000 and 56,000, each give or take 4,096.
        assert_eq!((summary.error_ticks, found[1].0), (1096, 1500 + 53_000));
    }

    #[test]
    fn a_machine_that_stood_still_between_two_samples_makes_the_error_as_large() {
        let marks = [
            mark(1000, MarkKind::Pair, 8, 51_000),
            mark(1500, MarkKind::PoolPeak, 0, 5),
            mark(2000, MarkKind::Pair, 8, 62_000),
        ];
        let found = acts(&records(&ring(8, 0, &marks), None, 1.0).unwrap());
        let GuestAct::Marks(summary) = found[0].1 else { panic!("{found:?}") };
        assert_eq!(summary.error_ticks, 1024 + 10_000);
        assert_eq!(found[1].0, 56_500);
    }

    #[test]
    fn counts_marks_that_are_overwritten_or_not_whole_and_names_times_that_are_unknown() {
        let pool = mark(5, MarkKind::PoolPeak, 0, 5);
        let all: Vec<Mark> = std::iter::once(mark(4, MarkKind::Pair, 1, 9)).chain([pool; 3]).collect();
        let mut broken = ring(4, 10, &all);
        broken.places[12] ^= 1;
        let found = acts(&records(&broken, None, 1.0).unwrap());
        let GuestAct::Marks(summary) = found[0].1 else { panic!("{found:?}") };
        assert_eq!((summary.overwritten, summary.unread, summary.marks), (10, 1, 2));
        let without = records(&ring(4, 0, &[pool; 2]), None, 1.0);
        assert!(matches!(without, Err(GuestMarksError::NoPair { marks: 2 })));
        assert_eq!(records(&ring(4, 0, &[]), None, 1.0).unwrap(), []);
    }

    #[test]
    fn takes_whatever_a_driver_has_written_over_the_ring() {
        let mut state = 1_u64;
        for taken in [0, 3, 8, 1 << 40, u64::MAX] {
            for _ in 0..200 {
                let mut random = || {
                    state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                    state >> 13
                };
                let first = taken.min(u64::MAX - 8).saturating_sub(8);
                let marks: Vec<Mark> = (0..8)
                    .map(|_| {
                        let kind = MarkKind::of((random() % 9) as u8 + 1).unwrap();
                        let wide = [random(), u64::MAX - random() % 3, random() % 5][(random() % 3) as usize];
                        Mark {
                            ticks: wide,
                            kind,
                            processor: random() as u8,
                            number: random() as u16,
                            value: wide ^ random(),
                        }
                    })
                    .collect();
                let mut ring = ring(8, first, &marks);
                ring.taken = taken;
                if let Ok(found) = records(&ring, Some(&(5..u64::MAX)), 0.3) {
                    assert!(found.len() <= 9);
                    found.iter().for_each(|record| {
                        assert!(!card_trace::describe(&record.act(), card_trace::Detail::Full).is_empty());
                    });
                }
            }
        }
    }
}
