//! Times a driver's two paths: from `PutMessage` to the device, and from the device's interrupt to a client.

#![allow(unsafe_code, reason = "events are linked by address")]

use alloc::vec;
use alloc::vec::Vec;

use guest_protocol::Wrapping;

use super::Figures;
use crate::harness::stopwatch::{self, Lap};
use crate::portcls::com::abi::KernelEvent;
use crate::portcls::kernel;
use crate::portcls::kernel::deadline::Deadline;
use crate::portcls::pin::Pin;
use crate::portcls::pin::delivery::Batch;
use crate::portcls::pin::unpack::Fragment;

/// How long a stream may keep every event that there is, and how long nothing may come in. 100 ns units.
const LIMIT: i64 = 100_000_000;

/// An undefined controller on channel 16: an event like most, and not audible.
const MESSAGE: &[u8] = &[0xBF, 0x77, 0x00];

/// Long past: as soon as possible.
const TIME: i64 = 1;

/// Most events of one call, far below what an allocator holds.
const TOGETHER_MAX: u16 = 64;

/// Most laps of one request.
const LAPS_MAX: u32 = 100_000;

/// Why nothing was timed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TimingError {
    /// The request is none.
    #[error("events are put in calls of 1 to {TOGETHER_MAX}, and at most {LAPS_MAX} laps are run")]
    Request,
    /// Every event is out, for too long.
    #[error(
        "the stream has kept all {0} events of its allocator for 10 s; it must give events back when it has sent them"
    )]
    Stuck(usize),
    /// Nothing came in.
    #[error("nothing reached the capture sink for 10 s, after {0} interrupts that did")]
    Silent(usize),
}

/// Waits until `done`, for a bounded time.
fn wait_until(mut done: impl FnMut() -> bool) -> bool {
    let deadline = Deadline::after(LIMIT);
    while !done() {
        if deadline.has_passed() {
            return false;
        }
        kernel::pause();
    }
    true
}

/// Fills and links one call's worth of events.
fn fill(pin: &Pin, count: u16, wrapping: Wrapping) -> Option<Batch> {
    let allocator = pin.allocator();
    let mut first: *mut KernelEvent = core::ptr::null_mut();
    for _ in 0..count {
        let Some(event) = allocator.fill(&Fragment { flags: 0, data: MESSAGE }, TIME, 1) else {
            allocator.discard(first);
            return None;
        };
        // SAFETY: just filled, and known to no stream. Events of one time have no order that is heard here.
        unsafe { (*event).next = first };
        first = event;
    }
    let count = usize::from(count);
    match wrapping {
        Wrapping::Chain => Some(Batch { first, count }),
        Wrapping::Package => match allocator.wrap(first, TIME, 1) {
            Some(package) => Some(Batch { first: package, count: count + 1 }),
            None => {
                allocator.discard(first);
                None
            }
        },
    }
}

/// Puts events to a stream that runs, some with each call, as fast as it takes them. `begun` is called right before the
/// first call.
///
/// # Errors
/// [`TimingError::Request`] for counts out of bounds, [`TimingError::Stuck`] for a stream that keeps every event.
pub(crate) fn put(
    pin: &Pin,
    events: u32,
    each: u16,
    wrapping: Wrapping,
    begun: impl FnOnce(),
) -> Result<Figures, TimingError> {
    if each == 0 || each > TOGETHER_MAX || !pin.is_render() {
        return Err(TimingError::Request);
    }
    let stuck = || TimingError::Stuck(pin.allocator().events_out());
    let (mut put, mut calls, mut waits) = (0, 0, 0);
    let mut next = fill(pin, each.min(events.min(u32::from(u16::MAX)) as u16), wrapping);
    begun();
    let start = kernel::nanoseconds();
    while put < events {
        let batch = match next.take() {
            Some(batch) => batch,
            None => {
                let this = u32::from(each).min(events - put) as u16;
                let mut batch = fill(pin, this, wrapping);
                if batch.is_none() {
                    waits += 1;
                    wait_until(|| {
                        batch = fill(pin, this, wrapping);
                        batch.is_some()
                    });
                }
                batch.ok_or_else(stuck)?
            }
        };
        put += u32::from(each).min(events - put);
        calls += 1;
        pin.put(batch);
    }
    let called = kernel::nanoseconds() - start;
    if !wait_until(|| pin.allocator().events_out() == 0) {
        return Err(stuck());
    }
    let returned = kernel::nanoseconds() - start;
    Ok(vec![
        ("events", put.into()),
        ("calls", calls),
        ("waits", waits),
        ("ns until the last call returned", called),
        ("ns until every event was back", returned),
    ])
}

/// Times interrupts on their way to a capture sink, while the harness sends messages one by one.
///
/// # Errors
/// [`TimingError::Request`] for a count out of bounds, [`TimingError::Silent`] when nothing reaches the sink for 10 s.
pub(crate) fn capture(pin: &Pin, laps: u32) -> Result<Figures, TimingError> {
    if laps == 0 || laps > LAPS_MAX {
        return Err(TimingError::Request);
    }
    let mut all: Vec<Lap> = Vec::with_capacity(laps as usize);
    while all.len() < laps as usize {
        stopwatch::arm();
        let came = wait_until(|| stopwatch::lap().is_some());
        let lap = stopwatch::lap();
        stopwatch::disarm();
        // What came in is dropped: the next lap begins with an empty inbox.
        pin.take_captured();
        match lap {
            Some(lap) if came => all.push(lap),
            _ => return Err(TimingError::Silent(all.len())),
        }
    }
    let mut figures = vec![("laps", laps.into())];
    for (names, of) in PERCENTILES {
        let mut times: Vec<u64> = all.iter().map(of).collect();
        times.sort_unstable();
        figures.extend(names.iter().zip(PER_MILLE).map(|(name, share)| (*name, percentile(&times, share))));
    }
    Ok(figures)
}

/// The shares of laps, in thousandths, that took at most so long.
const PER_MILLE: [usize; 4] = [500, 900, 990, 1000];

/// The figures' names, and what each is of.
type Percentiles = ([&'static str; 4], fn(&Lap) -> u64);

const PERCENTILES: [Percentiles; 3] = [
    (["isr p50", "isr p90", "isr p99", "isr max"], |lap| lap.claimed),
    (["service p50", "service p90", "service p99", "service max"], |lap| lap.served),
    (["client p50", "client p90", "client p99", "client max"], |lap| lap.arrived),
];

/// Returns the least of ascending values that at least so many thousandths of them do not exceed.
fn percentile(ascending: &[u64], per_mille: usize) -> u64 {
    let rank = (ascending.len() * per_mille).div_ceil(1000).max(1);
    ascending.get(rank - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<u64> = (1..=10).collect();
        assert_eq!(PER_MILLE.map(|share| percentile(&values, share)), [5, 9, 10, 10]);
        assert_eq!(PER_MILLE.map(|share| percentile(&[7], share)), [7; 4]);
        assert_eq!(percentile(&[], 500), 0);
    }
}
