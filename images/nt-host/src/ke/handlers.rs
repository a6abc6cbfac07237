//! Structured exception handling: which handler of a driver takes an exception, and unwinding to it.
//!
//! Specification: Microsoft, "x64 exception handling". Frames of the driver are unwound by its function table. Frames
//! of the host have none: they are passed where a function guards its caller's registers
//! ([`context`](crate::arch::context)) or where the host itself called a handler; anywhere else an exception does not
//! cross the host, and is unhandled, as an exception that leaves a callback is on Windows.
//!
//! An exception may begin while another is under way. In a filter it is *nested*: the search goes through the first
//! search to where that began. In a termination handler it *collides* with the unwind that called it: search and unwind
//! go on with the frame that was being unwound, behind the scope whose handler it was, and what was unwound before is
//! not looked at again.
#![allow(unsafe_code, reason = "calls handlers of a driver on frames of its stack")]

use core::cell::Cell;
use core::ffi::c_void;

use super::thread;
use crate::arch::context::{self, CONTEXT};
use crate::bugcheck::modules::{self, Unwind};
use crate::bugcheck::stack::{self, Loaded};
use crate::nt::{EXCEPTION_RECORD, NTSTATUS, exception_flag};
use crate::pe::unwind::{self, FLAG_EXCEPTION_HANDLER, FLAG_TERMINATION_HANDLER, Frame, RBP, RSP, Registers};

/// Deepest stack that is searched: 24 KiB hold no more frames.
const FRAMES_MAX: usize = 3072;

/// `EXCEPTION_DISPOSITION`.
pub mod disposition {
    /// The handler has mended what was wrong.
    pub const CONTINUE_EXECUTION: i32 = 0;
    /// The handler does not take it.
    pub const CONTINUE_SEARCH: i32 = 1;
}

/// `DISPATCHER_CONTEXT`.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs, non_snake_case, reason = "the WDK's fields")]
pub struct DISPATCHER_CONTEXT {
    pub ControlPc: u64,
    pub ImageBase: u64,
    pub FunctionEntry: *const c_void,
    pub EstablisherFrame: u64,
    pub TargetIp: u64,
    pub ContextRecord: *mut CONTEXT,
    pub LanguageHandler: Option<HandlerRoutine>,
    pub HandlerData: *const c_void,
    pub HistoryTable: *mut c_void,
    pub ScopeIndex: u32,
    pub Fill0: u32,
}

/// `EXCEPTION_ROUTINE`.
pub type HandlerRoutine =
    unsafe extern "win64" fn(*mut EXCEPTION_RECORD, u64, *mut CONTEXT, *mut DISPATCHER_CONTEXT) -> i32;

/// A search or an unwind under way, on the stack of the function that calls handlers for it.
#[derive(Debug)]
pub(super) struct Active {
    what: Way,
    /// The establisher address of the frame whose handler is called.
    establisher: Cell<u64>,
    previous: *const Active,
}

/// Where the walk of another exception goes on that meets one under way.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// A search: where its exception was raised.
    Search(*const CONTEXT),
    /// An unwind: the frame whose handler is called, and what that handler got.
    Unwind(*const Registers, *const DISPATCHER_CONTEXT),
}

/// What the walk met in the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Crossed {
    /// The scope that the next frame's handler begins with.
    scope: u32,
    /// A search that is not over, and calls the handler of this frame.
    nested: Option<u64>,
    /// An unwind that is not over.
    collided: bool,
}

/// The outcome of an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A filter has mended what was wrong: go on with the context.
    Continue,
    /// No handler takes it.
    Unhandled,
    /// No handler that could take it is reached: the exception would have to leave a routine that the system called.
    Blocked,
}

/// The frame of a function of the driver, and its caller's registers.
struct Step {
    image: Unwind,
    frame: Frame,
    pc: u64,
    here: Registers,
    caller: Registers,
}

impl Step {
    fn of(registers: &Registers) -> Option<Self> {
        let image = modules::unwind_table(registers.rip)?;
        let mut caller = *registers;
        let memory = Loaded { base: image.base, size: image.size };
        let frame = unwind::step(&memory, image.base, image.table?, &mut caller)?;
        // A stack only goes up.
        (caller.general[RSP] > registers.general[RSP]).then_some(Self {
            image,
            frame,
            pc: registers.rip,
            here: *registers,
            caller,
        })
    }

    /// Calls the frame's handler, if it has one of this kind.
    unsafe fn handle(
        &self,
        kind: u8,
        record: &mut EXCEPTION_RECORD,
        context: &mut CONTEXT,
        target_ip: u64,
        scope: u32,
    ) -> Option<i32> {
        let handler = self.frame.handler.filter(|handler| handler.flags & kind != 0)?;
        let at = |offset: u32| self.image.base + u64::from(offset);
        // SAFETY: the image's unwind information says that this is its handler.
        let routine = unsafe { core::mem::transmute::<u64, HandlerRoutine>(at(handler.routine)) };
        let mut dispatcher = DISPATCHER_CONTEXT {
            ControlPc: self.pc,
            ImageBase: self.image.base,
            FunctionEntry: at(self.frame.entry?) as *const c_void,
            EstablisherFrame: self.frame.establisher,
            TargetIp: target_ip,
            ContextRecord: context,
            LanguageHandler: Some(routine),
            HandlerData: at(handler.data) as *const c_void,
            HistoryTable: core::ptr::null_mut(),
            ScopeIndex: scope,
            Fill0: 0,
        };
        if kind == FLAG_TERMINATION_HANDLER {
            // SAFETY: as above.
            return Some(unsafe { self.terminate(routine, record, context, &mut dispatcher) });
        }
        // SAFETY: as above, with what the convention gives a handler.
        Some(unsafe { routine(record, self.frame.establisher, context, &mut dispatcher) })
    }

    /// Calls a handler that unwinds: an exception that it raises finds out how far the unwind had come.
    #[inline(never)]
    unsafe fn terminate(
        &self,
        routine: HandlerRoutine,
        record: &mut EXCEPTION_RECORD,
        context: &mut CONTEXT,
        dispatcher: &mut DISPATCHER_CONTEXT,
    ) -> i32 {
        let dispatcher: *mut DISPATCHER_CONTEXT = dispatcher;
        let active = Active {
            what: Way::Unwind(&raw const self.here, dispatcher),
            establisher: Cell::new(self.frame.establisher),
            previous: thread::active_dispatch(),
        };
        thread::set_active_dispatch(&active);
        // SAFETY: the caller's promise.
        let answer = unsafe { routine(record, self.frame.establisher, context, dispatcher) };
        thread::set_active_dispatch(active.previous);
        answer
    }
}

/// Goes from a frame of the host to the frame of the driver that it works for. `None`: it works for none.
fn cross_host(registers: &mut Registers) -> Option<Crossed> {
    let mut crossed = Crossed::default();
    for _ in 0..FRAMES_MAX {
        if !modules::in_host(registers.rip) {
            return Some(crossed);
        }
        if context::is_guarded(registers.rip) {
            // SAFETY: just checked; host frames keep their frame pointer.
            unsafe { context::leave_guarded(registers) };
            continue;
        }
        if let Some(active) = active_in(registers.general[RSP]..registers.general[RBP]) {
            // SAFETY: what is under way is on the stack that is being walked.
            unsafe {
                match (*active).what {
                    Way::Search(context) => {
                        *registers = (*context).registers();
                        crossed.nested = Some((*active).establisher.get());
                    }
                    Way::Unwind(frame, dispatcher) => {
                        *registers = *frame;
                        return Some(Crossed { scope: (*dispatcher).ScopeIndex, collided: true, ..crossed });
                    }
                }
            }
            continue;
        }
        stack::step_host_frame(registers)?;
        if modules::in_driver(registers.rip) {
            // The host was called without a guard: what its caller had in its registers is not known.
            return None;
        }
    }
    None
}

fn active_in(range: core::ops::Range<u64>) -> Option<*const Active> {
    let mut active = thread::active_dispatch();
    while !active.is_null() {
        if range.contains(&(active as u64)) {
            return Some(active);
        }
        // SAFETY: dispatches of this thread that are not over.
        active = unsafe { (*active).previous };
    }
    None
}

/// Looks for a handler from `context` outwards and calls each that there is. A handler that takes the exception unwinds
/// to its frame, and this does not return.
#[inline(never)]
pub(crate) fn dispatch(record: &mut EXCEPTION_RECORD, context: &mut CONTEXT) -> Outcome {
    let active = Active { what: Way::Search(context), establisher: Cell::new(0), previous: thread::active_dispatch() };
    thread::set_active_dispatch(&active);
    let outcome = search(record, context, &active.establisher);
    thread::set_active_dispatch(active.previous);
    outcome
}

#[inline(always)]
fn search(record: &mut EXCEPTION_RECORD, context: &mut CONTEXT, establisher: &Cell<u64>) -> Outcome {
    let mut registers = context.registers();
    let mut scope = 0;
    let mut nested = 0;
    for _ in 0..FRAMES_MAX {
        if modules::in_host(registers.rip) {
            let Some(crossed) = cross_host(&mut registers) else {
                return if modules::in_driver(registers.rip) { Outcome::Blocked } else { Outcome::Unhandled };
            };
            scope = crossed.scope;
            if let Some(frame) = crossed.nested {
                nested = frame.max(nested);
                record.ExceptionFlags |= exception_flag::NESTED_CALL;
            }
            continue;
        }
        let Some(step) = Step::of(&registers) else { return Outcome::Unhandled };
        establisher.set(step.frame.establisher);
        // SAFETY: a handler of the frame that the walk has reached.
        let answer = unsafe { step.handle(FLAG_EXCEPTION_HANDLER, record, context, 0, core::mem::take(&mut scope)) };
        if answer == Some(disposition::CONTINUE_EXECUTION)
            && record.ExceptionFlags & exception_flag::NONCONTINUABLE == 0
        {
            return Outcome::Continue;
        }
        if step.frame.establisher == nested {
            // The frame whose handler raised it: further out nothing is nested any more.
            record.ExceptionFlags &= !exception_flag::NESTED_CALL;
        }
        registers = step.caller;
    }
    Outcome::Unhandled
}

/// Why an unwind cannot reach its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoSuchFrame;

/// Calls the termination handlers from `start` to the frame `target_frame` and goes on there, at `target_ip` with
/// `value` in `rax`.
///
/// # Errors
/// [`NoSuchFrame`] when the frame is not on the stack, or the host is in between.
///
/// # Safety
/// `start` are the registers of a frame of this thread that the caller's frame is below.
pub(crate) unsafe fn unwind_to(
    mut start: Registers,
    target_frame: u64,
    target_ip: u64,
    record: &mut EXCEPTION_RECORD,
    value: u64,
) -> Result<core::convert::Infallible, NoSuchFrame> {
    record.ExceptionFlags |= exception_flag::UNWINDING;
    if target_frame == 0 {
        record.ExceptionFlags |= exception_flag::EXIT_UNWIND;
    }
    let mut scope = 0;
    for _ in 0..FRAMES_MAX {
        if modules::in_host(start.rip) {
            let crossed = cross_host(&mut start).ok_or(NoSuchFrame)?;
            scope = crossed.scope;
            if crossed.collided {
                record.ExceptionFlags |= exception_flag::COLLIDED_UNWIND;
            }
            continue;
        }
        let step = Step::of(&start).ok_or(NoSuchFrame)?;
        let there = step.frame.establisher == target_frame;
        let flags = x86_64::registers::rflags::read_raw() as u32;
        let mut context = CONTEXT::of(&start, flags);
        context.General[0] = value;
        if there {
            record.ExceptionFlags |= exception_flag::TARGET_UNWIND;
        }
        // SAFETY: a handler of the frame that the walk has reached.
        unsafe { step.handle(FLAG_TERMINATION_HANDLER, record, &mut context, target_ip, core::mem::take(&mut scope)) };
        if there {
            context.General[0] = value;
            context.Rip = target_ip;
            forget_dispatches_below(start.general[RSP]);
            // SAFETY: the frame that the handler named is on this stack, and all below it has been unwound.
            unsafe { context::restore(&context) }
        }
        record.ExceptionFlags &= !(exception_flag::TARGET_UNWIND | exception_flag::COLLIDED_UNWIND);
        start = step.caller;
    }
    Err(NoSuchFrame)
}

fn forget_dispatches_below(stack_pointer: u64) {
    let mut active = thread::active_dispatch();
    while !active.is_null() && (active as u64) < stack_pointer {
        // SAFETY: dispatches of this thread that are not over.
        active = unsafe { (*active).previous };
    }
    thread::set_active_dispatch(active);
}

/// Returns the registers with which a guarded export was called, found from within it.
pub(crate) fn guarded_caller() -> Option<Registers> {
    let mut registers = stack::registers_here();
    while modules::in_host(registers.rip) && !context::is_guarded(registers.rip) {
        stack::step_host_frame(&mut registers)?;
    }
    if !context::is_guarded(registers.rip) {
        return None;
    }
    // SAFETY: just checked; host frames keep their frame pointer.
    unsafe { context::leave_guarded(&mut registers) };
    registers.vector = context::vectors();
    Some(registers)
}

/// Returns a record of an exception.
#[must_use]
pub(crate) fn record(status: NTSTATUS, flags: u32, address: u64, information: &[u64]) -> EXCEPTION_RECORD {
    let mut record = EXCEPTION_RECORD {
        ExceptionCode: status,
        ExceptionFlags: flags,
        ExceptionRecord: core::ptr::null_mut(),
        ExceptionAddress: address as *mut c_void,
        NumberParameters: information.len() as u32,
        ExceptionInformation: [0; 15],
    };
    record.ExceptionInformation[..information.len()].copy_from_slice(information);
    record
}
