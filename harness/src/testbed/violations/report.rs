//! The findings of one or several guests, as reports show them.

use std::path::Path;

use guest_protocol::FindingKind;
use serde::Serialize;

use super::collected::{Collected, CountedFinding};
use super::policy::{ViolationPolicy, Waiver};
use super::rule_list::RuleList;
use crate::testbed::bug_check::{self, Place};

/// Stack frames that a row keeps: the driver's are the innermost of them.
const FRAMES_MAX: usize = 16;

/// A finding that did not stop the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FindingRow {
    /// The number of the rule or check, where there is one.
    pub rule: Option<u16>,
    /// What the rule demands.
    pub title: Option<String>,
    /// The function that found it.
    pub function: String,
    /// The IRQL at that moment.
    pub irql: u8,
    /// How often.
    pub count: u64,
    /// What was found the first time, and the remedy.
    pub message: String,
    /// The innermost place in the driver.
    pub place: Option<String>,
    /// The stack of the first time, innermost first.
    pub stack: Vec<String>,
    /// Why the rule is waived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl FindingRow {
    /// Returns the row of a finding. Places are found by the symbols of driver and NT host.
    fn of(counted: &CountedFinding, reason: Option<&String>, driver: &Path, nt_host: &Path) -> Self {
        let CountedFinding { finding, count } = counted;
        let places = bug_check::places(&finding.stack, Some(driver), Some(nt_host));
        // What was inlined into the NT host's own functions says little.
        let text = |place: &Place| match place.functions.first() {
            Some(innermost) => {
                let of_host = place.offset.starts_with(bug_check::HOST_MODULE);
                let function = place.functions.last().filter(|_| of_host).unwrap_or(innermost);
                format!("{} {} {}", place.offset, function.name, function.line.as_deref().unwrap_or_default())
                    .trim_end()
                    .to_owned()
            }
            None => place.offset.clone(),
        };
        let of_driver = |module: &String| module != bug_check::HOST_MODULE;
        let in_driver = finding.stack.iter().position(|frame| frame.module.as_ref().is_some_and(of_driver));
        let title = finding.rule.and_then(|rule| RuleList::nt_host().title(rule)).map(str::to_owned);
        Self {
            rule: finding.rule,
            message: without_title(finding.rule, title.as_deref(), &finding.message).to_owned(),
            title,
            function: finding.function.clone(),
            irql: finding.irql,
            count: *count,
            place: in_driver.map(|index| text(&places.places[index])),
            stack: places.places.iter().take(FRAMES_MAX).map(text).collect(),
            reason: reason.cloned(),
        }
    }

    /// Returns the row as text, without its stack: `rule 33 in X at IRQL 0, 2 times: ...`.
    #[must_use]
    pub fn text(&self) -> String {
        let rule = self.rule.map_or_else(|| "a rule without a number".into(), |rule| format!("rule {rule}"));
        let times = if self.count == 1 { "once".into() } else { format!("{} times", self.count) };
        let place = self.place.as_ref().map_or_else(String::new, |place| format!(" (first at {place})"));
        format!("{rule} in {} at IRQL {}, {times}: {}{place}", self.function, self.irql, self.message)
    }

    /// Tells whether both are the same finding, of two guests.
    fn is_same(&self, other: &Self) -> bool {
        (self.rule, self.irql, &self.function) == (other.rule, other.irql, &other.function)
    }
}

/// Returns a message without the rule and title that it begins with, which a row has besides.
fn without_title<'a>(rule: Option<u16>, title: Option<&str>, message: &'a str) -> &'a str {
    let (Some(rule), Some(title)) = (rule, title) else { return message };
    message.strip_prefix(&format!("rule {rule} ({title}): ")).unwrap_or(message)
}

/// What guests found without stopping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FindingsReport {
    /// Violations after which the guest went on because of `--keep-going`: the driver is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<FindingRow>,
    /// Violations of waived rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waived: Vec<FindingRow>,
    /// Waived rules that were not violated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_fired: Vec<Waiver>,
    /// Observations that no page forbids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<FindingRow>,
}

impl FindingsReport {
    /// Returns the report of one guest. Places are found by the symbols of driver and NT host.
    #[must_use]
    pub fn of(collected: &Collected, policy: &ViolationPolicy, driver: &Path, nt_host: &Path) -> Self {
        let mut report = Self::default();
        for counted in collected.iter() {
            let reason = counted.finding.rule.and_then(|rule| policy.waived.get(&rule));
            let row = |reason| FindingRow::of(counted, reason, driver, nt_host);
            match counted.finding.kind {
                FindingKind::Waived => report.waived.push(row(reason)),
                FindingKind::Violation => report.violations.push(row(None)),
                FindingKind::Note => report.notes.push(row(None)),
            }
        }
        report.not_fired = policy
            .waived
            .iter()
            .filter(|(rule, _)| !report.waived.iter().any(|row| row.rule == Some(**rule)))
            .map(|(&rule, reason)| Waiver { rule, reason: reason.clone() })
            .collect();
        report
    }

    /// Tells whether there is nothing to report.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the findings of another guest: the same ones are counted together, and a waived rule that fired in one of them
    /// has fired.
    pub fn add(&mut self, other: Self) {
        for (mine, theirs) in
            [(&mut self.violations, other.violations), (&mut self.waived, other.waived), (&mut self.notes, other.notes)]
        {
            for row in theirs {
                match mine.iter_mut().find(|known| known.is_same(&row)) {
                    Some(known) => known.count += row.count,
                    None => mine.push(row),
                }
            }
        }
        for waiver in other.not_fired {
            if !self.not_fired.iter().any(|known| known.rule == waiver.rule) {
                self.not_fired.push(waiver);
            }
        }
        let waived = &self.waived;
        self.not_fired.retain(|waiver| !waived.iter().any(|row| row.rule == Some(waiver.rule)));
    }

    /// Returns the rules and checks about which something was found.
    pub fn rules(&self) -> impl Iterator<Item = u16> {
        self.violations.iter().chain(&self.waived).chain(&self.notes).filter_map(|row| row.rule)
    }

    /// Returns the report as lines of text, with the stacks of violations.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines_with(true)
    }

    /// Returns the report as lines of text, one for each finding.
    #[must_use]
    pub fn short_lines(&self) -> Vec<String> {
        self.lines_with(false)
    }

    fn lines_with(&self, stacks: bool) -> Vec<String> {
        let mut lines = Vec::new();
        for row in &self.violations {
            lines.push(format!("VIOLATED {}", row.text()));
            lines.extend(row.stack.iter().filter(|_| stacks).map(|place| format!("    {place}")));
        }
        for row in &self.waived {
            lines.push(format!("waived {} [{}]", row.text(), row.reason.as_deref().unwrap_or_default()));
        }
        for Waiver { rule, reason } in &self.not_fired {
            lines.push(format!("waived rule {rule}, did not fire [{reason}]"));
        }
        lines.extend(self.notes.iter().map(|row| format!("note {}", row.text())));
        lines
    }
}

#[cfg(test)]
mod tests {
    use guest_protocol::{Finding, StackFrame};

    use super::*;

    fn finding(id: u32, kind: FindingKind, rule: u16) -> Finding {
        let frame = |module: &str, offset| StackFrame { address: 0x1000, module: Some(module.into()), offset };
        Finding {
            id,
            kind,
            rule: Some(rule),
            code: 0xc4,
            message: "it succeeds; refuse it".into(),
            function: "IMiniportDMus::NewStream".into(),
            irql: 0,
            stack: vec![frame("nt-host", 1), frame("my.sys", 0x34)],
        }
    }

    fn report(findings: &[(FindingKind, u16)], waived: &[u16]) -> FindingsReport {
        let mut collected = Collected::default();
        for (id, &(kind, rule)) in (0..).zip(findings) {
            collected.add(finding(id, kind, rule));
        }
        collected.set_count(0, 7);
        let policy = ViolationPolicy::default()
            .with(waived.iter().map(|&rule| Waiver { rule, reason: format!("reason {rule}") }));
        FindingsReport::of(&collected, &policy, Path::new("none.sys"), Path::new("none"))
    }

    #[test]
    fn says_what_is_waived_how_often_where_and_why() {
        let report = report(&[(FindingKind::Waived, 33), (FindingKind::Note, 63)], &[33, 57]);
        let lines = report.lines();
        assert_eq!(
            lines[0],
            "waived rule 33 in IMiniportDMus::NewStream at IRQL 0, 7 times: it succeeds; refuse it (first at my.sys+0x34) \
             [reason 33]"
        );
        assert_eq!(lines[1], "waived rule 57, did not fire [reason 57]");
        assert!(lines[2].starts_with("note rule 63"), "{}", lines[2]);
        assert_eq!(report.violations, []);
    }

    #[test]
    fn a_message_does_not_repeat_the_rule() {
        let title = RuleList::nt_host().title(33).unwrap();
        let message = format!("rule 33 ({title}): it succeeds");
        assert_eq!(without_title(Some(33), Some(title), &message), "it succeeds");
        assert_eq!(without_title(Some(34), Some(title), &message), message);
    }

    #[test]
    fn lists_a_violation_with_its_stack() {
        let lines = report(&[(FindingKind::Violation, 33)], &[]).lines();
        assert!(lines[0].starts_with("VIOLATED rule 33 in IMiniportDMus::NewStream at IRQL 0, 7 times"), "{lines:?}");
        assert_eq!(lines[1..], ["    nt-host+0x1", "    my.sys+0x34"]);
    }

    #[test]
    fn a_rule_that_fired_in_one_guest_has_fired() {
        let mut both = report(&[(FindingKind::Waived, 33)], &[33, 57]);
        both.add(report(&[], &[33, 57]));
        assert_eq!(both.not_fired.iter().map(|waiver| waiver.rule).collect::<Vec<_>>(), [57]);
        both.add(report(&[(FindingKind::Waived, 57), (FindingKind::Waived, 33)], &[33, 57]));
        assert_eq!(both.not_fired, []);
        assert_eq!(both.waived.iter().map(|row| row.count).collect::<Vec<_>>(), [8, 7]);
        let mut later = report(&[], &[33]);
        later.add(report(&[(FindingKind::Waived, 33)], &[33]));
        assert_eq!((later.not_fired.len(), later.waived.len()), (0, 1));
    }
}
