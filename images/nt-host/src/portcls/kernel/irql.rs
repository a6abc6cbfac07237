//! The IRQL that PortCls' own interfaces and the driver's demand (the reference page of each function).

use alloc::format;

use crate::contract::violation::{Violation, violation};
use crate::contract::{rules, watch};
use crate::nt::KIRQL;
use crate::nt::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::portcls::kernel;

/// Returns the current IRQL.
pub(crate) fn current() -> KIRQL {
    kernel::current()
}

/// Checks that the current IRQL is at most `level`.
pub(crate) fn at_most(level: KIRQL, interface: &'static str, method: &'static str) {
    let now = current();
    if now > level && watch::is_on() {
        violation(
            method,
            Violation::new(
                rules::IRQL,
                format!("{interface}::{method} is called at IRQL {now}, above {level}"),
                "move the call to where the IRQL allows it: a DPC, a work item, or before the lock",
            ),
        );
    }
}

/// Checks that the current IRQL is `PASSIVE_LEVEL`.
pub(crate) fn passive(interface: &'static str, method: &'static str) {
    at_most(PASSIVE_LEVEL, interface, method);
}

/// Checks that the current IRQL is `PASSIVE_LEVEL`, for a method whose name says its interface.
pub(crate) fn passive_method(method: &'static str) {
    let (interface, name) = method.split_once("::").unwrap_or(("", method));
    passive(interface, name);
}

/// `DISPATCH_LEVEL` until dropped.
pub(crate) struct Raised(KIRQL);

impl Raised {
    /// Raises to `DISPATCH_LEVEL`, from where the caller is at or below it.
    pub(crate) fn to_dispatch() -> Self {
        Self(kernel::raise(DISPATCH_LEVEL))
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        kernel::lower(self.0);
    }
}
