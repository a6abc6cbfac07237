//! Stops the system with a report of what failed, or notes it where the harness says so.

use alloc::string::{String, ToString};
use core::fmt::{self, Write};

use guest_protocol::{BugCheck, Event, exit};

use super::response::Response;
use super::stack::{self, Context};
use super::{blame, debugger, findings, names, response};
use crate::arch::stop::{self, Stop};
use crate::arch::uninterrupted::Uninterrupted;
use crate::arch::{cpu, marks, smp};
use crate::harness::link;

/// What stops the system.
pub struct Report<'a> {
    /// The code, as Windows numbers them.
    pub code: u32,
    /// A name of our own instead of the code's.
    pub name: Option<&'static str>,
    /// The four parameters.
    pub parameters: [u64; 4],
    /// The rule that was broken.
    pub rule: Option<u16>,
    /// The kernel function that found it, or where the processor was.
    pub function: &'a str,
    /// What happened and what to do.
    pub message: fmt::Arguments<'a>,
    /// Where to start walking the stack; the caller, if it is not given.
    pub context: Option<Context>,
}

/// The code for a failure of the host itself.
pub const MANUALLY_INITIATED_CRASH: u32 = 0xe2;

/// Reports a violation after which the system can go on. Returns where the rule is waived, where violations are only
/// noted, and where the driver is not verified; otherwise stops the system.
#[inline(never)]
pub fn violated(report: Report<'_>) {
    debugger::violation(report.rule, report.function);
    match response::to(report.rule) {
        Response::Note(kind) if findings::note(kind, &report) => {}
        Response::Note(_) => {
            let message = report.message;
            halt(Report {
                message: format_args!(
                    "{message} (noted before: {} different findings, and more are not kept)",
                    findings::FINDINGS_MAX
                ),
                ..report
            })
        }
        Response::Ignore => response::ignored(),
        Response::Stop => halt(report),
    }
}

/// What a stop runs last, when its report is out.
static LAST: Uninterrupted<Option<fn()>> = Uninterrupted::new(None);

/// Sets what a stop runs last.
pub fn run_last(routine: fn()) {
    LAST.with(|last| *last = Some(routine));
}

/// Stops the system.
#[inline(never)]
pub fn stop(report: Report<'_>) -> ! {
    debugger::violation(report.rule.or_else(blame::rule), report.function);
    halt(report)
}

/// Stops the system, of which a debugger knows.
#[inline(never)]
fn halt(report: Report<'_>) -> ! {
    let irql = cpu::irql();
    x86_64::instructions::interrupts::disable();
    match stop::begin() {
        Stop::Begun => {}
        Stop::OfOther => stop::freeze(),
        // A fault while a fault is reported: the first is what matters, and its report cannot be finished.
        Stop::Repeated => cpu::exit(exit::GUEST_FAILED),
    }
    smp::stop_other();
    let context = report.context.unwrap_or_else(Context::here);
    let frames = stack::walk(context);
    let rule = report.rule.or_else(blame::rule);
    let mut message = report.message.to_string();
    // A name of our own is that of a failure of this guest, which no waiver is about.
    if report.name.is_none()
        && let Some(why) = response::stops_nevertheless(rule)
    {
        // Writing to a string does not fail.
        let _ = write!(message, " ({why})");
    }
    findings::send_counts();
    let bug_check = BugCheck {
        code: report.code,
        name: report.name.or_else(|| names::of(report.code)).map_or_else(|| fallback(report.code), String::from),
        parameters: report.parameters,
        rule,
        waited_ms: blame::waited_ms(),
        message,
        function: report.function.into(),
        irql,
        stack: frames,
    };
    link::send_last(Event::BugCheck(bug_check));
    // The harness, which has the report now, knows where the marks are.
    let _ = marks::sample();
    if let Some(routine) = LAST.with(|last| last.take()) {
        routine();
    }
    cpu::exit(exit::BUG_CHECK)
}

fn fallback(code: u32) -> String {
    alloc::format!("BUG_CHECK_{code:#X}")
}
