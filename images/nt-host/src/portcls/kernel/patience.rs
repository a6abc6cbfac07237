//! How long a driver is waited for: counted in time that the machine runs, so that a host that stops it for seconds is not
//! taken for a driver that does nothing.

use crate::bugcheck::blame;
use crate::portcls::kernel;

/// 100 ns units in a millisecond.
const MILLISECOND: i64 = 10_000;

/// A wait that began when this was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    limit: i64,
    until: i64,
}

impl Patience {
    /// Waits for at most so long. 100 ns units.
    pub(crate) fn of(limit: i64) -> Self {
        Self { limit, until: kernel::ran().saturating_add(limit) }
    }

    /// Returns whether it has lasted that long.
    pub(crate) fn has_ended(self) -> bool {
        kernel::ran() > self.until
    }

    /// Notes, before a rule is broken, that it was found by waiting. A device whose back-end does not run keeps a
    /// driver waiting too, which only the harness can know.
    pub(crate) fn was_in_vain(self) {
        blame::set_waited_ms(u32::try_from(self.limit / MILLISECOND).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_with_the_time_that_the_machine_ran() {
        let patience = Patience::of(100_000);
        assert!(!patience.has_ended());
        for _ in 0..20 {
            kernel::pause();
        }
        assert!(patience.has_ended());
    }
}
