//! The report on allocation faults: a row for each stack on which the driver allocates.

use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

use crate::testbed::violations::FindingsReport;

/// The outcome of a boot in which an allocation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The driver did without the memory: everything went as usual.
    DidWithout,
    /// The driver refused a request, and was stopped and unloaded without a trace.
    Refused,
    /// The stack did not come up again, so that no allocation failed.
    NotReached,
    /// A bug check, a leak, a hang, or a card that died.
    Failed,
}

/// A stack on which the driver allocates, and the outcome when that allocation failed.
#[derive(Clone, Debug, Serialize)]
pub struct SiteReport {
    /// The hash of the stack: the same in every boot of the same image.
    pub hash: String,
    /// The function that allocates.
    pub function: String,
    /// The driver's part of the stack, innermost first, with symbols where there are some.
    pub stack: Vec<String>,
    /// The outcome.
    pub outcome: Outcome,
    /// The refused allocation, or the failure.
    pub detail: String,
    /// Whether something was left behind: pool, an object, a mapping, an interrupt.
    pub leaked: bool,
}

/// The report of a low-resources simulation.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AllocFaultsReport {
    /// The driver image.
    #[serde(serialize_with = "crate::host::lossy::path")]
    pub driver: PathBuf,
    /// A row for each stack.
    pub sites: Vec<SiteReport>,
    /// The number of boots, the first one included.
    pub boots: usize,
    /// What the guests found without stopping.
    #[serde(skip_serializing_if = "FindingsReport::is_empty")]
    pub findings: FindingsReport,
    /// The duration in milliseconds.
    pub milliseconds: f64,
    /// The run folder.
    #[serde(serialize_with = "crate::host::lossy::path")]
    pub run_folder: PathBuf,
}

/// Reads the hash of a stack, as a report has it.
///
/// # Errors
/// What is wrong with the text, and what a hash looks like.
pub fn read_stack(text: &str) -> Result<u64, String> {
    const DIGITS: usize = 16;
    let is_name = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let hash = if is_name { u64::from_str_radix(text, 16).ok() } else { None };
    hash.ok_or_else(|| {
        format!("a stack's name is {DIGITS} hexadecimal digits, as a run without this option prints them")
    })
}

impl AllocFaultsReport {
    /// Returns the failures, one a line.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        if self.sites.is_empty() {
            return vec!["the driver allocates by no stack that was seen, so nothing was tried".into()];
        }
        let failed = |site: &&SiteReport| site.outcome == Outcome::Failed;
        let line = |site: &SiteReport| {
            let place = site.stack.first().map(|place| format!(" at {place}")).unwrap_or_default();
            let SiteReport { hash, function, detail, .. } = site;
            format!("when {function} is refused{place} (stack {hash}): {detail}")
        };
        // Those of a boot with an allocation fault are the site's failure.
        let violated = self.findings.violations.iter().map(|row| format!("violated, and went on: {}", row.text()));
        self.sites.iter().filter(failed).map(line).chain(violated).collect()
    }

    /// Counts the stacks whose failure left something behind.
    #[must_use]
    pub fn leaks(&self) -> usize {
        self.sites.iter().filter(|site| site.leaked).count()
    }

    /// Returns every stack and its outcome, for people.
    #[must_use]
    pub fn table(&self) -> String {
        // Not a table of columns: what failed stands below its row.
        let mut text = String::new();
        for SiteReport { hash, function, stack, outcome, detail, .. } in &self.sites {
            let place = stack.first().map_or("", String::as_str);
            let _ = writeln!(text, "{hash}  {:<12} {function:<28} {place}", name(*outcome));
            if *outcome == Outcome::Failed {
                let _ = writeln!(text, "    {detail}");
                stack.iter().for_each(|place| {
                    let _ = writeln!(text, "      {place}");
                });
            }
        }
        let [without, refused, missed, failed] =
            [Outcome::DidWithout, Outcome::Refused, Outcome::NotReached, Outcome::Failed].map(|way| self.count(way));
        let _ = write!(
            text,
            "{}: {} stacks that allocate, in {} boots: {refused} refused, {without} did without, {missed} not reached, \
             {failed} failed; {} leaks; {:.1} s",
            self.driver.file_name().unwrap_or_default().to_string_lossy(),
            self.sites.len(),
            self.boots,
            self.leaks(),
            self.milliseconds / 1000.0
        );
        text
    }

    /// Counts the stacks with an outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.sites.iter().filter(|site| site.outcome == outcome).count()
    }
}

/// Returns the name of an outcome.
#[must_use]
pub const fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::DidWithout => "did without",
        Outcome::Refused => "refused",
        Outcome::NotReached => "not reached",
        Outcome::Failed => "FAILED",
    }
}
