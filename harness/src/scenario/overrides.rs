//! Options that replace those of a scenario, and the command lines that repeat a test.

use std::path::PathBuf;

use card_control::{Sandbox, Transport};

use super::case::Case;
use super::document::MachineTable;
use super::file::Scenario;
use crate::host::invocation;
use crate::machine::Device;
use crate::machine::conditions::{Bars, Conditions, Windows};
use crate::playback::judge::Judge;
use crate::playback::live::LiveMidi;
use crate::testbed::violations::ViolationPolicy;

/// Options of the command line that replace those of a scenario.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Processors of the guest.
    pub processors: Option<u8>,
    /// Seeds of delays: each case runs once with each, instead of its repetitions, which exist for their seeds.
    pub seeds: Vec<u64>,
    /// The number of kills or of faults that are drawn, instead of the scenario's rounds.
    pub count: Option<u32>,
    /// A driver image of the command line, for the reproduce line.
    pub driver: Option<PathBuf>,
    /// The image of the command line, for the reproduce line.
    pub guest: Option<String>,
    /// The device of the command line; the card where it names none.
    pub device: Device,
    /// The options of the device, with a space before each, for the reproduce line.
    pub device_options: String,
    /// Violations that do not stop the guest, beside the scenario's.
    pub policy: ViolationPolicy,
    /// How the card is attached to QEMU, instead of the scenario's.
    pub transport: Option<Transport>,
    /// Where 64-bit base addresses are, instead of where the scenario has them.
    pub bars: Option<Bars>,
    /// The Windows that the guest poses as, instead of the scenario's.
    pub windows: Option<Windows>,
    /// The guests mark nothing of what they do.
    pub no_marks: bool,
    /// Whether the card's process is confined, instead of the scenario's.
    pub sandbox: Option<Sandbox>,
    /// Frames a second, instead of the scenario's.
    pub sample_rate: Option<u32>,
    /// What decides whether a song was played right, instead of the scenario's.
    pub judge: Option<Judge>,
    /// Live MIDI, instead of the song of scenarios that capture one; they run under the realtime clock then.
    pub live: Option<LiveMidi>,
    /// Whether golden files are written instead of compared with.
    pub update_golden: bool,
}

impl Overrides {
    /// Returns the conditions of each run of a case; none if the case does not run.
    fn conditions(&self, machine: MachineTable, repetition: u32) -> Vec<Conditions> {
        let MachineTable { processors, delays, seed, interrupts, messages, bars, windows, .. } = machine;
        let own = Conditions {
            processors: self.processors.unwrap_or(processors),
            // A test that is no playback test has no repetitions: it begins with the first seed.
            seed: seed.map(|seed| seed.0).or_else(|| delays.then_some(u64::from(repetition.max(1)))),
            verifier: true,
            interrupts,
            messages,
            bars: self.bars.unwrap_or(bars),
            windows: self.windows.unwrap_or(windows),
            marks: !self.no_marks,
        };
        if self.seeds.is_empty() {
            return vec![own];
        }
        if repetition > 1 {
            return Vec::new();
        }
        self.seeds.iter().map(|&seed| Conditions { seed: Some(seed), ..own }).collect()
    }

    /// Returns the conditions of each run of a case of the matrix: what a variant is about before an option, and that
    /// before the matrix.
    pub(super) fn conditions_of(&self, case: &Case) -> Vec<Conditions> {
        let variant = case.driver.as_ref();
        let bars = variant.and_then(|driver| driver.bars).or(self.bars).unwrap_or(case.machine.bars);
        let mut found = self.conditions(case.machine, case.repetition);
        for conditions in &mut found {
            conditions.bars = bars;
            conditions.interrupts = variant.and_then(|driver| driver.interrupts).unwrap_or(conditions.interrupts);
        }
        found
    }

    /// Returns how many tests a scenario has with them.
    #[must_use]
    pub fn tests_of(&self, scenario: &Scenario) -> usize {
        scenario.cases.iter().map(|case| self.conditions_of(case).len()).sum()
    }

    /// Returns which violations do not stop the guests of a scenario.
    pub(super) fn policy(&self, scenario: &Scenario) -> ViolationPolicy {
        scenario.policy.clone().and(&self.policy)
    }

    /// Returns what judges the songs of a scenario.
    pub(super) fn judge<'a>(&'a self, scenario: &'a Scenario) -> Option<&'a Judge> {
        self.judge.as_ref().or(scenario.judge.as_ref())
    }

    /// Returns a test's name: with its seed, where the command line names seeds.
    pub(super) fn name(&self, test: String, conditions: Conditions) -> String {
        match conditions.seed_text().filter(|_| !self.seeds.is_empty()) {
            Some(seed) => format!("{test} seed={seed}"),
            None => test,
        }
    }

    /// Returns the command that runs one test again, alone.
    pub(super) fn reproduce(&self, scenario: &Scenario, case: Option<&str>, conditions: Conditions) -> String {
        let case = case.map_or_else(String::new, |case| format!(" --case '{case}'"));
        let driver =
            self.driver.as_ref().map_or_else(String::new, |driver| format!(" --driver '{}'", driver.display()));
        let guest = self.guest.as_ref().map_or_else(String::new, |guest| format!(" --guest {guest}"));
        // The scenario's own conditions need no option.
        let conditions =
            if self.seeds.is_empty() && self.processors.is_none() { String::new() } else { conditions.arguments() };
        // Those of the scenario need no option either.
        let policy = self.policy.arguments();
        let transport = self.transport.map_or_else(String::new, |found| format!(" --transport {}", found.name()));
        let bars = self.bars.map_or_else(String::new, |found| format!(" --bars {}", found.name()));
        let windows = self.windows.map_or_else(String::new, |found| format!(" --windows {}", found.name()));
        let sandbox = self.sandbox.map_or_else(String::new, |found| format!(" --sandbox {}", found.name()));
        let marks = if self.no_marks { " --no-marks" } else { "" };
        let rate = self.sample_rate.map_or_else(String::new, |rate| format!(" --rate {rate}"));
        let judge = self.judge.as_ref().map_or_else(String::new, |judge| match judge {
            Judge::Reference { wav, tolerance } if tolerance.is_exact() && tolerance.offset == 0 => {
                format!(" --reference '{}'", wav.display())
            }
            Judge::Reference { wav, tolerance } => {
                let tolerance = tolerance.to_string().replace("equal samples,", "");
                format!(" --reference '{}' --tolerance {tolerance}", wav.display())
            }
            other => format!(" --judge {}", other.name()),
        });
        format!(
            "{} run {}{case}{guest}{driver}{}{conditions}{policy}{transport}{sandbox}{bars}{windows}{marks}{rate}{judge}",
            invocation::program(),
            scenario.path.display(),
            self.device_options
        )
    }
}
