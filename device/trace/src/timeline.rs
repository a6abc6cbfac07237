//! Turns ticks into nanoseconds, between the pairs that a trace has of both.

/// The pairs of a trace, in order of ticks.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    pairs: Vec<(u64, u64)>,
}

/// Most nanoseconds a tick: those of the slowest counter that this takes for one, 1 MHz.
const NANOSECONDS_A_TICK_MAX: u128 = 1000;

impl Timeline {
    /// Returns a timeline that begins with this pair.
    pub(crate) fn new(ticks: u64, nanoseconds: u64) -> Self {
        Self { pairs: vec![(ticks, nanoseconds)] }
    }

    /// Adds a pair. One that is not later than the last in both, or is later than any clock can be, is passed over.
    pub(crate) fn add(&mut self, ticks: u64, nanoseconds: u64) {
        let fits = self.pairs.last().is_none_or(|last| {
            let (dt, dn) = (ticks.checked_sub(last.0), nanoseconds.checked_sub(last.1));
            dt.zip(dn).is_some_and(|(dt, dn)| {
                dt > 0 && dn > 0 && u128::from(dn) <= u128::from(dt).saturating_mul(NANOSECONDS_A_TICK_MAX)
            })
        });
        if fits {
            self.pairs.push((ticks, nanoseconds));
        }
    }

    /// Returns the nanoseconds at some ticks since the first pair; before the first pair they are negative. With one pair a tick
    /// counts as a nanosecond.
    pub(crate) fn at(&self, ticks: u64) -> i64 {
        let after = self.pairs.partition_point(|pair| pair.0 <= ticks);
        // The pairs on either side; at the ends, the two that are nearest.
        let right = after.clamp(1, self.pairs.len().saturating_sub(1).max(1));
        let (Some(origin), Some(a)) = (self.pairs.first(), self.pairs.get(right.saturating_sub(1))) else { return 0 };
        let (dt, dn) = match self.pairs.get(right) {
            Some(b) => (b.0.saturating_sub(a.0), b.1.saturating_sub(a.1)),
            None => (1, 1),
        };
        let since = i128::from(ticks).saturating_sub(a.0.into());
        let scaled = since.saturating_mul(dn.into()).checked_div(dt.into()).unwrap_or(0);
        let nanoseconds = i128::from(a.1).saturating_sub(origin.1.into()).saturating_add(scaled);
        i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_linear_between_pairs_and_beyond_them() {
        let mut timeline = Timeline::new(1000, 500);
        assert_eq!(timeline.at(1010), 10);
        timeline.add(2000, 1000);
        timeline.add(3000, 2000);
        assert_eq!(timeline.at(1000), 0);
        assert_eq!(timeline.at(1500), 250);
        assert_eq!(timeline.at(2500), 1000);
        assert_eq!(timeline.at(4000), 2500);
        assert_eq!(timeline.at(800), -100);
    }

    #[test]
    fn pairs_that_no_clock_gives_are_passed_over() {
        let mut timeline = Timeline::new(1000, 500);
        for (ticks, nanoseconds) in [(1000, 600), (900, 600), (1100, 500), (1100, u64::MAX)] {
            timeline.add(ticks, nanoseconds);
        }
        assert_eq!(timeline.pairs.len(), 1);
        assert_eq!((timeline.at(1010), timeline.at(u64::MAX)), (10, i64::MAX));
    }
}
