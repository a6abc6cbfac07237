//! The shape of the tables `[[known_issue]]` of a scenario.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::{Spanned, Value};

/// A table `[[known_issue]]`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownIssueTable {
    /// Why the test fails.
    #[schemars(with = "String")]
    pub(super) reason: Spanned<String>,
    /// Where the failure is tracked: an address or a ticket's name.
    #[schemars(with = "String")]
    pub(super) link: Spanned<String>,
    /// The last day on which the failure is excused, such as 2026-12-31.
    #[schemars(with = "String")]
    pub(super) review_by: Spanned<Value>,
    /// The cases that fail: of each axis a value or a list of values; without, all cases.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, AxisValues>")]
    pub(super) cases: BTreeMap<String, Spanned<Value>>,
    /// What the failure looks like.
    #[schemars(with = "ExpectedFailureTable")]
    pub(super) expect: Spanned<ExpectedFailureTable>,
}

/// A value of an axis, or several.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "its shape is read by hand, for the place of each value")]
enum AxisValues {
    /// A value.
    One(AxisValue),
    /// Any of these.
    Several(Vec<AxisValue>),
}

/// A value of an axis.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "as for its user")]
enum AxisValue {
    /// A word, such as a song's name.
    Word(String),
    /// A number.
    Number(u64),
    /// Yes or no.
    Truth(bool),
}

/// What a known failure looks like: every key that is there must fit.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedFailureTable {
    /// The class of the failure, such as `guest-crashed`.
    #[schemars(with = "Option<String>")]
    pub(super) class: Option<Spanned<String>>,
    /// The code of the bug check.
    pub(super) code: Option<u32>,
    /// The number of the rule that is violated.
    #[schemars(with = "Option<u16>")]
    pub(super) rule: Option<Spanned<u16>>,
    /// The kernel function that found the violation.
    #[schemars(with = "Option<String>")]
    pub(super) function: Option<Spanned<String>>,
    /// A part of the violation's text.
    #[schemars(with = "Option<String>")]
    pub(super) text: Option<Spanned<String>>,
}
