//! The processor's registers as Windows' exception handling knows them, taken and put back; and the frames by which
//! functions of the host that raise exceptions keep their callers' registers.
//!
//! Specification: `winnt.h`, `CONTEXT` of x64.
#![allow(unsafe_code, reason = "takes and sets registers")]

use core::arch::{global_asm, naked_asm};

use super::trap::TrapFrame;
use crate::pe::unwind::{RBP, RSP, Registers};

/// `CONTEXT`.
#[repr(C, align(16))]
#[derive(Clone, Debug)]
#[allow(missing_docs, non_snake_case, reason = "the WDK's fields")]
pub struct CONTEXT {
    pub Home: [u64; 6],
    pub ContextFlags: u32,
    pub MxCsr: u32,
    pub Segments: [u16; 6],
    pub EFlags: u32,
    pub Debug: [u64; 6],
    /// rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15.
    pub General: [u64; 16],
    pub Rip: u64,
    pub FloatHead: [u8; 0xa0],
    pub Xmm: [u128; 16],
    pub FloatTail: [u8; 0x60],
    pub Vector: [u128; 26],
    pub VectorControl: u64,
    pub DebugControl: u64,
    pub LastBranch: [u64; 2],
    pub LastException: [u64; 2],
}

const _: () = assert!(size_of::<CONTEXT>() == 0x4d0);
const _: () = assert!(core::mem::offset_of!(CONTEXT, General) == 0x78);
const _: () = assert!(core::mem::offset_of!(CONTEXT, Rip) == 0xf8);
const _: () = assert!(core::mem::offset_of!(CONTEXT, Xmm) == 0x1a0);

/// `CONTEXT_FULL | CONTEXT_SEGMENTS`.
const CONTEXT_FULL: u32 = 0x0010_000f;
/// The control and status register of SSE as a function finds it.
const MXCSR_DEFAULT: u32 = 0x1f80;

impl CONTEXT {
    /// Returns a context with these registers; the rest is as it is now.
    #[must_use]
    pub fn of(registers: &Registers, flags: u32) -> Self {
        // SAFETY: all of it is numbers.
        let mut context: Self = unsafe { core::mem::zeroed() };
        context.ContextFlags = CONTEXT_FULL;
        context.MxCsr = MXCSR_DEFAULT;
        context.Segments = [super::cpu::CODE_SELECTOR, 0x18, 0x18, 0x18, 0x18, super::cpu::DATA_SELECTOR];
        context.EFlags = flags;
        context.set(registers);
        context
    }

    /// Returns the context of the code that a trap interrupted. The vector registers are as they are now: the host
    /// never uses them.
    #[must_use]
    pub fn of_trap(frame: &TrapFrame) -> Self {
        let mut registers = registers_of_trap(frame);
        registers.vector = vectors();
        Self::of(&registers, frame.rflags as u32)
    }

    /// Returns the registers that unwinding works on.
    #[must_use]
    pub fn registers(&self) -> Registers {
        Registers { general: self.General, vector: self.Xmm, rip: self.Rip }
    }

    /// Takes registers over.
    pub fn set(&mut self, registers: &Registers) {
        self.General = registers.general;
        self.Xmm = registers.vector;
        self.Rip = registers.rip;
    }

    /// Lets the trapped code go on with these registers.
    pub fn return_to(&self, frame: &mut TrapFrame) {
        let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15] = self.General;
        let (vector, error_code, cs, ss) = (frame.vector, frame.error_code, frame.cs, frame.ss);
        *frame = TrapFrame {
            r15,
            r14,
            r13,
            r12,
            r11,
            r10,
            r9,
            r8,
            rbp,
            rdi,
            rsi,
            rdx,
            rcx,
            rbx,
            rax,
            vector,
            error_code,
            rip: self.Rip,
            cs,
            rflags: u64::from(self.EFlags),
            rsp,
            ss,
        };
    }
}

/// Returns the registers that a trap saved.
#[must_use]
pub fn registers_of_trap(frame: &TrapFrame) -> Registers {
    Registers {
        general: [
            frame.rax, frame.rcx, frame.rdx, frame.rbx, frame.rsp, frame.rbp, frame.rsi, frame.rdi, frame.r8, frame.r9,
            frame.r10, frame.r11, frame.r12, frame.r13, frame.r14, frame.r15,
        ],
        vector: [0; 16],
        rip: frame.rip,
    }
}

global_asm!(
    r#"
    .section .text.context, "ax", @progbits
    .global capture_vectors
capture_vectors:
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movups [rdi + 16 * \n], xmm\n
    .endr
    ret

    /* restore_context(CONTEXT): what is below the new stack pointer is free on x64 Windows. */
    .global restore_context
restore_context:
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movups xmm\n, [rdi + 0x1a0 + 16 * \n]
    .endr
    ldmxcsr [rdi + 0x34]
    mov rax, [rdi + 0x98]
    mov rcx, [rdi + 0xf8]
    mov [rax - 8], rcx
    mov ecx, [rdi + 0x44]
    mov [rax - 16], rcx
    mov rcx, [rdi + 0xb0]
    mov [rax - 24], rcx
    mov rcx, [rdi + 0x78]
    mov [rax - 32], rcx
    mov rcx, [rdi + 0x80]
    mov rdx, [rdi + 0x88]
    mov rbx, [rdi + 0x90]
    mov rbp, [rdi + 0xa0]
    mov rsi, [rdi + 0xa8]
    mov r8, [rdi + 0xb8]
    mov r9, [rdi + 0xc0]
    mov r10, [rdi + 0xc8]
    mov r11, [rdi + 0xd0]
    mov r12, [rdi + 0xd8]
    mov r13, [rdi + 0xe0]
    mov r14, [rdi + 0xe8]
    mov r15, [rdi + 0xf0]
    lea rsp, [rax - 32]
    pop rax
    pop rdi
    popfq
    ret

    /* An export that may raise an exception, its address in rax: keeps the registers that its caller does not expect
       to change where `guarded_caller` finds them. Six arguments at most. */
    .global guarded_call
guarded_call:
    push rbp
    mov rbp, rsp
    push rbx
    push rsi
    push rdi
    push r12
    push r13
    push r14
    push r15
    sub rsp, 56
    mov r10, [rbp + 48]
    mov [rsp + 32], r10
    mov r10, [rbp + 56]
    mov [rsp + 40], r10
    call rax
    .global guarded_return
guarded_return:
    lea rsp, [rbp - 56]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rdi
    pop rsi
    pop rbx
    pop rbp
    ret
    "#
);

unsafe extern "C" {
    fn capture_vectors(to: *mut u128);
    fn restore_context(context: *const CONTEXT) -> !;
    static guarded_return: u8;
    fn guarded_call();
}

/// Returns XMM0 to XMM15 as they are.
#[must_use]
pub fn vectors() -> [u128; 16] {
    let mut vectors = [0; 16];
    // SAFETY: sixteen registers of sixteen bytes.
    unsafe { capture_vectors(vectors.as_mut_ptr()) };
    vectors
}

/// Goes on with these registers.
///
/// # Safety
/// They are those of code of this thread further up its stack; nothing below is used any more.
pub unsafe fn restore(context: &CONTEXT) -> ! {
    // SAFETY: the caller's promise.
    unsafe { restore_context(context) }
}

/// Returns whether `rip` is where a guarded export returns to.
#[must_use]
pub fn is_guarded(rip: u64) -> bool {
    rip == (&raw const guarded_return) as u64
}

/// Replaces the registers of a guarded frame by those of its caller.
///
/// # Safety
/// [`is_guarded`], and the frame pointer is the frame's.
pub unsafe fn leave_guarded(registers: &mut Registers) {
    const RBX: usize = 3;
    const RSI: usize = 6;
    const RDI: usize = 7;
    let frame = registers.general[RBP] as *const u64;
    // SAFETY: `guarded_call` laid this out.
    unsafe {
        for (below, register) in [RBX, RSI, RDI, 12, 13, 14, 15].into_iter().enumerate() {
            registers.general[register] = frame.sub(below + 1).read();
        }
        registers.general[RBP] = frame.read();
        registers.rip = frame.add(1).read();
        registers.general[RSP] = frame.add(2) as u64;
    }
}

/// Enters an export through [`guarded_call`]; the caller is a naked function that has put its address into `rax`.
///
/// # Safety
/// Only jumped to, by such a function, with the arguments of its caller.
#[unsafe(naked)]
pub unsafe extern "C" fn enter_guarded() {
    naked_asm!("jmp {}", sym guarded_call)
}
