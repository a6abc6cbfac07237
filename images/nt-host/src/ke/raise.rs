//! Raises exceptions in the driver that called an export.
#![allow(unsafe_code, reason = "goes on with registers that a handler chose")]

use core::fmt;

use super::handlers::{self, Outcome};
use super::process::Process;
use super::thread;
use crate::arch::context::{self, CONTEXT};
use crate::arch::cpu;
use crate::bugcheck::stack::Context;
use crate::bugcheck::{self, Report, blame};
use crate::contract::checks;
use crate::nt::irql::APC_LEVEL;
use crate::nt::status::{self, STATUS_ACCESS_VIOLATION};
use crate::nt::{EXCEPTION_RECORD, NTSTATUS, PVOID, exception_flag};
use crate::pe::unwind::Registers;

const KMODE_EXCEPTION_NOT_HANDLED: u32 = 0x1e;
const SYSTEM_SERVICE_EXCEPTION: u32 = 0x3b;
const SYSTEM_THREAD_EXCEPTION_NOT_HANDLED: u32 = 0x7e;

/// Returns the code that Windows stops with when no handler takes an exception: in a request of a process, in a
/// system thread, above.
pub(crate) fn unhandled_code() -> u32 {
    if cpu::irql() > APC_LEVEL {
        KMODE_EXCEPTION_NOT_HANDLED
    } else if thread::process() == Process::System {
        SYSTEM_THREAD_EXCEPTION_NOT_HANDLED
    } else {
        SYSTEM_SERVICE_EXCEPTION
    }
}

/// Stops, because no handler takes an exception.
fn unhandled(
    record: &EXCEPTION_RECORD,
    registers: &Registers,
    outcome: Outcome,
    function: &str,
    what: fmt::Arguments<'_>,
) -> ! {
    let advice = if outcome == Outcome::Blocked {
        "leaves a routine of the driver that the system called. What called the system further out cannot take it: the \
         system's own code is in between. Put what can raise into __try and __except inside the routine"
    } else {
        "no handler of the driver takes it: put the call into __try and __except"
    };
    let code = unhandled_code();
    bugcheck::stop(Report {
        code,
        name: None,
        parameters: [
            u64::from(record.ExceptionCode.cast_unsigned()),
            record.ExceptionAddress as u64,
            record.ExceptionInformation[0],
            record.ExceptionInformation[1],
        ],
        rule: blame::rule().or(Some(checks::EXCEPTION_LEAVES_CALLBACK.number)),
        function,
        message: format_args!(
            "{what} raised {} and {advice} (check '{}')",
            status::name(record.ExceptionCode).unwrap_or("an exception"),
            checks::EXCEPTION_LEAVES_CALLBACK.name
        ),
        context: Some(Context::of(registers)),
    })
}

/// Raises an exception in the function that called the export which calls this. Comes back if a filter says that
/// execution continues.
pub(crate) fn raise(function: &str, record: &mut EXCEPTION_RECORD, what: fmt::Arguments<'_>) {
    let Some(caller) = handlers::guarded_caller() else {
        // The host itself called: there is no handler to take it.
        unhandled(record, &Registers::default(), Outcome::Unhandled, function, what)
    };
    if record.ExceptionAddress.is_null() {
        record.ExceptionAddress = caller.rip as PVOID;
    }
    let mut context = CONTEXT::of(&caller, x86_64::registers::rflags::read_raw() as u32);
    match handlers::dispatch(record, &mut context) {
        // SAFETY: the registers of the caller, perhaps mended by its own filter.
        Outcome::Continue => unsafe { context::restore(&context) },
        outcome @ (Outcome::Unhandled | Outcome::Blocked) => unhandled(record, &caller, outcome, function, what),
    }
}

/// Raises a status as an exception from which there is no going on.
pub(crate) fn raise_status(function: &str, status: NTSTATUS, information: &[u64], what: fmt::Arguments<'_>) -> ! {
    let mut record = handlers::record(status, exception_flag::NONCONTINUABLE, 0, information);
    raise(function, &mut record, what);
    unreachable!("an exception that cannot be continued was continued");
}

/// Raises `STATUS_ACCESS_VIOLATION` for an access to `address`.
pub(crate) fn raise_access_violation(function: &str, write: bool, address: u64, what: fmt::Arguments<'_>) -> ! {
    raise_status(function, STATUS_ACCESS_VIOLATION, &[write.into(), address], what)
}
