//! How long the card may take for anything: a bound in time of the processor, which a busy machine does not stretch, and
//! one on the clock for a card that waits for something that never comes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Most time of the processor that this whole process may use while a driver waits for the card: for the answer to a
/// request, or for frames. The card is to take milliseconds; a build for fuzzing is some ten times slower, and a second
/// processor may be busy at the same time.
const DRIVER_MAX: Duration = Duration::from_secs(2);

/// The same while a front-end waits: QEMU and its guest stand still meanwhile.
const FRONT_END_MAX: Duration = Duration::from_millis(500);

/// Most time on the clock: the machine may be busy with everything else.
const CLOCK_MAX: Duration = Duration::from_secs(60);

/// Waiting that takes shorter is done without sleep.
const BRISK: Duration = Duration::from_micros(50);

/// How long to sleep between two looks after that.
const NAP: Duration = Duration::from_micros(50);

/// The longest wait so far, in microseconds of the processor.
static LONGEST: AtomicU64 = AtomicU64::new(0);

/// Returns the longest wait since this was asked last, in time of the processor; 0 when each was brisk.
pub fn longest() -> Duration {
    Duration::from_micros(LONGEST.swap(0, Ordering::Relaxed))
}

/// Returns the processor's time that this process has used.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A wait that has begun.
pub(super) struct Patience {
    what: &'static str,
    most: Duration,
    since: Instant,
    used_before: Duration,
}

impl Patience {
    /// Begins to wait for `what`, as a driver.
    pub(super) fn of_driver(what: &'static str) -> Self {
        Self { what, most: DRIVER_MAX, since: Instant::now(), used_before: processor_time() }
    }

    /// Begins to wait for `what`, as a front-end.
    pub(super) fn of_front_end(what: &'static str) -> Self {
        Self { most: FRONT_END_MAX, ..Self::of_driver(what) }
    }

    /// Waits a little.
    ///
    /// # Panics
    /// It has waited too long: the card hangs.
    pub(super) fn nap(&self) {
        let waited = self.since.elapsed();
        if waited < BRISK {
            std::thread::yield_now();
            return;
        }
        std::thread::sleep(NAP);
        self.check();
    }

    /// Checks the bounds.
    ///
    /// # Panics
    /// It has waited too long: the card hangs.
    pub(super) fn check(&self) {
        let (waited, used) = (self.since.elapsed(), processor_time().saturating_sub(self.used_before));
        LONGEST.fetch_max(u64::try_from(used.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        assert!(
            used < self.most && waited < CLOCK_MAX,
            "the card hangs: waited {waited:?} for {}, while {used:?} of the processor were used",
            self.what
        );
    }
}

/// Waits until there is something.
///
/// # Panics
/// It took too long: the card hangs.
pub(super) fn wait_for<T>(what: &'static str, mut there: impl FnMut() -> Option<T>) -> T {
    let patience = Patience::of_driver(what);
    loop {
        if let Some(found) = there() {
            return found;
        }
        patience.nap();
    }
}
