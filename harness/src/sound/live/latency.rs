//! How long messages take.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// Most times that are kept: three hours of a busy keyboard. Later ones count for the least and the greatest only.
const KEPT_MAX: usize = 1 << 20;

/// The times that messages took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    microseconds: Vec<u64>,
    count: u64,
    least: Option<u64>,
    greatest: Option<u64>,
}

/// The least, the median and the greatest time, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LatencySummary {
    /// How many messages.
    pub count: u64,
    /// The least.
    pub min_us: u64,
    /// The one in the middle.
    pub median_us: u64,
    /// The greatest.
    pub max_us: u64,
}

impl Latencies {
    /// Adds the time of a message.
    pub fn add(&mut self, time: Duration) {
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.count += 1;
        self.least = Some(self.least.map_or(time, |least| least.min(time)));
        self.greatest = Some(self.greatest.map_or(time, |greatest| greatest.max(time)));
        if self.microseconds.len() < KEPT_MAX {
            self.microseconds.push(time);
        }
    }

    /// Returns the summary; `None` without a message.
    #[must_use]
    pub fn summary(&self) -> Option<LatencySummary> {
        let mut sorted = self.microseconds.clone();
        sorted.sort_unstable();
        let median_us = *sorted.get(sorted.len() / 2)?;
        Some(LatencySummary { count: self.count, min_us: self.least?, median_us, max_us: self.greatest? })
    }
}

impl fmt::Display for LatencySummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: u64| us as f64 / 1e3;
        let Self { count, min_us, median_us, max_us } = *self;
        write!(
            f,
            "{:.1} ms at least, {:.1} ms in the middle, {:.1} ms at most, of {count} messages",
            ms(min_us),
            ms(median_us),
            ms(max_us)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_up_by_least_middle_and_greatest() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.summary(), None);
        for us in [9000, 1000, 2500] {
            latencies.add(Duration::from_micros(us));
        }
        let summary = latencies.summary().unwrap();
        assert_eq!(summary, LatencySummary { count: 3, min_us: 1000, median_us: 2500, max_us: 9000 });
        assert_eq!(summary.to_string(), "1.0 ms at least, 2.5 ms in the middle, 9.0 ms at most, of 3 messages");
    }
}
