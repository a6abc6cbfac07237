//! Bug checks: the system's last message, then the end.
#![allow(unsafe_code, reason = "exported functions")]

use alloc::string::{String, ToString};
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use guest_protocol::{BugCheck, Event, exit};

use super::stack::{self, Context};
use crate::arch::{cpu, smp};
use crate::portcls::{patience, rules};
use crate::{exports, line};

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

/// The processor that stops the system, its number plus one.
static STOPPING: AtomicU32 = AtomicU32::new(0);

/// Whether the system is being stopped.
#[must_use]
pub fn stopping() -> bool {
    STOPPING.load(Ordering::Relaxed) != 0
}

/// Whether this processor stops the system.
#[must_use]
pub fn stopping_here() -> bool {
    STOPPING.load(Ordering::Relaxed) == cpu::number() as u32 + 1
}

/// What the other processor does meanwhile.
pub(super) fn freeze() -> ! {
    x86_64::instructions::interrupts::disable();
    loop {
        x86_64::instructions::hlt();
    }
}

/// The code for a failure of the host itself.
pub const MANUALLY_INITIATED_CRASH: u32 = 0xe2;

/// Stops the system.
#[inline(never)]
pub fn stop(report: Report<'_>) -> ! {
    let irql = cpu::irql();
    x86_64::instructions::interrupts::disable();
    let me = cpu::number() as u32 + 1;
    let stopping = STOPPING.compare_exchange(0, me, Ordering::SeqCst, Ordering::SeqCst).err();
    if stopping.is_some_and(|other| other != me) {
        // The other processor was first; it ends the system.
        freeze();
    }
    if stopping.is_some() {
        // A fault while a fault is reported: the first is what matters, and its report cannot be finished.
        cpu::exit(exit::GUEST_FAILED);
    }
    smp::stop_other();
    let context = report.context.unwrap_or_else(Context::here);
    let frames = stack::walk(context);
    let bug_check = BugCheck {
        code: report.code,
        name: report.name.or_else(|| name(report.code)).map_or_else(|| fallback(report.code), String::from),
        parameters: report.parameters,
        rule: report.rule.or_else(rules::blamed),
        waited_ms: patience::in_vain_ms(),
        message: report.message.to_string(),
        function: report.function.into(),
        irql,
        stack: frames,
    };
    line::send_last(Event::BugCheck(bug_check));
    cpu::exit(exit::BUG_CHECK)
}

fn fallback(code: u32) -> String {
    alloc::format!("BUG_CHECK_{code:#X}")
}

/// The name of a bug check (`bugcodes.h`).
#[must_use]
pub fn name(code: u32) -> Option<&'static str> {
    Some(match code {
        0x01 => "APC_INDEX_MISMATCH",
        0x08 => "IRQL_NOT_DISPATCH_LEVEL",
        0x09 => "IRQL_NOT_GREATER_OR_EQUAL",
        0x0a => "IRQL_NOT_LESS_OR_EQUAL",
        0x0c => "MAXIMUM_WAIT_OBJECTS_EXCEEDED",
        0x0f => "SPIN_LOCK_ALREADY_OWNED",
        0x10 => "SPIN_LOCK_NOT_OWNED",
        0x1d => "NO_SPIN_LOCK_AVAILABLE",
        0x18 => "REFERENCE_BY_POINTER",
        0x19 => "BAD_POOL_HEADER",
        0x1a => "MEMORY_MANAGEMENT",
        0x1e => "KMODE_EXCEPTION_NOT_HANDLED",
        0x35 => "NO_MORE_IRP_STACK_LOCATIONS",
        0x3b => "SYSTEM_SERVICE_EXCEPTION",
        0x44 => "MULTIPLE_IRP_COMPLETE_REQUESTS",
        0x48 => "CANCEL_STATE_IN_COMPLETED_IRP",
        0x4e => "PFN_LIST_CORRUPT",
        0x50 => "PAGE_FAULT_IN_NONPAGED_AREA",
        0x76 => "PROCESS_HAS_LOCKED_PAGES",
        0x7e => "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED",
        0x7f => "UNEXPECTED_KERNEL_MODE_TRAP",
        0x80 => "NMI_HARDWARE_FAILURE",
        0x8e => "KERNEL_MODE_EXCEPTION_NOT_HANDLED",
        0x9f => "DRIVER_POWER_STATE_FAILURE",
        0xb8 => "ATTEMPTED_SWITCH_FROM_DPC",
        0xbe => "ATTEMPTED_WRITE_TO_READONLY_MEMORY",
        0xc1 => "SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION",
        0xc2 => "BAD_POOL_CALLER",
        0xc4 => "DRIVER_VERIFIER_DETECTED_VIOLATION",
        0xc5 => "DRIVER_CORRUPTED_EXPOOL",
        0xc7 => "TIMER_OR_DPC_INVALID",
        0xc8 => "IRQL_UNEXPECTED_VALUE",
        0xc9 => "DRIVER_VERIFIER_IOMANAGER_VIOLATION",
        0xca => "PNP_DETECTED_FATAL_ERROR",
        0xcc => "PAGE_FAULT_IN_FREED_SPECIAL_POOL",
        0xcd => "PAGE_FAULT_BEYOND_END_OF_ALLOCATION",
        0xce => "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS",
        0xd1 => "DRIVER_IRQL_NOT_LESS_OR_EQUAL",
        0xd5 => "DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL",
        0xd6 => "DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION",
        0xd9 => "LOCKED_PAGES_TRACKER_CORRUPTION",
        0xe2 => "MANUALLY_INITIATED_CRASH",
        0xe4 => "WORKER_INVALID",
        0xe6 => "DRIVER_VERIFIER_DMA_VIOLATION",
        0xf7 => "DRIVER_OVERRAN_STACK_BUFFER",
        0xfc => "ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY",
        0x101 => "CLOCK_WATCHDOG_TIMEOUT",
        0x10d => "WDF_VIOLATION",
        0x133 => "DPC_WATCHDOG_VIOLATION",
        0x139 => "KERNEL_SECURITY_CHECK_FAILURE",
        0x13a => "KERNEL_MODE_HEAP_CORRUPTION",
        0x1ca => "SYNTHETIC_WATCHDOG_TIMEOUT",
        _ => return None,
    })
}

fn by_driver(function: &'static str, code: u32, parameters: [u64; 4]) -> ! {
    stop(Report {
        code,
        name: None,
        parameters,
        rule: None,
        function,
        message: format_args!("the driver called {function}"),
        context: None,
    })
}

exports! {
    /// Bug checks.
    pub static EXPORTS;

    /// Stops the system.
    [ANY] fn KeBugCheck(code: u32) { by_driver("KeBugCheck", code, [0; 4]) }

    /// Stops the system.
    [ANY] fn KeBugCheckEx(code: u32, a: u64, b: u64, c: u64, d: u64) { by_driver("KeBugCheckEx", code, [a, b, c, d]) }

}
