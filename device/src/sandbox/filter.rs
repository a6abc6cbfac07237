//! Makes seccomp filters of lists of calls, and puts threads under them.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use syscalls::Sysno;

use super::calls::{Allowed, Only, Value};
use super::error::SandboxError;
use super::role::Role;

/// The filters of the process, ready to be entered.
#[derive(Debug)]
pub(super) struct Filters {
    roles: BTreeMap<Role, BpfProgram>,
    no_clone3: BpfProgram,
}

impl Filters {
    /// Makes the filters of all roles for this process.
    ///
    /// # Errors
    /// [`SandboxError::Architecture`], when the crate cannot make filters for this processor.
    pub(super) fn compile() -> Result<Self, SandboxError> {
        let roles =
            Role::ALL.into_iter().map(|role| Ok((role, of_role(role)?))).collect::<Result<_, SandboxError>>()?;
        let rules = BTreeMap::from([(i64::from(Sysno::clone3.id()), Vec::new())]);
        // Its flags are in memory, where no filter sees them. The C library uses clone where there is no clone3.
        let answer = SeccompAction::Errno(libc::ENOSYS as u32);
        Ok(Self { roles, no_clone3: program(rules, SeccompAction::Allow, answer)? })
    }

    /// Puts the calling thread, and those that it starts from now on, under the filter that refuses `clone3`.
    ///
    /// # Errors
    /// [`SandboxError::Filter`], when the host refuses it.
    pub(super) fn without_clone3(&self) -> Result<(), SandboxError> {
        apply(&self.no_clone3)
    }

    /// Puts the calling thread, and those that it starts from now on, under the filter of a role, for good.
    ///
    /// # Errors
    /// [`SandboxError::Filter`], when the host refuses it.
    pub(super) fn enter(&self, role: Role) -> Result<(), SandboxError> {
        self.roles.get(&role).map_or(Ok(()), apply)
    }
}

fn apply(program: &BpfProgram) -> Result<(), SandboxError> {
    seccompiler::apply_filter(program).map_err(SandboxError::Filter)
}

/// Returns the filter of a role: what its lists do not allow raises `SIGSYS`.
fn of_role(role: Role) -> Result<BpfProgram, SandboxError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for Allowed { call, only, .. } in role.allowed() {
        rules.entry(call.id().into()).or_default().extend(only.map(rule).transpose()?);
    }
    // Without a condition in one row there is none: an empty chain allows the call.
    for Allowed { call, .. } in role.allowed().filter(|allowed| allowed.only.is_none()) {
        rules.insert(call.id().into(), Vec::new());
    }
    program(rules, SeccompAction::Trap, SeccompAction::Allow)
}

fn rule(only: Only) -> Result<SeccompRule, SandboxError> {
    let value = match only.value {
        Value::Number(number) => number,
        Value::ThisProcess => std::process::id(),
    };
    let compare = SeccompCmpOp::MaskedEq(only.mask.into());
    let condition = SeccompCondition::new(only.argument, SeccompCmpArgLen::Dword, compare, value.into());
    condition.and_then(|condition| SeccompRule::new(vec![condition])).map_err(SandboxError::architecture)
}

fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, SandboxError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(SandboxError::architecture)?;
    let filter = SeccompFilter::new(rules, otherwise, matched, architecture).map_err(SandboxError::architecture)?;
    BpfProgram::try_from(filter).map_err(SandboxError::architecture)
}
