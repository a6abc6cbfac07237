//! The real-time sample clock, driven by the host's monotonic clock.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::time::{Duration, Instant};

/// The interval at which frames are rendered in real time when no wave buffer waits for them.
pub const QUANTUM: Duration = Duration::from_millis(5);

/// The lag of the host beyond which frames are dropped instead of rendered late: a process that was suspended
/// must not render minutes of sound that is out of date.
pub const CATCH_UP: Duration = Duration::from_secs(2);

/// The real-time clock, which runs or stands still.
#[derive(Debug, Default)]
pub struct RealtimeClock {
    running: Option<(Instant, i64)>,
}

impl RealtimeClock {
    /// Starts the clock at frame `frame`, which is due first. A clock that runs goes on as it is.
    pub fn run(&mut self, now: Instant, frame: i64) {
        self.running.get_or_insert((now, frame));
    }

    /// Stops the clock.
    pub const fn stop(&mut self) {
        self.running = None;
    }

    /// Returns whether it runs.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Returns the first frame that is not yet due.
    #[must_use]
    pub fn due(&self, now: Instant, sample_rate: u32) -> Option<i64> {
        let (start, frame) = self.running?;
        let elapsed = now.saturating_duration_since(start).as_nanos();
        let frames = elapsed.saturating_mul(sample_rate.into()) / 1_000_000_000;
        Some(frame.saturating_add(i64::try_from(frames).unwrap_or(i64::MAX)))
    }

    /// Returns when all frames before `frame` are due.
    #[must_use]
    pub fn when(&self, frame: i64, sample_rate: u32) -> Option<Instant> {
        let (start, first) = self.running?;
        let frames = u64::try_from(frame.saturating_sub(first)).unwrap_or(0);
        let nanos = (u128::from(frames) * 1_000_000_000).div_ceil(u128::from(sample_rate.max(1)));
        start.checked_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_fall_due_with_the_host_clock_and_not_while_it_stands_still() {
        let mut clock = RealtimeClock::default();
        let start = Instant::now();
        assert_eq!(clock.due(start, 48_000), None);
        clock.run(start, 100);
        assert_eq!(clock.due(start, 48_000), Some(100));
        assert_eq!(clock.due(start + Duration::from_secs(1), 48_000), Some(48_100));
        assert_eq!(clock.when(48_100, 48_000), Some(start + Duration::from_secs(1)));
        for frame in [101, 102, 1234, 77_777] {
            let when = clock.when(frame, 44_100).unwrap();
            assert_eq!(clock.due(when, 44_100), Some(frame));
            assert_eq!(clock.due(when - Duration::from_nanos(1), 44_100), Some(frame - 1));
        }
        clock.stop();
        assert_eq!(clock.due(start, 48_000), None);
    }
}
