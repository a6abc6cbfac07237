//! What QEMU itself asserts on or refuses around the card, each shown on the QEMU at hand: a limit that is no longer there is a finding,
//! which names what can become simpler.
//!
//! No guest runs: QEMU is driven over qtest and its monitor. `QEMU-LIMITS.md` beside the scenarios lists the same.

mod acts;
mod back_end;
mod error;
mod machine;
mod report;

use std::path::Path;
use std::time::Instant;

use acts::{ALL, Surroundings};

use crate::event::{Event, Observer};
use crate::host::interrupt;
use crate::testbed::run_folder::RunFolder;

pub use error::LimitsError;
pub use report::{LimitRow, LimitsReport};

/// Shows each limit on a QEMU.
///
/// # Errors
/// [`LimitsError::Interrupted`] when the user interrupts; the others where the host gives no process or file.
pub fn run(qemu: &Path, card: &Path, folder: &RunFolder, observer: &dyn Observer) -> Result<LimitsReport, LimitsError> {
    let begun = Instant::now();
    let mut report = LimitsReport::default();
    for limit in ALL {
        if interrupt::requested() {
            return Err(LimitsError::Interrupted);
        }
        let around = Surroundings::new(qemu, card, folder, limit.name)?;
        let found = (limit.act)(&around)?;
        if report.qemu.is_empty() {
            report.qemu.clone_from(&found.version);
        }
        let row = LimitRow::of(limit, &found);
        if !row.as_noted {
            observer.event(&Event::Warning { text: row.finding() });
        }
        report.rows.push(row);
    }
    report.milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
    folder.write("qemu-limits.txt", report.text())?;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::report::NOTED;
    use super::*;

    #[test]
    fn the_document_lists_each_limit_with_the_version() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("QEMU-LIMITS.md");
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(NOTED), "{NOTED}");
        for limit in ALL {
            for part in [limit.name, limit.what, limit.expected, limit.then] {
                assert!(text.contains(part), "QEMU-LIMITS.md has no \"{part}\"");
            }
        }
        let rows = text.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, ALL.len());
    }
}
