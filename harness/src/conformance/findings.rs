//! What a probe finds out.

use std::collections::BTreeMap;

use guest_protocol::RuleState;

/// What an examination found out.
#[derive(Default)]
pub struct Findings {
    /// What the guest counted.
    pub(super) rules: Vec<RuleState>,
    /// Rules that the harness itself saw hold, once an entry.
    pub(super) held: Vec<u16>,
    /// Rules that cannot apply to this driver, and why.
    pub(super) inapplicable: BTreeMap<u16, String>,
    /// What was counted.
    pub(super) figures: Vec<(String, u64)>,
}

impl Findings {
    /// The harness itself has seen a rule hold.
    pub fn held(&mut self, rule: u16) {
        self.held.push(rule);
    }

    /// A rule cannot apply to this driver.
    pub fn inapplicable(&mut self, rule: u16, reason: &str) {
        self.inapplicable.insert(rule, reason.into());
    }
}
