//! Limits the log lines that a guest or a front-end can cause, for as long as the process runs.
//!
//! A limit that a guest can reset is none: neither a new connection nor a new back-end clears these.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Lines of one kind that are logged one by one. Beyond it only each doubling is, so that a loop cannot fill a disk: a
/// kind never has more than 16 + 60 lines in one process.
pub(crate) const LOGGED_EACH: u64 = 16;

/// The limiter of one kind of log line: a `static` beside the line.
#[derive(Debug, Default)]
pub(crate) struct LogLimit(AtomicU64);

impl LogLimit {
    /// Returns a limiter that has seen nothing.
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts one line of this kind, and logs it for `target` (the caller's `module_path!()`) if it is among those that
    /// are logged, with the number of lines that were left out since the last one.
    pub(crate) fn log(&self, target: &str, level: log::Level, line: impl fmt::Display) {
        let seen = self.0.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        match omitted(seen) {
            Some(0) => log::log!(target: target, level, "{line}"),
            Some(omitted) => {
                log::log!(target: target, level, "{line} ({seen} of this kind so far; {omitted} were not logged)");
            }
            None => {}
        }
    }
}

/// Logs a line through a limiter of its own: `log_limited!(Level::Warn, "... {}", ...)`.
macro_rules! log_limited {
    ($level:expr, $($line:tt)+) => {{
        static LIMIT: $crate::log_limit::LogLimit = $crate::log_limit::LogLimit::new();
        LIMIT.log(module_path!(), $level, format_args!($($line)+));
    }};
}

pub(crate) use log_limited;

/// Returns how many lines were left out just before the `seen`th one; `None` when that is not logged either.
const fn omitted(seen: u64) -> Option<u64> {
    if seen <= LOGGED_EACH {
        Some(0)
    } else if seen.is_power_of_two() {
        let last = seen / 2;
        let logged = if last < LOGGED_EACH { LOGGED_EACH } else { last };
        Some(seen.saturating_sub(1).saturating_sub(logged))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_are_logged_and_then_each_doubling_with_a_count_of_the_rest() {
        let logged: Vec<(u64, u64)> = (1..=200).filter_map(|seen| Some((seen, omitted(seen)?))).collect();
        assert_eq!(logged[..16], std::array::from_fn::<_, 16, _>(|index| (index as u64 + 1, 0)));
        assert_eq!(logged[16..], [(32, 15), (64, 31), (128, 63)]);
        assert_eq!((1..=1_000_000).filter(|seen| omitted(*seen).is_some()).count(), 16 + 15);
    }
}
