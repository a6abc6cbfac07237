//! What the documentation demands of a driver, asserted: one place that turns a broken rule into a bug check that the
//! driver's author can act on.

use core::fmt;

use super::checks::Check;
use super::export::IrqlRule;
use super::{delay, rules, watch};
use crate::arch::cpu;
use crate::bugcheck::stack::Context;
use crate::bugcheck::{self, Report};

/// Driver Verifier's own bug check.
pub const DRIVER_VERIFIER_DETECTED_VIOLATION: u32 = 0xc4;
const IRQL_NOT_LESS_OR_EQUAL: u32 = 0x0a;
const IRQL_UNEXPECTED_VALUE: u32 = 0xc8;

/// The contract's rule that functions are called and left at their documented IRQL.
pub const RULE_IRQL: u16 = rules::IRQL.number;
/// The contract's rule that an unloaded driver leaves nothing behind.
pub const RULE_NOTHING_LEFT: u16 = rules::NOTHING_LEFT.number;

/// Checks the IRQL on entry to an exported function.
#[inline]
pub fn check_irql(function: &'static str, rule: IrqlRule) {
    if !watch::is_on() {
        return;
    }
    let level = cpu::irql();
    if !rule.allows(level) {
        wrong_irql(function, rule, level);
    }
}

#[cold]
fn wrong_irql(function: &'static str, rule: IrqlRule, level: u8) -> ! {
    let IrqlRule { min, max } = rule;
    let parameters = [0, u64::from(level), u64::from(max), 0];
    if min == max {
        stop_by_rule(
            RULE_IRQL,
            IRQL_NOT_LESS_OR_EQUAL,
            function,
            parameters,
            format_args!("{function} was called at IRQL {level}; it must be called at IRQL {max}"),
        )
    } else {
        stop_by_rule(
            RULE_IRQL,
            IRQL_NOT_LESS_OR_EQUAL,
            function,
            parameters,
            format_args!("{function} was called at IRQL {level}; it must be called at IRQL {min} to {max}"),
        )
    }
}

/// Stops because a rule of the contract was broken. `rule` is its number in the contract's list, if it has one;
/// `message` says what happened, what was expected and what to do.
pub fn violation(rule: Option<u16>, function: &str, message: fmt::Arguments<'_>) -> ! {
    let number = rule.map_or(0, u64::from);
    bugcheck::stop(Report {
        code: DRIVER_VERIFIER_DETECTED_VIOLATION,
        name: None,
        parameters: [number, 0, 0, 0],
        rule,
        function,
        message,
        context: None,
    })
}

/// Stops with a bug check of Windows.
pub fn stop(code: u32, function: &str, parameters: [u64; 4], message: fmt::Arguments<'_>) -> ! {
    bugcheck::stop(Report { code, name: None, parameters, rule: None, function, message, context: None })
}

/// Stops with a bug check of Windows, for a rule of the contract.
pub fn stop_by_rule(rule: u16, code: u32, function: &str, parameters: [u64; 4], message: fmt::Arguments<'_>) -> ! {
    bugcheck::stop(Report { code, name: None, parameters, rule: Some(rule), function, message, context: None })
}

/// Stops because one of the verifier's own checks failed.
pub fn failed(check: &Check, code: u32, function: &str, parameters: [u64; 4], message: fmt::Arguments<'_>) -> ! {
    failed_at(check, code, function, parameters, None, message)
}

/// Stops because a check failed at another place than the caller's.
pub fn failed_at(
    check: &Check,
    code: u32,
    function: &str,
    parameters: [u64; 4],
    context: Option<Context>,
    message: fmt::Arguments<'_>,
) -> ! {
    bugcheck::stop(Report {
        code,
        name: None,
        parameters,
        rule: Some(check.number),
        function,
        message: format_args!("{message} (check '{}')", check.name),
        context,
    })
}

/// Calls into the driver and checks that it comes back at the IRQL it was called at, with interrupts enabled as before.
#[track_caller]
pub fn call<R>(what: &str, body: impl FnOnce() -> R) -> R {
    if !watch::is_on() {
        return body();
    }
    let before = (cpu::irql(), cpu::interrupts_enabled());
    delay::point();
    let result = body();
    delay::point();
    let after = (cpu::irql(), cpu::interrupts_enabled());
    if before != after {
        stop_by_rule(
            RULE_IRQL,
            IRQL_UNEXPECTED_VALUE,
            what,
            [u64::from(before.0), u64::from(after.0), 0, 0],
            format_args!(
                "{what} was called at IRQL {} and returned at IRQL {}, interrupts {}: it must return as it was called. \
                 Look for a lock that is not released or a level that is not restored",
                before.0,
                after.0,
                if after.1 { "enabled" } else { "disabled" }
            ),
        );
    }
    result
}
