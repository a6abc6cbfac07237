//! Processor exceptions: offered to a driver's handlers; what they do not take becomes the bug check that Windows would
//! raise.

#![allow(unsafe_code, reason = "the register of page faults")]

use alloc::format;
use core::fmt;

use super::address_kind::AddressKind;
use super::mdl;
use crate::arch::context::CONTEXT;
use crate::arch::trap::TrapFrame;
use crate::arch::user_half::USER_ADDRESS_END;
use crate::arch::{cpu, pageable, stop};
use crate::bugcheck::stack::Context;
use crate::bugcheck::{self, Report, modules};
use crate::contract::{checks, verifier};
use crate::ke::handlers::{self, Outcome};
use crate::ke::inline_irql;
use crate::ke::raise::unhandled_code;
use crate::ke::stack;
use crate::nt::EXCEPTION_RECORD;
use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::status::{self, *};

const IRQL_NOT_LESS_OR_EQUAL: u32 = 0x0a;
const PAGE_FAULT_IN_NONPAGED_AREA: u32 = 0x50;
const UNEXPECTED_KERNEL_MODE_TRAP: u32 = 0x7f;
const NMI_HARDWARE_FAILURE: u32 = 0x80;
const ATTEMPTED_WRITE_TO_READONLY_MEMORY: u32 = 0xbe;
const DRIVER_IRQL_NOT_LESS_OR_EQUAL: u32 = 0xd1;
const ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY: u32 = 0xfc;
const KERNEL_SECURITY_CHECK_FAILURE: u32 = 0x139;

/// Page-fault error code.
const PRESENT: u64 = 1;
const WRITE: u64 = 2;
const FETCH: u64 = 16;

/// The exception under way.
struct Fault<'a> {
    frame: &'a TrapFrame,
}

impl Fault<'_> {
    fn stop(&self, code: u32, parameters: [u64; 4], message: fmt::Arguments<'_>) -> ! {
        bugcheck::stop(Report {
            code,
            name: None,
            parameters,
            rule: None,
            function: modules::where_is(self.frame.rip),
            message,
            context: Some(Context::of_trap(self.frame)),
        })
    }

    /// Stops as Windows does with an exception that no handler takes.
    fn unhandled(&self, exception: NTSTATUS, what: &str) -> ! {
        self.stop(
            unhandled_code(),
            [u64::from(exception.cast_unsigned()), self.frame.rip, self.frame.rsp, 0],
            format_args!("{what} at {} ({})", modules::Place(self.frame.rip), status::name(exception).unwrap_or("?")),
        )
    }

    /// Stops, if an address is below a stack.
    fn expect_stack(&self, address: u64) {
        let Self { frame } = self;
        if let Some(bytes) = stack::below(address) {
            verifier::stop_by_check(
                checks::KERNEL_STACK,
                UNEXPECTED_KERNEL_MODE_TRAP,
                modules::where_is(frame.rip),
                [8, address, frame.rip, frame.rsp],
                Some(Context::of_trap(frame)),
                format_args!(
                    "the stack of {} KiB is used up at {} (stack pointer {:#x}): a kernel thread has 24 KiB. Put large variables \
                     into pool, bound recursion, or call KeExpandKernelStackAndCallout",
                    bytes / 1024,
                    modules::Place(frame.rip),
                    frame.rsp
                ),
            )
        }
    }

    fn page_fault(&self) -> ! {
        let Self { frame } = self;
        let address = x86_64::registers::control::Cr2::read_raw();
        let level = cpu::irql();
        let at = modules::Place(frame.rip);
        let fetch = frame.error_code & FETCH != 0;
        let (operation, access) = match (fetch, frame.error_code & WRITE != 0) {
            (true, _) => ("execution of", 8),
            (false, true) => ("write to", 1),
            (false, false) => ("read of", 0),
        };
        let what = AddressKind(address);
        self.expect_stack(address);
        if let Some(mdl) = mdl::undone_mapping(address) {
            verifier::stop_by_check(
                checks::MDL_AFTER_UNLOCK,
                if level >= DISPATCH_LEVEL { DRIVER_IRQL_NOT_LESS_OR_EQUAL } else { PAGE_FAULT_IN_NONPAGED_AREA },
                modules::where_is(frame.rip),
                [address, access, frame.rip, mdl],
                Some(Context::of_trap(frame)),
                format_args!(
                    "{operation} {address:#x} at {at}: it was the system address of the pages of the MDL at {mdl:#x}, which are \
                     unmapped or unlocked since. Keep the pages locked for as long as they are used"
                ),
            )
        }
        if fetch && frame.error_code & PRESENT != 0 {
            self.stop(
                ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY,
                [address, 0, frame.rsp, 0],
                format_args!("{operation} {address:#x} ({what}), which is not executable"),
            )
        }
        if frame.error_code & (PRESENT | WRITE) == PRESENT | WRITE {
            self.stop(
                ATTEMPTED_WRITE_TO_READONLY_MEMORY,
                [address, 0, frame.rsp, 0],
                format_args!("{operation} {address:#x} ({what}), which is read-only, at {at}"),
            )
        }
        if level >= DISPATCH_LEVEL {
            let in_driver = modules::in_driver(frame.rip);
            self.stop(
                if in_driver { DRIVER_IRQL_NOT_LESS_OR_EQUAL } else { IRQL_NOT_LESS_OR_EQUAL },
                [address, u64::from(level), access, frame.rip],
                format_args!("{operation} {address:#x} ({what}) at IRQL {level}, at {at}"),
            )
        }
        if address >= USER_ADDRESS_END {
            self.stop(
                PAGE_FAULT_IN_NONPAGED_AREA,
                [address, access, frame.rip, 2],
                format_args!("{operation} {address:#x} ({what}) at {at}"),
            )
        }
        self.stop(
            unhandled_code(),
            [u64::from(STATUS_ACCESS_VIOLATION.cast_unsigned()), frame.rip, frame.rsp, address],
            format_args!("{operation} {address:#x} ({what}) at {at} (STATUS_ACCESS_VIOLATION)"),
        )
    }
}

/// Returns the record of a trap for a driver's handlers; `None` where Windows stops without calling any.
fn record_of(frame: &TrapFrame) -> Option<EXCEPTION_RECORD> {
    let record = |status, information: &[u64]| Some(handlers::record(status, 0, frame.rip, information));
    match frame.vector {
        0 => record(STATUS_INTEGER_DIVIDE_BY_ZERO, &[]),
        3 => Some(handlers::record(STATUS_BREAKPOINT, 0, frame.rip - 1, &[0])),
        4 => record(STATUS_INTEGER_OVERFLOW, &[]),
        6 => record(STATUS_ILLEGAL_INSTRUCTION, &[]),
        13 => record(STATUS_ACCESS_VIOLATION, &[0, u64::MAX]),
        14 => {
            let address = x86_64::registers::control::Cr2::read_raw();
            let access = if frame.error_code & FETCH != 0 { 8 } else { u64::from(frame.error_code & WRITE != 0) };
            // At DISPATCH_LEVEL no page can be paged in, and no kernel address is paged in for a driver.
            let handlers_run = cpu::irql() < DISPATCH_LEVEL && address < USER_ADDRESS_END;
            handlers_run.then(|| handlers::record(STATUS_ACCESS_VIOLATION, 0, frame.rip, &[access, address]))
        }
        16 | 19 => record(STATUS_FLOAT_MULTIPLE_TRAPS, &[]),
        17 => record(STATUS_DATATYPE_MISALIGNMENT, &[]),
        0x2c => record(STATUS_ASSERTION_FAILURE, &[]),
        _ => None,
    }
}

/// Asks the driver's handlers. Gives whether one has mended what was wrong; one that takes the exception does not come
/// back.
fn handled(frame: &mut TrapFrame) -> bool {
    let Some(mut record) = record_of(frame) else { return false };
    let fault_address = x86_64::registers::control::Cr2::read_raw();
    let mut context = CONTEXT::of_trap(frame);
    context.Rip = record.ExceptionAddress as u64;
    let enabled = frame.rflags & INTERRUPTS_ENABLED != 0;
    if enabled {
        // The handlers run as the code did that faulted.
        x86_64::instructions::interrupts::enable();
    }
    let outcome = handlers::dispatch(&mut record, &mut context);
    x86_64::instructions::interrupts::disable();
    if outcome == Outcome::Continue {
        context.return_to(frame);
        return true;
    }
    // The report names the address that faulted, whatever faulted since.
    // SAFETY: the register only remembers.
    unsafe { core::arch::asm!("mov cr2, {}", in(reg) fault_address) };
    false
}

const INTERRUPTS_ENABLED: u64 = 1 << 9;

/// Handles an exception: offers it to the driver's handlers; one that they do not take ends in a bug check.
pub(crate) fn raise(frame: &mut TrapFrame) {
    const DEBUG_SERVICE: u64 = 0x2d;
    const NON_MASKABLE: u64 = 2;
    const PAGE_FAULT: u64 = 14;
    if frame.vector == DEBUG_SERVICE {
        // Print and prompt: no debugger is attached. The instruction behind it is `int 3`.
        frame.rip += 1;
        return;
    }
    if frame.vector == PAGE_FAULT {
        let address = x86_64::registers::control::Cr2::read_raw();
        if frame.error_code & PRESENT == 0 && pageable::page_in_if_possible(address) {
            return;
        }
        if pageable::is_out(address) {
            pageable_at_raised_irql(frame, address);
        }
    }
    const INVALID_INSTRUCTION: u64 = 6;
    if frame.vector == INVALID_INSTRUCTION && inline_irql::write(frame) {
        return;
    }
    if frame.vector == NON_MASKABLE && stop::stopping() {
        stop::freeze();
    }
    if handled(frame) {
        return;
    }
    let fault = Fault { frame };
    let Fault { frame } = fault;
    match frame.vector {
        0 => fault.unhandled(STATUS_INTEGER_DIVIDE_BY_ZERO, "division by zero, or a quotient too large,"),
        1 => fault.unhandled(STATUS_BREAKPOINT, "single step"),
        2 => fault.stop(
            NMI_HARDWARE_FAILURE,
            [0; 4],
            format_args!(
                "a non-maskable interrupt stopped the guest from outside, at {}: look there for what does not end",
                modules::Place(frame.rip)
            ),
        ),
        3 => fault.unhandled(STATUS_BREAKPOINT, "a breakpoint without a debugger (DbgBreakPoint or int 3)"),
        4 => fault.unhandled(STATUS_INTEGER_OVERFLOW, "overflow trap"),
        6 => fault.unhandled(STATUS_ILLEGAL_INSTRUCTION, "an invalid instruction"),
        8 => {
            // The stack pointer itself, and what was pushed first below it.
            [frame.rsp, frame.rsp.saturating_sub(1)].into_iter().for_each(|address| fault.expect_stack(address));
            fault.stop(
                UNEXPECTED_KERNEL_MODE_TRAP,
                [8, frame.rip, frame.rsp, 0],
                format_args!("double fault at {}, stack pointer {:#x}", modules::Place(frame.rip), frame.rsp),
            )
        }
        13 => fault.unhandled(
            STATUS_ACCESS_VIOLATION,
            "general protection fault: a non-canonical address, or a misaligned SSE access,",
        ),
        14 => fault.page_fault(),
        16 | 19 => fault.unhandled(STATUS_FLOAT_MULTIPLE_TRAPS, "a floating-point exception"),
        17 => fault.unhandled(STATUS_DATATYPE_MISALIGNMENT, "alignment check"),
        0x29 => fault.stop(
            KERNEL_SECURITY_CHECK_FAILURE,
            [frame.rcx, (&raw const *frame) as u64, 0, 0],
            format_args!("__fastfail({}) at {}: {}", frame.rcx, modules::Place(frame.rip), fast_fail(frame.rcx)),
        ),
        0x2c => fault.unhandled(STATUS_BREAKPOINT, "an assertion failed (NT_ASSERT)"),
        vector => fault.stop(
            UNEXPECTED_KERNEL_MODE_TRAP,
            [vector, frame.rip, frame.error_code, 0],
            format_args!("trap {vector} at {}", modules::Place(frame.rip)),
        ),
    }
}

/// Stops, because pageable code or data is touched where no page can be paged in.
fn pageable_at_raised_irql(frame: &TrapFrame, address: u64) -> ! {
    let level = cpu::irql();
    let access = if frame.error_code & FETCH != 0 { 8 } else { u64::from(frame.error_code & WRITE != 0) };
    let what = if modules::in_driver(address) {
        format!("{} is in a pageable section (its name begins with PAGE)", modules::Place(address))
    } else {
        format!("{address:#x} is pageable memory ({})", AddressKind(address))
    };
    verifier::stop_by_check(
        checks::PAGED_MEMORY,
        if modules::in_driver(frame.rip) { DRIVER_IRQL_NOT_LESS_OR_EQUAL } else { IRQL_NOT_LESS_OR_EQUAL },
        modules::where_is(frame.rip),
        [address, level.into(), access, frame.rip],
        Some(Context::of_trap(frame)),
        format_args!(
            "{what} and is {} at IRQL {level}: at DISPATCH_LEVEL and above only what is never paged out may be used. Take the \
             function or the data out of the PAGE section, or allocate from nonpaged pool",
            if access == 8 { "executed" } else { "accessed" }
        ),
    )
}

/// Returns what the codes of `__fastfail` mean (`winnt.h`, `FAST_FAIL_*`).
fn fast_fail(code: u64) -> &'static str {
    match code {
        0 | 2 => "the stack cookie was overwritten: a local buffer was overrun",
        3 => "a list entry is corrupt: removed twice, or overwritten",
        5 => "an invalid argument to a C library function",
        7 => "the program asked for its own end (a panic or abort)",
        8 => "a stack cookie was never initialised",
        10 => "control-flow guard found a bad target",
        _ => "a fast-fail check",
    }
}
