//! What a team's CI shows of its drivers, from the reports that the trial of the download has left: JUnit XML through a reader that is
//! not ours, within the limits of GitLab, and the pages in a browser.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use junit_parser::{TestCase, TestStatus};
use serde_json::Value;

use super::browser::Browser;
use super::named;

/// The largest JUnit file that GitLab reads, and all of a job together, in bytes (GitLab, "Unit test reports").
const GITLAB_FILE_MAX: u64 = 30_000_000;
const GITLAB_JOB_MAX: u64 = 100_000_000;

/// The rule that the team's broken driver breaks.
const RULE: &str = "rule 77";

/// Returns the reports in a folder whose names end so.
fn reports(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(end));
    paths.sort();
    assert!(paths.len() > 1, "{} has {paths:?}", folder.display());
    paths
}

/// Returns the cases of all JUnit files in a folder, as a reader has them.
fn cases(folder: &Path) -> Vec<TestCase> {
    let mut cases = Vec::new();
    let mut bytes = 0;
    for path in reports(folder, ".xml") {
        let size = fs::metadata(&path).unwrap().len();
        assert!(size < GITLAB_FILE_MAX, "{} has {size} bytes", path.display());
        bytes += size;
        let read = junit_parser::from_reader(BufReader::new(File::open(&path).unwrap()));
        let suites = read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let of_suites: Vec<TestCase> = suites.suites.into_iter().flat_map(|suite| suite.cases).collect();
        assert_eq!(of_suites.len() as u64, suites.tests, "{}", path.display());
        cases.extend(of_suites);
    }
    assert!(bytes < GITLAB_JOB_MAX);
    cases
}

#[test]
fn each_reader_of_junit_sees_the_same_as_ctrf_and_no_name_twice() {
    let Some(team) = named("DMUS_TEAM") else {
        println!("skipped: DMUS_TEAM names no folder with a team's reports; `cargo dmus test` makes it");
        return;
    };
    for driver in ["good", "broken"] {
        let folder = team.join(driver);
        let cases = cases(&folder);
        let names: BTreeSet<(Option<&str>, &str)> =
            cases.iter().map(|case| (case.classname.as_deref(), case.original_name.as_str())).collect();
        assert_eq!(names.len(), cases.len(), "GitLab shows the first of equal names only");
        let failed: Vec<&TestCase> =
            cases.iter().filter(|case| matches!(case.status, TestStatus::Failure(_) | TestStatus::Error(_))).collect();
        let in_ctrf: u64 = reports(&folder, ".ctrf.json")
            .iter()
            .map(|path| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap())
            .map(|report| report["results"]["summary"]["failed"].as_u64().unwrap())
            .sum();
        assert_eq!(failed.len() as u64, in_ctrf, "{driver}");
        if driver == "good" {
            assert_eq!(failed.len(), 0, "{failed:?}");
            continue;
        }
        let [test, rule] = failed.as_slice() else { panic!("{failed:?}") };
        assert!(test.file.is_some() && test.line.is_some(), "the test has its place in the scenario: {test:?}");
        let TestStatus::Failure(failure) = &test.status else { panic!("{test:?}") };
        assert!(failure.message.contains(RULE), "the first line names the rule: {}", failure.message);
        assert!(rule.original_name.starts_with(RULE), "{rule:?}");
    }
}

#[test]
fn a_team_sees_in_its_pages_what_failed_and_where() {
    let (Some(team), Some(program)) = (named("DMUS_TEAM"), named("DMUS_CHROMIUM")) else {
        println!(
            "skipped: DMUS_TEAM and DMUS_CHROMIUM name no reports and no browser; `cargo dmus test` provisions both"
        );
        return;
    };
    let mut browser = Browser::start(&program);
    for driver in ["good", "broken"] {
        for page in ["contract.html", "plays.html"] {
            let path = team.join(driver).join(page).canonicalize().unwrap();
            browser.open(&path);
            assert_eq!(browser.requests(&path), Vec::<String>::new());
            let fails = driver == "broken" && page == "contract.html";
            let failed = browser
                .evaluate("document.querySelectorAll('details.test[data-result=failed]').length")
                .as_u64()
                .unwrap();
            assert_eq!(failed > 0, fails, "{}", path.display());
            if fails {
                let text = browser.evaluate("document.querySelector('details.test[data-result=failed]').innerText");
                let text = text.as_str().unwrap_or_default();
                assert!(text.contains(RULE) && text.contains("driver.sys+0x"), "{text}");
            }
            if let Some(folder) = named("DMUS_SCREENSHOTS") {
                fs::create_dir_all(&folder).unwrap();
                browser.screenshot(&folder.join(format!("team-{driver}-{page}.png").replace(".html", "")));
            }
        }
    }
}
