//! The files that results are written to, and what GitHub shows of them.

use std::path::PathBuf;
use std::time::Instant;

use dmus::host::failure::{Class, Diagnosed};
use dmus::host::run_id::run_id;
use dmus::report::{
    About, Report, ReportFile, ReportFileError, append_github_summary, ctrf, error_line, github_annotations, html,
    junit,
};

use super::args::ReportArguments;
use super::setup::reproduce;

/// Makes the text of a report.
type Form = fn(&Report, &About, &ReportFile) -> String;

/// What a run began with, for the head of its reports, and the files that they will be written to.
pub(super) struct Reports {
    begun: jiff::Zoned,
    clock: Instant,
    files: Vec<(ReportFile, Form)>,
}

impl Reports {
    /// Notes the time, and claims the files that the options name: before a run, which may be long.
    ///
    /// # Errors
    /// [`ReportFileError`] of the first file that cannot be written, or that another run writes.
    pub(super) fn begin(arguments: &ReportArguments) -> Result<Self, ReportFileError> {
        let forms: [(&Option<PathBuf>, Form); 3] = [
            (&arguments.junit, |report, _, _| junit(report)),
            (&arguments.ctrf, |report, about, file| ctrf(report, about, file.path())),
            (&arguments.html, |report, about, file| html(report, about, file.path())),
        ];
        let named = forms.into_iter().filter_map(|(path, form)| Some((path.as_ref()?, form)));
        let files =
            named.map(|(path, form)| Ok((ReportFile::claim(path)?, form))).collect::<Result<_, ReportFileError>>()?;
        Ok(Self { begun: jiff::Zoned::now(), clock: Instant::now(), files })
    }

    /// Writes the files. Where GitHub runs it, also prints annotations and appends to the step's summary. Prints an error for
    /// each file that cannot be written, and returns the class of the first: it is that of the verb where nothing else failed.
    pub(super) fn write(&self, report: &Report) -> Option<Class> {
        let about = About {
            command: reproduce(),
            run_id: run_id().into(),
            begun: self.begun.clone(),
            milliseconds: self.clock.elapsed().as_secs_f64() * 1000.0,
        };
        let mut written: Vec<_> =
            self.files.iter().map(|(file, form)| file.write(&form(report, &about, file))).collect();
        if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
            // Standard output may be for a program.
            github_annotations(report).iter().for_each(|line| error_line(line));
            let path = std::env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from);
            written.extend(path.map(|path| append_github_summary(report, &about.command, &path)));
        }
        let errors: Vec<_> = written.into_iter().filter_map(Result::err).collect();
        for error in &errors {
            error_line(&format!(
                "error ({}): {error}; the results above and in the run folders are kept",
                error.class().name()
            ));
            if let Some(remedy) = error.remedy() {
                error_line(&format!("remedy: {remedy}"));
            }
        }
        errors.first().map(Diagnosed::class)
    }
}
