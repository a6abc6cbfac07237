//! Bounds how long the card may take: in processor time, which a busy machine does not stretch, and in time on the clock for
//! a card that waits in vain.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Most processor time that this whole process may use while a driver waits for the card: for the answer to a request, or
/// for frames. The card should take milliseconds; a build for fuzzing is some ten times slower, and a second
/// processor may be busy at the same time.
const DRIVER_MAX: Duration = Duration::from_secs(2);

/// The same while a front-end waits: QEMU and its guest do not run meanwhile.
const FRONT_END_MAX: Duration = Duration::from_millis(500);

/// Most time on the clock: the machine may be busy with everything else.
const CLOCK_MAX: Duration = Duration::from_secs(60);

/// Waiting that takes shorter is done without sleep.
const BRISK: Duration = Duration::from_micros(50);

/// How long to sleep between two looks after that.
const NAP: Duration = Duration::from_micros(50);

/// The longest wait so far, in microseconds of the processor.
static LONGEST: AtomicU64 = AtomicU64::new(0);

/// Returns the longest wait since the last call, in processor time; 0 when each was short.
pub fn longest() -> Duration {
    Duration::from_micros(LONGEST.swap(0, Ordering::Relaxed))
}

/// Returns the processor's time that this process has used.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A wait that has begun.
pub(super) struct Wait {
    what: &'static str,
    most: Duration,
    since: Instant,
    used_before: Duration,
}

impl Wait {
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
    /// When it has waited too long, which means that the card hangs.
    pub(super) fn sleep(&self) {
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
    /// When it has waited too long, which means that the card hangs.
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

/// Waits until `look` returns a value.
///
/// # Panics
/// When it took too long, which means that the card hangs.
pub(super) fn wait_for<T>(what: &'static str, mut there: impl FnMut() -> Option<T>) -> T {
    let wait = Wait::of_driver(what);
    loop {
        if let Some(found) = there() {
            return found;
        }
        wait.sleep();
    }
}
