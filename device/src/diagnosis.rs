//! Records what the card finds wrong with a driver: one sentence for the log, registers for the guest, notices for the
//! event queue.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use card_spec::diagnosis::Diagnosis;
use card_spec::identity::{Counters, FirstError, NO_QUEUE};
use card_spec::queue::Queue;
use parking_lot::Mutex;

use crate::log_limit::LogLimit;
use crate::trace::Trace;

/// Most errors that are kept for the event queue and for the control socket. A driver's first errors explain the rest.
const RECENT_MAX: usize = 64;

/// Codes that have a limiter of their own for the log; those of the datasheet end before.
const CODES: usize = 0x40;

/// An error of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriverError {
    /// Its code in the datasheet.
    pub code: Diagnosis,
    /// The queue, if the error is on one.
    pub queue: Option<Queue>,
    /// The head descriptor, or the place that [`Diagnosis`] defines for the code.
    pub descriptor: u32,
    /// The expected value, in the unit that [`Diagnosis`] defines for the code.
    pub expected: u32,
    /// The value found, in the same unit.
    pub got: u32,
}

impl DriverError {
    /// Returns an error without a place and without numbers.
    #[must_use]
    pub const fn new(code: Diagnosis) -> Self {
        Self { code, queue: None, descriptor: 0, expected: 0, got: 0 }
    }

    /// Sets the queue.
    #[must_use]
    pub const fn on(mut self, queue: Queue) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Sets the descriptor, or other place.
    #[must_use]
    pub const fn at(mut self, descriptor: u32) -> Self {
        self.descriptor = descriptor;
        self
    }

    /// Sets what was expected and what was found.
    #[must_use]
    pub const fn expected(mut self, expected: u32, got: u32) -> Self {
        self.expected = expected;
        self.got = got;
        self
    }

    /// Sets what was found.
    #[must_use]
    pub const fn got(self, got: u32) -> Self {
        self.expected(0, got)
    }
}

/// One clear sentence for the author of the driver.
impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, queue, descriptor: at, expected, got } = *self;
        match queue {
            Some(queue) => write!(f, "{code} on queue {queue}: ")?,
            None => write!(f, "{code}: ")?,
        }
        match code {
            Diagnosis::VERSION_1_MISSING => write!(
                f,
                "the driver set DRIVER_OK without accepting VIRTIO_F_VERSION_1 (it accepted {got:#x} of feature bits \
                 32 to 63); accept bit 32"
            ),
            Diagnosis::RING_OUTSIDE_MEMORY => write!(
                f,
                "the {} is not wholly in guest memory; the ring is parked until the device is reset",
                ring_part(at)
            ),
            Diagnosis::RING_SIZE => write!(
                f,
                "ring size {got} is not a power of two from 1 to {expected}; the ring is parked until the device is \
                 reset"
            ),
            Diagnosis::RING_MISALIGNED => write!(
                f,
                "the {} at {got:#010x} (low 32 bits) is not aligned to {expected}; the ring is parked until the device \
                 is reset",
                ring_part(at)
            ),
            Diagnosis::AVAILABLE_INDEX => write!(
                f,
                "the available index ran {got} entries ahead of the card, on a ring of {expected}; the ring is parked \
                 until the device is reset"
            ),
            Diagnosis::CONFIG_WRITE => write!(f, "the driver wrote to the device configuration, which is read-only"),
            Diagnosis::KICK_STORM => write!(f, "{got} kicks within one second found an empty ring"),
            Diagnosis::MEMORY_NOT_SHARED => write!(
                f,
                "guest memory is not shared with the card, so no ring can work; start QEMU with \
                 `-object memory-backend-memfd,id=mem,size=SIZE,share=on -machine ...,memory-backend=mem`"
            ),
            Diagnosis::RING_OVERLAP => write!(
                f,
                "the {} shares memory with the {} of queue {}; the ring is parked until the device is reset",
                ring_part(at),
                ring_part(got),
                u16::try_from(expected).map(Queue).map_or_else(|_| expected.to_string(), |queue| queue.to_string())
            ),
            Diagnosis::MEMORY_LOST => write!(
                f,
                "the file behind the memory region at guest page {got:#x} has become shorter than the region; the card \
                 goes on with zeroed memory in its place, and rings in it are parked until the device is reset"
            ),
            Diagnosis::REGISTER_ACCESS if expected == 0 => {
                write!(f, "the driver made a {got}-byte access at BAR 0+{at:#x}, where there is no register")
            }
            Diagnosis::REGISTER_ACCESS => write!(
                f,
                "the driver made a {got}-byte access at BAR 0+{at:#x}; the register takes aligned accesses of {expected}"
            ),
            Diagnosis::REGISTER_VALUE => write!(
                f,
                "the register at BAR 0+{at:#x} does not take the value {got:#x} (what it takes: {expected:#x})"
            ),
            Diagnosis::REGISTER_READ_ONLY => {
                write!(f, "the driver wrote {got:#x} to the read-only register at BAR 0+{at:#x}")
            }
            Diagnosis::BUS_MASTER_OFF => write!(
                f,
                "the driver started the card with bus mastering off; set bit 2 of the command register, until then no \
                 ring is used"
            ),
            Diagnosis::QUEUE_NOT_READY => write!(
                f,
                "the driver notified a queue that is not enabled, or before DRIVER_OK (device status {got:#04x})"
            ),
            Diagnosis::CHAIN_MALFORMED => write!(
                f,
                "the chain at descriptor {at} is cut short, loops, or is too long; {got} descriptors of it were read"
            ),
            Diagnosis::CHAIN_ORDER => {
                write!(f, "in the chain at descriptor {at} a writable descriptor stands before a readable one")
            }
            Diagnosis::BUFFER_OUTSIDE_MEMORY => {
                write!(f, "a buffer at guest page {got:#x} (chain at descriptor {at}) is not wholly in guest memory")
            }
            Diagnosis::READABLE_TOO_SHORT => {
                write!(f, "the readable part of the chain at descriptor {at} has {got} bytes, but must hold {expected}")
            }
            Diagnosis::WRITABLE_TOO_SHORT => write!(
                f,
                "the writable part of the chain at descriptor {at} has {got} bytes, but the card must write {expected}"
            ),
            Diagnosis::LENGTH => write!(
                f,
                "a length in the chain at descriptor {at} says {got} bytes, where at most {expected} are possible"
            ),
            Diagnosis::INDIRECT_NOT_NEGOTIATED => write!(
                f,
                "the chain at descriptor {at} has an indirect descriptor, but the driver did not accept \
                 VIRTIO_F_INDIRECT_DESC; accept bit 28, or use no indirect descriptors"
            ),
            Diagnosis::INDIRECT_WITH_NEXT => write!(
                f,
                "the chain at descriptor {at} has a descriptor with both VIRTQ_DESC_F_INDIRECT and VIRTQ_DESC_F_NEXT, \
                 which exclude each other"
            ),
            Diagnosis::INDIRECT_OUTSIDE_MEMORY => write!(
                f,
                "the indirect table at guest page {got:#x} (chain at descriptor {at}) is not wholly in guest memory"
            ),
            Diagnosis::NO_SESSION => write!(f, "there is no session (chain at descriptor {at}); send OPEN first"),
            Diagnosis::ABI_MISMATCH => {
                write!(f, "the driver speaks ABI version {got}, the card {expected}; the major versions must agree")
            }
            Diagnosis::QUEUE_SIZE_DECLARED => write!(
                f,
                "OPEN declares {got} entries for queue {}, but the ring was set up with {expected}",
                u16::try_from(at).map(Queue).map_or_else(|_| at.to_string(), |queue| queue.to_string())
            ),
            Diagnosis::UNKNOWN_REQUEST => write!(f, "request code {got:#x} is not known"),
            Diagnosis::PARAMETER => write!(
                f,
                "the parameter at byte {at} of the payload is {got} ({got:#x}), out of range (bound: {expected})"
            ),
            Diagnosis::STREAM => {
                write!(f, "stream {got} is not open, or is open already, or is of the wrong kind for this")
            }
            Diagnosis::STREAM_STATE => {
                write!(f, "the stream is in state {got}, which forbids this (state needed: {expected})")
            }
            Diagnosis::HANDLE => write!(f, "handle {got} names no download"),
            Diagnosis::DOWNLOAD => write!(f, "the download buffer is malformed at byte {at} (reason {got})"),
            Diagnosis::EVENT_MALFORMED => {
                write!(f, "the event record at byte {at} of its batch runs past the batch, is too long, or has no data")
            }
            Diagnosis::EVENT_GROUP => {
                write!(f, "an event is for channel group {got}, but there are {expected} (from 1; 0 means all)")
            }
            Diagnosis::EVENT_MIDI => {
                write!(f, "an event with status byte {got:#04x} is not one whole MIDI message")
            }
            _ => write!(f, "at {at}: expected {expected}, got {got}"),
        }
    }
}

fn ring_part(part: u32) -> &'static str {
    match part {
        0 => "descriptor table",
        1 => "available ring",
        _ => "used ring",
    }
}

/// A counter of [`Registers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// [`Counters::kicks`].
    Kicks,
    /// [`Counters::interrupts`].
    Interrupts,
    /// [`Counters::frames_rendered`].
    FramesRendered,
    /// [`Counters::events`].
    Events,
    /// [`Counters::events_late`].
    EventsLate,
    /// [`Counters::notes_lost`].
    NotesLost,
    /// [`Counters::underruns`].
    Underruns,
    /// [`Counters::wave_buffers`].
    WaveBuffers,
}

const COUNTERS: usize = 8;

/// An error with its time.
#[derive(Clone, Copy, Debug)]
pub struct Dated {
    /// The error.
    pub error: DriverError,
    /// When, in 100 ns units since the card's process started.
    pub card_time: u64,
}

#[derive(Default)]
struct Errors {
    first: Option<Dated>,
    count: u64,
    /// The number of errors since the process started, which a session does not clear.
    total: u64,
    by_code: BTreeMap<u16, u64>,
    recent: VecDeque<Dated>,
    unreported: VecDeque<Dated>,
}

/// The diagnosis registers and counters. Any thread may write and read them.
///
/// No lock in here is held longer than it takes to copy a few hundred bytes, so a guest's read of the identity block
/// never waits for work.
pub struct Registers {
    process_start: Instant,
    counters: [AtomicU64; COUNTERS],
    errors: Mutex<Errors>,
    /// By code. A session or a reset does not clear these limiters.
    logged: [LogLimit; CODES],
    trace: Trace,
}

impl Default for Registers {
    fn default() -> Self {
        Self::new()
    }
}

impl Registers {
    /// Returns registers that are all zero; card time begins now.
    #[must_use]
    pub fn new() -> Self {
        Self::traced(Trace::default())
    }

    /// Returns registers as [`new`](Self::new) does, of a card that records what it does.
    #[must_use]
    pub fn traced(trace: Trace) -> Self {
        Self {
            trace,
            process_start: Instant::now(),
            counters: [const { AtomicU64::new(0) }; COUNTERS],
            errors: Mutex::default(),
            logged: [const { LogLimit::new() }; CODES],
        }
    }

    /// Returns the trace, which every part of the card writes to.
    #[must_use]
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Returns the time now, in 100 ns units since the card's process started.
    #[must_use]
    pub fn card_time(&self) -> u64 {
        u64::try_from(self.process_start.elapsed().as_nanos() / 100).unwrap_or(u64::MAX)
    }

    /// Clears what a guest reads, at the start of a session.
    pub fn clear(&self) {
        for counter in &self.counters {
            counter.store(0, Ordering::Relaxed);
        }
        let mut errors = self.errors.lock();
        *errors = Errors { total: errors.total, ..Errors::default() };
    }

    /// Records an error in the registers, logs it, and keeps it for a notice.
    pub fn report(&self, error: DriverError) {
        let dated = Dated { error, card_time: self.card_time() };
        self.trace.driver_error(error.code.0, error.queue, [error.descriptor, error.expected, error.got]);
        {
            let mut errors = self.errors.lock();
            errors.count = errors.count.saturating_add(1);
            errors.total = errors.total.saturating_add(1);
            errors.first.get_or_insert(dated);
            keep(&mut errors.recent, dated);
            keep(&mut errors.unreported, dated);
            let seen = errors.by_code.entry(error.code.0).or_default();
            *seen = seen.saturating_add(1);
        }
        self.logged[usize::from(error.code.0).min(CODES - 1)].log(module_path!(), log::Level::Warn, error);
    }

    /// Lets go of the first error, so that the next one is the first. The number of errors stays.
    pub fn release_first(&self) {
        self.errors.lock().first = None;
    }

    /// Adds to a counter.
    pub fn add(&self, counter: Counter, by: u64) {
        self.counters[counter as usize].fetch_add(by, Ordering::Relaxed);
    }

    /// Returns the value of a counter.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Ordering::Relaxed)
    }

    /// Returns all counters.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            kicks: self.get(Counter::Kicks).into(),
            interrupts: self.get(Counter::Interrupts).into(),
            frames_rendered: self.get(Counter::FramesRendered).into(),
            events: self.get(Counter::Events).into(),
            events_late: self.get(Counter::EventsLate).into(),
            notes_lost: self.get(Counter::NotesLost).into(),
            underruns: self.get(Counter::Underruns).into(),
            wave_buffers: self.get(Counter::WaveBuffers).into(),
        }
    }

    /// Returns the sticky first error as the guest reads it; all zero when there is none.
    #[must_use]
    pub fn first_error(&self) -> FirstError {
        let (first, count) = {
            let errors = self.errors.lock();
            (errors.first, errors.count)
        };
        first.map_or_else(FirstError::default, |Dated { error, card_time }| FirstError {
            code: error.code.0.into(),
            queue: error.queue.map_or(NO_QUEUE, |queue| queue.0).into(),
            descriptor: error.descriptor.into(),
            expected: error.expected.into(),
            got: error.got.into(),
            count: count.into(),
            card_time: card_time.into(),
        })
    }

    /// Returns the first error, how many there were, how many of each code, and the latest ones.
    #[must_use]
    pub fn history(&self) -> History {
        let errors = self.errors.lock();
        History {
            first: errors.first,
            count: errors.count,
            total: errors.total,
            by_code: errors.by_code.iter().map(|(&code, &count)| (Diagnosis(code), count)).collect(),
            recent: errors.recent.iter().copied().collect(),
        }
    }

    /// Returns the number of errors since the process started, which no session clears.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.errors.lock().total
    }

    /// Takes the errors that no notice has been queued for.
    pub(crate) fn take_unreported(&self) -> VecDeque<Dated> {
        std::mem::take(&mut self.errors.lock().unreported)
    }
}

fn keep(list: &mut VecDeque<Dated>, dated: Dated) {
    if list.len() == RECENT_MAX {
        list.pop_front();
    }
    list.push_back(dated);
}

/// The errors of the driver since the session began.
#[derive(Clone, Debug)]
pub struct History {
    /// The first.
    pub first: Option<Dated>,
    /// The number of errors.
    pub count: u64,
    /// The number of errors since the process started.
    pub total: u64,
    /// The number of errors of each code.
    pub by_code: Vec<(Diagnosis, u64)>,
    /// The latest, oldest first.
    pub recent: Vec<Dated>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_s_readers_know_this_module_and_its_lines() {
        let target = module_path!().strip_suffix("::tests").unwrap();
        assert_eq!(target, card_control::log::DIAGNOSES);
        let line = |error: DriverError| format!("[x WARN  {target}] {error}\n");
        let wave = DriverError::new(Diagnosis::RING_SIZE).on(Queue::WAVE).expected(128, 48);
        let log = line(wave) + &line(DriverError::new(Diagnosis::CONFIG_WRITE));
        assert_eq!(card_control::log::diagnoses(&log), ["RING_SIZE (WAVE)", "CONFIG_WRITE"]);
    }

    #[test]
    fn the_first_error_stays_and_later_ones_are_counted() {
        let registers = Registers::new();
        assert_eq!(registers.first_error().code.get(), Diagnosis::NONE.0);
        registers.report(DriverError::new(Diagnosis::RING_SIZE).on(Queue::WAVE).expected(128, 48));
        registers.report(DriverError::new(Diagnosis::CONFIG_WRITE));
        let first = registers.first_error();
        assert_eq!(first.code.get(), Diagnosis::RING_SIZE.0);
        assert_eq!((first.queue.get(), first.expected.get(), first.got.get()), (Queue::WAVE.0, 128, 48));
        assert_eq!(first.count.get(), 2);
        registers.clear();
        assert_eq!(registers.first_error().count.get(), 0);
        assert_eq!(registers.total(), 2, "those since the process started");
    }

    #[test]
    fn a_flood_of_errors_keeps_memory_bounded() {
        let registers = Registers::new();
        for index in 0..10_000 {
            registers.report(DriverError::new(Diagnosis::STREAM).got(index));
        }
        let history = registers.history();
        assert_eq!(history.count, 10_000);
        assert_eq!(history.by_code, [(Diagnosis::STREAM, 10_000)]);
        assert_eq!(history.recent.len(), RECENT_MAX);
        assert_eq!(registers.take_unreported().len(), RECENT_MAX);
        assert!(registers.take_unreported().is_empty());
    }

    #[test]
    fn every_code_of_the_datasheet_has_a_limiter_of_its_own() {
        assert!((CODES as u16 - 1..=u16::MAX).all(|code| Diagnosis(code).name().is_none()));
    }

    #[test]
    fn every_code_of_the_datasheet_has_a_sentence_of_its_own() {
        for code in (1..=0xff).map(Diagnosis).filter(|code| code.name().is_some()) {
            let sentence = DriverError::new(code).on(Queue::CONTROL).at(1).expected(2, 3).to_string();
            assert!(!sentence.contains("expected 2, got 3"), "{sentence}");
        }
    }
}
