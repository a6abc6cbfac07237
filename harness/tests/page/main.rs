//! The page of a report, opened in a browser: it asks for nothing, its policy refuses what would, it has no serious barrier in light
//! and dark, its filter and its keys work, and the page of a whole suite is small.
//!
//! `cargo dmus test` provisions what this needs and names it with `DMUS_CHROMIUM` and `DMUS_AXE`; `DMUS_SCREENSHOTS` names a
//! folder for pictures. Without them the test says that it was skipped.

mod browser;
mod team;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use browser::Browser;
use dmus::event::TestResult;
use dmus::host::failure::Class;
use dmus::host::leftovers::Scratch;
use dmus::report::{About, CountedTest, KnownIssue, Report, TestRecord, html};
use dmus::sound::pcm::{Pcm, PcmFormat};
use serde_json::Value;

/// Tests of a whole suite, and how many of them fail with sounds.
const TESTS: usize = 250;
const FAILURES: usize = 30;

/// The largest page of a whole suite that is mailed and opened without a thought.
const BYTES_MAX: usize = 10_000_000;

/// Returns noise, which no compression makes small.
fn noise(seconds: usize) -> Pcm {
    let mut state = 1u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as i16
    };
    Pcm { samples: (0..seconds * 96_000).map(next).collect(), format: PcmFormat::of_card(48_000) }
}

/// Returns the report of a suite with tests of each result, and what a page shows of them.
fn report(folder: &Path) -> Report {
    let mut report = Report::default();
    for number in 0..TESTS {
        let run_folder = folder.join(format!("runs/{number}"));
        fs::create_dir_all(&run_folder).unwrap();
        let steps = "{\"seconds\":0.1,\"event\":\"step-begun\",\"step\":\"card\"}\n\
                     {\"seconds\":0.3,\"event\":\"step-ended\",\"step\":\"card\",\"milliseconds\":200.0}\n\
                     {\"seconds\":0.3,\"event\":\"step-begun\",\"step\":\"streaming\"}\n";
        fs::write(run_folder.join("timeline.jsonl"), steps).unwrap();
        let mut record = TestRecord {
            milliseconds: 900.0,
            run_folder: Some(run_folder.clone()),
            file: Some(folder.join("scenarios/songs.toml")),
            line: Some(3),
            tags: vec!["sound".into()],
            ..TestRecord::new(format!("songs [number={number}]"), format!("dmus run songs --case number={number}"))
        };
        if number < FAILURES {
            noise(2).write_wav(&run_folder.join("guest.wav")).unwrap();
            noise(2).write_wav(&run_folder.join("offline.wav")).unwrap();
            fs::write(run_folder.join("bug-check.txt"), "*** STOP 0x0000000a IRQL_NOT_LESS_OR_EQUAL").unwrap();
            fs::write(run_folder.join("console.log"), "a line of the guest\n".repeat(400)).unwrap();
            let verdict = r#"{"counters":{"interrupts":1168},"judgement":{"difference":{"frame":48000}}}"#;
            fs::write(run_folder.join("verdict.json"), verdict).unwrap();
            record.result = TestResult::Failed;
            record.class = Some(Class::GuestCrashed);
            record.violations = vec!["bug check 0xa <b>in</b> driver.sys".into()];
        } else if number < FAILURES + 4 {
            let issue = KnownIssue { reason: "rounds down".into(), link: "X-1".into(), review_by: "2027-01-01".into() };
            record.known_issue = Some(issue);
            record.result = if number % 2 == 0 { TestResult::KnownIssue } else { TestResult::KnownIssuePasses };
        } else if number < FAILURES + 8 {
            record.result = TestResult::Skipped;
            record.violations = vec!["no second processor".into()];
        }
        report.add(record);
    }
    let flaky = &mut report.tests[0];
    flaky.attempts = vec![flaky.as_attempt(), TestRecord::new("", "").as_attempt()];
    let suite = "dls-synth tests/midi.rs".to_owned();
    report.counted_tests.push(CountedTest { suite, name: "plays".into(), result: TestResult::Passed });
    report.warnings.insert("a track is longer than the file".into());
    report
}

/// Returns a program or file that a variable names.
fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from)
}

#[test]
fn the_page_of_a_suite_is_small_quiet_accessible_and_works_by_keys() {
    let folder = Scratch::new().unwrap();
    let path = folder.path().canonicalize().unwrap().join("page.html");
    let about = About {
        command: "dmus test".into(),
        run_id: "0190-a".into(),
        begun: jiff::Zoned::now(),
        milliseconds: 61_000.0,
    };
    let text = html(&report(folder.path()), &about, &path);
    assert!(text.len() < BYTES_MAX, "the page has {} bytes", text.len());
    fs::write(&path, &text).unwrap();
    let (Some(program), Some(axe)) = (named("DMUS_CHROMIUM"), named("DMUS_AXE")) else {
        println!(
            "skipped: DMUS_CHROMIUM and DMUS_AXE name no browser and no axe.min.js; `cargo dmus test` provisions both"
        );
        return;
    };
    let mut browser = Browser::start(&program);
    let loaded = browser.open(&path);
    println!("{} bytes, loaded in {} ms", text.len(), loaded.as_millis());

    filters_and_keys(&mut browser);
    let axe = fs::read_to_string(&axe).unwrap_or_else(|error| panic!("{}: {error}", axe.display()));
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        if let Some(folder) = named("DMUS_SCREENSHOTS") {
            fs::create_dir_all(&folder).unwrap();
            browser.screenshot(&folder.join(format!("page-{scheme}.png")));
        }
        assert_accessible(&mut browser, &axe, scheme);
    }
    let asked = browser.requests(&path);
    assert_eq!(asked, Vec::<String>::new(), "the page asks for something");
    refuses_requests(&mut browser);
}

/// Returns how many tests the page shows.
fn shown(browser: &mut Browser) -> u64 {
    let visible = "[...document.querySelectorAll('details.test')].filter(test => test.checkVisibility()).length";
    browser.evaluate(visible).as_u64().unwrap()
}

/// Returns the text of the element that has the focus.
fn focused(browser: &mut Browser) -> String {
    browser.evaluate("document.activeElement.textContent").as_str().unwrap_or_default().to_owned()
}

fn filters_and_keys(browser: &mut Browser) {
    assert_eq!(shown(browser), TESTS as u64);
    browser.press("/");
    assert_eq!(browser.evaluate("document.activeElement.id"), "text");
    browser.insert("number=24 SONGS");
    // 24 and 240 to 249.
    assert_eq!(shown(browser), 11);
    assert_eq!(browser.evaluate("document.querySelector('form output').textContent"), "11 of 250 shown");
    browser.press("Escape");
    assert_ne!(browser.evaluate("document.activeElement.id"), "text", "Escape leaves the filter");
    assert_eq!(browser.evaluate("document.getElementById('text').value"), "number=24 SONGS", "and keeps what it says");
    browser.press("j");
    let first = focused(browser);
    assert!(first.contains("songs [number=24]"), "the failure is first: {first}");
    browser.press("j");
    let second = focused(browser);
    assert!(second.contains("songs [number=240]"), "{second}");
    let open = "document.activeElement.closest('details').open";
    assert_eq!(browser.evaluate(open), false, "a test that passed is closed");
    browser.press("Enter");
    assert_eq!(browser.evaluate(open), true);
    browser.press("Enter");
    browser.press("k");
    assert_eq!(focused(browser), first);
    // Only what has failed.
    browser.evaluate("for (const box of document.querySelectorAll('form input[type=checkbox]')) if (box.value !== 'failed') box.click()");
    assert_eq!(shown(browser), 1);
    browser.evaluate("document.getElementById('text').value = ''");
    browser.evaluate("document.getElementById('text').dispatchEvent(new Event('input'))");
    assert_eq!(shown(browser), FAILURES as u64);
    browser.evaluate(
        "for (const box of document.querySelectorAll('form input[type=checkbox]')) if (!box.checked) box.click()",
    );
    assert_eq!(shown(browser), TESTS as u64);
    browser.evaluate("scrollTo(0, 0)");
}

/// Checks by the rules of axe-core that nothing is a serious barrier.
fn assert_accessible(browser: &mut Browser, axe: &str, scheme: &str) {
    let dark = browser.evaluate("matchMedia('(prefers-color-scheme: dark)').matches");
    assert_eq!(dark, scheme == "dark");
    browser.evaluate(&format!("{axe}; undefined"));
    let found = browser.evaluate("axe.run(document, { resultTypes: ['violations'] })");
    assert!(found["passes"].as_array().is_some_and(|rules| rules.len() > 10), "the rules ran: {found}");
    let serious = |violation: &&Value| matches!(violation["impact"].as_str(), Some("serious" | "critical"));
    let violations: Vec<String> = found["violations"]
        .as_array()
        .unwrap()
        .iter()
        .filter(serious)
        .map(|violation| format!("{}: {}", violation["id"], violation["nodes"][0]["failureSummary"]))
        .collect();
    assert_eq!(violations, Vec::<String>::new(), "in {scheme}");
}

/// Checks that the policy of the page refuses requests of a script in it, and that none arrives.
fn refuses_requests(browser: &mut Browser) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let address = server.local_addr().unwrap();
    let refused = browser.evaluate(&format!(
        "new Promise(resolve => {{
            const found = [];
            const note = event => {{ found.push(event.effectiveDirective); if (found.length === 2) resolve(found.sort()) }};
            document.addEventListener('securitypolicyviolation', note);
            setTimeout(() => resolve(found), 5000);
            const script = document.createElement('script');
            script.textContent = `fetch('http://{address}/').catch(() => 0); new Image().src = 'http://{address}/x.png'`;
            document.body.append(script);
        }})"
    ));
    assert_eq!(refused, serde_json::json!(["connect-src", "img-src"]));
    let arrived = server.accept().map(|_| ());
    assert!(arrived.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "a request has arrived");
}
