//! The page: its head, its summary, its filter, and a section for each test.

use std::collections::BTreeMap;
use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::sound;
use super::spectrum::spectrogram;
use crate::conformance::{Contract, Verdict};
use crate::event::TestResult;
use crate::report::about::About;
use crate::report::evidence::{Evidence, Log};
use crate::report::place::{folder_of, relative};
use crate::report::results::{Attempt, CountedTest, Report, TestRecord};
use crate::report::steps::{StepOutcome, StepTime};
use crate::report::text::summary;
use crate::sound::pcm::{Pcm, difference};

/// Failures with pictures: a page of a whole suite stays small enough to be opened.
const PICTURES_MAX: usize = 24;

/// Failures with excerpts that can be played.
const EXCERPTS_MAX: usize = 3;

/// The page's Content Security Policy: what is in the page, and no request.
const POLICY: &str = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'";

/// Pictures and excerpts that are left to give out.
struct Budget {
    pictures: usize,
    excerpts: usize,
}

/// Makes the page. `path` is where it will be, from which run folders are linked.
pub(super) fn page(report: &Report, about: &About, path: &Path) -> Markup {
    let title = format!("{}: {}", about.command, summary(report));
    let mut budget = Budget { pictures: PICTURES_MAX, excerpts: EXCERPTS_MAX };
    let base = folder_of(path);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                header {
                    h1 { code { (about.command) } }
                    p { (about.begun.strftime("%Y-%m-%d %H:%M:%S %Z").to_string()) ", " (seconds(about.milliseconds)) ", run " code { (about.run_id) } }
                    (counts(report))
                }
                main {
                    (filter(report))
                    section id="tests" aria-label="Tests" {
                        @for test in ordered(&report.tests) { (section(test, &mut budget, &base)) }
                    }
                    @if let Some(contract) = &report.contract { (rules(contract)) }
                    @if !report.counted_tests.is_empty() { (counted(&report.counted_tests)) }
                    @if !report.warnings.is_empty() {
                        section {
                            h2 { "Warnings" }
                            ul { @for warning in &report.warnings { li { (warning) } } }
                        }
                    }
                }
                script { (PreEscaped(include_str!("script.js"))) }
            }
        }
    }
}

/// Returns tests with failures first, else as they ran.
fn ordered(tests: &[TestRecord]) -> Vec<&TestRecord> {
    let mut all: Vec<&TestRecord> = tests.iter().collect();
    let order = by_result(&Report::default()).map(|(result, _)| result);
    all.sort_by_key(|test| order.iter().position(|result| *result == test.result));
    all
}

/// Returns how many tests have each result, those first that need a reader most.
fn by_result(report: &Report) -> [(TestResult, usize); 5] {
    [
        (TestResult::Failed, report.failed),
        (TestResult::KnownIssuePasses, report.known_issues_passing),
        (TestResult::KnownIssue, report.known_issues),
        (TestResult::Skipped, report.skipped),
        (TestResult::Passed, report.passed),
    ]
}

fn is_of_known_issue(result: TestResult) -> bool {
    matches!(result, TestResult::KnownIssue | TestResult::KnownIssuePasses)
}

/// Returns the name of a result as words.
fn words(result: TestResult) -> String {
    result.name().replace('-', " ")
}

fn counts(report: &Report) -> Markup {
    html! {
        ul.counts { @for (result, count) in by_result(report) {
            @if count > 0 || !is_of_known_issue(result) { li.(result.name()) { b { (count) } " " (words(result)) } }
        } }
    }
}

fn filter(report: &Report) -> Markup {
    html! {
        form role="search" {
            label for="text" { "Filter" }
            input id="text" type="search" placeholder="name, rule, message" aria-keyshortcuts="/";
            @for (result, count) in by_result(report) {
                @if count > 0 || !is_of_known_issue(result) {
                    label.choice { input type="checkbox" value=(result.name()) checked?[count > 0]; (words(result)) }
                }
            }
            output for="text" aria-live="polite" {}
            p.keys { kbd { "/" } " filter, " kbd { "j" } " and " kbd { "k" } " next and previous, " kbd { "Enter" } " open" }
        }
    }
}

fn section(test: &TestRecord, budget: &mut Budget, base: &Path) -> Markup {
    let failed = test.result == TestResult::Failed;
    let evidence = test.run_folder.as_ref().map(|folder| Evidence::read(folder, failed)).unwrap_or_default();
    let word = test.result.name();
    html! {
        details.test data-result=(word) open[failed && budget.pictures > 0] {
            summary {
                span.badge.(word) { (words(test.result)) }
                span.name { (test.name) @if test.is_flaky() { " " span.flaky { "flaky" } } }
                @if let Some(class) = test.class { span.class { (class.name()) } }
                span.time { (seconds(test.milliseconds)) }
            }
            div.body {
                @if let Some(issue) = &test.known_issue { p { "Known issue: " (issue.text()) } }
                @for violation in &test.violations { pre.violation { (violation) } }
                @if test.attempts.len() > 1 { (attempts(&test.attempts, base)) }
                @for log in &evidence.bug_checks { h3 { "Bug check" } (text_of(log)) }
                @let findings = test.findings.lines();
                @if !findings.is_empty() { h3 { "Findings" } ul { @for line in &findings { li { (line) } } } }
                @if !evidence.steps.is_empty() { (steps(&evidence.steps)) }
                @if failed {
                    @if let Some(folder) = &test.run_folder { (sounds(&evidence, folder, budget)) }
                }
                @let counters = evidence.counters();
                @if !counters.is_empty() {
                    details { summary { "Counters" } table { tbody {
                        @for (name, value) in &counters { tr { th scope="row" { (name) } td.number { (value) } } }
                    } } }
                }
                @for log in &evidence.logs { details { summary { (log.name) } (text_of(log)) } }
                dl {
                    dt { "run again" } dd { code { (test.reproduce) } }
                    @if let Some(hash) = &test.pcm_sha256 { dt { "PCM, SHA-256" } dd { code { (hash) } } }
                    @if let Some(file) = &test.file {
                        dt { "defined in" }
                        dd { code { (file.display()) @if let Some(line) = test.line { ":" (line) } } }
                    }
                    @if !test.tags.is_empty() { dt { "tags" } dd { (test.tags.join(", ")) } }
                    @if let Some(seed) = &test.seed { dt { "seed" } dd { code { (seed) } } }
                    @if let Some(folder) = &test.run_folder {
                        dt { "run folder" } dd { a href=(address(folder, base)) { (folder.display().to_string()) } }
                    }
                }
            }
        }
    }
}

fn attempts(attempts: &[Attempt], base: &Path) -> Markup {
    html! {
        h3 { "Attempts" }
        ol { @for attempt in attempts { li {
            (words(attempt.result)) ", " (seconds(attempt.milliseconds))
            @if let Some(violation) = attempt.violations.first() { ": " (violation) }
            @if let Some(folder) = &attempt.run_folder { " " a href=(address(folder, base)) { "run folder" } }
        } } }
    }
}

fn text_of(log: &Log) -> Markup {
    html! { pre tabindex="0" { @if log.cut { "[...]\n" } (log.tail) } }
}

/// Draws the steps on a line of time, beside their durations.
fn steps(steps: &[StepTime]) -> Markup {
    const WIDTH: f64 = 600.0;
    const ROW: usize = 14;
    let begin = steps.iter().map(|step| step.begun).fold(f64::MAX, f64::min);
    let scale = WIDTH / (steps.iter().map(|step| step.ended).fold(begin, f64::max) - begin).max(1.0);
    let height = steps.len() * ROW;
    html! {
        h3 { "Steps" }
        div.steps {
            svg viewBox=(format!("0 0 {WIDTH} {height}")) height=(height) preserveAspectRatio="none" aria-hidden="true" {
                @for (row, step) in steps.iter().enumerate() {
                    @let width = ((step.ended - step.begun) * scale).max(2.0);
                    rect.open[matches!(step.outcome, StepOutcome::Failed | StepOutcome::Open)] x=(format!("{:.1}", (step.begun - begin) * scale)) y=(row * ROW + 2)
                        width=(format!("{width:.1}")) height=(ROW - 4) {}
                }
            }
            ol { @for step in steps {
                li { (step.name) " " span.time {
                    @match step.milliseconds { Some(milliseconds) => (seconds(milliseconds)), None => (step.outcome.words()) }
                } }
            } }
        }
        @let details = steps.iter().filter(|step| step.outcome != StepOutcome::Passed);
        @let lines: Vec<String> = details.filter_map(StepTime::line).collect();
        @if !lines.is_empty() { ul { @for line in &lines { li { (line) } } } }
    }
}

/// Shows the sound beside the expected one, while there are pictures left.
fn sounds(evidence: &Evidence, folder: &Path, budget: &mut Budget) -> Markup {
    let (actual, expected) = evidence.sounds(folder);
    let Some(actual) = actual else { return html! {} };
    if budget.pictures == 0 {
        return html! { p { "The sound is in the run folder; only the first " (PICTURES_MAX) " failures have pictures here." } };
    }
    budget.pictures -= 1;
    // What a step has compared is in no judgement.
    let first =
        || expected.as_ref().and_then(|expected| difference(&actual, expected)).map(|found| (found.frame, "first"));
    let (frame, which) = evidence.difference().or_else(first).unzip();
    let frame = frame.unwrap_or_default();
    let with_excerpt = budget.excerpts > 0;
    budget.excerpts = budget.excerpts.saturating_sub(1);
    html! {
        h3 { "Sound" }
        div.sounds {
            @if let Some(expected) = &expected { (sound_of("expected", expected, frame, with_excerpt)) }
            (sound_of("actual", &actual, frame, with_excerpt))
            @if let Some(expected) = &expected {
                figure {
                    figcaption {
                        @match which {
                            Some(which) => { "difference, the " (which) " at frame " (frame) }
                            None => { "difference: none" }
                        }
                    }
                    (wave(&sound::difference(&actual, expected), "The difference of both sounds over time"))
                }
            }
        }
    }
}

fn sound_of(name: &str, pcm: &Pcm, frame: u64, with_excerpt: bool) -> Markup {
    let length = pcm.frames() as f64 / f64::from(pcm.format.sample_rate.max(1));
    html! {
        figure {
            figcaption { (name) ", " (format!("{length:.2} s, {}", pcm.format)) }
            (wave(&sound::waveform(pcm), &format!("The {name} sound over time")))
            img width="600" height="128" alt=(format!("Spectrogram of the {name} sound")) src=(spectrogram(pcm).data_uri());
            @if with_excerpt {
                @if let Some((from, address)) = sound::excerpt(pcm, frame) {
                    p { audio controls preload="none" src=(address) aria-label=(format!("{name}, from {from:.1} s")) {}
                        " from " (format!("{from:.1}")) " s" }
                }
            }
        }
    }
}

fn wave(path: &str, label: &str) -> Markup {
    html! {
        svg.wave viewBox=(format!("0 0 {} {}", sound::COLUMNS, 2.0 * sound::HALF)) preserveAspectRatio="none" role="img"
            aria-label=(label) { path d=(path) {} }
    }
}

fn rules(contract: &Contract) -> Markup {
    html! {
        section {
            h2 { "Contract" }
            table.rules {
                thead { tr { th { "rule" } th { "verdict" } th { "held" } th { "what" } } }
                tbody { @for row in &contract.rows {
                    tr.(if row.verdict == Verdict::Violated { "failed" } else { "other" }) {
                        td.number { (row.number) } td { (row.verdict.name()) } td.number { (row.held) }
                        td { (row.title) @if let Some(message) = &row.message { div.message { (message) } } }
                    }
                } }
            }
        }
    }
}

/// Counts the tests of other runners by suite, and names those that did not pass.
fn counted(tests: &[CountedTest]) -> Markup {
    let mut suites: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for test in tests {
        let index = match test.result {
            TestResult::Passed | TestResult::KnownIssuePasses => 0,
            TestResult::Failed => 1,
            TestResult::Skipped | TestResult::KnownIssue => 2,
        };
        suites.entry(&test.suite).or_default()[index] += 1;
    }
    html! {
        section {
            h2 { "Other tests" }
            table {
                thead { tr { th { "suite" } th { "passed" } th { "failed" } th { "skipped" } } }
                tbody { @for (suite, numbers) in &suites {
                    tr { td { (suite) } @for number in numbers { td.number { (number) } } }
                } }
            }
            ul { @for test in tests.iter().filter(|test| test.result != TestResult::Passed) {
                li { (test.suite) ": " (test.name) ", " (test.result.name()) }
            } }
        }
    }
}

fn seconds(milliseconds: f64) -> String {
    if milliseconds < 1000.0 { format!("{milliseconds:.0} ms") } else { format!("{:.1} s", milliseconds / 1000.0) }
}

/// Returns the address of a run folder.
fn address(folder: &Path, base: &Path) -> String {
    encoded(&relative(folder, base))
}

/// Encodes what an address cannot hold as it is.
fn encoded(path: &str) -> String {
    path.replace('%', "%25").replace('#', "%23").replace('?', "%3F").replace(' ', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::failure::Class;
    use crate::host::leftovers::Scratch;
    use crate::sound::pcm::PcmFormat;

    fn record(name: &str, result: TestResult, folder: Option<&Path>) -> TestRecord {
        TestRecord {
            result,
            class: (result == TestResult::Failed).then_some(Class::TestFailed),
            violations: if result == TestResult::Failed {
                vec!["<script>alert(1)</script>".into()]
            } else {
                Vec::new()
            },
            milliseconds: 12.0,
            run_folder: folder.map(Path::to_path_buf),
            ..TestRecord::new(name, "dmus run x")
        }
    }

    fn noise(seconds: usize) -> Pcm {
        let mut state = 1u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 17) as i16
        };
        Pcm { samples: (0..seconds * 96_000).map(next).collect(), format: PcmFormat::of_card(48_000) }
    }

    #[test]
    fn a_text_of_a_test_is_no_part_of_the_page_and_nothing_is_asked_for() {
        let mut report = Report::default();
        report.add(record("a [b]", TestResult::Failed, None));
        let text = page(&report, &About::of_test(), Path::new("x.html")).into_string();
        assert!(!text.contains("<script>alert") && text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(text.contains("default-src 'none'"));
        for part in ["src=\"http", "href=\"http", "url(http", "@import"] {
            assert!(!text.contains(part), "{part}");
        }
    }

    #[test]
    fn failures_come_first_with_their_sound_until_the_budget_is_spent() {
        let scratch = Scratch::new().unwrap();
        let mut report = Report::default();
        report.add(record("good", TestResult::Passed, None));
        for number in 0..PICTURES_MAX + 2 {
            let folder = scratch.path().join(number.to_string());
            std::fs::create_dir_all(&folder).unwrap();
            noise(1).write_wav(&folder.join("guest.wav")).unwrap();
            noise(1).write_wav(&folder.join("offline.wav")).unwrap();
            report.add(record(&format!("bad {number}"), TestResult::Failed, Some(&folder)));
        }
        let text = page(&report, &About::of_test(), &scratch.path().join("page.html")).into_string();
        assert!(text.find("bad 0") < text.find(">good<"));
        assert_eq!(text.matches("Spectrogram of the actual sound").count(), PICTURES_MAX);
        assert_eq!(text.matches("<audio").count(), 2 * EXCERPTS_MAX);
        assert_eq!(text.matches("failures have pictures here").count(), 2);
        assert!(text.contains("href=\"3\""), "run folders are linked from where the page is");
    }

    #[test]
    fn a_page_of_many_tests_is_small() {
        let mut report = Report::default();
        (0..250).for_each(|number| report.add(record(&format!("test {number}"), TestResult::Passed, None)));
        assert!(page(&report, &About::of_test(), Path::new("x.html")).into_string().len() < 300_000);
    }

    #[test]
    fn run_folders_are_addressed_from_the_page() {
        let base = Path::new("/a/b/c");
        assert_eq!(address(Path::new("/a/b/c/run 1"), base), "run%201");
        assert_eq!(address(Path::new("/a/x#1"), base), "../../x%231");
        assert_eq!(address(Path::new("/z/run"), base), "/z/run");
    }
}
