//! Kernel stacks: as large as Windows makes them, with addresses below that are never mapped, and the switch to one for
//! each call into the driver.
//!
//! The host's own main thread has a larger stack. What it calls of the driver runs on a stack of the documented size all
//! the same; so do interrupt service routines and DPCs, which have one for each processor, as on Windows.
#![allow(unsafe_code, reason = "maps stacks and switches the stack pointer")]

use alloc::vec::Vec;
use core::arch::global_asm;
use core::ffi::c_void;
use core::ops::Range;

use crate::arch::cpu::{self, PROCESSORS_MAX};
use crate::arch::paging::{self, Access, Caching};
use crate::arch::uninterrupted::Uninterrupted;
use crate::arch::{PAGE_SIZE, frames, pages_spanning, window};
use crate::export_functions;
use crate::nt::irql::*;
use crate::nt::status::*;
use crate::nt::{NTSTATUS, PVOID};

/// What Windows gives a kernel thread, and a processor for DPCs and for interrupts: `KERNEL_STACK_SIZE` of x64 (the page
/// "Using the kernel stack").
pub(super) const STACK_BYTES: u64 = 24 * 1024;
/// `MAXIMUM_EXPANSION_SIZE` of x64 (ntddk.h): `KERNEL_LARGE_STACK_SIZE` less half a page.
const EXPANSION_MAX: u64 = 0x12000 - PAGE_SIZE / 2;
/// Addresses below a stack that are never mapped. A frame larger than a stack must still end in them, or it reaches over
/// them into something else: driver code that does not probe its stack touches the far end of a frame first.
const GUARD_BYTES: u64 = 1 << 20;

/// A mapped stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stack {
    first: u64,
    bytes: u64,
}

/// Every stack that there is.
static STACKS: Uninterrupted<Vec<Stack>> = Uninterrupted::new(Vec::new());

impl Stack {
    /// Maps a stack of at least `bytes`. `None` when there is no memory for it.
    pub(super) fn allocate(bytes: u64) -> Option<Self> {
        let bytes = pages_spanning(bytes);
        let guard = window::STACK.reserve(GUARD_BYTES + bytes)?;
        let stack = Self { first: guard + GUARD_BYTES, bytes };
        for page in stack.pages() {
            let frame = frames::allocate();
            if frame.is_none_or(|frame| paging::map(page, frame, Access::ReadWrite, Caching::Cached).is_err()) {
                frame.into_iter().for_each(|frame| frames::free(frame, PAGE_SIZE));
                stack.unmap();
                return None;
            }
        }
        STACKS.with(|stacks| stacks.push(stack));
        Some(stack)
    }

    /// Unmaps a stack on which nothing runs any more.
    pub(super) fn free(self) {
        STACKS.with(|stacks| stacks.retain(|stack| *stack != self));
        self.unmap();
    }

    fn unmap(self) {
        for page in self.pages() {
            if let Some(frame) = paging::unmap(page) {
                frames::free(frame, PAGE_SIZE);
            }
        }
        window::STACK.release(self.first - GUARD_BYTES, GUARD_BYTES + self.bytes);
    }

    fn pages(self) -> impl Iterator<Item = u64> {
        (self.first..self.end()).step_by(PAGE_SIZE as usize)
    }

    /// Returns the address behind it.
    pub(super) fn end(self) -> u64 {
        self.first + self.bytes
    }

    /// Returns its first address and the one behind it.
    pub(super) fn limits(self) -> Range<u64> {
        self.first..self.end()
    }
}

/// Returns the stack that an address is on.
pub(super) fn containing(address: u64) -> Option<Stack> {
    STACKS.with(|stacks| stacks.iter().find(|stack| stack.limits().contains(&address)).copied())
}

/// Returns the bytes of the stack below which an address is, where nothing is mapped.
#[must_use]
pub fn below(address: u64) -> Option<u64> {
    let is_below = |stack: &&Stack| (stack.first - GUARD_BYTES..stack.first).contains(&address);
    STACKS.with(|stacks| stacks.iter().find(is_below).map(|stack| stack.bytes))
}

/// Returns an address on the stack that is in use.
#[inline(always)]
fn here() -> u64 {
    let pointer: u64;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// What a stack of the host's is for.
#[derive(Clone, Copy)]
enum Purpose {
    /// Calls of the main thread.
    Thread,
    /// What runs at `DISPATCH_LEVEL` on a processor.
    Dispatch,
    /// Interrupt service routines of a processor.
    Interrupt,
}

struct Hosts {
    thread: Option<Stack>,
    processors: [[Option<Stack>; 2]; PROCESSORS_MAX],
}

static HOSTS: Uninterrupted<Hosts> =
    Uninterrupted::new(Hosts { thread: None, processors: [[None; 2]; PROCESSORS_MAX] });

/// Maps the stacks on which the host calls the driver.
///
/// # Panics
/// When there is no memory for them.
pub(super) fn init() {
    let stack = || Stack::allocate(STACK_BYTES).expect("memory for the stacks of driver calls");
    let hosts = Hosts { thread: Some(stack()), processors: core::array::from_fn(|_| [Some(stack()), Some(stack())]) };
    HOSTS.with(|place| *place = hosts);
}

impl Purpose {
    fn of_level() -> Self {
        match cpu::irql() {
            PASSIVE_LEVEL | APC_LEVEL => Self::Thread,
            DISPATCH_LEVEL => Self::Dispatch,
            _ => Self::Interrupt,
        }
    }

    fn stack(self) -> Option<Stack> {
        HOSTS.with(|hosts| match self {
            Self::Thread => hosts.thread,
            Self::Dispatch => hosts.processors[cpu::number()][0],
            Self::Interrupt => hosts.processors[cpu::number()][1],
        })
    }
}

/// Calls into the driver: on the stack that is in use if that is of the documented size, otherwise on one that is.
#[inline(always)]
pub fn with_documented_stack<R>(body: impl FnOnce() -> R) -> R {
    // Of the window, only stacks are mapped.
    if window::STACK.contains(here()) {
        return body();
    }
    match Purpose::of_level().stack() {
        Some(stack) => on(stack, body),
        // Before the stacks are mapped no driver is loaded.
        None => body(),
    }
}

/// Calls a DPC or an interrupt service routine: on the processor's own stack for them, whatever was interrupted.
#[inline(always)]
pub(super) fn on_processors_stack<R>(body: impl FnOnce() -> R) -> R {
    match Purpose::of_level().stack().filter(|stack| !stack.limits().contains(&here())) {
        Some(stack) => on(stack, body),
        None => body(),
    }
}

global_asm!(
    r#"
    .section .text.stack, "ax", @progbits
    /* call_on_stack(end of a stack, function, its argument) */
    .global call_on_stack
call_on_stack:
    push rbp
    mov rbp, rsp
    mov rsp, rdi
    mov rdi, rdx
    call rsi
    mov rsp, rbp
    pop rbp
    ret
    "#
);

unsafe extern "C" {
    fn call_on_stack(end: u64, function: unsafe extern "C" fn(*mut c_void), argument: *mut c_void);
}

/// A call on its way to another stack, and its result on the way back.
struct Call<F, R> {
    body: Option<F>,
    result: Option<R>,
}

unsafe extern "C" fn run<R, F: FnOnce() -> R>(call: *mut c_void) {
    // SAFETY: the call is on the stack of `on`, which waits.
    let call = unsafe { &mut *call.cast::<Call<F, R>>() };
    call.result = call.body.take().map(|body| body());
}

/// Calls `body` on another stack.
#[inline(never)]
fn on<R, F: FnOnce() -> R>(stack: Stack, body: F) -> R {
    let mut call = Call { body: Some(body), result: None };
    // SAFETY: the stack is mapped and aligned, and nothing runs on it: the main thread's is used by it alone and not
    // twice over, a processor's at a level at which nothing else runs there.
    unsafe { call_on_stack(stack.end(), run::<R, F>, (&raw mut call).cast()) };
    call.result.expect("the body has run")
}

/// `EXPAND_STACK_CALLOUT`.
type Callout = unsafe extern "win64" fn(PVOID);

/// Calls a routine on a stack of at least `bytes`.
unsafe fn expand(callout: Option<Callout>, parameter: PVOID, bytes: u64) -> NTSTATUS {
    let Some(callout) = callout else { return STATUS_INVALID_PARAMETER };
    if bytes > EXPANSION_MAX {
        return STATUS_INVALID_PARAMETER_3;
    }
    // The host's own functions, which the routine calls, need some of it too, as the kernel's do.
    let Some(stack) = Stack::allocate(bytes + STACK_BYTES) else { return STATUS_NO_MEMORY };
    // SAFETY: the caller's routine and parameter.
    on(stack, || unsafe { callout(parameter) });
    stack.free();
    STATUS_SUCCESS
}

export_functions! {
    /// Larger stacks.
    pub static EXPORTS;

    /// Calls a routine with a guaranteed amount of stack.
    [APC] fn KeExpandKernelStackAndCallout(callout: Option<Callout>, parameter: PVOID, bytes: u64) -> NTSTATUS {
        expand(callout, parameter, bytes)
    }

    /// Calls a routine with a guaranteed amount of stack; at `DISPATCH_LEVEL` without waiting for it.
    [DISPATCH] fn KeExpandKernelStackAndCalloutEx(callout: Option<Callout>, parameter: PVOID, bytes: u64, wait: u8, _context: PVOID) -> NTSTATUS {
        if wait != 0 && cpu::irql() >= DISPATCH_LEVEL {
            return STATUS_INVALID_PARAMETER_4;
        }
        expand(callout, parameter, bytes)
    }
}
