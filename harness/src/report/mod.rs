//! The results of runs, and their forms: text and a page for people; JSON, JUnit XML and CTRF for programs; progress on a terminal.

mod about;
mod ctrf;
mod evidence;
mod file;
mod github;
mod html;
mod json;
mod junit;
mod place;
mod print;
mod progress;
mod results;
mod steps;
mod suites;
mod table;
mod terminal;
mod text;

pub use about::About;
pub use ctrf::ctrf;
pub use file::{ReportFile, ReportFileError};
pub use github::{append_github_summary, github_annotations};
pub use html::html;
pub use json::{JSON_VERSION, error_object, failure_object, out_json, verdict_object};
pub use junit::junit;
pub use print::{LostOutput, error_line, keep, lost_output, out, out_part};
pub use progress::Progress;
pub use results::{Attempt, CountedTest, HOSTILE_DRIVER, KnownIssue, Report, TestRecord, VariantRow, hostile_driver};
pub use table::table;
pub use terminal::Terminal;
pub use text::{failed_tests, failure_text, report_text, summary, verdict_text};
