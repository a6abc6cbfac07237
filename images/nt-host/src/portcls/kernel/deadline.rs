//! Deadlines for drivers: counted in time that the machine runs, so that a host that stops the machine for seconds is
//! not taken for a driver that does nothing.

use crate::bugcheck::blame;
use crate::portcls::kernel;

/// 100 ns units in a millisecond.
const MILLISECOND: i64 = 10_000;

/// The end of a wait for a driver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    limit: i64,
    until: i64,
}

impl Deadline {
    /// Returns the deadline after `limit` from now, in 100 ns units.
    pub(crate) fn after(limit: i64) -> Self {
        Self { limit, until: kernel::ran().saturating_add(limit) }
    }

    /// Returns whether the deadline has passed.
    pub(crate) fn has_passed(self) -> bool {
        kernel::ran() > self.until
    }

    /// Notes, before a rule is broken, that the violation was found by waiting. A device whose back-end does not run
    /// keeps a driver waiting too, which only the harness can know.
    pub(crate) fn note_missed(self) {
        blame::set_waited_ms(u32::try_from(self.limit / MILLISECOND).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_passes_with_the_time_that_the_machine_ran() {
        let deadline = Deadline::after(100_000);
        assert!(!deadline.has_passed());
        for _ in 0..20 {
            kernel::pause();
        }
        assert!(deadline.has_passed());
    }
}
