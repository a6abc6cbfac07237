//! The harness's end of a guest's ring of marks: it answers samples of its ticks, and reads the ring when the guest is no more.

use std::io;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use card_trace::HostMoment;
use guest_protocol::{
    Bulk, MARK_BYTES, MARKS_ANSWERED, MARKS_ASKED, MARKS_HEADER_BYTES, MARKS_HOST_TICKS, MARKS_TAKEN, mark_count,
};

use crate::machine::GuestMemory;

/// The time for which the harness answers samples, looking at guest memory all the time: a guest asks for microseconds, and for longer only
/// where the host does not run both at once.
const ANSWER_LIMIT: Duration = Duration::from_millis(50);

/// The time after which a guest that has not asked has given up already.
const ASKS_WITHIN: Duration = Duration::from_millis(5);

/// Bytes of a word of the header.
const WORD_BYTES: u64 = 8;

/// Where a guest's marks are, once it has lent them; shared by the thread that reads its line and by the test bed.
#[derive(Clone, Debug, Default)]
pub struct MarksPlace(Arc<Mutex<Option<Bulk>>>);

impl MarksPlace {
    /// Returns the range that the guest has lent, if it has.
    #[must_use]
    pub fn range(&self) -> Option<Bulk> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a range that a guest lends, and answers the samples that it waits for.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a range that holds no mark, or is not guest memory.
    pub(super) fn lent(&self, memory: &GuestMemory, range: Bulk) -> io::Result<()> {
        if mark_count(range).is_none() {
            let text = format!("{:#x} bytes at {:#x} are too short for a mark", range.length, range.address);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        memory.check(range)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(range);
        answer(memory, range)
    }

    /// Answers the samples of a guest that stops, if it has lent marks.
    pub(super) fn stopped(&self, memory: &GuestMemory) {
        if let Some(range) = self.range() {
            // Without the sample the times are those of the samples before.
            let _ = answer(memory, range);
        }
    }
}

const fn word_at(range: Bulk, offset: u64) -> Bulk {
    // The range is guest memory and longer than the header.
    Bulk { address: range.address + offset, length: WORD_BYTES }
}

fn word(memory: &GuestMemory, range: Bulk, offset: u64) -> io::Result<u64> {
    let bytes = memory.read(word_at(range, offset))?;
    Ok(bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
}

/// Answers samples until the guest asks for no more, or the time is up.
fn answer(memory: &GuestMemory, range: Bulk) -> io::Result<()> {
    let begun = Instant::now();
    let mut answered = word(memory, range, MARKS_ANSWERED)?;
    let first = answered;
    while begun.elapsed() < ANSWER_LIMIT {
        let asked = word(memory, range, MARKS_ASKED)?;
        if asked == 0 && (answered != first || begun.elapsed() > ASKS_WITHIN) {
            break;
        }
        if asked != 0 && asked != answered {
            let ticks = HostMoment::ticks();
            memory.write(word_at(range, MARKS_HOST_TICKS), &ticks.to_le_bytes())?;
            fence(Ordering::Release);
            memory.write(word_at(range, MARKS_ANSWERED), &asked.to_le_bytes())?;
            answered = asked;
        }
    }
    Ok(())
}

/// The bytes of a guest's marks, as they lie in its memory: those of the ring that have been written.
#[derive(Debug)]
pub struct MarkRing {
    /// Marks taken, as the guest counts them.
    pub taken: u64,
    /// The marks' places, from the ring's start.
    pub places: Vec<u8>,
    /// Places of the ring.
    pub count: u64,
}

impl MarkRing {
    /// Reads a ring.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a range that holds no mark, or is not guest memory.
    pub fn read(memory: &GuestMemory, range: Bulk) -> io::Result<Self> {
        let count = mark_count(range).ok_or(io::ErrorKind::InvalidInput)?;
        let taken = word(memory, range, MARKS_TAKEN)?;
        let length = taken.min(count) * MARK_BYTES;
        let places = memory.read(Bulk { address: range.address + MARKS_HEADER_BYTES, length })?;
        Ok(Self { taken, places, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: Bulk = Bulk { address: 0x4000, length: MARKS_HEADER_BYTES + 8 * MARK_BYTES };

    #[test]
    fn answers_each_sample_with_its_ticks_until_the_guest_asks_for_no_more() {
        let memory = GuestMemory::new(1 << 20).unwrap();
        let guest = memory.share().unwrap();
        let put = |offset, value: u64| guest.write(word_at(RANGE, offset), &value.to_le_bytes()).unwrap();
        let place = MarksPlace::default();
        put(MARKS_ASKED, 7);
        std::thread::scope(|scope| {
            let answering = scope.spawn(|| place.lent(&memory, RANGE));
            for number in [7, 8, 9] {
                let before = HostMoment::ticks();
                put(MARKS_ASKED, number);
                let until = Instant::now() + Duration::from_secs(10);
                while word(&guest, RANGE, MARKS_ANSWERED).unwrap() != number && Instant::now() < until {
                    if answering.is_finished() {
                        // The host did not run this thread in time: the harness waits no longer than it says.
                        place.lent(&memory, RANGE).unwrap();
                    }
                }
                let ticks = word(&guest, RANGE, MARKS_HOST_TICKS).unwrap();
                assert!(ticks <= HostMoment::ticks() && (number == 7 || before <= ticks), "sample {number}");
            }
            put(MARKS_ASKED, 0);
            answering.join().unwrap().unwrap();
        });
        assert_eq!(place.range(), Some(RANGE));
    }

    #[test]
    fn refuses_a_range_outside_guest_memory_or_too_short_for_a_mark() {
        let memory = GuestMemory::new(1 << 20).unwrap();
        let place = MarksPlace::default();
        for range in [
            Bulk { address: 0xf_ffff, ..RANGE },
            Bulk { address: u64::MAX - 8, ..RANGE },
            Bulk { address: 0, length: MARKS_HEADER_BYTES + 23 },
            Bulk { address: 0, length: u64::MAX },
        ] {
            assert_eq!(place.lent(&memory, range).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{range:?}");
        }
        assert_eq!(place.range(), None);
    }

    #[test]
    fn a_count_beyond_the_ring_reads_the_ring_and_no_more() {
        let memory = GuestMemory::new(1 << 20).unwrap();
        memory.write(word_at(RANGE, MARKS_TAKEN), &u64::MAX.to_le_bytes()).unwrap();
        let ring = MarkRing::read(&memory, RANGE).unwrap();
        assert_eq!((ring.taken, ring.places.len(), ring.count), (u64::MAX, 8 * 24, 8));
    }
}
