//! Reports as text for people.

use std::path::Path;

use super::results::{Report, TestRecord};
use super::table::table;

use crate::event::TestResult;
use crate::host::failure::{Class, Diagnosed};
use crate::kills::KillsReport;
use crate::machine::conditions::Conditions;
use crate::playback::judge::Judgement;
use crate::playback::{DeviceReport, PlaybackFailure, Verdict};
use crate::sound::pcm::PcmFormat;
use crate::testbed::HOST_STALLED_REMEDY;

/// Returns a report's tables and, as the last line, its [summary].
#[must_use]
pub fn report_text(report: &Report) -> String {
    let mut parts = Vec::new();
    if let Some(contract) = &report.contract {
        parts.push(contract.table());
        let figures = contract.figures.iter();
        let rows: Vec<_> = figures
            .map(|counted| vec![counted.probe.to_owned(), counted.value.to_string(), counted.name.clone()])
            .collect();
        if !rows.is_empty() {
            parts.push(table(&[], &[1], rows));
        }
        if !contract.conditions.are_usual() {
            parts.push(format!("with {}", contract.conditions));
        }
    }
    for (scenario, repeats) in &report.repeats {
        parts.push(format!("{scenario}:\n{}", repeats.table()));
    }
    parts.extend(report.low_resources.iter().map(crate::alloc_faults::AllocFaultsReport::table));
    parts.extend(report.hostile.iter().map(crate::hostile::inside::Report::text));
    parts.extend(report.qemu_limits.iter().map(crate::qemu_limits::LimitsReport::text));
    parts.extend(report.card_kills.iter().map(crate::conformance::CardKillsReport::text));
    parts.extend(report.kills.iter().map(kills_text));
    if !report.variants.is_empty() {
        let rows = report.variants.iter().map(|row| {
            let verdict = if row.caught { "caught" } else { "MISSED" };
            vec![verdict.to_owned(), row.variant.clone(), row.expected.clone(), row.fired.clone()]
        });
        parts.push(table(&["", "variant", "expected", "fired"], &[], rows));
    }
    // Those of the contract are with its table.
    if report.contract.is_none() {
        parts.extend(report.findings().short_lines());
    }
    parts.push(summary(report));
    parts.join("\n")
}

/// Returns how many tests passed, failed and were skipped, and how many are known issues, where there are some.
#[must_use]
pub fn summary(report: &Report) -> String {
    let mut text = format!("{} passed, {} failed, {} skipped", report.passed, report.failed, report.skipped);
    let flaky = report.tests.iter().filter(|test| test.is_flaky()).count();
    for (count, what) in [
        (flaky, "of the failed flaky"),
        (report.known_issues, "failed as known"),
        (report.known_issues_passing, "passed although known to fail"),
    ] {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    text
}

/// Returns each failed test with its run folder and the command that runs it again; of cargo's runners, its name.
#[must_use]
pub fn failed_tests(report: &Report) -> String {
    let failed = report.tests.iter().filter(|test| test.result == TestResult::Failed);
    let text = |test: &TestRecord| {
        let folder = test.run_folder.as_ref()?;
        Some(format!("{}: {}\n  reproduce: {}", test.name, folder.display(), test.reproduce))
    };
    let counted = report.counted_tests.iter().filter(|test| test.result == TestResult::Failed);
    let counted = counted.map(|test| format!("{}: {}", test.suite, test.name));
    failed.filter_map(text).chain(counted).collect::<Vec<_>>().join("\n")
}

/// Returns a row for each kill, with a line for each violation, and a line for all of them.
fn kills_text(report: &KillsReport) -> String {
    let header = ["", "process", "signal", "phase", "expected", "found", "ms", "left behind"];
    let rows = report.rows.iter().map(|row| {
        let left = match (row.left.is_empty(), row.swept.is_empty()) {
            (true, true) => "nothing".to_owned(),
            (true, false) => format!("nothing after its watcher ({} things before)", row.swept.len()),
            (false, _) => row.left.join(", "),
        };
        vec![
            row.number.to_string(),
            row.process.name().to_owned(),
            row.signal.to_owned(),
            row.phase.clone(),
            row.expected.clone(),
            row.found.clone(),
            format!("{:.0}", row.milliseconds),
            left,
        ]
    });
    let mut lines = vec![table(&header, &[0, 6], rows)];
    lines.extend(report.violations().into_iter().map(|violation| format!("WRONG: {violation}")));
    lines.push(format!(
        "{} of {} kills: the right process is blamed and nothing is left; slowest {:.0} ms; {} came too late and were \
         repeated; seed {:x}; {:.1} s",
        report.right,
        report.rows.len(),
        report.slowest_ms,
        report.too_late,
        report.seed,
        report.milliseconds / 1000.0
    ));
    lines.join("\n")
}

/// A list of names and values, a line each.
#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    /// Columns of the names.
    const NAME: usize = 13;

    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.push(format!("{name:<width$}{value}", width = Self::NAME));
    }
}

/// Returns the verdict of a playback test: what ran, what was counted, and whether the PCM is the offline render. `out` is a
/// WAV file that was written besides.
#[must_use]
pub fn verdict_text(verdict: &Verdict, out: Option<&Path>, reproduce: &str) -> String {
    let mut lines = Lines::default();
    let accelerator = &verdict.accelerator;
    let decibels = 20.0 * (f64::from(verdict.peak.max(1)) / 32_768.0).log10();
    lines.add("QEMU", &verdict.qemu);
    lines.add("accelerator", format!("{}: {}", accelerator.accelerator.name(), accelerator.reason));
    lines.add("guest", &verdict.guest);
    if !verdict.conditions.are_usual() {
        lines.add("", verdict.conditions);
    }
    lines.add("device", &verdict.device);
    lines.add("driver", format!("{} ({})", verdict.driver.sha256, verdict.driver.path.display()));
    lines.add("", format!("the guest loaded {}: the same", verdict.driver.sha256_in_guest));
    lines.add("song", format!("{}: {} events streamed", verdict.song, verdict.events));
    if let Some(live) = &verdict.live {
        live.lines().iter().for_each(|line| lines.add("live", line));
    }
    lines.add("interrupts", verdict.counters.interrupts);
    match (verdict.format, &verdict.pcm_sha256) {
        (Some(format), Some(hash)) => {
            let seconds = verdict.frames as f64 / f64::from(format.sample_rate);
            let usual = format == PcmFormat::of_card(format.sample_rate);
            let format = if usual { format!("{} Hz", format.sample_rate) } else { format.to_string() };
            lines.add("frames", format!("{} ({seconds:.2} s at {format})", verdict.frames));
            lines.add("peak", format!("{} ({decibels:.1} dBFS)", verdict.peak));
            lines.add("pcm", hash);
        }
        _ => lines.add("pcm", "none: no filter of the driver gives PCM"),
    }
    if let Some(card) = &verdict.card {
        let counted = &card.counters;
        lines.add(
            "card",
            format!(
                "{} underruns, {} events late, {} notes lost",
                counted.underruns, counted.events_late, counted.notes_lost
            ),
        );
        if let Some(first) = card.diagnosis.first_text() {
            let count = card.diagnosis.count;
            lines.add("diagnoses", format!("{count}: the card found something wrong with the driver, first: {first}"));
        }
    }
    if let Some(found) = verdict.device_report.as_ref().and_then(DeviceReport::diagnosis_text) {
        lines.add("diagnoses", found);
    }
    lines.add("time", format!("{:.0} ms from QEMU's start to the verdict", verdict.milliseconds));
    if let Some(path) = out {
        lines.add("written", path.display());
    }
    lines.add("run folder", verdict.run_folder.display());
    if !verdict.passed() && verdict.class_of_failure() == Class::HostStalled {
        lines.add("verdict", format!("FAILED: {}", verdict.standstills));
        lines.add("", "a time-out of the driver may have expired meanwhile, so the PCM is not compared");
        lines.add("remedy", HOST_STALLED_REMEDY);
        lines.add("reproduce", reproduce);
        return lines.0.join("\n");
    }
    for line in verdict.findings.lines() {
        lines.0.push(line);
    }
    let violations = verdict.findings.violations.len();
    let mut text = verdict.judgement.text();
    if verdict.judgement == Judgement::Plays && violations == 0 {
        text += if verdict.findings.waived.is_empty() {
            ", nothing violated"
        } else {
            ", nothing violated but what is waived"
        };
    }
    match verdict.judgement.passed() {
        true if violations > 0 => {
            let noted = if violations == 1 {
                "a violation was noted".into()
            } else {
                format!("{violations} violations were noted")
            };
            lines.add("verdict", format!("FAILED: {noted}; otherwise {text}"));
            lines.add("reproduce", reproduce);
        }
        true if verdict.audible == Some(false) => lines.add("verdict", format!("FAILED: {text}, but silent")),
        true => lines.add("verdict", text),
        false => {
            lines.add("verdict", format!("FAILED: {text}"));
            if verdict.judgement.bit_identical().is_some() {
                lines.add("", "guest.wav and offline.wav are in the run folder");
            }
            lines.add("reproduce", reproduce);
        }
    }
    lines.0.join("\n")
}

/// Returns what failed in a playback test without a verdict: the ends of the logs, the error, its remedy, and how to repeat it.
#[must_use]
pub fn failure_text(failure: &PlaybackFailure, conditions: Conditions, reproduce: &str) -> String {
    let error = &failure.error;
    let mut lines = Vec::new();
    if !failure.evidence.is_empty() {
        lines.push(failure.evidence.trim_end().to_owned());
    }
    lines.push(format!("error ({}): {error}", error.class().name()));
    if let Some(remedy) = error.remedy() {
        lines.push(format!("remedy: {remedy}"));
    }
    if !conditions.are_usual() {
        lines.push(format!("with: {conditions}"));
    }
    lines.push(format!("run folder: {}", failure.run_folder.display()));
    lines.push(format!("reproduce: {reproduce}"));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kills::{Process, Row};

    #[test]
    fn shows_the_violations_of_kills_below_their_table() {
        let row = Row {
            number: 7,
            process: Process::Card,
            signal: "SIGTERM",
            phase: "demo, streaming".into(),
            expected: "card-died".into(),
            found: "qemu-failed".into(),
            milliseconds: 12.0,
            swept: Vec::new(),
            left: vec!["process 9".into()],
            violations: vec!["the verdict is qemu-failed instead of card-died".into()],
        };
        let report = KillsReport {
            seed: 1,
            right: 0,
            too_late: 0,
            slowest_ms: 12.0,
            rows: vec![row],
            milliseconds: 20.0,
            run_folder: std::path::PathBuf::new(),
        };
        assert_eq!(report.violations().len(), 1);
        let text = kills_text(&report);
        assert!(text.contains("WRONG: kill 7, card by SIGTERM at demo, streaming: the verdict is"), "{text}");
        assert!(text.contains("process 9") && text.contains("0 of 1 kills"), "{text}");
    }
}
