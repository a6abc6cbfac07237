//! What a driver compiled with `__try` imports: its language-specific handler, raising, unwinding.
//!
//! Specification: Microsoft, "x64 exception handling"; `winnt.h` for the layouts.
#![allow(unsafe_code, reason = "exception handling of the Windows ABI")]

use core::ffi::c_void;

use crate::arch::context::{self, CONTEXT};
use crate::arch::user_half;
use crate::bugcheck::stack::{Context, Loaded};
use crate::bugcheck::{self, Report, modules};
use crate::export_functions;
use crate::ke::handlers::{self, DISPATCHER_CONTEXT, disposition};
use crate::ke::raise::{raise, raise_access_violation, raise_status, unhandled_code};
use crate::nt::status::*;
use crate::nt::{EXCEPTION_RECORD, NTSTATUS, PVOID, exception_flag};
use crate::pe::unwind;

/// `EXCEPTION_EXECUTE_HANDLER`, as a scope table says it instead of a filter's address.
const EXECUTE_HANDLER: u32 = 1;

/// One scope of a function's table: offsets in its image.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Scope {
    begin: u32,
    end: u32,
    /// A filter or, where `target` is zero, a termination handler.
    handler: u32,
    target: u32,
}

impl Scope {
    fn covers(self, offset: u64) -> bool {
        (u64::from(self.begin)..u64::from(self.end)).contains(&offset)
    }
}

/// `EXCEPTION_POINTERS`.
#[repr(C)]
struct Pointers {
    record: *mut EXCEPTION_RECORD,
    context: *mut CONTEXT,
}

type Filter = unsafe extern "win64" fn(*mut Pointers, u64) -> i32;
type Termination = unsafe extern "win64" fn(u8, u64);

unsafe fn scopes<'a>(dispatcher: *const DISPATCHER_CONTEXT) -> &'a [Scope] {
    // SAFETY: the handler's data in the driver's image: a count, then so many scopes.
    unsafe {
        let table = (*dispatcher).HandlerData.cast::<u32>();
        core::slice::from_raw_parts(table.add(1).cast(), table.read() as usize)
    }
}

fn probe(function: &'static str, address: u64, bytes: u64, alignment: u32, write: bool) {
    if bytes == 0 {
        return;
    }
    if !matches!(alignment, 1 | 2 | 4 | 8 | 16) || !address.is_multiple_of(alignment.into()) {
        raise_status(
            function,
            STATUS_DATATYPE_MISALIGNMENT,
            &[],
            format_args!("{function}({address:#x}, {bytes:#x}, {alignment})"),
        );
    }
    // As Windows: reading is checked by address only, writing touches every page.
    if !user_half::in_user_half(address, bytes) || (write && !user_half::accessible(address, bytes, true)) {
        raise_access_violation(function, write, address, format_args!("{function}({address:#x}, {bytes:#x})"));
    }
}

unsafe fn unwind(function: &str, frame: u64, ip: u64, record: *mut EXCEPTION_RECORD, value: u64) -> ! {
    /// `STATUS_UNWIND`.
    const STATUS_UNWIND: NTSTATUS = 0xC000_0027_u32.cast_signed();
    let mut own = handlers::record(STATUS_UNWIND, 0, 0, &[]);
    // SAFETY: an export's argument, or this function's own record.
    let record = unsafe { record.as_mut().unwrap_or(&mut own) };
    let start = handlers::guarded_caller();
    // SAFETY: the registers of the export's caller.
    if let Some(start) = start {
        // SAFETY: as above.
        let Err(handlers::NoSuchFrame) = unsafe { handlers::unwind_to(start, frame, ip, record, value) };
    }
    /// `STATUS_BAD_STACK`.
    const STATUS_BAD_STACK: u64 = 0xC000_0028;
    bugcheck::stop(Report {
        code: unhandled_code(),
        name: None,
        parameters: [STATUS_BAD_STACK, frame, ip, 0],
        rule: None,
        function,
        message: format_args!(
            "{function}: the frame {frame:#x} cannot be reached by unwinding: it is not on this stack, or frames of the \
             kernel are between"
        ),
        context: start.as_ref().map(Context::of),
    })
}

export_functions! {
    /// Exceptions.
    pub static EXPORTS;

    /// Handles exceptions of functions with `__try`: their language-specific handler.
    [ANY] fn __C_specific_handler(record: *mut EXCEPTION_RECORD, frame: u64, context: *mut CONTEXT,
        dispatcher: *mut DISPATCHER_CONTEXT) -> i32 {
        let dispatcher = &mut *dispatcher;
        let pc = dispatcher.ControlPc - dispatcher.ImageBase;
        let flags = (*record).ExceptionFlags;
        let at = |offset: u32| dispatcher.ImageBase + u64::from(offset);
        let table = scopes(dispatcher);
        let first = dispatcher.ScopeIndex as usize;
        if flags & (exception_flag::UNWINDING | exception_flag::EXIT_UNWIND) == 0 {
            for scope in table.iter().skip(first).filter(|scope| scope.covers(pc) && scope.target != 0) {
                let verdict = if scope.handler == EXECUTE_HANDLER {
                    1
                } else {
                    let mut pointers = Pointers { record, context };
                    core::mem::transmute::<u64, Filter>(at(scope.handler))(&mut pointers, frame)
                };
                if verdict < 0 {
                    return disposition::CONTINUE_EXECUTION;
                }
                if verdict > 0 {
                    let code = (*record).ExceptionCode.cast_unsigned();
                    unwind("__C_specific_handler", frame, at(scope.target), record, code.into());
                }
            }
            return disposition::CONTINUE_SEARCH;
        }
        let target = dispatcher.TargetIp.wrapping_sub(dispatcher.ImageBase);
        for (index, scope) in table.iter().enumerate().skip(first).filter(|(_, scope)| scope.covers(pc)) {
            if flags & exception_flag::TARGET_UNWIND != 0 {
                // What encloses the target too is not left; neither is the scope whose own handler is the target.
                if scope.covers(target) || u64::from(scope.target) == target {
                    break;
                }
            }
            if scope.target == 0 {
                dispatcher.ScopeIndex = index as u32 + 1;
                core::mem::transmute::<u64, Termination>(at(scope.handler))(1, frame);
            }
        }
        disposition::CONTINUE_SEARCH
    }

    /// Leaves `__try` blocks of the caller by a jump: their termination handlers run.
    [ANY] fn _local_unwind(frame: u64, target: u64) {
        unwind("_local_unwind", frame, target, core::ptr::null_mut(), 0)
    }

    /// Unwinds to a frame and goes on there.
    [ANY] fn RtlUnwindEx(frame: u64, target: u64, record: *mut EXCEPTION_RECORD, value: u64, _context: *mut CONTEXT,
        _history: PVOID) {
        unwind("RtlUnwindEx", frame, target, record, value)
    }

    /// Unwinds to a frame and goes on there.
    [ANY] fn RtlUnwind(frame: u64, target: u64, record: *mut EXCEPTION_RECORD, value: u64) {
        unwind("RtlUnwind", frame, target, record, value)
    }

    /// Captures the registers of the caller.
    [ANY] fn RtlCaptureContext(context: *mut CONTEXT) {
        let caller = handlers::guarded_caller().expect("bound to drivers through a guard only");
        context.write(CONTEXT::of(&caller, x86_64::registers::rflags::read_raw() as u32));
    }

    /// Goes on with other registers.
    [ANY] fn RtlRestoreContext(context: *const CONTEXT, _record: *mut EXCEPTION_RECORD) {
        context::restore(&(*context).clone())
    }

    /// Returns the entry of the function table for an address, and its image.
    [ANY] fn RtlLookupFunctionEntry(pc: u64, base: *mut u64, _history: PVOID) -> *const c_void {
        let Some(found) = modules::unwind_table(pc) else { return core::ptr::null() };
        base.write(found.base);
        let memory = Loaded { base: found.base, size: found.size };
        let entry = found.table.and_then(|table| unwind::lookup(&memory, table, (pc - found.base) as u32));
        entry.map_or(core::ptr::null(), |entry| (found.base + u64::from(entry)) as *const c_void)
    }

    /// Replaces the registers of a frame by its caller's, and returns its handler of the requested kind.
    [ANY] fn RtlVirtualUnwind(kind: u32, _base: u64, pc: u64, _entry: *const c_void, context: *mut CONTEXT,
        data: *mut *const c_void, frame: *mut u64, _pointers: PVOID) -> *const c_void {
        let Some(found) = modules::unwind_table(pc) else { return core::ptr::null() };
        let memory = Loaded { base: found.base, size: found.size };
        let mut registers = (*context).registers();
        registers.rip = pc;
        let step = found.table.and_then(|table| unwind::step(&memory, found.base, table, &mut registers));
        let Some(step) = step else {
            (*context).Rip = 0;
            return core::ptr::null();
        };
        (*context).set(&registers);
        frame.write(step.establisher);
        let handler = step.handler.filter(|handler| u32::from(handler.flags) & kind != 0);
        handler.map_or(core::ptr::null(), |handler| {
            data.write((found.base + u64::from(handler.data)) as *const c_void);
            (found.base + u64::from(handler.routine)) as *const c_void
        })
    }

    /// Returns the image that an address is in.
    [ANY] fn RtlPcToFileHeader(pc: u64, base: *mut u64) -> u64 {
        let found = modules::unwind_table(pc).map_or(0, |image| image.base);
        base.write(found);
        found
    }

    /// Raises an exception.
    [ANY] fn RtlRaiseException(record: *mut EXCEPTION_RECORD) {
        raise("RtlRaiseException", &mut *record, format_args!("RtlRaiseException"))
    }

    /// Raises a status as an exception.
    [APC] fn ExRaiseStatus(status: NTSTATUS) { raise_status("ExRaiseStatus", status, &[], format_args!("ExRaiseStatus")) }

    /// Raises an access violation.
    [APC] fn ExRaiseAccessViolation() {
        raise_status("ExRaiseAccessViolation", STATUS_ACCESS_VIOLATION, &[], format_args!("ExRaiseAccessViolation"))
    }

    /// Raises a misalignment.
    [APC] fn ExRaiseDatatypeMisalignment() {
        raise_status("ExRaiseDatatypeMisalignment", STATUS_DATATYPE_MISALIGNMENT, &[],
            format_args!("ExRaiseDatatypeMisalignment"))
    }

    /// Checks that a range is of user addresses; reading it may still fault.
    [APC] fn ProbeForRead(address: *const u8, bytes: u64, alignment: u32) {
        probe("ProbeForRead", address as u64, bytes, alignment, false)
    }

    /// Checks that a range is of user memory that can be written.
    [APC] fn ProbeForWrite(address: *mut u8, bytes: u64, alignment: u32) {
        probe("ProbeForWrite", address as u64, bytes, alignment, true)
    }
}
