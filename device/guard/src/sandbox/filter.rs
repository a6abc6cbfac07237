//! Makes a seccomp filter of the list of calls, and enters it.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::calls::{Allowed, CALLS, Only, Value};
use super::error::SandboxError;

/// Puts the process, which has one thread, under the filter for good: what the list does not allow raises `SIGSYS`.
///
/// # Errors
/// [`SandboxError::Architecture`] and [`SandboxError::Filter`], when there is no such filter, or the host refuses it.
pub(super) fn enter() -> Result<(), SandboxError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for Allowed { call, only, .. } in CALLS {
        // A call without a condition has no rule, and an empty chain allows it.
        rules.entry(call.id().into()).or_default().extend(only.map(rule).transpose()?);
    }
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Trap, SeccompAction::Allow, architecture)?;
    Ok(seccompiler::apply_filter(&BpfProgram::try_from(filter)?)?)
}

fn rule(only: Only) -> Result<SeccompRule, BackendError> {
    let value = match only.value {
        Value::Number(number) => number,
        Value::ThisProcess => std::process::id(),
    };
    let compare = SeccompCmpOp::MaskedEq(only.mask.into());
    SeccompRule::new(vec![SeccompCondition::new(only.argument, SeccompCmpArgLen::Dword, compare, value.into())?])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row without a condition would lift the conditions of the others.
    #[test]
    fn every_row_of_a_call_with_a_condition_has_one() {
        for Allowed { call, .. } in CALLS.iter().filter(|allowed| allowed.only.is_some()) {
            assert!(CALLS.iter().filter(|row| row.call == *call).all(|row| row.only.is_some()), "{call}");
        }
    }
}
