//! Expectations: what must hold of a performance, and how a violation reads.

use serde::Deserialize;

use crate::host::failure::Diagnosed;
use crate::playback::{PlaybackFailure, Verdict};
use crate::testbed::TestBedError;
use crate::testbed::session::SessionError;

/// How a performance is meant to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The song is played to its end.
    #[default]
    Played,
    /// The guest stops with a bug check.
    GuestCrashed,
    /// A step does not end.
    Timeout,
    /// The driver refuses, or its device is not found.
    TestFailed,
    /// The driver image or the song is refused.
    BadInput,
    /// The card's process ends.
    CardDied,
    /// QEMU ends by itself.
    QemuFailed,
    /// The host does not let the card or QEMU run, and a time-out of the driver's runs out.
    HostStalled,
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
        }
    }
}

/// Bounds, both inclusive and both optional.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// At least.
    pub min: Option<u64>,
    /// At most.
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedBugCheck {
    /// Its code.
    pub code: Option<u32>,
    /// Its name.
    pub name: Option<String>,
    /// The rule that was broken.
    pub rule: Option<u16>,
}

/// What must hold.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expectations {
    /// How it ends.
    pub outcome: Outcome,
    /// The guest's PCM is the offline render, bit for bit.
    pub bit_identical: bool,
    /// It is not silence.
    pub audible: bool,
    /// All cases have the same PCM.
    pub same_pcm: bool,
    /// The PCM's SHA-256.
    pub pcm_sha256: Option<String>,
    /// Frames collected.
    pub frames: Range,
    /// Events streamed.
    pub events: Range,
    /// Interrupts that the device raised.
    pub interrupts: Range,
    /// Interrupts that the driver disowned.
    pub interrupts_not_claimed: Range,
    /// Largest magnitude.
    pub peak: Range,
    /// Times that the card lost frames for want of a wave buffer.
    pub underruns: Range,
    /// Events that came to the card after their frame.
    pub events_late: Range,
    /// Notes that found no voice.
    pub notes_lost: Range,
    /// How often the card found something wrong with the driver.
    pub diagnoses: Range,
    /// The bug check.
    pub bug_check: Option<ExpectedBugCheck>,
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
            // A driver that the card complains of is not right, whatever it sounds like.
            diagnoses: Range { min: None, max: Some(0) },
            bug_check: None,
        }
    }
}

impl Expectations {
    /// What does not hold of a performance that was judged.
    #[must_use]
    pub fn violations(&self, verdict: &Verdict) -> Vec<String> {
        let mut found = Vec::new();
        if self.outcome == Outcome::HostStalled && !verdict.passed() && !verdict.standstills.is_empty() {
            return found;
        }
        if self.outcome != Outcome::Played {
            found.push(format!("it played to its end, expected {}", self.outcome.name()));
        }
        if self.bit_identical
            && let Some(difference) = verdict.difference
        {
            found.push(format!(
                "the PCM differs from the offline render at frame {}, channel {} (guest {:?}, offline {:?}; {} samples, \
                 by at most {})",
                difference.frame,
                difference.channel,
                difference.guest,
                difference.offline,
                difference.samples,
                difference.largest
            ));
        }
        if self.audible && !verdict.audible {
            found.push("the PCM is silence".into());
        }
        if let Some(hash) = &self.pcm_sha256
            && *hash != verdict.pcm_sha256
        {
            found.push(format!("pcm_sha256: {}, expected {hash}", verdict.pcm_sha256));
        }
        if let Some(first) = verdict.card.diagnosis.first_text()
            && self.diagnoses.violation("", verdict.card.diagnosis.count).is_some()
        {
            found.push(format!("the card found something wrong with the driver: {first}"));
        }
        let counters = &verdict.counters;
        found.extend(
            [
                self.frames.violation("frames", verdict.frames),
                self.events.violation("events", verdict.events),
                self.interrupts.violation("interrupts", counters.interrupts),
                self.interrupts_not_claimed.violation("interrupts_not_claimed", counters.interrupts_not_claimed),
                self.peak.violation("peak", verdict.peak.into()),
                self.underruns.violation("underruns", verdict.card.counters.underruns),
                self.events_late.violation("events_late", verdict.card.counters.events_late),
                self.notes_lost.violation("notes_lost", verdict.card.counters.notes_lost),
                self.diagnoses.violation("diagnoses", verdict.card.diagnosis.count),
            ]
            .into_iter()
            .flatten(),
        );
        found
    }

    /// What does not hold of a performance that failed; nothing, if that is how it was meant to fail.
    #[must_use]
    pub fn violations_of_failure(&self, failure: &PlaybackFailure) -> Vec<String> {
        // What was to fail failed: that the host stalled besides says nothing against it.
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
        violations
    }
}

#[cfg(test)]
mod tests {
    use guest_protocol::BugCheck;

    use super::*;
    use crate::host::standstill::{Standstill, Standstills, Who};

    fn failure(error: SessionError) -> PlaybackFailure {
        PlaybackFailure { error: error.into(), evidence: String::new(), run_folder: "x".into() }
    }

    #[test]
    fn a_failure_that_was_expected_is_not_the_hosts_although_it_stalled() {
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
    fn bounds_are_inclusive() {
        let range = Range { min: Some(2), max: Some(3) };
        assert_eq!(range.violation("x", 2), None);
        assert_eq!(range.violation("x", 3), None);
        assert_eq!(range.violation("x", 1).unwrap(), "x: 1, expected at least 2");
        assert_eq!(range.violation("x", 4).unwrap(), "x: 4, expected at most 3");
    }

    #[test]
    fn a_failure_passes_only_where_it_is_the_one_expected() {
        let expect = Expectations { outcome: Outcome::GuestCrashed, ..Expectations::default() };
        let fell = || failure(SessionError::GuestEnded { how: "reset".into() });
        assert_eq!(expect.violations_of_failure(&fell()), Vec::<String>::new());
        assert_eq!(Expectations::default().violations_of_failure(&fell()).len(), 1);
        let timeout = failure(SessionError::Timeout { step: "s".into(), seconds: 1, seen: String::new() });
        assert_eq!(expect.violations_of_failure(&timeout).len(), 1);
    }

    #[test]
    fn a_bug_check_is_compared_with_the_one_expected() {
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
