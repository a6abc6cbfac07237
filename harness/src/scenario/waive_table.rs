//! The rules that a scenario waives, each with its reason.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::malformed::{ScenarioError, Source};
use crate::testbed::violations::{RuleList, ViolationPolicy, Waiver};

/// A table `[[waive]]`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WaiveTable {
    /// The number of the rule.
    #[schemars(with = "u16")]
    rule: Spanned<u16>,
    /// Why its violations do not stop the guest.
    #[schemars(with = "String")]
    reason: Spanned<String>,
}

/// Makes the policy of a scenario.
///
/// # Errors
/// [`ScenarioError::Malformed`] for a rule that the NT host does not have, one that is waived twice, and a reason that says
/// nothing.
pub(super) fn policy(
    file: Source<'_>,
    tables: &[WaiveTable],
    keep_going: bool,
) -> Result<ViolationPolicy, ScenarioError> {
    let mut policy = ViolationPolicy { keep_going, ..ViolationPolicy::default() };
    for WaiveTable { rule, reason } in tables {
        let number = *rule.get_ref();
        let at_rule = |message: &str| file.error(rule.span(), message);
        RuleList::nt_host().expect(number).map_err(|error| at_rule(&error.to_string()))?;
        if policy.waived.contains_key(&number) {
            return Err(at_rule(&format!("rule {number} is waived twice")));
        }
        let text = reason.get_ref().trim();
        if text.is_empty() {
            return Err(file.error(reason.span(), "a waiver says why: reason is empty"));
        }
        policy = policy.with([Waiver { rule: number, reason: text.into() }]);
    }
    Ok(policy)
}
