//! Reads the tables `[[known_issue]]` of a scenario: failures that are known, each with its reason, its end and what it looks like.

use std::collections::BTreeMap;

use jiff::civil::Date;
use toml::{Spanned, Value};

use super::case::Case;
use super::known_issue::{ExpectedFailure, KnownIssue};
use super::known_issue_table::{ExpectedFailureTable, KnownIssueTable};
use super::malformed::{ScenarioError, Source};
use crate::host::failure::Class;
use crate::testbed::violations::RuleList;

/// The classes of failures that can be known. Others say nothing about the driver, or that the run did not take place.
const CLASSES: [Class; 7] = [
    Class::TestFailed,
    Class::GuestCrashed,
    Class::Timeout,
    Class::CardDied,
    Class::QemuFailed,
    Class::BadInput,
    Class::NotHosted,
];

/// Reads the known issues of a scenario.
///
/// # Errors
/// [`ScenarioError::Malformed`] for a reason or link that says nothing, no date, an axis or a value that no case has, and an expected
/// failure that any failure would fit.
pub(super) fn read(
    file: Source<'_>,
    tables: Vec<KnownIssueTable>,
    cases: &[Case],
) -> Result<Vec<KnownIssue>, ScenarioError> {
    tables.into_iter().map(|table| issue(file, table, cases)).collect()
}

fn issue(file: Source<'_>, table: KnownIssueTable, cases: &[Case]) -> Result<KnownIssue, ScenarioError> {
    let KnownIssueTable { reason, link, review_by, cases: axes, expect } = table;
    for (text, what) in [(&reason, "a known issue says why: reason"), (&link, "a known issue is tracked: link")] {
        if text.get_ref().trim().is_empty() {
            return Err(file.error(text.span(), &format!("{what} is empty")));
        }
    }
    let date: Option<Date> = match review_by.get_ref() {
        Value::Datetime(date) => date.to_string().parse().ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let Some(review_by) = date else {
        return Err(file.error(review_by.span(), "review_by is a date, such as 2026-12-31"));
    };
    let mut values = BTreeMap::new();
    for (axis, listed) in axes {
        let texts = texts(listed.get_ref()).filter(|texts| !texts.is_empty());
        let Some(texts) = texts else {
            return Err(file.error(listed.span(), "an axis has a value, or a list of values"));
        };
        let has = |text: &String| cases.iter().any(|case| case.has(&axis, text));
        if let Some(text) = texts.iter().find(|text| !has(text)) {
            let mut there: Vec<String> =
                cases.iter().flat_map(|case| &case.axes).map(|(axis, text)| format!("{axis}={text}")).collect();
            there.sort();
            there.dedup();
            let there = if there.is_empty() { "no axis".into() } else { there.join(", ") };
            return Err(file.error(listed.span(), &format!("no case has {axis}={text}; this scenario has {there}")));
        }
        values.insert(axis, texts);
    }
    let span = expect.span();
    let expect = expected(file, expect.into_inner())?;
    if expect == ExpectedFailure::default() {
        let message = "expect says what the failure looks like: class, code, rule, function or text";
        return Err(file.error(span, message));
    }
    Ok(KnownIssue { reason: reason.into_inner(), link: link.into_inner(), review_by, cases: values, expect })
}

/// Returns the texts of a value, or of each of a list.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Integer(_) | Value::Boolean(_) => Some(vec![value.to_string()]),
        Value::Array(values) => Some(values.iter().map(texts).collect::<Option<Vec<_>>>()?.concat()),
        _ => None,
    }
}

fn expected(file: Source<'_>, table: ExpectedFailureTable) -> Result<ExpectedFailure, ScenarioError> {
    let ExpectedFailureTable { class, code, rule, function, text } = table;
    let class = class
        .map(|named| {
            let found = CLASSES.iter().find(|class| class.name() == named.get_ref());
            found.copied().ok_or_else(|| {
                let names = CLASSES.map(Class::name).join(", ");
                file.error(named.span(), &format!("a failure that is known has one of the classes {names}"))
            })
        })
        .transpose()?;
    if let Some(rule) = &rule {
        let known = RuleList::nt_host().expect(*rule.get_ref());
        known.map_err(|error| file.error(rule.span(), &error.to_string()))?;
    }
    for part in [&function, &text].into_iter().flatten() {
        if part.get_ref().trim().is_empty() {
            return Err(file.error(part.span(), "an empty text is a part of every failure"));
        }
    }
    Ok(ExpectedFailure {
        class,
        code,
        rule: rule.map(Spanned::into_inner),
        function: function.map(Spanned::into_inner),
        text: text.map(Spanned::into_inner),
    })
}
