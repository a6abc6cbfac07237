//! Ticks and nanoseconds of the host.
#![allow(unsafe_code, reason = "the time-stamp counter has no safe function")]

use rustix::time::{ClockId, clock_gettime};

/// Whether ticks are those of the time-stamp counter.
pub(crate) const IS_TSC: bool = cfg!(target_arch = "x86_64");

/// Returns the ticks now.
#[inline]
pub(crate) fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every processor of this architecture has the instruction, and Linux lets programs use it.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        nanoseconds()
    }
}

/// Returns the nanoseconds of the host's monotonic clock.
pub(crate) fn nanoseconds() -> u64 {
    of(ClockId::Monotonic)
}

/// Returns the nanoseconds since 1970.
pub(crate) fn since_epoch() -> u64 {
    of(ClockId::Realtime)
}

fn of(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// A moment of this host, as the files of this format know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostMoment {
    /// Ticks.
    pub ticks: u64,
    /// Nanoseconds of the monotonic clock.
    pub nanoseconds: u64,
    /// Nanoseconds since 1970.
    pub since_epoch: u64,
}

impl HostMoment {
    /// Whether ticks are those of the processor's time-stamp counter, which a guest's are counted from.
    pub const TICKS_ARE_TSC: bool = IS_TSC;

    /// Returns the moment of the call.
    #[must_use]
    pub fn now() -> Self {
        let pair = Pair::now();
        Self { ticks: pair.ticks, nanoseconds: pair.nanoseconds, since_epoch: since_epoch() }
    }

    /// Returns the ticks of the moment of the call.
    #[must_use]
    pub fn ticks() -> u64 {
        ticks()
    }
}

/// Ticks and nanoseconds of one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) ticks: u64,
    pub(crate) nanoseconds: u64,
    /// The ticks that the reading took: the error is at most half of them either way.
    pub(crate) error: u64,
}

impl Pair {
    /// Reads both now.
    pub(crate) fn now() -> Self {
        let before = ticks();
        let nanoseconds = nanoseconds();
        let error = ticks().saturating_sub(before);
        Self { ticks: before.saturating_add(error / 2), nanoseconds, error }
    }
}
