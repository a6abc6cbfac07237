//! Known issues: failures that fail no run until a date, as long as they are the failures that are known.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;

use super::case::Case;
use crate::conformance::Contract;
use crate::event::TestResult;
use crate::host::failure::{Class, Diagnosed};
use crate::playback::PlaybackFailure;
use crate::report::{self, TestRecord};
use crate::testbed::TestBedError;
use crate::testbed::session::SessionError;

/// A failure that is known.
#[derive(Clone, Debug)]
pub struct KnownIssue {
    /// Why the test fails.
    pub reason: String,
    /// Where the failure is tracked.
    pub link: String,
    /// The last day on which the failure is excused.
    pub review_by: Date,
    /// The values of the axes that a failing case has; axes that are not named may have any.
    pub cases: BTreeMap<String, Vec<String>>,
    /// What the failure looks like.
    pub expect: ExpectedFailure,
}

/// What a known failure looks like: everything that is named must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpectedFailure {
    /// The class of the failure.
    pub class: Option<Class>,
    /// The code of the bug check.
    pub code: Option<u32>,
    /// The number of the rule that is violated.
    pub rule: Option<u16>,
    /// The kernel function that found the violation.
    pub function: Option<String>,
    /// A part of the violation's text.
    pub text: Option<String>,
}

impl fmt::Display for ExpectedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.class.map(|class| class.name().to_owned()),
            self.code.map(|code| format!("bug check {code:#x}")),
            self.rule.map(|rule| format!("rule {rule}")),
            self.function.as_ref().map(|function| format!("in {function}")),
            self.text.as_ref().map(|text| format!("\"{text}\"")),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// One violated expectation, as far as a known issue can name it.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    pub(super) class: Class,
    pub(super) code: Option<u32>,
    pub(super) rule: Option<u16>,
    pub(super) function: Option<String>,
    pub(super) text: String,
}

impl Evidence {
    fn of_text(class: Class, text: &str) -> Self {
        Self { class, code: None, rule: None, function: None, text: text.into() }
    }

    /// Returns the violations of a test that has texts only.
    pub(super) fn of_test(test: &TestRecord) -> Vec<Self> {
        let class = test.class.unwrap_or(Class::TestFailed);
        test.violations.iter().map(|text| Self::of_text(class, text)).collect()
    }

    /// Returns the violations of a test with a verdict. What the guest noted stands in a violation's text.
    pub(super) fn of_findings(test: &TestRecord) -> Vec<Self> {
        let mut all = Self::of_test(test);
        for evidence in &mut all {
            let mut rows = test.findings.violations.iter().chain(&test.findings.waived);
            if let Some(row) = rows.find(|row| evidence.text.contains(&row.text())) {
                evidence.rule = row.rule;
                evidence.function = Some(row.function.clone());
            }
        }
        all
    }

    /// Returns the violations of a test that failed before its verdict.
    pub(super) fn of_failure(failure: &PlaybackFailure, test: &TestRecord) -> Vec<Self> {
        let found = match failure.error.testbed() {
            Some(TestBedError::Session(SessionError::BugCheck(found))) => Some(found),
            _ => None,
        };
        let mut all = Self::of_test(test);
        for evidence in &mut all {
            evidence.class = failure.error.class();
            if let Some(found) = found {
                evidence.code = Some(found.code);
                evidence.rule = found.rule;
                evidence.function = Some(found.function.clone());
                evidence.text = format!("{}\n{}", evidence.text, found.message);
            }
        }
        all
    }

    /// Returns the violations of a test of the contract: its rules, and the probes that failed for another reason.
    pub(super) fn of_contract(contract: &Contract, test: &TestRecord) -> Vec<Self> {
        let mut all = Self::of_test(test);
        for evidence in &mut all {
            let begins = |number: u16| evidence.text.starts_with(&format!("rule {number} "));
            evidence.rule = contract.rows.iter().map(|row| row.number).find(|number| begins(*number));
        }
        all
    }
}

impl ExpectedFailure {
    fn fits(&self, evidence: &Evidence) -> bool {
        self.class.is_none_or(|class| class == evidence.class)
            && (self.code.is_none() || self.code == evidence.code)
            && (self.rule.is_none() || self.rule == evidence.rule)
            && (self.function.is_none() || self.function == evidence.function)
            && self.text.as_ref().is_none_or(|text| evidence.text.contains(text.as_str()))
    }
}

impl KnownIssue {
    /// Returns whether it is about a case.
    #[must_use]
    pub fn is_about(&self, case: &Case) -> bool {
        self.cases.iter().all(|(axis, texts)| texts.iter().any(|text| case.has(axis, text)))
    }

    fn is_expired(&self, today: Date) -> bool {
        today > self.review_by
    }

    fn name(&self) -> String {
        format!("known issue \"{}\" ({})", self.reason, self.link)
    }

    fn shown(&self) -> report::KnownIssue {
        report::KnownIssue {
            reason: self.reason.clone(),
            link: self.link.clone(),
            review_by: self.review_by.to_string(),
        }
    }
}

/// Compares the result of a test with the known issues of its case. A failure each of whose violations is one that is known is a known
/// issue; any other stays a failure that says why it is not excused. With `strict` a known issue that is no more is a failure.
pub(super) fn apply(
    issues: &[KnownIssue],
    case: &Case,
    evidence: &[Evidence],
    (today, strict): (Date, bool),
    test: &mut TestRecord,
) {
    let about: Vec<&KnownIssue> = issues.iter().filter(|issue| issue.is_about(case)).collect();
    let Some(first) = about.first() else { return };
    match test.result {
        TestResult::Passed => {
            test.known_issue = Some(first.shown());
            test.result = TestResult::KnownIssuePasses;
            if strict {
                test.result = TestResult::Failed;
                test.class = Some(Class::TestFailed);
                test.violations.push(format!("{} passes now: remove it from the scenario", first.name()));
            }
        }
        TestResult::Failed => {
            let fitting = |one: &Evidence| about.iter().filter(|issue| issue.expect.fits(one)).collect::<Vec<_>>();
            let unknown = evidence.iter().find(|one| fitting(one).is_empty());
            let expired = evidence.iter().map(fitting).find(|fit| fit.iter().all(|issue| issue.is_expired(today)));
            match (evidence.first(), unknown, expired) {
                (_, Some(_), _) | (None, None, _) => {
                    let expects: Vec<String> =
                        about.iter().map(|it| format!("{} expects {}", it.name(), it.expect)).collect();
                    test.violations.push(format!("not excused, another failure: {}", expects.join("; ")));
                }
                (_, None, Some(expired)) => {
                    let first = expired.first().unwrap_or(&first);
                    test.violations.push(format!(
                        "not excused: {} was to be reviewed by {}",
                        first.name(),
                        first.review_by
                    ));
                }
                (Some(one), None, None) => {
                    let live = fitting(one).into_iter().find(|issue| !issue.is_expired(today));
                    test.known_issue = live.map(|issue| issue.shown());
                    test.result = TestResult::KnownIssue;
                }
            }
        }
        TestResult::Skipped | TestResult::KnownIssue | TestResult::KnownIssuePasses => {}
    }
}

/// Returns the line that tells of a test's known issue.
pub(super) fn line(test: &TestRecord) -> Option<String> {
    let issue = test.known_issue.as_ref()?;
    let what = match test.result {
        TestResult::KnownIssue => format!("known until {}", issue.review_by),
        _ => "known to fail, and passes now".to_owned(),
    };
    Some(format!("{what}: {} ({})", issue.reason, issue.link))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file::Scenario;
    use super::super::malformed::Source;
    use super::*;

    const TABLE: &str = "[[known_issue]]\nreason = 'r'\nlink = 'T-1'\nreview_by = 2026-12-31\n";

    fn parse(rest: &str) -> Result<Scenario, String> {
        let text = format!("title = 't'\n[matrix]\ntransport = ['vhost-user', 'vfio-user']\n{rest}");
        Scenario::parse(Source { path: Path::new("x.toml"), text: &text }).map_err(|error| error.to_string())
    }

    fn failed(text: &str) -> TestRecord {
        TestRecord {
            result: TestResult::Failed,
            class: Some(Class::GuestCrashed),
            violations: vec![text.into()],
            ..TestRecord::new("x", "")
        }
    }

    fn evidence(rule: u16) -> Evidence {
        Evidence { rule: Some(rule), ..Evidence::of_text(Class::GuestCrashed, "it succeeds") }
    }

    fn applied(rest: &str, evidence: &[Evidence], day: &str, case: usize, mut test: TestRecord) -> TestRecord {
        let scenario = parse(&format!("{TABLE}{rest}")).unwrap();
        apply(&scenario.known_issues, &scenario.cases[case], evidence, (day.parse().unwrap(), false), &mut test);
        test
    }

    #[test]
    fn excuses_the_expected_failure_of_its_cases_until_its_day() {
        let rest = "cases = { transport = 'vfio-user' }\nexpect = { class = 'guest-crashed', rule = 33 }\n";
        let known = applied(rest, &[evidence(33)], "2026-12-31", 1, failed("x"));
        assert_eq!(known.result, TestResult::KnownIssue);
        assert_eq!(known.known_issue.unwrap().link, "T-1");
        let other_case = applied(rest, &[evidence(33)], "2026-12-31", 0, failed("x"));
        assert_eq!((other_case.result, other_case.violations.len()), (TestResult::Failed, 1));
        let expired = applied(rest, &[evidence(33)], "2027-01-01", 1, failed("x"));
        assert_eq!(expired.result, TestResult::Failed);
        assert!(expired.violations[1].contains("reviewed by 2026-12-31"), "{:?}", expired.violations);
    }

    #[test]
    fn excuses_no_other_failure_and_none_beside_the_expected_one() {
        let rest = "expect = { rule = 33 }\n";
        for found in [vec![evidence(40)], vec![evidence(33), evidence(40)], vec![]] {
            let test = applied(rest, &found, "2026-01-01", 0, failed("x"));
            assert_eq!(test.result, TestResult::Failed, "{found:?}");
            assert!(test.violations[1].contains("expects rule 33"), "{:?}", test.violations);
        }
        let both = format!("{rest}{TABLE}expect = {{ text = 'succeeds', rule = 40 }}\n");
        let test = applied(&both, &[evidence(33), evidence(40)], "2026-01-01", 0, failed("x"));
        assert_eq!(test.result, TestResult::KnownIssue);
    }

    #[test]
    fn tells_what_passes_now_and_fails_it_where_that_is_demanded() {
        let passed = TestRecord::new("x", "");
        let rest = "expect = { text = 'x' }\n";
        let lenient = applied(rest, &[], "2027-01-01", 0, passed.clone());
        assert_eq!((lenient.result, lenient.class), (TestResult::KnownIssuePasses, None));
        let scenario = parse(&format!("{TABLE}{rest}")).unwrap();
        let mut strict = passed;
        apply(&scenario.known_issues, &scenario.cases[0], &[], ("2026-01-01".parse().unwrap(), true), &mut strict);
        assert_eq!((strict.result, strict.class), (TestResult::Failed, Some(Class::TestFailed)));
        assert!(strict.violations[0].contains("passes now: remove it"), "{:?}", strict.violations);
    }

    #[test]
    fn refuses_an_issue_that_says_too_little_at_its_place() {
        for (text, line, part) in [
            (TABLE.replace("'r'", "' '") + "expect = { rule = 33 }", 5, "reason is empty"),
            (TABLE.replace("'T-1'", "''") + "expect = { rule = 33 }", 6, "link is empty"),
            (TABLE.replace("2026-12-31", "'soon'") + "expect = { rule = 33 }", 7, "review_by is a date"),
            (TABLE.to_owned(), 4, "the key `expect` is missing"),
            (TABLE.to_owned() + "expect = {}", 8, "what the failure looks like"),
            (TABLE.to_owned() + "expect = { rule = 700 }", 8, "there is no rule 700"),
            (TABLE.to_owned() + "expect = { class = 'interrupted' }", 8, "one of the classes test-failed"),
            (TABLE.to_owned() + "expect = { text = '' }", 8, "a part of every failure"),
            (TABLE.to_owned() + "cases = { song = 'tide' }\nexpect = { rule = 1 }", 8, "no case has song=tide"),
            (TABLE.to_owned() + "cases = { transport = [] }\nexpect = { rule = 1 }", 8, "a value, or a list"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(&format!("x.toml:{line}:")) && error.contains(part), "{text}: {error}");
        }
    }
}
