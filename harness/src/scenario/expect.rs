//! The expectations of a scenario, and the violations of a result.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::failure::Diagnosed;
use crate::playback::{CardReport, DeviceReport, PlaybackFailure, Verdict};
use crate::steps::StepsVerdict;
use crate::testbed::TestBedError;
use crate::testbed::session::SessionError;
use crate::testbed::violations::FindingsReport;

/// The end that a scenario expects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The song is played to its end.
    #[default]
    Played,
    /// The guest stops with a bug check.
    GuestCrashed,
    /// A step does not end.
    Timeout,
    /// The driver fails a request, or its device is not found.
    TestFailed,
    /// The driver image or the song is malformed.
    BadInput,
    /// The card's process ends.
    CardDied,
    /// QEMU ends by itself.
    QemuFailed,
    /// The host does not run the card or QEMU, and a time-out of the driver expires.
    HostStalled,
    /// The driver needs what the NT host does not have.
    NotHosted,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Played => "played",
            Self::GuestCrashed => "guest-crashed",
            Self::Timeout => "timeout",
            Self::TestFailed => "test-failed",
            Self::BadInput => "bad-input",
            Self::CardDied => "card-died",
            Self::QemuFailed => "qemu-failed",
            Self::HostStalled => "host-stalled",
            Self::NotHosted => "not-hosted",
        }
    }
}

/// Bounds, both inclusive and both optional.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The least value.
    pub min: Option<u64>,
    /// The greatest value.
    pub max: Option<u64>,
}

impl Range {
    fn violation(self, name: &str, value: u64) -> Option<String> {
        if let Some(min) = self.min.filter(|min| value < *min) {
            return Some(format!("{name}: {value}, expected at least {min}"));
        }
        let max = self.max.filter(|max| value > *max)?;
        Some(format!("{name}: {value}, expected at most {max}"))
    }
}

/// A bug check to expect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedBugCheck {
    /// The code.
    pub code: Option<u32>,
    /// The name.
    pub name: Option<String>,
    /// The rule that the driver violated.
    pub rule: Option<u16>,
    /// The kernel function that detected the violation, or that was running.
    pub function: Option<String>,
    /// A part of the message.
    pub text: Option<String>,
}

/// The expectations of a result.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expectations {
    /// The end.
    pub outcome: Outcome,
    /// Whether the guest's PCM must equal the offline render, bit for bit.
    pub bit_identical: bool,
    /// Whether the PCM must not be silent.
    pub audible: bool,
    /// Whether all cases must have the same PCM.
    pub same_pcm: bool,
    /// The SHA-256 of the PCM, in hexadecimal.
    pub pcm_sha256: Option<String>,
    /// Frames that the guest received.
    pub frames: Range,
    /// Events streamed.
    pub events: Range,
    /// Interrupts that the device raised.
    pub interrupts: Range,
    /// Interrupts that the driver did not claim.
    pub interrupts_not_claimed: Range,
    /// Largest magnitude of a sample, 0 to 32768.
    pub peak: Range,
    /// Times that the card had no wave buffer and lost frames.
    pub underruns: Range,
    /// Events that reached the card after their frame.
    pub events_late: Range,
    /// Notes for which the card had no voice.
    pub notes_lost: Range,
    /// Errors of the driver that the card, or a device of the user's, found.
    pub diagnoses: Range,
    /// The code of the first error of the driver that a device of the user's found; then there may be any number of them.
    pub diagnosis: Option<String>,
    /// The bug check of `outcome = "guest-crashed"`.
    pub bug_check: Option<ExpectedBugCheck>,
    /// The rules whose violations do not stop the guest and are noted, because they are waived or the guest keeps going:
    /// exactly these.
    pub noted: Option<Vec<u16>>,
    /// The rules about which the guest must have a note of what no page forbids; it may have others.
    pub notes: Vec<u16>,
}

impl Default for Expectations {
    fn default() -> Self {
        Self {
            outcome: Outcome::Played,
            bit_identical: true,
            audible: true,
            same_pcm: false,
            pcm_sha256: None,
            frames: Range::default(),
            events: Range::default(),
            interrupts: Range::default(),
            interrupts_not_claimed: Range::default(),
            peak: Range::default(),
            underruns: Range::default(),
            events_late: Range::default(),
            notes_lost: Range::default(),
            // A driver in which the card finds errors is wrong, even if the PCM is right.
            diagnoses: Range { min: None, max: Some(0) },
            diagnosis: None,
            bug_check: None,
            noted: None,
            notes: Vec::new(),
        }
    }
}

impl Expectations {
    /// Lists what does not hold of a result with a verdict.
    #[must_use]
    pub fn violations(&self, verdict: &Verdict) -> Vec<String> {
        let mut found = Vec::new();
        if self.outcome == Outcome::HostStalled && !verdict.passed() && !verdict.standstills.is_empty() {
            return found;
        }
        if self.outcome != Outcome::Played {
            found.push(format!("it played to its end, expected {}", self.outcome.name()));
        }
        // What has no expectation of its own must satisfy its judge.
        if !verdict.judgement.passed() && (self.bit_identical || verdict.judgement.bit_identical().is_none()) {
            found.push(format!("the judge refuses it: {}", verdict.judgement.text()));
        }
        if self.audible && verdict.audible == Some(false) {
            found.push("the PCM is silent".into());
        }
        found.extend(self.unexpected_pcm(verdict.pcm_sha256.as_deref()));
        found.extend(self.unexpected_findings(&verdict.findings));
        if let Some(card) = &verdict.card {
            found.extend(self.violations_of_card(card));
        }
        found.extend(self.violations_of_device(verdict.device_report.as_ref()));
        let counters = &verdict.counters;
        found.extend(
            [
                self.frames.violation("frames", verdict.frames),
                self.events.violation("events", verdict.events),
                self.interrupts.violation("interrupts", counters.interrupts),
                self.interrupts_not_claimed.violation("interrupts_not_claimed", counters.interrupts_not_claimed),
                self.peak.violation("peak", verdict.peak.into()),
            ]
            .into_iter()
            .flatten(),
        );
        found
    }

    /// Lists what does not hold of steps that ran to their end.
    #[must_use]
    pub fn violations_of_steps(&self, verdict: &StepsVerdict) -> Vec<String> {
        let mut found = verdict.failures.clone();
        if self.outcome != Outcome::Played {
            found.push(format!("the steps ran to their end, expected {}", self.outcome.name()));
        }
        found.extend(self.unexpected_pcm(verdict.pcm_sha256.as_deref()));
        found.extend(self.unexpected_findings(&verdict.findings));
        if let Some(card) = &verdict.card {
            found.extend(self.violations_of_card(card));
        }
        found.extend(self.violations_of_device(verdict.device.as_ref()));
        found
    }

    /// Compares the SHA-256 of the PCM with the expected one.
    fn unexpected_pcm(&self, found: Option<&str>) -> Option<String> {
        let expected = self.pcm_sha256.as_deref()?;
        (found != Some(expected)).then(|| format!("pcm_sha256: {}, expected {expected}", found.unwrap_or("no PCM")))
    }

    /// Lists what does not hold of what the project's card counted and found.
    fn violations_of_card(&self, card: &CardReport) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(first) = card.diagnosis.first_text()
            && self.diagnoses.violation("", card.diagnosis.count).is_some()
        {
            found.push(format!("the card found something wrong with the driver: {first}"));
        }
        found.extend(
            [
                self.underruns.violation("underruns", card.counters.underruns),
                self.events_late.violation("events_late", card.counters.events_late),
                self.notes_lost.violation("notes_lost", card.counters.notes_lost),
                self.diagnoses.violation("diagnoses", card.diagnosis.count),
            ]
            .into_iter()
            .flatten(),
        );
        found
    }

    /// Lists what does not hold of what a device of the user's found.
    fn violations_of_device(&self, device: Option<&DeviceReport>) -> Vec<String> {
        let Some(device) = device else {
            let wanted = self.diagnosis.iter().map(|code| format!("diagnosis: no device that tells, expected {code}"));
            return wanted.collect();
        };
        let diagnosis = &device.diagnosis;
        let mut found: Vec<String> =
            self.diagnoses_expected().violation("diagnoses", diagnosis.count).into_iter().collect();
        match (&self.diagnosis, &diagnosis.first) {
            (Some(code), Some(first)) if first.code != *code => {
                found.push(format!("the device's first diagnosis is {}, expected {code}", first.text()));
            }
            (Some(code), None) => {
                found.push(format!("the device found nothing wrong with the driver, expected {code}"));
            }
            (_, Some(_)) if !found.is_empty() => found.extend(device.diagnosis_text()),
            _ => {}
        }
        found
    }

    /// Returns how many errors of the driver are expected: any number where one is named.
    fn diagnoses_expected(&self) -> Range {
        let unnamed = self.diagnosis.is_none() || self.diagnoses != Self::default().diagnoses;
        if unnamed { self.diagnoses } else { Range { min: Some(1), max: None } }
    }

    /// Lists what was noted and is not expected, or the reverse: without an expectation of violations, every one after which the
    /// guest went on.
    fn unexpected_findings(&self, findings: &FindingsReport) -> Vec<String> {
        let is_absent = |rule: &&u16| !findings.notes.iter().any(|row| row.rule == Some(**rule));
        let absent = self.notes.iter().filter(is_absent).map(|rule| format!("notes: no note about rule {rule}"));
        absent.chain(self.unexpected_violations(findings)).collect()
    }

    fn unexpected_violations(&self, findings: &FindingsReport) -> Vec<String> {
        let Some(expected) = &self.noted else {
            return findings.violations.iter().map(|row| format!("violated, and went on: {}", row.text())).collect();
        };
        let rows = || findings.violations.iter().chain(&findings.waived);
        let other = rows().filter(|row| row.rule.is_none_or(|rule| !expected.contains(&rule)));
        let missing = expected.iter().filter(|rule| !rows().any(|row| row.rule == Some(**rule)));
        let missing = missing.map(|rule| format!("noted: no violation of rule {rule}"));
        other.map(|row| format!("noted and not expected: {}", row.text())).chain(missing).collect()
    }

    /// Lists what does not hold of a result without a verdict; nothing where the failure is the expected one.
    #[must_use]
    pub fn violations_of_failure(&self, failure: &PlaybackFailure) -> Vec<String> {
        // The expected failure occurred: a stall of the host besides does not matter.
        let class =
            if self.outcome == Outcome::HostStalled { failure.error.class() } else { failure.error.underlying_class() };
        if class.name() != self.outcome.name() {
            return vec![failure.error.to_string()];
        }
        let Some(expected) = &self.bug_check else { return Vec::new() };
        let Some(TestBedError::Session(SessionError::BugCheck(found))) = failure.error.testbed() else {
            return vec![format!("no bug check, but: {}", failure.error)];
        };
        let mut violations = Vec::new();
        if let Some(code) = expected.code
            && code != found.code
        {
            violations.push(format!("bug check {:#x}, expected {code:#x}", found.code));
        }
        if let Some(name) = &expected.name
            && *name != found.name
        {
            violations.push(format!("bug check {}, expected {name}", found.name));
        }
        if expected.rule.is_some() && expected.rule != found.rule {
            let rule = |rule: Option<u16>| rule.map_or_else(|| "no rule".into(), |rule| format!("rule {rule}"));
            violations.push(format!("{}, expected {}: {}", rule(found.rule), rule(expected.rule), found.message));
        }
        if let Some(function) = expected.function.as_ref().filter(|function| **function != found.function) {
            violations.push(format!("bug check in {}, expected in {function}", found.function));
        }
        if let Some(text) = expected.text.as_ref().filter(|text| !found.message.contains(text.as_str())) {
            violations.push(format!("the bug check does not say \"{text}\": {}", found.message));
        }
        violations
    }
}

#[cfg(test)]
mod tests {
    use guest_protocol::BugCheck;

    use super::*;
    use crate::host::standstill::{Standstill, Standstills, Who};
    use crate::testbed::violations::FindingRow;

    fn failure(error: SessionError) -> PlaybackFailure {
        PlaybackFailure {
            error: error.into(),
            evidence: String::new(),
            findings: FindingsReport::default(),
            run_folder: "x".into(),
        }
    }

    #[test]
    fn accepts_an_expected_failure_although_the_host_stalled() {
        let standstill = Standstill { who: Who::Card, at_ms: 1, milliseconds: 9000 };
        let stalled = || {
            let found = BugCheck { rule: Some(40), waited_ms: 5000, ..BugCheck::default() };
            let mut failure = failure(SessionError::BugCheck(Box::new(found)));
            failure.error = failure.error.after(Standstills(vec![standstill]));
            failure
        };
        let crash = Expectations { outcome: Outcome::GuestCrashed, ..Expectations::default() };
        assert_eq!(crash.violations_of_failure(&stalled()), Vec::<String>::new());
        let host = Expectations { outcome: Outcome::HostStalled, ..Expectations::default() };
        assert_eq!(host.violations_of_failure(&stalled()), Vec::<String>::new());
        let played = Expectations::default().violations_of_failure(&stalled());
        assert!(played[0].starts_with("the host stalled 9000 ms"), "{played:?}");
    }

    #[test]
    fn expects_the_noted_violations_and_no_others() {
        let row = |rule| FindingRow {
            rule,
            title: None,
            function: "f".into(),
            irql: 0,
            count: 1,
            message: "m".into(),
            place: None,
            stack: Vec::new(),
            reason: None,
        };
        let findings = FindingsReport {
            violations: vec![row(Some(5))],
            waived: vec![row(Some(40))],
            notes: vec![row(Some(83)), row(Some(30))],
            ..FindingsReport::default()
        };
        let noted = |rules: &[u16]| Expectations { noted: Some(rules.to_vec()), ..Expectations::default() };
        assert_eq!(noted(&[40, 5]).unexpected_findings(&findings), Vec::<String>::new());
        assert!(noted(&[5]).unexpected_findings(&findings)[0].starts_with("noted and not expected: rule 40"));
        assert_eq!(noted(&[5, 40, 7]).unexpected_findings(&findings), ["noted: no violation of rule 7"]);
        let about = |rules: &[u16]| Expectations { notes: rules.to_vec(), ..noted(&[40, 5]) };
        assert_eq!(about(&[83]).unexpected_findings(&findings), Vec::<String>::new());
        assert_eq!(about(&[83, 5]).unexpected_findings(&findings), ["notes: no note about rule 5"]);
        let unnamed = FindingsReport { violations: vec![row(None)], ..FindingsReport::default() };
        assert_eq!(noted(&[]).unexpected_findings(&unnamed).len(), 1);
        let without = Expectations::default().unexpected_findings(&findings);
        assert_eq!(without.len(), 1, "a waived rule fails no test: {without:?}");
    }

    #[test]
    fn includes_both_bounds_of_a_range() {
        let range = Range { min: Some(2), max: Some(3) };
        assert_eq!(range.violation("x", 2), None);
        assert_eq!(range.violation("x", 3), None);
        assert_eq!(range.violation("x", 1).unwrap(), "x: 1, expected at least 2");
        assert_eq!(range.violation("x", 4).unwrap(), "x: 4, expected at most 3");
    }

    #[test]
    fn accepts_only_the_expected_failure() {
        let expect = Expectations { outcome: Outcome::GuestCrashed, ..Expectations::default() };
        let fell = || failure(SessionError::GuestEnded { how: "reset".into() });
        assert_eq!(expect.violations_of_failure(&fell()), Vec::<String>::new());
        assert_eq!(Expectations::default().violations_of_failure(&fell()).len(), 1);
        let timeout = failure(SessionError::Timeout { step: "s".into(), seconds: 1, seen: String::new() });
        assert_eq!(expect.violations_of_failure(&timeout).len(), 1);
    }

    #[test]
    fn compares_function_and_text_of_a_bug_check() {
        let found =
            BugCheck { function: "ExFreePoolWithTag".into(), message: "freed twice".into(), ..BugCheck::default() };
        let failed = failure(SessionError::BugCheck(Box::new(found)));
        let violations = |function: &str, text: &str| {
            let (function, text) = (Some(function.into()), Some(text.into()));
            let bug_check = Some(ExpectedBugCheck { function, text, ..ExpectedBugCheck::default() });
            let expect = Expectations { outcome: Outcome::GuestCrashed, bug_check, ..Expectations::default() };
            expect.violations_of_failure(&failed).len()
        };
        assert_eq!(violations("ExFreePoolWithTag", "twice"), 0);
        assert_eq!(violations("ExFreePool", "twice"), 1);
        assert_eq!(violations("ExFreePool", "never"), 2);
    }

    #[test]
    fn compares_a_bug_check_with_the_expected_one() {
        let expect = Expectations {
            outcome: Outcome::GuestCrashed,
            bug_check: Some(ExpectedBugCheck { rule: Some(3), ..ExpectedBugCheck::default() }),
            ..Expectations::default()
        };
        let bug_check = |rule| {
            failure(SessionError::BugCheck(Box::new(guest_protocol::BugCheck {
                code: 0xc4,
                name: String::new(),
                parameters: [0; 4],
                rule,
                waited_ms: 0,
                message: String::new(),
                function: String::new(),
                irql: 0,
                stack: Vec::new(),
            })))
        };
        assert!(expect.violations_of_failure(&bug_check(Some(3))).is_empty());
        assert_eq!(expect.violations_of_failure(&bug_check(Some(4))).len(), 1);
        assert_eq!(expect.violations_of_failure(&bug_check(None)).len(), 1);
    }
}
