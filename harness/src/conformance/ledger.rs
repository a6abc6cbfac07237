//! Counts how the rules fare over several probes.

use std::collections::BTreeMap;

use guest_protocol::{CheckMethod, RuleState};

use super::report::{Row, Verdict};
use crate::host::failure::Class;

/// The verdicts on the rules so far.
#[derive(Default)]
pub(super) struct Ledger {
    states: BTreeMap<u16, RuleState>,
    pub(super) held: BTreeMap<u16, u64>,
    pub(super) violated: BTreeMap<u16, String>,
    pub(super) inapplicable: BTreeMap<u16, String>,
    pub(super) failures: Vec<String>,
    pub(super) classes: Vec<Class>,
}

impl Ledger {
    /// Adds the guest's counts of a probe.
    pub(super) fn count(&mut self, rules: &[RuleState]) {
        for rule in rules {
            self.states.entry(rule.number).or_insert_with(|| rule.clone());
            *self.held.entry(rule.number).or_default() += u64::from(rule.held);
        }
    }

    /// Notes that the harness itself has seen a rule hold.
    pub(super) fn judge(&mut self, rule: u16) {
        *self.held.entry(rule).or_default() += 1;
    }

    /// Returns a row for each rule, with its verdict.
    pub(super) fn rows(&self) -> Vec<Row> {
        let row = |(&number, state): (&u16, &RuleState)| {
            let held = self.held.get(&number).copied().unwrap_or(0);
            let reason = match &state.how {
                CheckMethod::NotApplicable(reason) => Some(reason.clone()),
                _ => self.inapplicable.get(&number).filter(|_| held == 0).cloned(),
            };
            let (verdict, message) = match (self.violated.get(&number), reason) {
                (Some(message), _) => (Verdict::Violated, Some(message.clone())),
                (None, Some(reason)) => (Verdict::NotApplicable, Some(reason)),
                (None, None) if held > 0 => (Verdict::Pass, None),
                (None, None) => (Verdict::NotExercised, None),
            };
            Row { number, title: state.title.clone(), source: state.source.clone(), verdict, held, message }
        };
        // Beyond the contract: the guest's own checks and the rules of other services have a row when they are
        // violated.
        let beyond = self.violated.iter().filter(|(number, _)| !self.states.contains_key(number));
        let beyond = beyond.map(|(&number, message)| Row {
            number,
            title: "beyond the contract, by the guest's own number".into(),
            source: String::new(),
            verdict: Verdict::Violated,
            held: 0,
            message: Some(message.clone()),
        });
        self.states.iter().map(row).chain(beyond).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(number: u16, how: CheckMethod, held: u32) -> RuleState {
        RuleState { number, title: format!("t{number}"), source: "D x".into(), how, held }
    }

    #[test]
    fn passes_a_rule_only_if_it_was_exercised() {
        let mut ledger = Ledger::default();
        ledger.count(&[
            state(1, CheckMethod::Always, 3),
            state(2, CheckMethod::Always, 0),
            state(3, CheckMethod::NotApplicable("why".into()), 0),
            state(4, CheckMethod::Probe("x".into()), 0),
        ]);
        ledger.count(&[state(1, CheckMethod::Always, 2)]);
        ledger.judge(4);
        let verdicts: Vec<_> = ledger.rows().iter().map(|row| (row.verdict, row.held)).collect();
        assert_eq!(
            verdicts,
            [(Verdict::Pass, 5), (Verdict::NotExercised, 0), (Verdict::NotApplicable, 0), (Verdict::Pass, 1)]
        );
    }

    #[test]
    fn keeps_a_violation_however_often_the_rule_held() {
        let mut ledger = Ledger::default();
        ledger.count(&[state(7, CheckMethod::Always, 100)]);
        ledger.violated.insert(7, "a leak".into());
        let rows = ledger.rows();
        assert_eq!((rows[0].verdict, rows[0].message.as_deref()), (Verdict::Violated, Some("a leak")));
    }

    #[test]
    fn gives_a_violated_check_beyond_the_contract_a_row_of_its_own() {
        let mut ledger = Ledger::default();
        ledger.count(&[state(1, CheckMethod::Always, 1)]);
        ledger.violated.insert(203, "an entry".into());
        let rows: Vec<_> = ledger.rows().iter().map(|row| (row.number, row.verdict)).collect();
        assert_eq!(rows, [(1, Verdict::Pass), (203, Verdict::Violated)]);
    }
}
