//! Interrupts and exceptions: entry stubs, the saved context, dispatch by vector.
//!
//! An interrupt saves what Windows x64 saves on entry: the volatile integer registers, XMM0 to XMM5 and MXCSR. The
//! host itself is built without SSE; a driver's interrupt routines and DPCs may use XMM0 to XMM5 freely and keep XMM6
//! to XMM15 by their calling convention. (The nonvolatile integer registers are saved too, for stack walks.)
//!
//! Vectors are arranged so that a vector's APIC priority class is its IRQL.
#![allow(unsafe_code, reason = "trap entry")]

use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, Ordering};

use super::cpu::{self, PROCESSORS_MAX};
use super::{apic, marks, smp, user_half};
use crate::nt::KIRQL;
use crate::nt::irql::DISPATCH_LEVEL;

/// Software interrupt that runs deferred procedure calls; class 2 is `DISPATCH_LEVEL`.
pub const DISPATCH_VECTOR: u8 = 0x2f;
/// The host's serial line.
pub const SERIAL_VECTOR: u8 = 0xc1;
/// The clock; class 13 is `CLOCK_LEVEL`.
pub const CLOCK_VECTOR: u8 = 0xd1;
/// Asks the other processor to forget translations; class 14 is `IPI_LEVEL`.
pub const FLUSH_VECTOR: u8 = 0xe1;
/// What the APIC delivers when an interrupt has vanished.
pub const SPURIOUS_VECTOR: u8 = 0xff;
/// First vector that is no exception.
const FIRST_INTERRUPT: u64 = 0x20;

/// The registers of the interrupted code, as the stubs push them.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[allow(missing_docs, reason = "registers")]
pub struct TrapFrame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    pub vector: u64,
    pub error_code: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

global_asm!(
    r#"
    .section .text.traps, "ax", @progbits
    .global trap_stubs
    .balign 16
trap_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    /* 8, 10 to 14, 17, 21, 29 and 30 push an error code themselves. */
    .if !((vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30))
    .byte 0x6a, 0
    .endif
    .byte 0x68
    .long vector
    jmp trap_common
    .set vector, vector + 1
    .endr

trap_common:
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    cld
    mov rdi, rsp
    mov rbp, rsp
    sub rsp, 112
    and rsp, -16
    movaps [rsp], xmm0
    movaps [rsp + 16], xmm1
    movaps [rsp + 32], xmm2
    movaps [rsp + 48], xmm3
    movaps [rsp + 64], xmm4
    movaps [rsp + 80], xmm5
    stmxcsr [rsp + 96]
    mov dword ptr [rsp + 100], 0x1f80
    ldmxcsr [rsp + 100]
    call {dispatch}
    .global trap_return
trap_return:
    ldmxcsr [rsp + 96]
    movaps xmm0, [rsp]
    movaps xmm1, [rsp + 16]
    movaps xmm2, [rsp + 32]
    movaps xmm3, [rsp + 48]
    movaps xmm4, [rsp + 64]
    movaps xmm5, [rsp + 80]
    mov rsp, rbp
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    add rsp, 16
    iretq
    "#,
    dispatch = sym dispatch,
);

unsafe extern "C" {
    static trap_stubs: u8;
    static trap_return: u8;
}

/// Returns the entry stub of a vector.
pub(super) fn stub(vector: usize) -> u64 {
    (&raw const trap_stubs) as u64 + 16 * vector as u64
}

/// Returns the return address that a stack walk meets below a trap; the frame pointer beside it is the address of the
/// [`TrapFrame`].
#[must_use]
pub fn return_address() -> u64 {
    (&raw const trap_return) as u64
}

/// What runs on an interrupt: at its vector's IRQL, interrupts enabled.
pub type Handler = fn(vector: u8);

/// The IRQL of the code that the interrupt in service interrupted.
static INTERRUPTED: [AtomicU8; PROCESSORS_MAX] = [const { AtomicU8::new(0) }; PROCESSORS_MAX];

/// Returns the IRQL that a handler has interrupted; right only at its beginning.
#[must_use]
pub fn interrupted_irql() -> KIRQL {
    INTERRUPTED[cpu::number()].load(Ordering::Relaxed)
}

/// Interrupts that a processor serves, one within another; the dispatch interrupt is none of them.
static SERVED: [AtomicU8; PROCESSORS_MAX] = [const { AtomicU8::new(0) }; PROCESSORS_MAX];

/// What the dispatch interrupt is for waits for the end of the interrupts that are served.
static DISPATCH_AT_END: [AtomicBool; PROCESSORS_MAX] = [const { AtomicBool::new(false) }; PROCESSORS_MAX];

/// Requests the dispatch interrupt of this processor, which comes as soon as the IRQL allows. In an interrupt, that is at its end:
/// its handler is called there, for an emulator takes long to interrupt.
pub fn request_dispatch() {
    let processor = cpu::number();
    if SERVED[processor].load(Ordering::Relaxed) > 0 {
        DISPATCH_AT_END[processor].store(true, Ordering::Relaxed);
    } else {
        apic::request_dispatch();
    }
}

static HANDLERS: [AtomicPtr<()>; 256] = [const { AtomicPtr::new(core::ptr::null_mut()) }; 256];

/// Lets `handler` serve `vector`.
pub fn set_handler(vector: u8, handler: Handler) {
    HANDLERS[usize::from(vector)].store(handler as *mut (), Ordering::Release);
}

/// What handles a processor exception, on the registers that its stub saved.
pub type ExceptionHandler = fn(frame: &mut TrapFrame);

static EXCEPTION_HANDLER: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Lets `handler` handle every processor exception. Called before anything that can raise one.
pub fn set_exception_handler(handler: ExceptionHandler) {
    EXCEPTION_HANDLER.store(handler as *mut (), Ordering::Release);
}

extern "C" fn dispatch(frame: &mut TrapFrame) {
    if frame.vector < FIRST_INTERRUPT || is_software_exception(frame.vector) {
        let handler = EXCEPTION_HANDLER.load(Ordering::Acquire);
        // SAFETY: only `set_exception_handler` stores here, and only such handlers, before anything else runs.
        unsafe { core::mem::transmute::<*mut (), ExceptionHandler>(handler)(frame) };
        return;
    }
    let vector = frame.vector as u8;
    if vector == SPURIOUS_VECTOR {
        return;
    }
    let interrupted = cpu::irql();
    let processor = cpu::number();
    INTERRUPTED[processor].store(interrupted, Ordering::Relaxed);
    let outermost = smp::interrupt_begins();
    // What interrupts runs in no process's context. The second processor is never in one.
    let user_half_shown = processor == 0 && user_half::show(false);
    set_irql(interrupted, vector >> 4);
    let handler = HANDLERS[usize::from(vector)].load(Ordering::Acquire);
    if vector == DISPATCH_VECTOR {
        // Its work may switch threads, so that the end of interrupt must not wait for it.
        apic::end_of_interrupt();
        call(handler, vector);
    } else {
        let served = &SERVED[processor];
        served.store(served.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        x86_64::instructions::interrupts::enable();
        call(handler, vector);
        x86_64::instructions::interrupts::disable();
        apic::end_of_interrupt();
        let others = served.load(Ordering::Relaxed) - 1;
        served.store(others, Ordering::Relaxed);
        if others == 0 && DISPATCH_AT_END[processor].swap(false, Ordering::Relaxed) {
            if interrupted < DISPATCH_LEVEL {
                set_irql(cpu::irql(), DISPATCH_LEVEL);
                call(HANDLERS[usize::from(DISPATCH_VECTOR)].load(Ordering::Acquire), DISPATCH_VECTOR);
            } else {
                apic::request_dispatch();
            }
        }
    }
    if processor == 0 {
        user_half::show(user_half_shown);
    }
    smp::interrupt_ends(outermost);
    set_irql(cpu::irql(), interrupted);
}

/// Sets the IRQL, which was `old`, and marks the change.
fn set_irql(old: KIRQL, new: KIRQL) {
    marks::irql(old, new);
    cpu::set_irql(new);
}

/// Returns whether a vector is an exception of the Windows ABI: `int 0x29` (`__fastfail`), `int 0x2c` (assertion),
/// `int 0x2d` (debug service).
fn is_software_exception(vector: u64) -> bool {
    matches!(vector, 0x29 | 0x2c | 0x2d)
}

fn call(handler: *mut (), vector: u8) {
    if handler.is_null() {
        return;
    }
    // SAFETY: only `set_handler` stores here, and only handlers.
    let handler = unsafe { core::mem::transmute::<*mut (), Handler>(handler) };
    handler(vector);
}
