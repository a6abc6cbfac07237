//! Runs every test of the project: the crates' tests on the host, the guests' builds, the images, and every scenario.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use card_control::Transport;
use driver_package::Architecture;

use super::batch::run_each;
use super::context::Context;
use super::error::RunError;
use super::file::Scenario;
use super::files::files_in;
use super::overrides::Overrides;
use crate::event::{Event, Observer, TestResult};
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::invocation;
use crate::host::leftovers::Scratch;
use crate::hostile::Hostile;
use crate::jobs::Slots;
use crate::package;
use crate::provision::image_check::{self, Check};
use crate::provision::{ProvisionError, Workspace, run_logged};
use crate::report::{CountedTest, Report, TestRecord, hostile_driver};
use crate::testbed::run_folder::RunFolder;
use crate::testbed::{Provisioned, TestBedError};

/// Longest time for the crates' tests, their builds included: a machine with one busy processor builds for half an hour.
const CRATES_LIMIT: Duration = Duration::from_secs(7200);

/// The transports that the hostile driver reaches the card over.
const TRANSPORTS: [Transport; 2] = [Transport::VhostUser, Transport::VfioUser];

/// The tests of the crate for cards that need QEMU.
const CARDS_IN_QEMU: &str = "cards in QEMU";

/// The test that the crates' tests remove the temporary files that they make.
const NOTHING_LEFT: &str = "no temporary files are left";

/// The test of what users download.
const DOWNLOAD: &str = "the download in a bare root";

/// The inputs of all tests.
pub struct Suite<'a> {
    /// The project, with the folder of all runs.
    pub workspace: &'a Workspace,
    /// Builds the driver for 32-bit Windows, whose image is checked.
    pub driver_x86: &'a (dyn Fn() -> Result<PathBuf, RunError> + Sync),
    /// Provisions programs and images, and chooses the accelerator.
    pub provisioned: &'a (dyn Fn() -> Result<Provisioned, RunError> + Sync),
    /// The longest time for a step of a scenario without progress.
    pub timeout: Duration,
    /// Makes the download and tries it in a root of its own; returns what it did there, or why it failed.
    pub download: &'a (dyn Fn() -> Result<String, Untried> + Sync),
    /// Runs the tests that are programs of their own: in a browser, under Wine, with debuggers, with an installer. They wait for
    /// most of their time, and run beside the others.
    pub programs: &'a (dyn Fn() -> Result<Vec<TestRecord>, RunError> + Sync),
    /// How many guests run side by side at most.
    pub jobs: NonZeroUsize,
    /// Whether runs that pass keep their sound files.
    pub keep: bool,
    /// Receives the events of the tests.
    pub observer: &'a dyn Observer,
}

/// What is built beside the crates' tests.
struct Built {
    provisioned: Result<Provisioned, RunError>,
    driver_x86: Result<PathBuf, RunError>,
    report: Report,
}

/// Why the download was not tried, or failed.
#[derive(Debug)]
pub struct Untried {
    /// The class of the failure; [`Class::Host`] when the host has no user namespaces to try it in.
    pub class: Class,
    /// The reason.
    pub reason: String,
}

/// The numbers of a test runner's result line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl Suite<'_> {
    /// Runs every test. Tests of the crates are counted one by one, but not listed in the report.
    ///
    /// # Errors
    /// [`RunError`] when the user interrupts, or the folder of scenarios cannot be read.
    pub fn run(&self) -> Result<Report, RunError> {
        let mut report = Report::default();
        // Where one of the two waits for a single linker, a guest or a test's clock, the other has the processors.
        let (ended, beside) = thread::scope(|scope| {
            let (send_built, built) = mpsc::channel();
            let beside = scope.spawn(move || {
                let built = self.build();
                let is_built = built.is_ok();
                // Without a receiver the crates' tests were interrupted, and so are the programs.
                let _ = send_built.send(built);
                if is_built { (self.programs)() } else { Ok(Vec::new()) }
            });
            (self.run_beside(&built, &mut report), beside.join())
        });
        let programs = beside.unwrap_or_else(|panic| resume_unwind(panic));
        ended?;
        programs?.into_iter().for_each(|record| report.add(record));
        Ok(report)
    }

    /// Runs the crates' tests, and with what was `built` the tests of images and guests.
    fn run_beside(&self, built: &Receiver<Result<Built, RunError>>, report: &mut Report) -> Result<(), RunError> {
        self.crates(report)?;
        // Nothing comes of a build that panicked, which shows where its thread is joined.
        let Ok(built) = built.recv() else { return Ok(()) };
        let Built { provisioned, driver_x86, report: built } = built?;
        report.append(built);
        let provisioned = match provisioned {
            Ok(provisioned) => provisioned,
            Err(error) => return self.add_unprovisioned(&error, report),
        };
        self.images("driver", &provisioned.artefacts.driver, image_check::driver, report);
        self.code("driver", Ok(provisioned.artefacts.driver.clone()), report);
        self.packages(&provisioned.artefacts.driver, driver_x86.as_ref().ok(), report);
        self.code("driver for 32-bit Windows", driver_x86, report);
        self.images("nt-host", &provisioned.artefacts.nt_host, image_check::nt_host, report);
        for transport in TRANSPORTS {
            self.hostile(&provisioned, transport, report)?;
        }
        self.cards_in_qemu(&provisioned, report)?;
        let mut scenarios = Vec::new();
        for path in self.scenario_files()? {
            match Scenario::load(&path) {
                Ok(scenario) => scenarios.push(scenario),
                Err(error) => {
                    let error = RunError::from(error);
                    let name = path.file_stem().unwrap_or_default().to_string_lossy();
                    let violations = vec![error.to_string()];
                    self.add(report, &name, TestResult::Failed, Some(error.class()), violations, Instant::now());
                }
            }
        }
        let slots = Slots::new(self.jobs);
        let context = Context {
            workspace: self.workspace,
            provisioned: &provisioned,
            timeout: self.timeout,
            filter: None,
            overrides: Overrides::default(),
            slots: &slots,
            retries: 0,
            fail_fast: false,
            strict: false,
            keep: self.keep,
            guest_log: None,
            interaction: None,
            observer: self.observer,
        };
        run_each(&scenarios, &context, |_, one| {
            report.append(one);
            Ok(())
        })
    }

    /// Builds what the later tests need, and runs those that are builds most of the time.
    fn build(&self) -> Result<Built, RunError> {
        let mut report = Report::default();
        let provisioned = match (self.provisioned)() {
            Err(error) if error.class() == Class::Interrupted => return Err(error),
            ended => ended,
        };
        let driver_x86 = (self.driver_x86)();
        self.models(&mut report)?;
        if provisioned.is_ok() {
            self.try_download(&mut report)?;
        }
        Ok(Built { provisioned, driver_x86, report })
    }

    fn scenario_files(&self) -> Result<Vec<PathBuf>, RunError> {
        Ok(files_in(&self.workspace.scenarios())?)
    }

    /// Adds the tests that need an artefact: skipped where it is missing, failed where it does not build.
    fn add_unprovisioned(&self, error: &RunError, report: &mut Report) -> Result<(), RunError> {
        let missing = matches!(
            error,
            RunError::TestBed(TestBedError::Provision(error)) if matches!(
                **error,
                ProvisionError::NoNetwork { .. }
                    | ProvisionError::NotPackaged { .. }
                    | ProvisionError::NoProgram { .. }
            )
        );
        let result = if missing { TestResult::Skipped } else { TestResult::Failed };
        let mut names = vec!["images".to_owned()];
        names.extend(TRANSPORTS.map(|transport| hostile_driver(transport).to_owned()));
        names.extend([CARDS_IN_QEMU, DOWNLOAD].map(str::to_owned));
        for path in self.scenario_files()? {
            let scenario = Scenario::load(&path)?;
            names.extend(scenario.cases.iter().map(|case| format!("{} [{}]", scenario.name, case.name)));
        }
        for (index, name) in names.into_iter().enumerate() {
            // The reason is long; once is enough.
            let violations = if index == 0 { vec![error.to_string()] } else { vec!["for the same reason".into()] };
            self.add(report, &name, result, Some(error.class()), violations, Instant::now());
        }
        Ok(())
    }

    fn add(
        &self,
        report: &mut Report,
        name: &str,
        result: TestResult,
        class: Option<Class>,
        violations: Vec<String>,
        begun: Instant,
    ) {
        let milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
        self.observer.event(&Event::TestEnded {
            name: name.into(),
            result,
            milliseconds,
            detail: violations.join("\n"),
        });
        report.add(TestRecord {
            result,
            class,
            violations,
            milliseconds,
            ..TestRecord::new(name, invocation::command("test"))
        });
    }

    fn code(&self, name: &str, path: Result<PathBuf, RunError>, report: &mut Report) {
        let begun = Instant::now();
        match path.map_err(|error| error.to_string()).and_then(|path| image_check::driver_code(&path)) {
            Ok(checks) => self.add_checks(checks, begun, report),
            Err(error) => {
                self.add(report, name, TestResult::Failed, Some(Class::BadInput), vec![error], begun);
            }
        }
    }

    fn add_checks(&self, checks: Vec<Check>, begun: Instant, report: &mut Report) {
        for Check { name, violation } in checks {
            let result = if violation.is_some() { TestResult::Failed } else { TestResult::Passed };
            let class = violation.as_ref().map(|_| Class::TestFailed);
            self.add(report, &name, result, class, violation.into_iter().collect(), begun);
        }
    }

    fn images(
        &self,
        name: &str,
        path: &Path,
        check: fn(&[u8]) -> Result<Vec<Check>, object::Error>,
        report: &mut Report,
    ) {
        let begun = Instant::now();
        match image_check::file(path, check) {
            Ok(checks) => self.add_checks(checks, begun, report),
            Err(error) => {
                self.add(report, name, TestResult::Failed, Some(Class::BadInput), vec![error], begun);
            }
        }
    }

    /// Makes the packages of the driver, and checks them.
    fn packages(&self, driver: &Path, driver_x86: Option<&PathBuf>, report: &mut Report) {
        let inf = self.workspace.root.join("guest-driver/inf/dmuscard.inf");
        let images = [(Architecture::X64, Some(driver)), (Architecture::X86, driver_x86.map(PathBuf::as_path))];
        for (architecture, image) in images {
            let Some(image) = image else { continue };
            let begun = Instant::now();
            match package::check(image, &inf, architecture) {
                Ok(checks) => self.add_checks(checks, begun, report),
                Err(error) => {
                    let name = format!("package for {}", architecture.name());
                    self.add(report, &name, TestResult::Failed, Some(error.class()), vec![error.to_string()], begun);
                }
            }
        }
    }

    /// Runs every fault of the hostile driver's table. Rows as expected are counted, but not listed.
    fn hostile(&self, provisioned: &Provisioned, transport: Transport, report: &mut Report) -> Result<(), RunError> {
        let name = hostile_driver(transport);
        let begun = Instant::now();
        self.observer.event(&Event::TestBegun { name: name.into() });
        let folder = RunFolder::create(self.workspace, name, None)?;
        let (card, qemu) = (&provisioned.artefacts.card, &provisioned.artefacts.qemu);
        let hostile = Hostile { card, transport, qemu, folder: folder.path(), filter: None, observer: self.observer };
        let table = match hostile.table() {
            Ok(table) => table,
            Err(error) if error.class() == Class::Interrupted => return Err(error.into()),
            Err(error) => {
                self.add(report, name, TestResult::Failed, Some(error.class()), vec![error.to_string()], begun);
                return Ok(());
            }
        };
        folder.write("table.txt", table.text())?;
        report.passed += table.summary.as_expected;
        for row in &table.rows {
            let record = TestRecord::of_fault(row, transport, folder.path());
            if row.as_expected {
                let test = format!("{}: {}", row.area, row.fault);
                report.counted_tests.push(CountedTest { suite: name.into(), name: test, result: record.result });
            } else {
                report.add(record);
            }
        }
        let text = table.text();
        self.observer.event(&Event::TestEnded {
            name: format!("{name}: {}", text.lines().last().unwrap_or_default()),
            result: if table.holds() { TestResult::Passed } else { TestResult::Failed },
            milliseconds: begun.elapsed().as_secs_f64() * 1000.0,
            detail: String::new(),
        });
        Ok(())
    }

    /// Runs `cargo test --workspace` on the host. Incremental builds are off: they double the size of `target`.
    fn crates(&self, report: &mut Report) -> Result<(), RunError> {
        self.observer.event(&Event::TestBegun { name: "cargo test --workspace".into() });
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["test", "--workspace", "--no-fail-fast"]).env("CARGO_INCREMENTAL", "0");
        self.runners("cargo test --workspace", "cargo-test.log", command, report)
    }

    /// Runs the tests of the crates for cards and back-ends of others that need QEMU.
    fn cards_in_qemu(&self, provisioned: &Provisioned, report: &mut Report) -> Result<(), RunError> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Not of the packages: their dependencies would have fewer features than `crates` has built, and be built again.
        command.args(["test", "--workspace", "--test", "qemu", "--no-fail-fast"]).env("CARGO_INCREMENTAL", "0");
        for variable in ["VFIO_USER_CARD_QEMU", "VHOST_USER_GUARD_QEMU"] {
            command.env(variable, &provisioned.artefacts.qemu);
        }
        self.runners(CARDS_IN_QEMU, "cargo-test-qemu.log", command, report)
    }

    /// Tries the download where nothing else is.
    fn try_download(&self, report: &mut Report) -> Result<(), RunError> {
        let begun = Instant::now();
        self.observer.event(&Event::TestBegun { name: DOWNLOAD.into() });
        let (result, class, violations) = match (self.download)() {
            Ok(text) => {
                self.observer.event(&Event::Note { text });
                (TestResult::Passed, None, Vec::new())
            }
            Err(Untried { class: Class::Interrupted, reason }) => {
                return Err(ProvisionError::Interrupted(reason).into());
            }
            Err(Untried { class: class @ Class::Host, reason }) => (TestResult::Skipped, Some(class), vec![reason]),
            Err(Untried { class, reason }) => (TestResult::Failed, Some(class), vec![reason]),
        };
        self.add(report, DOWNLOAD, result, class, violations, begun);
        Ok(())
    }

    /// Runs the models of the driver's concurrency, in a target folder of their own: their atomics are the model checker's.
    fn models(&self, report: &mut Report) -> Result<(), RunError> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["test", "--release", "--package", "dmus-miniport", "--test", "models", "--target-dir"]);
        command.arg(self.workspace.cache().join("models")).env("RUSTFLAGS", "--cfg loom");
        self.runners("models of the driver's concurrency", "cargo-test-models.log", command, report)
    }

    /// Runs cargo's test runners and adds up their results.
    fn runners(&self, what: &str, log: &str, mut command: Command, report: &mut Report) -> Result<(), RunError> {
        let begun = Instant::now();
        fs::create_dir_all(self.workspace.logs()).map_err(FileError::own("create", self.workspace.logs()))?;
        let path = self.workspace.logs().join(log);
        // A folder of their own, so that what they leave is theirs.
        let scratch = Scratch::new()?;
        let temporary = scratch.path().join("tests");
        fs::create_dir(&temporary).map_err(FileError::own("create", &temporary))?;
        command.current_dir(&self.workspace.root).env("TMPDIR", &temporary);
        let ended = run_logged(what, command, &path, None, CRATES_LIMIT);
        if let Err(ProvisionError::Interrupted(what)) = ended {
            return Err(ProvisionError::Interrupted(what).into());
        }
        let left = files_in_folder(&temporary).map_err(FileError::own("read", &temporary))?;
        if !left.is_empty() {
            let detail = format!("{what} has left in its folder of temporary files: {}", left.join(", "));
            self.add(report, NOTHING_LEFT, TestResult::Failed, Some(Class::TestFailed), vec![detail], begun);
        }
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
        let counts = counts(&text);
        report.passed += counts.passed;
        report.skipped += counts.ignored;
        report.failed += counts.failed;
        report.counted_tests.extend(crate_tests(&text));
        let found = format!("{} passed, {} failed, {} ignored", counts.passed, counts.failed, counts.ignored);
        if ended.is_ok() {
            self.observer.event(&Event::TestEnded {
                name: format!("{what}: {found}"),
                result: TestResult::Passed,
                milliseconds: begun.elapsed().as_secs_f64() * 1000.0,
                detail: String::new(),
            });
            return Ok(());
        }
        let detail = format!("{found}; the whole output is in {}\n{}", path.display(), failures(&text));
        if counts.failed == 0 {
            // It did not build, or a runner crashed: no runner counted that failure.
            self.add(report, what, TestResult::Failed, Some(Class::TestFailed), vec![detail], begun);
        } else {
            self.observer.event(&Event::TestEnded {
                name: what.into(),
                result: TestResult::Failed,
                milliseconds: begun.elapsed().as_secs_f64() * 1000.0,
                detail,
            });
        }
        Ok(())
    }
}

/// Returns what is in a folder, and in the folders in it, by path below it.
fn files_in_folder(folder: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            let inner = files_in_folder(&entry.path())?;
            found.extend(inner.iter().map(|inner| format!("{name}/{inner}")));
            if !inner.is_empty() {
                continue;
            }
        }
        found.push(name);
    }
    found.sort();
    Ok(found)
}

/// Adds up lines like `test result: ok. 12 passed; 0 failed; 1 ignored; ...`.
fn counts(text: &str) -> Counts {
    let mut counts = Counts::default();
    for line in text.lines().filter_map(|line| line.strip_prefix("test result: ")) {
        let number = |word: &str| {
            line.split([';', '.']).find_map(|part| part.trim().strip_suffix(word)?.trim().parse::<usize>().ok())
        };
        counts.passed += number(" passed").unwrap_or(0);
        counts.failed += number(" failed").unwrap_or(0);
        counts.ignored += number(" ignored").unwrap_or(0);
    }
    counts
}

/// Returns the tests in the output of cargo's runners: `Running unittests src/lib.rs (target/debug/deps/dmus-0123)`, then
/// `test name ... ok` for each.
fn crate_tests(text: &str) -> Vec<CountedTest> {
    let mut runner = String::new();
    let mut tests = Vec::new();
    for line in text.lines().map(str::trim_start) {
        if let Some(named) = line.strip_prefix("Running ") {
            let (source, program) = named.split_once(" (").unwrap_or((named, ""));
            let program = program.trim_end_matches(')').rsplit('/').next().unwrap_or_default();
            let program = program.rsplit_once('-').map_or(program, |(name, _)| name);
            runner = format!("{program} {source}");
        } else if let Some(named) = line.strip_prefix("Doc-tests ") {
            runner = format!("{named} documentation");
        } else if let Some((name, result)) = line.strip_prefix("test ").and_then(|line| line.rsplit_once(" ... ")) {
            let result = match result.split(|character: char| !character.is_alphanumeric()).next() {
                Some("ok") => TestResult::Passed,
                Some("FAILED") => TestResult::Failed,
                Some("ignored") => TestResult::Skipped,
                _ => continue,
            };
            tests.push(CountedTest { suite: runner.clone(), name: name.into(), result });
        }
    }
    tests
}

/// Returns the part of cargo's output that explains a failure: what a failed test printed; without one, the end of the
/// output, which says what did not compile or which runner crashed.
fn failures(text: &str) -> String {
    const LINES_MAX: usize = 200;
    const END_MAX: usize = 80;
    let mut told = Vec::new();
    let mut is_told = false;
    for line in text.lines() {
        // A runner prints the sections of its failed tests between two lines like this, and then their names.
        if line == "failures:" {
            is_told = true;
        } else if line.starts_with("test result:") {
            is_told = false;
        } else if is_told && !line.is_empty() {
            told.push(line);
        }
    }
    if !told.is_empty() {
        let more = told.len().saturating_sub(LINES_MAX);
        told.truncate(LINES_MAX);
        let more = if more > 0 { format!("\n[{more} more lines]") } else { String::new() };
        return told.join("\n") + &more;
    }
    let wanted: Vec<&str> = text
        .lines()
        .filter(|line| !line.ends_with("... ok") && !line.trim_start().starts_with("Compiling") && !line.is_empty())
        .filter(|line| !line.starts_with("test result: ok") && !line.trim_start().starts_with("Running"))
        .filter(|line| !(line.starts_with("running ") && line.trim_end_matches('s').ends_with(" test")))
        .collect();
    wanted[wanted.len().saturating_sub(END_MAX)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_the_results_of_the_runners() {
        let text = "running 2 tests\ntest a ... ok\n\
                    test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
                    test result: FAILED. 10 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s\n";
        assert_eq!(counts(text), Counts { passed: 12, failed: 3, ignored: 1 });
    }

    #[test]
    fn names_what_tests_leave_behind() {
        let scratch = Scratch::new().unwrap();
        let folder = scratch.path().join("tests");
        fs::create_dir_all(folder.join(".tmpempty")).unwrap();
        fs::create_dir(folder.join(".tmpfull")).unwrap();
        fs::write(folder.join(".tmpfull").join("socket"), "").unwrap();
        assert_eq!(files_in_folder(&folder).unwrap(), [".tmpempty", ".tmpfull/socket"]);
    }

    #[test]
    fn lists_the_tests_of_each_runner() {
        let text = "     Running unittests src/lib.rs (target/debug/deps/dls_synth-0a1b)\ntest a::b ... ok\n\
                    test c ... FAILED\ntest d ... ignored, needs a disk\n   Doc-tests dmus\n\
                    test src/lib.rs - x (line 3) - compile ... ok\ntest result: ok. 1 passed\n";
        let found = crate_tests(text);
        let found: Vec<(&str, &str, TestResult)> =
            found.iter().map(|test| (test.suite.as_str(), test.name.as_str(), test.result)).collect();
        let runner = "dls_synth unittests src/lib.rs";
        let expected = [
            (runner, "a::b", TestResult::Passed),
            (runner, "c", TestResult::Failed),
            (runner, "d", TestResult::Skipped),
            ("dmus documentation", "src/lib.rs - x (line 3) - compile", TestResult::Passed),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn tells_what_failed_tests_printed_and_nothing_of_those_that_passed() {
        let text = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\npanicked at x.rs:1\n\n\
                    failures:\n    b\n\ntest result: FAILED. 1 passed; 1 failed\nrunning 1 test\na child's last word\n\
                    test result: ok. 1 passed\n";
        assert_eq!(failures(text), "---- b stdout ----\npanicked at x.rs:1\n    b");
    }

    #[test]
    fn tells_what_did_not_compile() {
        let text = "   Compiling x\nrunning 1 test\ntest a ... ok\nerror[E0308]: mismatched types\n --> src/x.rs:1:1\n";
        assert_eq!(failures(text), "error[E0308]: mismatched types\n --> src/x.rs:1:1");
    }
}
