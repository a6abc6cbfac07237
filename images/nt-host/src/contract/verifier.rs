//! What the documentation demands of a driver, asserted: one place that turns a broken rule into a bug check that the
//! driver's author can act on.
//!
//! | function | numbered | goes on where it is waived |
//! |---|---|---|
//! | [`violation`], [`broken`] | a rule, or none | yes |
//! | [`failed`], [`failed_at`] | a check | yes |
//! | [`fatal`], [`stop_by_rule`] | a rule, or none | no: the host cannot go on |
//! | [`stop_by_check`] | a check | no |
//! | [`stop`] | no: a bug check of Windows itself | no |
//! | [`note`] | the rule that is about it | always: it is no violation |

use core::fmt;

use guest_protocol::FindingKind;

use super::checks::Check;
use super::export::IrqlRule;
use super::{rules, watch};
use crate::arch::cpu;
use crate::bugcheck::stack::Context;
use crate::bugcheck::{self, Report, findings};

/// Driver Verifier's own bug check.
pub const DRIVER_VERIFIER_DETECTED_VIOLATION: u32 = 0xc4;
const IRQL_NOT_LESS_OR_EQUAL: u32 = 0x0a;

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
fn wrong_irql(function: &'static str, rule: IrqlRule, level: u8) {
    let IrqlRule { min, max } = rule;
    let parameters = [0, u64::from(level), u64::from(max), 0];
    let report = |message: fmt::Arguments<'_>| broken(RULE_IRQL, IRQL_NOT_LESS_OR_EQUAL, function, parameters, message);
    if min == max {
        report(format_args!("{function} was called at IRQL {level}; it must be called at IRQL {max}"));
    } else {
        report(format_args!("{function} was called at IRQL {level}; it must be called at IRQL {min} to {max}"));
    }
}

/// Returns the report of a rule of the contract, or of one that has no number, by Driver Verifier's bug check.
fn report<'a>(rule: Option<u16>, function: &'a str, message: fmt::Arguments<'a>) -> Report<'a> {
    Report {
        code: DRIVER_VERIFIER_DETECTED_VIOLATION,
        name: None,
        parameters: [rule.map_or(0, u64::from), 0, 0, 0],
        rule,
        function,
        message,
        context: None,
    }
}

/// Reports that a rule of the contract was broken. `rule` is its number in the contract's list, if it has one; `message`
/// says what happened, what was expected and what to do.
pub fn violation(rule: Option<u16>, function: &str, message: fmt::Arguments<'_>) {
    bugcheck::violated(report(rule, function, message));
}

/// Stops because a rule of the contract was broken, and the host cannot go on.
pub fn fatal(rule: Option<u16>, function: &str, message: fmt::Arguments<'_>) -> ! {
    bugcheck::stop(report(rule, function, message))
}

/// Notes what is no violation.
pub fn note(rule: Option<u16>, function: &str, message: fmt::Arguments<'_>) {
    // A note for which there is no room is one of hundreds: it is in the log.
    if !findings::note(FindingKind::Note, &Report { code: 0, ..report(rule, function, message) }) {
        crate::warn!("{function}: {message}");
    }
}

/// Stops with a bug check of Windows.
pub fn stop(code: u32, function: &str, parameters: [u64; 4], message: fmt::Arguments<'_>) -> ! {
    bugcheck::stop(Report { code, name: None, parameters, rule: None, function, message, context: None })
}

/// Reports that a rule of the contract was broken, or one without a number, by a bug check of Windows.
pub fn broken(
    rule: impl Into<Option<u16>>,
    code: u32,
    function: &str,
    parameters: [u64; 4],
    message: fmt::Arguments<'_>,
) {
    bugcheck::violated(Report { code, name: None, parameters, rule: rule.into(), function, message, context: None });
}

/// Stops with a bug check of Windows, for a rule of the contract after whose violation the host cannot go on.
pub fn stop_by_rule(rule: u16, code: u32, function: &str, parameters: [u64; 4], message: fmt::Arguments<'_>) -> ! {
    bugcheck::stop(Report { code, name: None, parameters, rule: Some(rule), function, message, context: None })
}

/// Reports that one of the verifier's own checks failed.
pub fn failed(check: &Check, code: u32, function: &str, parameters: [u64; 4], message: fmt::Arguments<'_>) {
    failed_at(check, code, function, parameters, None, message);
}

/// Reports that a check failed at another place than the caller's.
pub fn failed_at(
    check: &Check,
    code: u32,
    function: &str,
    parameters: [u64; 4],
    context: Option<Context>,
    message: fmt::Arguments<'_>,
) {
    let message = format_args!("{message} (check '{}')", check.name);
    bugcheck::violated(Report { code, name: None, parameters, rule: Some(check.number), function, message, context });
}

/// Stops because a check failed, at another place than the caller's if `context` says so, after which the host cannot go on.
pub fn stop_by_check(
    check: &Check,
    code: u32,
    function: &str,
    parameters: [u64; 4],
    context: Option<Context>,
    message: fmt::Arguments<'_>,
) -> ! {
    let message = format_args!("{message} (check '{}')", check.name);
    bugcheck::stop(Report { code, name: None, parameters, rule: Some(check.number), function, message, context })
}
