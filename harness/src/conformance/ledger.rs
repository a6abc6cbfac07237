//! Counts how the rules fare over several probes.

use std::collections::{BTreeMap, BTreeSet};

use guest_protocol::{CheckMethod, RuleState};

use super::report::{Row, Verdict, WaivedRule};
use crate::host::failure::Class;
use crate::testbed::violations::{FindingsReport, RuleList};

/// The verdicts on the rules so far.
#[derive(Default)]
pub(super) struct Ledger {
    states: BTreeMap<u16, RuleState>,
    pub(super) held: BTreeMap<u16, u64>,
    pub(super) violated: BTreeMap<u16, String>,
    pub(super) inapplicable: BTreeMap<u16, String>,
    /// Rules that could not be exercised with this device, and why.
    pub(super) not_exercised: BTreeMap<u16, String>,
    /// What the guests found without stopping.
    pub(super) report: FindingsReport,
    pub(super) failures: Vec<String>,
    pub(super) classes: Vec<Class>,
}

impl Ledger {
    /// Adds the guest's counts of a probe.
    pub(super) fn count(&mut self, rules: &[RuleState]) {
        for rule in rules {
            // What a later probe finds missing in the driver; it counts unless the rule was put to the test.
            if let CheckMethod::NotApplicable(reason) = &rule.how {
                self.inapplicable.entry(rule.number).or_insert_with(|| reason.clone());
            }
            self.states.entry(rule.number).or_insert_with(|| rule.clone());
            *self.held.entry(rule.number).or_default() += u64::from(rule.held);
        }
    }

    /// Notes that the harness itself has seen a rule hold.
    pub(super) fn judge(&mut self, rule: u16) {
        *self.held.entry(rule).or_default() += 1;
    }

    /// Notes why the rules of a probe could not be exercised any more with this device.
    pub(super) fn cannot_exercise(&mut self, probe: &str, reason: &str) {
        let of_probe = |state: &&RuleState| matches!(&state.how, CheckMethod::Probe(name) if name == probe);
        for state in self.states.values().filter(of_probe) {
            self.not_exercised.entry(state.number).or_insert_with(|| reason.to_owned());
        }
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
                (None, _) if self.is_waived(number) => (Verdict::Waived, None),
                (None, Some(reason)) => (Verdict::NotApplicable, Some(reason)),
                (None, None) if held > 0 => (Verdict::Pass, None),
                (None, None) => (Verdict::NotExercised, self.not_exercised.get(&number).cloned()),
            };
            self.with_waiver(Row {
                number,
                title: state.title.clone(),
                source: state.source.clone(),
                verdict,
                held,
                message,
                waiver: None,
            })
        };
        // Beyond the contract: the guest's own checks and the rules of other services have a row when they are
        // violated, or waived and violated.
        let waived = self.report.waived.iter().filter_map(|row| row.rule);
        let beyond: BTreeSet<u16> = self.violated.keys().copied().chain(waived).collect();
        let beyond = beyond.iter().filter(|number| !self.states.contains_key(number)).map(|&number| {
            let message = self.violated.get(&number).cloned();
            let title = RuleList::nt_host().title(number).unwrap_or("beyond the contract, by the guest's own number");
            self.with_waiver(Row {
                number,
                title: title.into(),
                source: String::new(),
                verdict: if message.is_some() { Verdict::Violated } else { Verdict::Waived },
                held: 0,
                message,
                waiver: None,
            })
        });
        self.states.iter().map(row).chain(beyond).collect()
    }

    fn is_waived(&self, rule: u16) -> bool {
        self.report.waived.iter().any(|row| row.rule == Some(rule))
    }

    /// Adds to the row of a waived rule that was violated how often, why, and the first time.
    fn with_waiver(&self, mut row: Row) -> Row {
        if row.verdict != Verdict::Waived {
            return row;
        }
        let mut fired = self.report.waived.iter().filter(|finding| finding.rule == Some(row.number));
        if let Some(first) = fired.next() {
            let reason = first.reason.clone().unwrap_or_default();
            let count = first.count + fired.map(|finding| finding.count).sum::<u64>();
            row.message = Some(format!("waived ({reason}): {}", first.text()));
            row.waiver = Some(WaivedRule { reason, count, place: first.place.clone() });
        }
        row
    }

    /// Counts violations after which a guest went on as violations of their rules.
    pub(super) fn add_kept_going(&mut self) {
        for row in &self.report.violations {
            match row.rule {
                Some(rule) => _ = self.violated.entry(rule).or_insert_with(|| row.text()),
                None => self.failures.push(row.text()),
            }
        }
        if !self.report.violations.is_empty() {
            // As a bug check of the rule.
            self.classes.insert(0, Class::GuestCrashed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbed::violations::FindingRow;

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

    fn finding(rule: u16, count: u64, function: &str) -> FindingRow {
        FindingRow {
            rule: Some(rule),
            title: None,
            function: function.into(),
            irql: 2,
            count,
            message: "what".into(),
            place: Some("my.sys+0x1".into()),
            stack: Vec::new(),
            reason: Some("old card".into()),
        }
    }

    #[test]
    fn a_waived_rule_has_its_count_reason_and_first_place() {
        let mut ledger = Ledger::default();
        ledger.count(&[state(33, CheckMethod::Always, 5), state(34, CheckMethod::Always, 1)]);
        ledger.report.waived = vec![finding(33, 2, "f"), finding(33, 3, "g"), finding(104, 1, "h")];
        let rows = ledger.rows();
        let verdicts: Vec<_> = rows.iter().map(|row| (row.number, row.verdict)).collect();
        assert_eq!(verdicts, [(33, Verdict::Waived), (34, Verdict::Pass), (104, Verdict::Waived)]);
        let waiver = rows[0].waiver.as_ref().unwrap();
        assert_eq!(
            (waiver.count, waiver.reason.as_str(), waiver.place.as_deref()),
            (5, "old card", Some("my.sys+0x1"))
        );
        let message = rows[0].message.as_deref().unwrap();
        assert!(message.starts_with("waived (old card): rule 33 in f at IRQL 2, 2 times: what"), "{message}");
    }

    #[test]
    fn what_was_kept_going_after_is_a_violation_with_the_class_of_a_crash() {
        let mut ledger = Ledger::default();
        ledger.count(&[state(33, CheckMethod::Always, 5)]);
        ledger.report.violations = vec![finding(33, 2, "f"), FindingRow { rule: None, ..finding(0, 1, "g") }];
        ledger.classes.push(Class::TestFailed);
        ledger.add_kept_going();
        assert_eq!(ledger.rows()[0].verdict, Verdict::Violated);
        assert_eq!((ledger.classes[0], ledger.failures.len()), (Class::GuestCrashed, 1));
    }

    #[test]
    fn says_why_a_rule_could_not_be_exercised() {
        let mut ledger = Ledger::default();
        ledger.count(&[state(57, CheckMethod::Probe("capture".into()), 0)]);
        ledger.cannot_exercise("streams", "another probe");
        assert_eq!(ledger.rows()[0].message, None);
        ledger.cannot_exercise("capture", "the device does not offer `midi-in`");
        let rows = ledger.rows();
        assert_eq!((rows[0].verdict, rows[0].message.is_some()), (Verdict::NotExercised, true));
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
