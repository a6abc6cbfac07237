//! What a program without a C library needs: the entry, the heap, the end by a panic, and symbols of the compiler's.
#![allow(unsafe_code, reason = "the global allocator and the entry are unsafe interfaces")]

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;

use super::{api, program};

/// The exit code after a panic.
const PANICKED: u32 = 101;

/// Alignment of heap memory: twice a pointer.
const HEAP_ALIGNMENT: usize = 2 * size_of::<usize>();

struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

// SAFETY: the heap gives distinct memory, aligned to two pointers; a layout that wants more gets none.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > HEAP_ALIGNMENT {
            return core::ptr::null_mut();
        }
        // SAFETY: the process's heap is there.
        unsafe { api::HeapAlloc(api::GetProcessHeap(), 0, layout.size()) }.cast()
    }

    unsafe fn dealloc(&self, pointer: *mut u8, _: Layout) {
        // SAFETY: the caller gives back what `alloc` gave.
        unsafe { api::HeapFree(api::GetProcessHeap(), 0, pointer.cast()) };
    }
}

/// The entry of the program.
#[unsafe(no_mangle)]
extern "system" fn start() -> u32 {
    let code = program::main();
    // SAFETY: ends the process, whichever threads it has.
    unsafe { api::ExitProcess(code) }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    program::print(format_args!("dmus-agent: {info}"));
    // SAFETY: ends the process.
    unsafe { api::ExitProcess(PANICKED) }
}

/// A symbol that the compiler's output refers to where floating point is used.
#[unsafe(no_mangle)]
#[used]
static _fltused: i32 = 0;

/// Divides bit by bit: quotient and remainder. The compiler's output calls functions of a C library for 64-bit division on x86.
#[cfg(target_arch = "x86")]
fn divide(dividend: u64, divisor: u64) -> (u64, u64) {
    let (mut quotient, mut rest) = (0_u64, 0_u64);
    for bit in (0..u64::BITS).rev() {
        // What is shifted out is more than any divisor.
        let carry = rest >> 63 != 0;
        rest = rest << 1 | (dividend >> bit & 1);
        quotient <<= 1;
        if carry || rest >= divisor {
            rest = rest.wrapping_sub(divisor);
            quotient |= 1;
        }
    }
    (quotient, rest)
}

#[cfg(target_arch = "x86")]
extern "C" fn unsigned_quotient(dividend: u64, divisor: u64) -> u64 {
    divide(dividend, divisor).0
}

#[cfg(target_arch = "x86")]
extern "C" fn unsigned_remainder(dividend: u64, divisor: u64) -> u64 {
    divide(dividend, divisor).1
}

/// Returns a quotient, cut towards zero.
#[cfg(target_arch = "x86")]
extern "C" fn signed_quotient(dividend: i64, divisor: i64) -> i64 {
    let quotient = divide(dividend.unsigned_abs(), divisor.unsigned_abs()).0.cast_signed();
    if (dividend < 0) == (divisor < 0) { quotient } else { quotient.wrapping_neg() }
}

// The functions that the compiler's output calls take their arguments from the stack themselves.
#[cfg(target_arch = "x86")]
core::arch::global_asm!(
    ".macro take_arguments name, function",
    ".globl \\name",
    "\\name:",
    "push dword ptr [esp + 16]",
    "push dword ptr [esp + 16]",
    "push dword ptr [esp + 16]",
    "push dword ptr [esp + 16]",
    "call \\function",
    "add esp, 16",
    "ret 16",
    ".endm",
    "take_arguments __aulldiv, {unsigned_quotient}",
    "take_arguments __aullrem, {unsigned_remainder}",
    "take_arguments __alldiv, {signed_quotient}",
    unsigned_quotient = sym unsigned_quotient,
    unsigned_remainder = sym unsigned_remainder,
    signed_quotient = sym signed_quotient,
);

/// Probes the pages of a stack frame of `rax` bytes, one after another, as a stack grows by its guard page.
#[cfg(not(target_arch = "x86"))]
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn __chkstk() {
    core::arch::naked_asm!(
        "push rcx",
        "push rax",
        "lea rcx, [rsp + 24]",
        "2: cmp rax, 4096",
        "jb 3f",
        "sub rcx, 4096",
        "test [rcx], rcx",
        "sub rax, 4096",
        "jmp 2b",
        "3: sub rcx, rax",
        "test [rcx], rcx",
        "pop rax",
        "pop rcx",
        "ret"
    )
}

/// Makes room for a stack frame of `eax` bytes, and probes its pages.
#[cfg(target_arch = "x86")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn _chkstk() {
    core::arch::naked_asm!(
        "push ecx",
        "lea ecx, [esp + 8]",
        "2: cmp eax, 4096",
        "jb 3f",
        "sub ecx, 4096",
        "test [ecx], ecx",
        "sub eax, 4096",
        "jmp 2b",
        "3: sub ecx, eax",
        "test [ecx], ecx",
        "mov eax, esp",
        "mov esp, ecx",
        "mov ecx, [eax]",
        "mov eax, [eax + 4]",
        "push eax",
        "ret"
    )
}
