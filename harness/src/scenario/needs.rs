//! What a case of a scenario needs of the host: what the scenario names, and what follows from its keys.

use card_control::Transport;

use super::case::Case;
use super::file::Scenario;
use super::requirement::{Host, Requirement, Unmet};
use crate::machine::device::DeviceSource;
use crate::playback::judge::Judge;

impl Scenario {
    /// Returns what a case needs: what the scenario names, and what follows from its keys.
    #[must_use]
    pub fn needs(&self, case: &Case) -> Vec<Requirement> {
        let mut all = self.requires.clone();
        let device = case.driver.as_ref().and_then(|driver| driver.device.as_ref()).unwrap_or(&self.device);
        let is_example = matches!(device.source, DeviceSource::Example(_));
        if case.driver.is_some() {
            all.push(Requirement::CppCompiler);
        }
        if case.driver.is_some() || is_example || matches!(self.judge, Some(Judge::Reference { .. })) {
            all.push(Requirement::Checkout);
        }
        let is_server = matches!(device.source, DeviceSource::VfioUser(_) | DeviceSource::Command(_));
        if is_example || is_server || (device.is_card() && case.transport == Transport::VfioUser) {
            all.push(Requirement::VfioUser);
        }
        all.sort();
        all.dedup();
        all
    }

    /// Returns what the host lacks for a case; `None` where it can run.
    #[must_use]
    pub fn unmet(&self, case: &Case, host: &Host<'_>) -> Option<Unmet> {
        self.needs(case).iter().find_map(|need| need.unmet(host))
    }
}
