//! The files that results are written to, and what GitHub shows of them.

use std::path::PathBuf;
use std::time::Instant;

use dmus::host::file_error::FileError;
use dmus::report::{About, Report, append_github_summary, error_line, github_annotations, write_html, write_junit};

use super::args::ReportArguments;
use super::setup::reproduce;

/// What a run began with, for the head of its reports.
pub(super) struct Reports {
    begun: jiff::Zoned,
    clock: Instant,
}

impl Reports {
    /// Notes the time.
    pub(super) fn begin() -> Self {
        Self { begun: jiff::Zoned::now(), clock: Instant::now() }
    }

    /// Writes the files that the options name. Where GitHub runs it, also prints annotations and appends to the step's summary.
    ///
    /// # Errors
    /// [`FileError`] of the first file that cannot be written, when all that can be are.
    pub(super) fn write(&self, report: &Report, arguments: &ReportArguments) -> Result<(), FileError> {
        let about = About {
            command: reproduce(),
            begun: self.begun.strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
            milliseconds: self.clock.elapsed().as_secs_f64() * 1000.0,
        };
        let mut written = vec![
            arguments.junit.as_ref().map(|path| write_junit(report, path)),
            arguments.html.as_ref().map(|path| write_html(report, &about, path)),
        ];
        if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
            // Standard output may be for a program.
            github_annotations(report).iter().for_each(|line| error_line(line));
            let path = std::env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from);
            written.push(path.map(|path| append_github_summary(report, &about.command, &path)));
        }
        written.into_iter().flatten().collect()
    }
}
