//! The results of runs, and their forms: text for people, JSON and JUnit XML for programs, progress on a terminal.

mod github;
mod html;
mod json;
mod junit;
mod print;
mod results;
mod table;
mod terminal;
mod text;

pub use github::{append_github_summary, github_annotations};
pub use html::{About, write_html};
pub use json::{error_object, failure_object, verdict_object};
pub use junit::write_junit;
pub use print::{LostOutput, error_line, keep, lost_output, out, out_part};
pub use results::{Attempt, CountedTest, HOSTILE_DRIVER, KnownIssue, Report, TestRecord, VariantRow, hostile_driver};
pub use table::table;
pub use terminal::Terminal;
pub use text::{failed_tests, failure_text, report_text, summary, verdict_text};
