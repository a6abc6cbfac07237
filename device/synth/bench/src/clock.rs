//! Processor time and wall-clock time of a piece of work.

use std::ops::Sub;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use rustix::time::{ClockId, clock_gettime};

/// What something took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Processor time: what other work the machine has counts less than on the wall clock.
    pub(crate) processor: Duration,
    /// Time by the wall clock.
    pub(crate) wall: Duration,
}

impl Sub for Spent {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { processor: self.processor.saturating_sub(other.processor), wall: self.wall.saturating_sub(other.wall) }
    }
}

/// Measures a piece of work on this thread.
pub(crate) fn on_this_thread(work: impl FnOnce()) -> Spent {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
    };
    let (processor, wall) = (now(), Instant::now());
    work();
    Spent { processor: now().saturating_sub(processor), wall: wall.elapsed() }
}

/// Measures a child that is started, waited for and ended within `work`, its start included. No other child may end
/// meanwhile.
///
/// # Errors
/// The error that `work` returned.
pub(crate) fn of_a_child<E>(work: impl FnOnce() -> Result<(), E>) -> Result<Spent, E> {
    let now = || {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel knows what its processes used");
        let duration = |time: TimeVal| Duration::new(time.tv_sec().unsigned_abs(), time.tv_usec() as u32 * 1000);
        duration(usage.user_time()) + duration(usage.system_time())
    };
    let (processor, wall) = (now(), Instant::now());
    work()?;
    Ok(Spent { processor: now().saturating_sub(processor), wall: wall.elapsed() })
}

/// Returns the middle value; of an even number of values, the higher of the two in the middle.
#[must_use]
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
