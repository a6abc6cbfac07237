//! Checks INF files as InfVerif does, by its numbers.
//!
//! From Microsoft's pages "INF Validation Errors and Warnings", "Running InfVerif from the command line" and those of the sections and
//! directives. What InfVerif looks for and no page tells is not here: a file without findings can still have some there.

mod findings;
mod install;
mod known;
mod models;
mod registry;
mod rules;
mod text;
mod version;

use super::{File, Warnings, decode};
use findings::Findings;

pub use findings::{Finding, Level};
pub use rules::{Mode, RULES, Rule};

/// Checks an INF's bytes.
#[must_use]
pub fn check(bytes: &[u8], mode: Mode) -> Vec<Finding> {
    let mut findings = Findings::new(mode);
    if text::encoding(bytes, &mut findings) {
        match decode(bytes, &mut Warnings::default()).and_then(|text| File::parse(&text)) {
            Ok(file) => whole(&file, &mut findings),
            Err(fault) => findings.add(1002, (fault.line.max(1), 1), fault.what),
        }
    }
    findings.sorted()
}

fn whole(file: &File, findings: &mut Findings) {
    if !version::signature(file, findings) {
        return;
    }
    let text = text::Text::of(file, findings);
    text::headings(file, findings);
    version::check(file, &text, findings);
    let models = models::read(file, &text, findings);
    let used = install::check(file, &text, &models, findings);
    text::unused(file, &used, findings);
}
