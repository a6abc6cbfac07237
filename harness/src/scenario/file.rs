//! A scenario: one TOML file, read and validated.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use card_control::Clock;
use toml::Spanned;

use super::case::Case;
use super::checks::{self, Wrong};
use super::device::{ScenarioDevice, device};
use super::document::{Document, TestKind};
use super::expect::Expectations;
use super::known_issue::KnownIssue;
use super::malformed::{ScenarioError, Source};
use super::matrix::cases;
use super::requirement::Requirement;
use super::steps_table;
use super::waive_table;
use super::{judge_table, known_issue_reader, labels};
use card_control::Transport;

use crate::host::file_error::FileError;
use crate::hostile::inside;
use crate::machine::Device;
use crate::machine::device::DeviceSource;
use crate::playback::Kill;
use crate::playback::judge::Judge;
use crate::report::TestRecord;
use crate::steps::{LimitsTable, Plan};
use crate::testbed::stall::Stall;
use crate::testbed::violations::ViolationPolicy;
use crate::{alloc_faults, conformance};

/// Rounds of a stress test that names none: a thousand cycles and a million events.
const STRESS_ROUNDS: u32 = 10;

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file.
    pub path: PathBuf,
    /// The file's name without its extension.
    pub name: String,
    /// Its purpose, in a sentence.
    pub title: String,
    /// Words by which runs choose it.
    pub tags: Vec<String>,
    /// Whether it is in the small set that runs on each push.
    pub integration: bool,
    /// What it needs of the host beside what its keys need.
    pub requires: Vec<Requirement>,
    /// Failures of its cases that are known.
    pub known_issues: Vec<KnownIssue>,
    /// The kind of test; `None` for a playback test.
    pub test: Option<TestKind>,
    /// Rounds of a stress test, kills, or faults that are drawn.
    pub rounds: u32,
    /// Of kills: how many guests run side by side in the run of each kill; without, one.
    pub parallel: Option<NonZeroUsize>,
    /// The device that the driver is for.
    pub device: Device,
    /// What the INF of the device says and is not carried out.
    pub notices: Vec<String>,
    /// The process to kill, and the step in which.
    pub kill: Option<Kill>,
    /// The processes to stall while the song streams, in this order.
    pub stalls: Vec<Stall>,
    /// The product of its matrix, at least one.
    pub cases: Vec<Case>,
    /// Which violations do not stop the guest.
    pub policy: ViolationPolicy,
    /// Whether songs are brought in at the device's MIDI input and captured, instead of played.
    pub capture: bool,
    /// What decides whether a song was played right; without, what fits the device.
    pub judge: Option<Judge>,
    /// The steps to carry out; none where a song is played, or a test of a kind is run.
    pub plan: Plan,
    /// How long all steps may take.
    pub limits: LimitsTable,
    /// The expectations of each case.
    pub expect: Expectations,
}

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ScenarioError::File`] when the file cannot be read, [`ScenarioError::Malformed`] when it holds what a scenario cannot.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let text = fs::read_to_string(path).map_err(FileError::input(path))?;
        let source = Source { path, text: &text };
        let scenario = Self::parse(source)?;
        if let Some(driver) = scenario.cases.iter().filter_map(|case| case.image.as_ref()).find(|path| !path.is_file())
        {
            let message =
                format!("there is no file {}: a driver is named from the scenario's folder", driver.display());
            return Err(source.error_at_key("driver", &message));
        }
        Ok(scenario)
    }

    /// Returns whether it names or builds drivers of its own.
    #[must_use]
    pub fn has_driver(&self) -> bool {
        self.cases.iter().any(|case| case.image.is_some() || case.driver.is_some())
    }

    /// Returns whether only a checkout holds what it needs: drivers and cards that are built from sources, or recordings.
    #[must_use]
    pub fn needs_a_checkout(&self) -> bool {
        self.has_driver()
            || matches!(self.device.source, DeviceSource::Example(_))
            || matches!(self.judge, Some(Judge::Reference { .. }))
    }

    /// Returns whether what else the host does changes its course: it keeps time by the host's clock, or kills or stalls
    /// processes in it.
    #[must_use]
    pub fn needs_the_host(&self) -> bool {
        self.kill.is_some()
            || !self.stalls.is_empty()
            || self.test.is_some_and(|kind| !matches!(kind, TestKind::Contract | TestKind::LowResources))
            || self.cases.iter().any(|case| case.clock == Clock::Realtime)
    }

    /// Returns whether it tests what only the project's card does.
    #[must_use]
    pub fn is_of_the_card(&self) -> bool {
        matches!(
            self.test,
            Some(TestKind::Recovery | TestKind::CardKills | TestKind::Hostile | TestKind::QemuLimits | TestKind::Kills)
        ) || !self.stalls.is_empty()
    }

    /// Returns whether the way in which the project's card is attached to QEMU changes its course.
    #[must_use]
    pub fn follows_transport(&self) -> bool {
        let has_card = |case: &Case| case.driver.as_ref().is_none_or(|driver| driver.device.is_none());
        self.device.is_card()
            && self.cases.iter().any(|case| !case.guard && has_card(case))
            && !matches!(self.test, Some(TestKind::QemuLimits | TestKind::Kills))
    }

    /// Returns the cases that run when the command line names this transport, or none. Of a matrix that has it and others, those
    /// with it; else all.
    pub fn cases_over(&self, transport: Option<Transport>) -> impl Iterator<Item = &Case> {
        let listed = |transport| self.cases.iter().any(|case| case.transport == transport);
        let only = transport.filter(|transport| listed(*transport));
        self.cases.iter().filter(move |case| only.is_none_or(|transport| case.transport == transport))
    }

    /// Returns the name of a case, with the scenario's before it.
    #[must_use]
    pub fn full_name(&self, case: &Case) -> String {
        if case.name.is_empty() { self.name.clone() } else { format!("{} [{}]", self.name, case.name) }
    }

    /// Returns the scenario with some of its cases; `None` where none is left.
    #[must_use]
    pub fn narrowed(&self, mut keep: impl FnMut(&Case) -> bool) -> Option<Self> {
        let cases: Vec<Case> = self.cases.iter().filter(|case| keep(case)).cloned().collect();
        (!cases.is_empty()).then(|| Self { cases, ..self.clone() })
    }

    /// Creates the record of a test of a case.
    pub(super) fn record(&self, case: &Case, name: String, reproduce: String) -> TestRecord {
        TestRecord {
            case: Some(self.full_name(case)),
            file: Some(self.path.clone()),
            line: Some(case.line),
            tags: self.tags.clone(),
            ..TestRecord::new(name, reproduce)
        }
    }

    /// Returns whether the text of a filter is a part of the full name of a case of a test that is no playback test.
    pub(super) fn has_full_name(&self, text: &str) -> bool {
        self.test.is_some() && self.cases.iter().any(|case| self.full_name(case).contains(text))
    }

    /// Returns whether the text of a filter names a part of it or all of it.
    #[must_use]
    pub fn has_case(&self, text: &str) -> bool {
        self.names().iter().any(|name| name.contains(text))
            || self.has_full_name(text)
            || self.faults().iter().any(|fault| fault.is_named(text))
            || (self.test == Some(TestKind::LowResources) && alloc_faults::read_stack(text).is_ok())
    }

    /// Returns the names by which its parts can be run.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self.test {
            Some(TestKind::Contract) => conformance::probe_names().map(str::to_owned).collect(),
            Some(TestKind::Hostile) => self.faults().into_iter().map(|fault| fault.name).collect(),
            Some(
                TestKind::Stress
                | TestKind::LowResources
                | TestKind::Recovery
                | TestKind::CardKills
                | TestKind::QemuLimits
                | TestKind::Kills,
            )
            | None => self.cases.iter().map(|case| self.full_name(case)).collect(),
        }
    }

    /// Returns the folder of the driver that is hostile to the card, where the test is of one.
    pub(super) fn hostile_driver(&self) -> Option<PathBuf> {
        let driver = self
            .cases
            .first()
            .and_then(|case| case.driver.as_ref())
            .filter(|_| self.test == Some(TestKind::Hostile))?;
        Some(driver.script.parent()?.join("drivers").join(driver.driver.as_ref()?))
    }

    /// Returns the faults of a driver that is hostile to the card; none of other tests, and of a table that cannot be read, which
    /// the run reports.
    fn faults(&self) -> Vec<inside::Fault> {
        self.hostile_driver().and_then(|folder| inside::read(&inside::table_of(&folder)).ok()).unwrap_or_default()
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// [`ScenarioError::Malformed`], as for [`Scenario::load`].
    pub(super) fn parse(file: Source<'_>) -> Result<Self, ScenarioError> {
        let path = file.path;
        let document: Document = file.read()?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut wrong = Wrong::default();
        let cases = wrong.or_default(cases(file, folder, &document));
        let ScenarioDevice { device, notices } = wrong.or_default(device(file, folder, &document));
        let policy = wrong.or_default(waive_table::policy(file, &document.waive, document.keep_going));
        checks::all(file, &document, cases.len(), &policy, &mut wrong);
        let plan = steps_table::read(file, &document, &mut wrong);
        let judge = wrong.or_default(judge_table::read(file, folder, document.judge.as_ref()));
        let tags = wrong.or_default(labels::tags(file, document.tags));
        let requires = wrong.or_default(labels::requires(file, document.requires));
        let known_issues = wrong.or_default(known_issue_reader::read(file, document.known_issue, &cases));
        wrong.result(file)?;
        Ok(Self {
            path: path.into(),
            name: path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            title: document.title.into_inner(),
            tags,
            integration: document.integration,
            requires,
            known_issues,
            test: document.test,
            rounds: document.rounds.map_or(STRESS_ROUNDS, Spanned::into_inner),
            parallel: document.parallel.map(Spanned::into_inner),
            device,
            notices,
            kill: document.fault.map(Spanned::into_inner),
            stalls: document.stall.into_iter().map(Spanned::into_inner).collect(),
            cases,
            policy,
            capture: document.capture,
            judge,
            plan,
            limits: document.limits,
            expect: document.expect,
        })
    }
}

#[cfg(test)]
mod tests {
    use card_control::Sandbox;

    use super::super::files::files_in;
    use super::*;
    use crate::host::leftovers::Scratch;

    fn parse(text: &str) -> Result<Scenario, ScenarioError> {
        Scenario::parse(Source { path: Path::new("folder/x.toml"), text })
    }

    #[test]
    fn makes_a_case_of_each_combination_of_the_matrix() {
        let scenario = parse(
            "title = 't'\n[matrix]\nsong = ['tide', 'siren']\nrender_block = [1, 64]\nrepeat = 2\n[expect]\nsame_pcm = false",
        )
        .unwrap();
        assert_eq!(scenario.cases.len(), 8);
        assert_eq!(scenario.cases[7].name, "song=siren render_block=64 repeat=2");
        assert_eq!(scenario.cases[7].line, 2, "the matrix makes the cases");
        assert_eq!(parse("# it\ntitle = 't'").unwrap().cases[0].line, 2, "without one the title does");
    }

    #[test]
    fn plays_the_default_song_once_without_a_matrix() {
        let scenario = parse("title = 't'").unwrap();
        assert_eq!(scenario.cases.len(), 1);
        assert_eq!(scenario.cases[0].name, "");
        assert!(scenario.expect.bit_identical);
    }

    #[test]
    fn reads_stalls_in_their_order_and_bounds_them() {
        let stall =
            |process: &str, ms: u64| format!("[[stall]]\nprocess = '{process}'\nat_frame = 7\nmilliseconds = {ms}\n");
        let scenario =
            parse(&format!("title = 't'\n{}{}", stall("qemu", 1), stall("both", checks::STALL_MS_MAX))).unwrap();
        let processes: Vec<_> = scenario.stalls.iter().map(|stall| stall.process).collect();
        assert_eq!(processes, [crate::testbed::stall::Stalled::Qemu, crate::testbed::stall::Stalled::Both]);
        for ms in [0, checks::STALL_MS_MAX + 1] {
            let error = parse(&format!("title = 't'\n{}", stall("card", ms))).unwrap_err().to_string();
            assert!(error.contains("a stall takes 1 to"), "{error}");
        }
    }

    #[test]
    fn shows_an_unknown_key_at_its_place() {
        let error = parse("title = 't'\n[card]\nclocks = 'lockstep'\n").unwrap_err().to_string();
        assert!(error.contains("x.toml:3:1") && error.contains("clocks"), "{error}");
    }

    #[test]
    fn shows_a_missing_song_at_its_place_with_the_known_ones() {
        let error = parse("title = 't'\nsong = 'nocturne'\n").unwrap_err().to_string();
        assert!(error.contains("x.toml:2:8"), "{error}");
        assert!(error.contains("tide, clockwork, siren"), "{error}");
    }

    #[test]
    fn shows_a_number_out_of_its_range_at_its_place() {
        for (text, line, part) in [
            ("[stream]\nsample_rate = 7", 3, "sample_rate is from 4000 to 192000"),
            ("[stream]\nquantum = 0", 3, "quantum is from 1 to 65536"),
            ("[matrix]\nsample_rate = [48000, 400000]", 3, "sample_rate is from"),
            ("[card]\nrender_block = 70000", 3, "render_block is from 1 to 65536"),
        ] {
            let error = parse(&format!("title = 't'\n{text}\n")).unwrap_err().to_string();
            assert!(error.contains(&format!("x.toml:{line}:")) && error.contains(part), "{error}");
        }
    }

    #[test]
    fn shows_a_driver_that_is_not_there_at_its_place() {
        let folder = Scratch::new().unwrap();
        let path = folder.path().join("x.toml");
        fs::write(&path, "title = 'the driver'\ndriver = 'my.sys'\n").unwrap();
        let error = Scenario::load(&path).unwrap_err().to_string();
        assert!(error.contains("x.toml:2:1") && error.contains("my.sys"), "{error}");
        fs::write(folder.path().join("my.sys"), "").unwrap();
        assert!(Scenario::load(&path).is_ok());
    }

    #[test]
    fn refuses_expectations_that_are_not_looked_at() {
        let step = "[[step]]\nload = true\n";
        for (key, value) in [("bit_identical", "true"), ("audible", "false"), ("peak", "{ max = 0 }")] {
            let expect = format!("title = 't'\n[expect]\n{key} = {value}\n");
            assert!(parse(&expect).is_ok(), "{key}");
            for text in [format!("{expect}{step}"), format!("test = 'stress'\n{expect}")] {
                let error = parse(&text).unwrap_err().to_string();
                assert!(error.contains(&format!("{key} expects something of ")), "{error}");
                assert!(error.contains("--> folder/x.toml:"), "{error}");
            }
        }
        let underruns = "title = 't'\n[expect]\nunderruns = { max = 1 }\n";
        assert!(parse(&format!("{underruns}{step}")).is_ok());
        assert!(parse(&format!("test = 'stress'\n{underruns}")).is_err(), "a test looks at none");
    }

    #[test]
    fn refuses_same_pcm_of_a_single_case() {
        let error = parse("title = 't'\n[expect]\nsame_pcm = true\n").unwrap_err().to_string();
        assert!(error.contains("there is only one"), "{error}");
    }

    #[test]
    fn refuses_a_matrix_beyond_the_bound() {
        let error = parse("title = 't'\n[matrix]\nrepeat = 100000\n").unwrap_err().to_string();
        assert!(error.contains("100000 cases"), "{error}");
    }

    #[test]
    fn finds_a_part_of_a_scenario_by_its_name() {
        let plain = parse("title = 't'\n[matrix]\nsong = ['tide', 'siren']").unwrap();
        assert!(plain.has_case("x [song=tide]") && plain.has_case("siren") && !plain.has_case("nocturne"));
        let contract = parse("title = 't'\ntest = 'contract'").unwrap();
        assert!(contract.has_case("power") && contract.has_case("x") && !contract.has_case("nonsense"));
        let low_resources = parse("title = 't'\ntest = 'low-resources'").unwrap();
        assert!(low_resources.has_case("0123456789abcdef") && !low_resources.has_case("0123"));
    }

    #[test]
    fn a_test_that_plays_no_song_runs_once_over_each_transport() {
        let both = "title = 't'\ntest = 'contract'\n[matrix]\ntransport = ['vhost-user', 'vfio-user']\n";
        let scenario = parse(both).unwrap();
        assert_eq!(scenario.cases.len(), 2);
        assert!(scenario.has_case("x [transport=vfio-user]") && scenario.has_case("power"));
        let error = parse(&both.replace("transport = ", "quantum = [64]\ntransport = ")).unwrap_err().to_string();
        assert!(error.contains("x.toml:3:1") && error.contains("no axis quantum, only driver"), "{error}");
    }

    #[test]
    fn a_transport_of_the_command_line_chooses_the_cases_of_it_and_replaces_others() {
        let names = |scenario: &Scenario, transport| {
            scenario.cases_over(transport).map(|case| case.name.clone()).collect::<Vec<_>>()
        };
        let both = parse("title = 't'\n[matrix]\ntransport = ['vhost-user', 'vfio-user']\nrepeat = 2").unwrap();
        assert_eq!(
            names(&both, Some(Transport::VfioUser)),
            ["transport=vfio-user repeat=1", "transport=vfio-user repeat=2"]
        );
        assert_eq!(names(&both, None).len(), 4);
        let one = parse("title = 't'\n[matrix]\nrepeat = 2").unwrap();
        assert_eq!(names(&one, Some(Transport::VfioUser)), ["repeat=1", "repeat=2"]);
    }

    #[test]
    fn follows_a_transport_only_where_the_card_has_one_to_choose() {
        for (rest, follows) in [
            ("", true),
            ("test = 'contract'", true),
            ("test = 'kills'", false),
            ("test = 'card-kills'", true),
            ("[card]\nguard = true", false),
            ("driver = 'd.sys'\n[device]\nnone = true", false),
        ] {
            assert_eq!(parse(&format!("title = 't'\n{rest}")).unwrap().follows_transport(), follows, "{rest}");
        }
    }

    #[test]
    fn the_card_is_confined_unless_the_file_says_otherwise() {
        assert_eq!(parse("title = 't'").unwrap().cases[0].sandbox, Sandbox::On);
        assert_eq!(parse("title = 't'\n[card]\nsandbox = 'off'").unwrap().cases[0].sandbox, Sandbox::Off);
    }

    #[test]
    fn refuses_rounds_of_other_tests_and_more_than_two_processors() {
        assert_eq!(parse("title = 't'\ntest = 'stress'").unwrap().rounds, STRESS_ROUNDS);
        assert_eq!(parse("title = 't'\ntest = 'stress'\nrounds = 1").unwrap().rounds, 1);
        for wrong in [
            "test = 'contract'\nrounds = 1",
            "test = 'stress'\nrounds = 0",
            "[machine]\nprocessors = 3",
            "[machine]\nmessages = 9",
            "test = 'stress'\nparallel = 2",
            "test = 'kills'\nparallel = 17",
            "test = 'kills'\nparallel = 0",
        ] {
            let error = parse(&format!("title = 't'\n{wrong}")).unwrap_err().to_string();
            assert!(error.contains("x.toml:"), "{error}");
        }
    }

    #[test]
    fn a_waiver_names_a_rule_that_there_is_and_a_reason() {
        let waive = |rule: &str, reason: &str| format!("title = 't'\n[[waive]]\nrule = {rule}\nreason = '{reason}'\n");
        let scenario = parse(&waive("33", "one stream")).unwrap();
        assert_eq!(scenario.policy.waived[&33], "one stream");
        assert!(!scenario.policy.keep_going && parse("title = 't'\nkeep_going = true").unwrap().policy.keep_going);
        for (text, line, part) in [
            (waive("700", "x"), 3, "there is no rule 700: the NT host has 1 to 83, 101 to "),
            (waive("33", " "), 4, "a waiver says why"),
            (waive("33", "a") + "[[waive]]\nrule = 33\nreason = 'b'\n", 6, "rule 33 is waived twice"),
            ("title = 't'\n[[waive]]\nrule = 33\n".into(), 2, "the key `reason` is missing"),
            ("title = 't'\ntest = 'kills'\nkeep_going = true".into(), 2, "nothing to waive"),
            ("title = 't'\n[expect]\nnoted = [33]".into(), 3, "keep_going = true"),
        ] {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(&format!("x.toml:{line}:")) && error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_song_is_captured_and_judged_by_its_messages_alone() {
        assert!(parse("title = 't'\ncapture = true").unwrap().capture);
        for other in ["judge = 'plays'", "test = 'contract'"] {
            let error = parse(&format!("title = 't'\ncapture = true\n{other}")).unwrap_err().to_string();
            assert!(error.contains("x.toml:2:") && error.contains("judged by its messages"), "{error}");
        }
    }

    #[test]
    fn reads_every_scenario_of_the_suite() {
        let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        for file in files_in(&suite).unwrap() {
            Scenario::load(&file).unwrap();
        }
    }
}
