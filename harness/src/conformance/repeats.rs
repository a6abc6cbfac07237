//! Repeats of the conformance test: how often each rule ended with which verdict. A rule whose verdict changes from run
//! to run depends on time, which is a fault of the driver or of the probe.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::{Contract, Verdict};

/// The number of times that a rule ended with each verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// The number of the rule.
    pub number: u16,
    /// Its title.
    pub title: String,
    /// Runs in which it held.
    pub pass: u32,
    /// Runs in which it was violated.
    pub violated: u32,
    /// Runs in which it is waived and was violated.
    pub waived: u32,
    /// Runs in which it was not exercised.
    pub not_exercised: u32,
    /// Runs in which it did not apply.
    pub not_applicable: u32,
}

impl Tally {
    /// Tells whether it ended the same way each time, and was not violated.
    const fn is_steady(&self, runs: u32) -> bool {
        self.pass == runs || self.waived == runs || self.not_applicable == runs || self.not_exercised == runs
    }
}

/// The verdicts of several runs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Repeats {
    /// The number of runs.
    pub runs: u32,
    /// Probes that failed for another reason than a rule, over all runs.
    pub failures: Vec<String>,
    /// The tally of each rule.
    pub rules: Vec<Tally>,
    #[serde(skip)]
    by_number: BTreeMap<u16, usize>,
}

impl Repeats {
    /// Counts one more run.
    pub fn count(&mut self, contract: &Contract) {
        self.runs += 1;
        self.failures.extend(contract.failures.iter().map(|failure| format!("run {}: {failure}", self.runs)));
        for row in &contract.rows {
            let index = *self.by_number.entry(row.number).or_insert_with(|| {
                self.rules.push(Tally { number: row.number, title: row.title.clone(), ..Tally::default() });
                self.rules.len() - 1
            });
            let tally = &mut self.rules[index];
            *match row.verdict {
                Verdict::Pass => &mut tally.pass,
                Verdict::Violated => &mut tally.violated,
                Verdict::Waived => &mut tally.waived,
                Verdict::NotExercised => &mut tally.not_exercised,
                Verdict::NotApplicable => &mut tally.not_applicable,
            } += 1;
        }
    }

    /// Returns the rules that were violated, or did not end the same way each time, one a line, and how many did.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        let (steady, others): (Vec<&Tally>, Vec<&Tally>) =
            self.rules.iter().partition(|tally| tally.is_steady(self.runs));
        for Tally { number, title, pass, violated, waived, not_exercised, not_applicable } in &others {
            let _ = writeln!(
                text,
                "{number:>3}  pass {pass}, VIOLATED {violated}, waived {waived}, not exercised {not_exercised}, not applicable \
                 {not_applicable} of {}  {title}",
                self.runs
            );
        }
        for failure in &self.failures {
            let _ = writeln!(text, "     {failure}");
        }
        let count = |of: fn(&Tally) -> u32| steady.iter().filter(|tally| of(tally) > 0).count();
        let _ = write!(
            text,
            "{0} runs: {1} of {2} rules pass {0} of {0}, {3} apply in none, {4} are exercised in none, {5} are broken or differ",
            self.runs,
            count(|tally| tally.pass),
            self.rules.len(),
            count(|tally| tally.not_applicable),
            count(|tally| tally.not_exercised),
            others.len()
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::Row;
    use super::*;

    fn contract(verdicts: &[(u16, Verdict)]) -> Contract {
        let row = |&(number, verdict): &(u16, Verdict)| Row {
            number,
            title: format!("t{number}"),
            source: String::new(),
            verdict,
            held: 0,
            message: None,
            waiver: None,
        };
        Contract { rows: verdicts.iter().map(row).collect(), ..Contract::default() }
    }

    #[test]
    fn counts_each_rule_by_its_verdict() {
        let mut repeats = Repeats::default();
        repeats.count(&contract(&[
            (1, Verdict::Pass),
            (2, Verdict::NotApplicable),
            (59, Verdict::NotExercised),
            (60, Verdict::NotExercised),
        ]));
        repeats.count(&contract(&[
            (1, Verdict::Pass),
            (2, Verdict::NotApplicable),
            (59, Verdict::Pass),
            (60, Verdict::NotExercised),
        ]));
        let tally = &repeats.rules[2];
        assert_eq!((tally.number, tally.pass, tally.not_exercised), (59, 1, 1));
        let table = repeats.table();
        assert!(
            table.contains(" 59  pass 1, VIOLATED 0, waived 0, not exercised 1, not applicable 0 of 2  t59"),
            "{table}"
        );
        assert!(
            table.ends_with(
                "2 runs: 1 of 4 rules pass 2 of 2, 1 apply in none, 1 are exercised in none, 1 are broken or differ"
            ),
            "{table}"
        );
    }

    #[test]
    fn names_the_run_of_a_failure() {
        let mut repeats = Repeats::default();
        repeats.count(&contract(&[]));
        repeats.count(&Contract { failures: vec!["x".into()], ..Contract::default() });
        assert_eq!(repeats.failures, ["run 2: x"]);
    }
}
