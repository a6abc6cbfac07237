//! Which violations do not stop a guest, and why.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use guest_protocol::options::{KEEP_GOING, WAIVE};
use serde::Serialize;

/// A rule that is waived, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiver {
    /// The number of the rule or check.
    pub rule: u16,
    /// The reason.
    pub reason: String,
}

/// Which violations do not stop the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ViolationPolicy {
    /// Rules that are waived, with their reasons: a violation is reported and counted, and fails no test.
    pub waived: BTreeMap<u16, String>,
    /// Whether the guest goes on after each violation after which it can. The test fails at its end.
    pub keep_going: bool,
}

impl ViolationPolicy {
    /// Adds waivers; a rule that is waived already keeps its reason.
    #[must_use]
    pub fn with(mut self, waivers: impl IntoIterator<Item = Waiver>) -> Self {
        for Waiver { rule, reason } in waivers {
            self.waived.entry(rule).or_insert(reason);
        }
        self
    }

    /// Returns the policy of a scenario with the command line's added.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.keep_going |= other.keep_going;
        let waivers = other.waived.iter().map(|(&rule, reason)| Waiver { rule, reason: reason.clone() });
        self.with(waivers)
    }

    /// Tells whether every violation stops the guest.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.waived.is_empty() && !self.keep_going
    }

    /// Returns the lines of options that the guest reads.
    #[must_use]
    pub fn guest_options(&self) -> String {
        let mut text = String::new();
        if !self.waived.is_empty() {
            let _ = writeln!(text, "{WAIVE}={}", self.numbers());
        }
        if self.keep_going {
            let _ = writeln!(text, "{KEEP_GOING}=on");
        }
        text
    }

    /// Returns the options of a command line for the same policy, with a space before each.
    #[must_use]
    pub fn arguments(&self) -> String {
        let waive = if self.waived.is_empty() { String::new() } else { format!(" --waive {}", self.numbers()) };
        waive + if self.keep_going { " --keep-going" } else { "" }
    }

    fn numbers(&self) -> String {
        self.waived.keys().map(u16::to_string).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_options_of_guest_and_command_line() {
        let policy = ViolationPolicy { keep_going: true, ..ViolationPolicy::default() }
            .with([Waiver { rule: 105, reason: "old".into() }, Waiver { rule: 33, reason: "new".into() }]);
        assert_eq!(policy.guest_options(), "waive=33,105\nkeep-going=on\n");
        assert_eq!(policy.arguments(), " --waive 33,105 --keep-going");
        assert_eq!(ViolationPolicy::default().guest_options() + &ViolationPolicy::default().arguments(), "");
    }

    #[test]
    fn a_scenarios_reason_stays_when_the_command_line_waives_the_same_rule() {
        let waiver = |rule, reason: &str| Waiver { rule, reason: reason.into() };
        let scenario = ViolationPolicy::default().with([waiver(33, "the card has one stream")]);
        let both = scenario.and(&ViolationPolicy::default().with([waiver(33, "--waive"), waiver(2, "--waive")]));
        assert_eq!(both.waived[&33], "the card has one stream");
        assert_eq!(both.waived[&2], "--waive");
    }
}
