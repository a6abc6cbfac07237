//! Counts the lines that the card would log.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use log::{LevelFilter, Log, Metadata, Record};

static LINES: AtomicUsize = AtomicUsize::new(0);

/// The environment variable with which the lines are printed.
const SHOW: &str = "DMUS_FUZZ_LOG";

static SHOWN: OnceLock<bool> = OnceLock::new();

struct Counting;

impl Log for Counting {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        LINES.fetch_add(1, Ordering::Relaxed);
        if *SHOWN.get_or_init(|| std::env::var_os(SHOW).is_some()) {
            eprintln!("{}: {}", record.level(), record.args());
        }
    }

    fn flush(&self) {}
}

/// Counts lines from now on, of the levels that the card's program logs by default.
pub(super) fn install() {
    // Another logger is there already only in a process that was not made for this; then nothing is counted.
    if log::set_logger(&Counting).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}

/// Returns how many lines have been logged.
pub(super) fn count() -> usize {
    LINES.load(Ordering::Relaxed)
}
