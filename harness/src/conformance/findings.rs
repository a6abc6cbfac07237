//! What a probe finds out.

use std::collections::BTreeMap;

use guest_protocol::RuleState;

use crate::testbed::violations::FindingsReport;

/// The findings of a probe.
#[derive(Default)]
pub struct Findings {
    /// The rules with the guest's counts.
    pub(super) rules: Vec<RuleState>,
    /// Rules that the harness itself saw hold, once for each time.
    pub(super) held: Vec<u16>,
    /// Rules that cannot apply to this driver, and why.
    pub(super) inapplicable: BTreeMap<u16, String>,
    /// Rules that could not be exercised with this device, and why.
    pub(super) not_exercised: BTreeMap<u16, String>,
    /// What the guests found without stopping.
    pub(super) report: FindingsReport,
    /// The counts of the probe by name.
    pub(super) figures: Vec<(String, u64)>,
}

impl Findings {
    /// Notes that the harness has seen a rule hold.
    pub fn held(&mut self, rule: u16) {
        self.held.push(rule);
    }

    /// Notes that a rule could not be exercised with this device, which is no fault of the driver.
    pub fn not_exercised(&mut self, rule: u16, reason: &str) {
        self.not_exercised.insert(rule, reason.into());
    }

    /// Notes that a rule cannot apply to this driver.
    pub fn inapplicable(&mut self, rule: u16, reason: &str) {
        self.inapplicable.insert(rule, reason.into());
    }
}
