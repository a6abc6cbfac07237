//! What GitHub shows of a run by itself: annotations, which are lines of the log, and the summary of the step.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use super::place::from_here;
use super::results::{Report, TestRecord};
use super::text::summary;
use crate::event::TestResult;
use crate::host::file_error::FileError;

/// Annotations that GitHub shows of a step; it drops the rest.
const ANNOTATIONS_MAX: usize = 10;

/// The longest summary of a step, in bytes: a longer one is dropped as a whole.
const SUMMARY_BYTES_MAX: usize = 1 << 20;

/// Returns the lines that make annotations of the failures, and warnings of known issues that pass now.
#[must_use]
pub fn github_annotations(report: &Report) -> Vec<String> {
    let mut lines: Vec<String> = failed(report).take(ANNOTATIONS_MAX).map(error).collect();
    let more = failed(report).count().saturating_sub(ANNOTATIONS_MAX);
    if more > 0 {
        // The place of the last: the step shows no more than these.
        lines.pop();
        lines.push(format!("::error title=more failures::{} more tests failed: see the step's summary", more + 1));
    }
    lines.extend(report.tests.iter().filter_map(passes_now).take(ANNOTATIONS_MAX));
    lines
}

fn error(test: &TestRecord) -> String {
    let text = format!("{}\nrun again: {}", test.violations.join("\n"), test.reproduce);
    let flaky = if test.is_flaky() { "flaky: " } else { "" };
    annotation("error", test, &format!("{flaky}{}", test.name), &text)
}

fn passes_now(test: &TestRecord) -> Option<String> {
    let issue = test.known_issue.as_ref().filter(|_| test.result == TestResult::KnownIssuePasses)?;
    let text = format!("passes now: take the known issue out of the scenario: {}", issue.text());
    Some(annotation("warning", test, &test.name, &text))
}

/// Returns an annotation at the place of a test in its scenario file.
fn annotation(kind: &str, test: &TestRecord, title: &str, text: &str) -> String {
    let file = test.file.as_ref().map(|file| format!("file={},", escaped(&from_here(file), true)));
    let line = test.line.filter(|_| file.is_some()).map(|line| format!("line={line},"));
    let place = file.unwrap_or_default() + &line.unwrap_or_default();
    format!("::{kind} {place}title={}::{}", escaped(title, true), escaped(text, false))
}

/// Appends the summary of a run to the file that `GITHUB_STEP_SUMMARY` names.
///
/// # Errors
/// [`FileError`] when the file cannot be written.
pub fn append_github_summary(report: &Report, command: &str, path: &Path) -> Result<(), FileError> {
    let mut file = File::options().create(true).append(true).open(path).map_err(FileError::own("write", path))?;
    file.write_all(markdown(report, command).as_bytes()).map_err(FileError::own("write", path))
}

fn markdown(report: &Report, command: &str) -> String {
    let mut text = format!("### `{command}`\n\n{}\n\n", summary(report));
    if failed(report).next().is_some() {
        text += "| failed | reason | run again |\n|---|---|---|\n";
    }
    let failures = failed(report).count();
    for (index, test) in failed(report).enumerate() {
        let reason = cell(test.violations.first().map_or("", String::as_str));
        let row = format!("| {} | {reason} | `{}` |\n", cell(&test.name), cell(&test.reproduce));
        if text.len() + row.len() > SUMMARY_BYTES_MAX - 200 {
            let _ = writeln!(text, "\n{} more tests failed.", failures - index);
            break;
        }
        text += &row;
    }
    text + "\n"
}

fn failed(report: &Report) -> impl Iterator<Item = &TestRecord> {
    report.tests.iter().filter(|test| test.result == TestResult::Failed)
}

/// Returns text as a workflow command has it (GitHub, "Workflow commands for GitHub Actions"; properties have two more).
fn escaped(text: &str, property: bool) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    if property { text.replace(':', "%3A").replace(',', "%2C") } else { text }
}

/// Returns text as a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::failure::Class;
    use crate::host::leftovers::Scratch;
    use crate::report::results::KnownIssue;

    fn report(failures: usize, reason: &str) -> Report {
        let mut report = Report::default();
        for number in 0..failures {
            report.add(TestRecord {
                result: TestResult::Failed,
                class: Some(Class::TestFailed),
                violations: vec![reason.into()],
                milliseconds: 1.0,
                ..TestRecord::new(format!("song [x={number}, y]"), "dmus run song")
            });
        }
        report
    }

    #[test]
    fn a_failure_is_one_line_whatever_its_text() {
        let lines = github_annotations(&report(1, "50 %\nof | it"));
        assert_eq!(lines, ["::error title=song [x=0%2C y]::50 %25%0Aof | it%0Arun again: dmus run song"]);
    }

    #[test]
    fn an_annotation_is_at_the_place_of_its_case_and_a_known_issue_that_passes_is_a_warning() {
        let mut report = report(1, "late");
        let test = &mut report.tests[0];
        test.file = Some(std::env::current_dir().unwrap().join("a,b/song.toml"));
        test.line = Some(3);
        test.attempts = vec![test.as_attempt(), TestRecord::new("", "").as_attempt()];
        let issue = KnownIssue { reason: "slow".into(), link: "X-1".into(), review_by: "2027-01-01".into() };
        let passes = TestRecord {
            result: TestResult::KnownIssuePasses,
            known_issue: Some(issue),
            ..TestRecord::new("song [y]", "dmus run song")
        };
        report.add(passes);
        let lines = github_annotations(&report);
        assert!(
            lines[0].starts_with("::error file=a%2Cb/song.toml,line=3,title=flaky%3A song [x=0%2C y]::late"),
            "{lines:?}"
        );
        assert!(
            lines[1].starts_with("::warning title=song [y]::passes now") && lines[1].contains("slow (X-1"),
            "{lines:?}"
        );
    }

    #[test]
    fn says_how_many_failures_have_no_annotation() {
        let lines = github_annotations(&report(12, "x"));
        assert_eq!(lines.len(), ANNOTATIONS_MAX);
        assert!(lines[9].contains("3 more tests failed"), "{}", lines[9]);
        assert_eq!(github_annotations(&report(10, "x")).len(), 10);
    }

    #[test]
    fn the_summary_is_appended_and_stays_below_the_bound() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("summary.md");
        append_github_summary(&report(1, "a|b\nc"), "dmus run", &path).unwrap();
        append_github_summary(&report(0, ""), "dmus test", &path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("| song [x=0, y] | a\\|b c | `dmus run song` |"), "{text}");
        assert!(text.contains("### `dmus test`"));
        let long = markdown(&report(2000, &"x".repeat(1000)), "dmus run");
        assert!(long.len() <= SUMMARY_BYTES_MAX && long.contains("more tests failed."));
    }
}
