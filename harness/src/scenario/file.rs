//! The file: what it may say, and how it is read.

use std::fmt::Write;
use std::fs;
use std::ops::Range as Span;
use std::path::{Path, PathBuf};

use card_control::Clock;
use serde::Deserialize;
use toml::Spanned;

use super::expect::{Expectations, ExpectedBugCheck, Outcome};
use crate::event::Step;
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::machine::conditions::Interrupts;
use crate::playback::{Kill, LEAD_MS_DEFAULT, TAIL_MS_DEFAULT};
use crate::sound::midi::Song;
use crate::sound::songs::{self, BuiltIn};
use crate::testbed::QUANTUM_DEFAULT;
use crate::testbed::stall::Stall;

/// Most cases of one scenario: a typing error in a matrix must not run for a day.
const CASES_MAX: usize = 1000;

/// Longest stall of a scenario: a typing error must not keep a run for hours.
const STALL_MS_MAX: u64 = 60_000;

/// Rounds of a stress trial that does not say how many: a thousand cycles and a million events.
const STRESS_ROUNDS: u32 = 10;

/// What is wrong with a scenario file.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// It is not TOML, or says what a scenario cannot say.
    #[error("{path}: {message}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What and where: with line, column and the line itself.
        message: String,
    },
    /// There is neither a file nor a shipped scenario of this name.
    #[error("there is no scenario {named}: no such file or folder, and the shipped ones are {names}",
        named = .named.display(), names = .names.join(", "))]
    Unknown {
        /// What was asked for.
        named: PathBuf,
        /// What there is.
        names: Vec<String>,
    },
    /// There is no scenario in the folder.
    #[error("{path} holds no scenario (*.toml)", path = .0.display())]
    NoScenario(PathBuf),
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Diagnosed for ScenarioError {
    fn class(&self) -> Class {
        if matches!(self, Self::Unknown { .. }) { Class::Usage } else { Class::BadInput }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Malformed { .. } => Some("the scenarios under harness/scenarios show what may be said".into()),
            Self::Unknown { .. } => Some("name one of these, a scenario file, or a folder with some".into()),
            Self::NoScenario(_) => Some("name a scenario file, or a folder with some".into()),
            Self::File(error) => error.remedy(),
        }
    }
}

/// A guest that a scenario can ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Guest {
    /// The bare-metal guest that hosts the driver.
    #[default]
    NtHost,
}

/// What a scenario does instead of playing a song.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trial {
    /// Put every rule of the contract to the test.
    Contract,
    /// Open, run, stop and close streams with faults injected, and count what went in and came back.
    Stress,
    /// Refuse each stack that allocates its allocation once.
    LowResources,
    /// Have the card lose its session and lie about its rings, and see the driver play on.
    Trouble,
    /// Kill harness, card and QEMU, and see the right process blamed and nothing left.
    Kills,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    title: String,
    trial: Option<Trial>,
    rounds: Option<Spanned<u32>>,
    #[serde(default)]
    guest: Guest,
    song: Option<Spanned<String>>,
    driver: Option<PathBuf>,
    cpp_driver: Option<CppDriver>,
    #[serde(default)]
    machine: MachineTable,
    #[serde(default)]
    card: CardTable,
    #[serde(default)]
    stream: StreamTable,
    #[serde(default)]
    matrix: Matrix,
    fault: Option<Spanned<Kill>>,
    #[serde(default)]
    stall: Vec<Spanned<Stall>>,
    #[serde(default)]
    expect: Expectations,
}

/// The guest's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MachineTable {
    /// Processors: with two, the second takes the card's interrupts.
    pub processors: u8,
    /// Delays of interrupts, DPCs and calls, drawn from the number of the repetition as seed.
    pub delays: bool,
    /// How the card interrupts.
    pub interrupts: Interrupts,
    /// How often the device is stopped and started again, with other resources each time, before anything is played.
    pub restarts: u8,
}

impl Default for MachineTable {
    fn default() -> Self {
        Self { processors: 1, delays: false, interrupts: Interrupts::Line, restarts: 0 }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CardTable {
    #[serde(default)]
    clock: Clock,
    render_block: Option<Spanned<u32>>,
    bank: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StreamTable {
    sample_rate: u32,
    quantum: u32,
    tail_ms: u32,
    lead_ms: u32,
}

impl Default for StreamTable {
    fn default() -> Self {
        Self { sample_rate: 48_000, quantum: QUANTUM_DEFAULT, tail_ms: TAIL_MS_DEFAULT, lead_ms: LEAD_MS_DEFAULT }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Matrix {
    #[serde(default)]
    song: Vec<Spanned<String>>,
    #[serde(default)]
    clock: Vec<Clock>,
    #[serde(default)]
    render_block: Vec<Spanned<u32>>,
    #[serde(default)]
    sample_rate: Vec<u32>,
    #[serde(default)]
    quantum: Vec<Spanned<u32>>,
    repeat: Option<Spanned<u32>>,
}

/// Drivers that are built from the C++ test driver's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CppDriver {
    /// The good one.
    Good,
    /// Every broken variant that a guest can tell from a good driver: a case each, in which it must name the rule.
    Broken,
}

/// The C++ test driver's folder, from the scenarios' folder.
const CPP_DRIVER: &str = "../../guest-driver/fixture";

/// The table of its broken variants.
#[derive(Deserialize)]
struct VariantTable {
    variant: Vec<Spanned<Variant>>,
}

/// A broken variant, as its table says.
#[derive(Clone, Debug, Deserialize)]
struct Variant {
    name: String,
    check: Option<u16>,
    bug_check: Option<u32>,
    examination: Option<String>,
    status: VariantStatus,
}

/// What is known of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum VariantStatus {
    /// The guest stops it.
    #[serde(rename = "fires")]
    Fires,
    /// No guest can tell it from a good driver.
    #[serde(rename = "no check possible")]
    NoCheckPossible,
}

/// A variant that must be stopped, by what, and in which examination of the contract if no song shows it.
#[derive(Debug)]
struct FiringVariant {
    name: String,
    bug_check: ExpectedBugCheck,
    examination: Option<String>,
}

/// The variants that must be stopped.
fn variants_that_fire(path: &Path, text: &str) -> Result<Vec<FiringVariant>, ScenarioError> {
    let table: VariantTable = toml::from_str(text)
        .map_err(|error| ScenarioError::Malformed { path: path.into(), message: error.to_string() })?;
    let mut firing = Vec::new();
    for entry in table.variant {
        let span = entry.span();
        let Variant { name, check, bug_check, examination, status } = entry.into_inner();
        if status != VariantStatus::Fires {
            continue;
        }
        if check.is_some() == bug_check.is_some() {
            let message = format!("{name} fires, so it says by what: either check or bug_check");
            return Err(at(path, text, span.start..span.start, &message));
        }
        let bug_check = ExpectedBugCheck { code: bug_check, name: None, rule: check };
        firing.push(FiringVariant { name, bug_check, examination });
    }
    if firing.is_empty() {
        return Err(at(path, text, 0..0, "no variant fires, so nothing would be tried"));
    }
    Ok(firing)
}

/// A driver that is built for a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltDriver {
    /// The script that builds it.
    pub script: PathBuf,
    /// Which variant; none for the good one.
    pub variant: Option<String>,
    /// The bug check by which the guest must stop it.
    pub bug_check: Option<ExpectedBugCheck>,
    /// The examination of the contract that it must fail; none: it plays a song.
    pub examination: Option<String>,
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file.
    pub path: PathBuf,
    /// The file's name without its extension.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// What it does instead of playing a song.
    pub trial: Option<Trial>,
    /// Of a stress trial: how many rounds of cycles.
    pub rounds: u32,
    /// A driver image to use instead of ours.
    pub driver: Option<PathBuf>,
    /// Whom to kill, and when.
    pub fault: Option<Kill>,
    /// Which processes stall while the song streams, in this order.
    pub stalls: Vec<Stall>,
    /// The guest's machine.
    pub machine: MachineTable,
    /// The product of its matrix, at least one.
    pub cases: Vec<Case>,
    /// What must hold.
    pub expect: Expectations,
}

/// One case of a scenario.
#[derive(Clone, Debug)]
pub struct Case {
    /// What tells it apart, such as `song=tide render_block=64`; empty for a scenario without a matrix.
    pub name: String,
    /// A driver to build for it.
    pub driver: Option<BuiltDriver>,
    /// What is played.
    pub song: SongSource,
    /// How the card keeps time.
    pub clock: Clock,
    /// The card's render block.
    pub render_block: Option<u32>,
    /// The card's bank.
    pub bank: Option<PathBuf>,
    /// Frames a second.
    pub sample_rate: u32,
    /// Frames of a request to the wave stream.
    pub quantum: u32,
    /// Silence after the song.
    pub tail_ms: u32,
    /// In real time: how early events are handed over.
    pub lead_ms: u32,
    /// Which repetition it is, from 1; 0 without any.
    pub repetition: u32,
}

/// Where a song comes from.
#[derive(Clone, Debug)]
pub enum SongSource {
    /// The project's own.
    BuiltIn(&'static BuiltIn),
    /// A file.
    File(PathBuf),
}

impl SongSource {
    /// Reads the song.
    ///
    /// # Errors
    /// The file's, or the song's.
    pub fn read(&self) -> Result<Song, super::error::RunError> {
        match self {
            Self::BuiltIn(song) => Ok(song.song()?),
            Self::File(path) => {
                let file = fs::read(path).map_err(FileError::input(path))?;
                let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
                Ok(Song::parse(&name, &file)?)
            }
        }
    }
}

/// A place in a file, for a message.
fn at(path: &Path, text: &str, span: Span<usize>, message: &str) -> ScenarioError {
    let before = &text[..span.start.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |start| start.chars().count()) + 1;
    let shown = text.lines().nth(line - 1).unwrap_or_default();
    let marks = "^".repeat(span.len().clamp(1, shown.len().saturating_sub(column - 1).max(1)));
    let mut full = format!("line {line}, column {column}: {message}\n");
    let _ = write!(full, "  | {shown}\n  | {:>width$}", marks, width = column - 1 + marks.len());
    ScenarioError::Malformed { path: path.into(), message: full }
}

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ScenarioError`], with the place.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let text = fs::read_to_string(path).map_err(FileError::input(path))?;
        Self::parse(path, &text)
    }

    /// Whether it uses drivers of its own.
    #[must_use]
    pub fn brings_driver(&self) -> bool {
        self.driver.is_some() || self.cases.iter().any(|case| case.driver.is_some())
    }

    /// Whether a part of it, or all of it, is meant by this text.
    #[must_use]
    pub fn has_case(&self, text: &str) -> bool {
        self.names().iter().any(|name| name.contains(text))
            || (self.trial.is_some() && self.name.contains(text))
            || (self.trial == Some(Trial::LowResources) && crate::alloc_faults::read_stack(text).is_ok())
    }

    /// The names by which a part of it can be run.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let of = |name: &str| if name.is_empty() { self.name.clone() } else { format!("{} [{name}]", self.name) };
        match self.trial {
            Some(Trial::Contract) => crate::conformance::probe_names().map(str::to_owned).collect(),
            Some(Trial::Stress | Trial::LowResources | Trial::Trouble | Trial::Kills) => vec![self.name.clone()],
            None => self.cases.iter().map(|case| of(&case.name)).collect(),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ScenarioError> {
        let document: Document = toml::from_str(text)
            .map_err(|error| ScenarioError::Malformed { path: path.into(), message: error.to_string() })?;
        let Guest::NtHost = document.guest;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut cases = cases(path, text, folder, &document)?;
        if let Some(kind) = document.cpp_driver {
            cases = with_cpp_drivers(&folder.join(CPP_DRIVER), kind, &cases)?;
        }
        if document.cpp_driver == Some(CppDriver::Broken) && document.expect.outcome != Outcome::GuestCrashed {
            let message = "a broken driver must be stopped: expect outcome = \"guest-crashed\"";
            let start = text.find("cpp_driver").unwrap_or(0);
            return Err(at(path, text, start..start + 10, message));
        }
        if document.expect.same_pcm && cases.len() < 2 {
            let start = text.find("same_pcm").unwrap_or(0);
            return Err(at(path, text, start..start + 8, "there is only one case, so nothing can be the same"));
        }
        if let Some(rounds) = &document.rounds
            && (!matches!(document.trial, Some(Trial::Stress | Trial::Kills)) || *rounds.get_ref() == 0)
        {
            let message = "rounds, at least 1, are of trial = \"stress\" and \"kills\"";
            return Err(at(path, text, rounds.span(), message));
        }
        let processors = document.machine.processors;
        if !(1..=2).contains(&processors) {
            let start = text.find("processors").unwrap_or(0);
            return Err(at(path, text, start..start + 10, "the guest has 1 or 2 processors"));
        }
        if let Some(fault) = &document.fault
            && !matches!(fault.get_ref().at, Step::Kernel | Step::DriverStart | Step::Streaming | Step::ShutDown)
        {
            let message = "nobody can be killed then: say kernel, driver-start, streaming or shut-down";
            return Err(at(path, text, fault.span(), message));
        }
        if let Some(stall) =
            document.stall.iter().find(|stall| !(1..=STALL_MS_MAX).contains(&stall.get_ref().milliseconds))
        {
            let message = format!("a stall takes 1 to {STALL_MS_MAX} milliseconds");
            return Err(at(path, text, stall.span(), &message));
        }
        Ok(Self {
            path: path.into(),
            name: path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            title: document.title,
            trial: document.trial,
            rounds: document.rounds.map_or(STRESS_ROUNDS, Spanned::into_inner),
            driver: document.driver.map(|driver| folder.join(driver)),
            fault: document.fault.map(Spanned::into_inner),
            stalls: document.stall.into_iter().map(Spanned::into_inner).collect(),
            machine: document.machine,
            cases,
            expect: document.expect,
        })
    }
}

/// Values of one dimension with their names: one unnamed value where the matrix does not mention it.
fn dimension<T: Clone, U>(name: &str, listed: &[U], single: T, value: impl Fn(&U) -> (T, String)) -> Vec<(T, String)> {
    if listed.is_empty() {
        return vec![(single, String::new())];
    }
    listed
        .iter()
        .map(|item| {
            let (value, text) = value(item);
            (value, format!("{name}={text}"))
        })
        .collect()
}

fn cases(path: &Path, text: &str, folder: &Path, document: &Document) -> Result<Vec<Case>, ScenarioError> {
    let Document { song, card, stream, matrix, .. } = document;
    let positive = |value: &Spanned<u32>, what: &str| {
        if *value.get_ref() == 0 {
            return Err(at(path, text, value.span(), &format!("{what} must be at least 1")));
        }
        Ok(())
    };
    for block in matrix.render_block.iter().chain(&card.render_block) {
        positive(block, "render_block")?;
    }
    for quantum in &matrix.quantum {
        positive(quantum, "quantum")?;
    }
    if let Some(repeat) = &matrix.repeat {
        positive(repeat, "repeat")?;
    }
    let source = |song: &Spanned<String>| {
        let name = song.get_ref();
        if let Some(built_in) = BuiltIn::by_name(name) {
            return Ok(SongSource::BuiltIn(built_in));
        }
        let file = folder.join(name);
        if file.is_file() {
            return Ok(SongSource::File(file));
        }
        let names = songs::ALL.map(|song| song.name).join(", ");
        Err(at(path, text, song.span(), &format!("no such song: name a file beside the scenario, or one of {names}")))
    };
    let single_song = match song {
        Some(song) => source(song)?,
        None => SongSource::BuiltIn(&songs::ALL[0]),
    };
    let mut song_values = Vec::new();
    for song in &matrix.song {
        song_values.push((source(song)?, song.get_ref().clone()));
    }
    let song_axis = dimension("song", &song_values, single_song, Clone::clone);
    let clock_axis = dimension("clock", &matrix.clock, card.clock, |clock| (*clock, clock.name().to_owned()));
    let spanned = |value: &Spanned<u32>| (*value.get_ref(), value.get_ref().to_string());
    let block = card.render_block.as_ref().map(|block| *block.get_ref());
    let block_axis = dimension("render_block", &matrix.render_block, block, |value| {
        let (value, text) = spanned(value);
        (Some(value), text)
    });
    let rate_axis = dimension("sample_rate", &matrix.sample_rate, stream.sample_rate, |rate| (*rate, rate.to_string()));
    let quantum_axis = dimension("quantum", &matrix.quantum, stream.quantum, spanned);
    let repeats: Vec<u32> = (1..=matrix.repeat.as_ref().map_or(0, |repeat| *repeat.get_ref())).collect();
    let repeat_axis = dimension("repeat", &repeats, 0, |number| (*number, number.to_string()));

    let count =
        [song_axis.len(), clock_axis.len(), block_axis.len(), rate_axis.len(), quantum_axis.len(), repeat_axis.len()]
            .iter()
            .product::<usize>();
    if count > CASES_MAX {
        let start = text.find("[matrix]").unwrap_or(0);
        return Err(at(path, text, start..start + 8, &format!("{count} cases; at most {CASES_MAX} are run")));
    }
    let mut cases = Vec::with_capacity(count);
    for (song, song_name) in &song_axis {
        for (clock, clock_name) in &clock_axis {
            for (render_block, block_name) in &block_axis {
                for (sample_rate, rate_name) in &rate_axis {
                    for (quantum, quantum_name) in &quantum_axis {
                        for (repetition, repeat_name) in &repeat_axis {
                            let names = [song_name, clock_name, block_name, rate_name, quantum_name, repeat_name];
                            let named: Vec<&str> =
                                names.into_iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
                            cases.push(Case {
                                name: named.join(" "),
                                driver: None,
                                song: song.clone(),
                                clock: *clock,
                                render_block: *render_block,
                                bank: card.bank.as_ref().map(|bank| folder.join(bank)),
                                sample_rate: *sample_rate,
                                quantum: *quantum,
                                tail_ms: stream.tail_ms,
                                lead_ms: stream.lead_ms,
                                repetition: *repetition,
                            });
                        }
                    }
                }
            }
        }
    }
    Ok(cases)
}

/// The cases, once for each driver.
fn with_cpp_drivers(source: &Path, kind: CppDriver, cases: &[Case]) -> Result<Vec<Case>, ScenarioError> {
    let script = source.join("build.sh");
    let driver =
        |variant, bug_check, examination| BuiltDriver { script: script.clone(), variant, bug_check, examination };
    let drivers = match kind {
        CppDriver::Good => vec![driver(None, None, None)],
        CppDriver::Broken => {
            let path = source.join("variants.toml");
            let text = fs::read_to_string(&path).map_err(FileError::input(&path))?;
            let firing = variants_that_fire(&path, &text)?;
            let driver =
                |FiringVariant { name, bug_check, examination }| driver(Some(name), Some(bug_check), examination);
            firing.into_iter().map(driver).collect()
        }
    };
    let with = |case: &Case, driver: &BuiltDriver| {
        let names = [driver.variant.as_deref().unwrap_or_default(), &case.name];
        let named: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
        Case { name: named.join(" "), driver: Some(driver.clone()), ..case.clone() }
    };
    Ok(drivers.iter().flat_map(|driver| cases.iter().map(move |case| with(case, driver))).collect())
}

/// The scenarios that a path names: a file, or a folder's files in order of name.
///
/// # Errors
/// When there is none.
pub fn files_in(path: &Path) -> Result<Vec<PathBuf>, ScenarioError> {
    if path.is_file() {
        return Ok(vec![path.into()]);
    }
    let entries = fs::read_dir(path).map_err(FileError::input(path))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(ScenarioError::NoScenario(path.into()));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Scenario, ScenarioError> {
        Scenario::parse(Path::new("folder/x.toml"), text)
    }

    #[test]
    fn a_matrix_is_the_product_of_its_dimensions() {
        let scenario = parse(
            "title = 't'\n[matrix]\nsong = ['tide', 'siren']\nrender_block = [1, 64]\nrepeat = 2\n[expect]\nsame_pcm = false",
        )
        .unwrap();
        assert_eq!(scenario.cases.len(), 8);
        assert_eq!(scenario.cases[7].name, "song=siren render_block=64 repeat=2");
    }

    #[test]
    fn a_scenario_without_a_matrix_is_one_unnamed_case_of_the_default_song() {
        let scenario = parse("title = 't'").unwrap();
        assert_eq!(scenario.cases.len(), 1);
        assert_eq!(scenario.cases[0].name, "");
        assert!(scenario.expect.bit_identical);
    }

    #[test]
    fn stalls_are_read_in_their_order_and_are_bounded() {
        let stall =
            |process: &str, ms: u64| format!("[[stall]]\nprocess = '{process}'\nat_frame = 7\nmilliseconds = {ms}\n");
        let scenario = parse(&format!("title = 't'\n{}{}", stall("qemu", 1), stall("both", STALL_MS_MAX))).unwrap();
        let processes: Vec<_> = scenario.stalls.iter().map(|stall| stall.process).collect();
        assert_eq!(processes, [crate::testbed::stall::Stalled::Qemu, crate::testbed::stall::Stalled::Both]);
        for ms in [0, STALL_MS_MAX + 1] {
            let error = parse(&format!("title = 't'\n{}", stall("card", ms))).unwrap_err().to_string();
            assert!(error.contains("a stall takes 1 to"), "{error}");
        }
    }

    #[test]
    fn a_wrong_word_is_shown_in_its_line() {
        let error = parse("title = 't'\n[card]\nclocks = 'lockstep'\n").unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("clocks"), "{error}");
    }

    #[test]
    fn a_missing_song_is_shown_in_its_line_with_what_there_is() {
        let error = parse("title = 't'\nsong = 'nocturne'\n").unwrap_err().to_string();
        assert!(error.contains("line 2, column 8"), "{error}");
        assert!(error.contains("tide, clockwork, siren"), "{error}");
    }

    #[test]
    fn same_pcm_of_a_single_case_is_refused_because_it_cannot_fail() {
        let error = parse("title = 't'\n[expect]\nsame_pcm = true\n").unwrap_err().to_string();
        assert!(error.contains("only one case"), "{error}");
    }

    #[test]
    fn a_matrix_beyond_the_bound_is_refused() {
        let error = parse("title = 't'\n[matrix]\nrepeat = 100000\n").unwrap_err().to_string();
        assert!(error.contains("100000 cases"), "{error}");
    }

    #[test]
    fn a_variant_that_fires_says_by_what_and_one_that_cannot_is_left_out() {
        let read = |text: &str| variants_that_fire(Path::new("variants.toml"), text);
        let firing = read(
            "[[variant]]\nname = 'a'\ncheck = 7\nstatus = 'fires'\n\
             [[variant]]\nname = 'b'\nbug_check = 0xe6\nstatus = 'fires'\n\
             [[variant]]\nname = 'c'\nstatus = 'no check possible'\n",
        )
        .unwrap();
        let found: Vec<_> = firing
            .iter()
            .map(|variant| (variant.name.as_str(), variant.bug_check.rule, variant.bug_check.code))
            .collect();
        assert_eq!(found, [("a", Some(7), None), ("b", None, Some(0xe6))]);
        let error = read("[[variant]]\nname = 'a'\nstatus = 'fires'\n").unwrap_err().to_string();
        assert!(error.contains("either check or bug_check"), "{error}");
    }

    #[test]
    fn a_table_of_which_nothing_fires_is_refused_because_it_cannot_fail() {
        let text = "[[variant]]\nname = 'c'\nstatus = 'no check possible'\n";
        let error = variants_that_fire(Path::new("variants.toml"), text).unwrap_err().to_string();
        assert!(error.contains("nothing would be tried"), "{error}");
    }

    #[test]
    fn a_part_of_a_scenario_is_known_by_what_it_is_called() {
        let plain = parse("title = 't'\n[matrix]\nsong = ['tide', 'siren']").unwrap();
        assert!(plain.has_case("x [song=tide]") && plain.has_case("siren") && !plain.has_case("nocturne"));
        let contract = parse("title = 't'\ntrial = 'contract'").unwrap();
        assert!(contract.has_case("power") && contract.has_case("x") && !contract.has_case("nonsense"));
        let shortage = parse("title = 't'\ntrial = 'low-resources'").unwrap();
        assert!(shortage.has_case("0123456789abcdef") && !shortage.has_case("0123"));
    }

    #[test]
    fn rounds_are_of_stress_and_processors_are_one_or_two() {
        assert_eq!(parse("title = 't'\ntrial = 'stress'").unwrap().rounds, STRESS_ROUNDS);
        assert_eq!(parse("title = 't'\ntrial = 'stress'\nrounds = 1").unwrap().rounds, 1);
        for wrong in ["trial = 'contract'\nrounds = 1", "trial = 'stress'\nrounds = 0", "[machine]\nprocessors = 3"] {
            let error = parse(&format!("title = 't'\n{wrong}")).unwrap_err().to_string();
            assert!(error.contains("line "), "{error}");
        }
    }

    #[test]
    fn every_scenario_of_the_suite_can_be_read() {
        let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        for file in files_in(&suite).unwrap() {
            Scenario::load(&file).unwrap();
        }
    }
}
