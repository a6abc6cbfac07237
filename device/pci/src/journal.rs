//! What a card keeps for a test harness: its log, the driver's errors, the MIDI bytes that the driver has sent.
//!
//! A guest decides how much of each there is, so each is bounded; what does not fit is counted.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

use crate::diagnosis::{Current, Diagnosis, First};
use crate::tap::{Act, Taps};

/// Lines of the log that wait for a harness: as many as a person reads.
const LINES_MAX: usize = 1024;
/// Bytes of a line, or of the detail of an error; what is longer is cut.
const LINE_BYTES_MAX: usize = 1024;
/// Lines that go to standard error too. A driver in a loop must not fill the harness's disk.
const PRINTED_LINES_MAX: u64 = 10_000;
/// Errors of the driver that are kept: the first ones tell the cause.
const ERRORS_MAX: usize = 64;
/// MIDI bytes that wait for a harness: five minutes of a busy MIDI cable.
const MIDI_BYTES_MAX: usize = 1 << 20;
/// MIDI bytes that come within this time are one entry: about one message on a MIDI cable.
const ENTRY_NANOSECONDS: u64 = 1_000_000;
/// Bytes of an entry.
const ENTRY_BYTES_MAX: usize = 1024;

/// An error that the card has seen its driver make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DriverError {
    pub(crate) code: String,
    pub(crate) detail: String,
}

/// MIDI bytes that the driver has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// When the first of them came: nanoseconds of the host's monotonic clock.
    pub(crate) time: u64,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<String>,
    lines_lost: u64,
    printed: u64,
    errors: Vec<DriverError>,
    error_count: u64,
    diagnosis: Diagnosis,
    entries: VecDeque<Entry>,
    waiting_bytes: usize,
    bytes_lost: u64,
    byte_count: u64,
}

/// The journal of a card.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    kept: Mutex<Kept>,
    /// What records the card.
    pub(crate) taps: Taps,
}

impl Journal {
    /// Makes an empty journal of a card that is recorded.
    pub(crate) fn new(taps: Taps) -> Self {
        Self { kept: Mutex::default(), taps }
    }

    /// Writes a line into the log.
    pub(crate) fn log(&self, line: &str) {
        self.taps.act(&Act::Log(line));
        self.kept.lock().log(log::Level::Info, line);
    }

    /// An access of the driver begins, or ends.
    pub(crate) fn set_current(&self, current: Option<Current>) {
        self.kept.lock().diagnosis.set_current(current);
    }

    /// The card was reset.
    pub(crate) fn reset(&self) {
        self.kept.lock().diagnosis.reset();
    }

    /// Returns the first error of the driver, and how many there were of each code; with `clear` they are forgotten.
    pub(crate) fn diagnosis(&self, clear: bool) -> (Option<First>, BTreeMap<String, u64>) {
        let mut kept = self.kept.lock();
        let (first, counts) = kept.diagnosis.found();
        let found = (first.cloned(), counts.clone());
        if clear {
            kept.diagnosis.clear();
        }
        found
    }

    /// Notes an error of the driver. One that was noted before is only counted.
    pub(crate) fn driver_error(&self, code: &str, detail: &str) {
        let detail = &detail[..detail.floor_char_boundary(LINE_BYTES_MAX)];
        let now = monotonic_nanoseconds();
        let mut kept = self.kept.lock();
        kept.error_count += 1;
        kept.diagnosis.note(code, detail, now);
        let known = kept.errors.iter().any(|error| error.code == code && error.detail == detail);
        if known || kept.errors.len() >= ERRORS_MAX {
            return;
        }
        self.taps.act(&Act::DriverError { code, detail });
        kept.errors.push(DriverError { code: code.to_owned(), detail: detail.to_owned() });
        kept.log(log::Level::Warn, &format!("driver error {code}: {detail}"));
    }

    /// Records MIDI bytes that the driver has sent.
    pub(crate) fn record(&self, bytes: &[u8]) {
        self.taps.act(&Act::Sent(bytes));
        let now = monotonic_nanoseconds();
        let mut kept = self.kept.lock();
        kept.byte_count += bytes.len() as u64;
        let room = MIDI_BYTES_MAX.saturating_sub(kept.waiting_bytes);
        let (bytes, lost) = bytes.split_at(bytes.len().min(room));
        kept.bytes_lost += lost.len() as u64;
        kept.waiting_bytes += bytes.len();
        for part in bytes.chunks(ENTRY_BYTES_MAX) {
            match kept.entries.back_mut() {
                Some(last)
                    if now.saturating_sub(last.time) < ENTRY_NANOSECONDS
                        && last.bytes.len() + part.len() <= ENTRY_BYTES_MAX =>
                {
                    last.bytes.extend_from_slice(part);
                }
                _ => kept.entries.push_back(Entry { time: now, bytes: part.to_vec() }),
            }
        }
    }

    /// Returns the errors that are kept, and how many there were.
    pub(crate) fn driver_errors(&self) -> (Vec<DriverError>, u64) {
        let kept = self.kept.lock();
        (kept.errors.clone(), kept.error_count)
    }

    /// Returns how many MIDI bytes the driver has sent.
    pub(crate) fn byte_count(&self) -> u64 {
        self.kept.lock().byte_count
    }

    /// Takes the oldest lines for which `fits` is true, and how many were lost before.
    pub(crate) fn take_lines(&self, mut fits: impl FnMut(&str) -> bool) -> (Vec<String>, u64) {
        let mut kept = self.kept.lock();
        let mut lines = Vec::new();
        while kept.lines.front().is_some_and(|line| fits(line)) {
            lines.extend(kept.lines.pop_front());
        }
        (lines, std::mem::take(&mut kept.lines_lost))
    }

    /// Takes the oldest entries for which `fits` is true, and how many bytes were lost.
    pub(crate) fn take_entries(&self, mut fits: impl FnMut(&Entry) -> bool) -> (Vec<Entry>, u64) {
        let mut kept = self.kept.lock();
        let mut entries = Vec::new();
        while kept.entries.front().is_some_and(&mut fits) {
            entries.extend(kept.entries.pop_front());
        }
        kept.waiting_bytes -= entries.iter().map(|entry| entry.bytes.len()).sum::<usize>();
        (entries, std::mem::take(&mut kept.bytes_lost))
    }
}

impl Kept {
    fn log(&mut self, level: log::Level, line: &str) {
        let line = &line[..line.floor_char_boundary(LINE_BYTES_MAX)];
        if self.printed < PRINTED_LINES_MAX {
            log::log!(level, "{line}");
        } else if self.printed == PRINTED_LINES_MAX {
            log::warn!("more than {PRINTED_LINES_MAX} lines; further ones go to the control socket only");
        }
        self.printed = self.printed.saturating_add(1);
        if self.lines.len() >= LINES_MAX {
            self.lines.pop_front();
            self.lines_lost += 1;
        }
        self.lines.push_back(line.to_owned());
    }
}

/// Returns the host's monotonic clock, which every process of the host shares.
fn monotonic_nanoseconds() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    (now.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(now.tv_nsec as u64)
}
