//! Options that replace those of a scenario, and the command lines that repeat a test.

use std::path::PathBuf;

use super::document::MachineTable;
use super::file::Scenario;
use crate::machine::Device;
use crate::machine::conditions::Conditions;

/// Options of the command line that replace those of a scenario.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Processors of the guest.
    pub processors: Option<u8>,
    /// Seeds of delays: each case runs once with each, instead of its repetitions, which exist for their seeds.
    pub seeds: Vec<u64>,
    /// The number of kills, instead of the scenario's rounds.
    pub count: Option<u32>,
    /// A driver image of the command line, for the reproduce line.
    pub driver: Option<PathBuf>,
    /// The device of the command line; the card where it names none.
    pub device: Device,
    /// The options of the device, with a space before each, for the reproduce line.
    pub device_options: String,
}

impl Overrides {
    /// Returns the conditions of each run of a case; none if the case does not run.
    pub(super) fn conditions(&self, scenario: &Scenario, repetition: u32) -> Vec<Conditions> {
        let MachineTable { processors, delays, interrupts, .. } = scenario.machine;
        let own = Conditions {
            processors: self.processors.unwrap_or(processors),
            // A test that is no playback test has no repetitions: it begins with the first seed.
            seed: delays.then_some(u64::from(repetition.max(1))),
            verifier: true,
            interrupts,
        };
        if self.seeds.is_empty() {
            return vec![own];
        }
        if repetition > 1 {
            return Vec::new();
        }
        self.seeds.iter().map(|&seed| Conditions { seed: Some(seed), ..own }).collect()
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
        // The scenario's own conditions need no option.
        let conditions =
            if self.seeds.is_empty() && self.processors.is_none() { String::new() } else { conditions.arguments() };
        format!("cargo dmus run {}{case}{driver}{}{conditions}", scenario.path.display(), self.device_options)
    }
}
