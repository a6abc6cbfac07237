//! The end: a panic becomes a bug check that says where.
#![allow(unsafe_code, reason = "symbols that the compiler's output refers to")]

use core::panic::PanicInfo;

use crate::nt;

/// The bug check's code, `DMUS`. Its parameters: address and length of the source file's name, line, column.
const BUG_CHECK: u32 = 0x444d_5553;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let (file, length, line, column) = info.location().map_or((0, 0, 0, 0), |location| {
        let file = location.file();
        (file.as_ptr() as usize, file.len(), location.line() as usize, location.column() as usize)
    });
    // SAFETY: may be called at any level.
    unsafe { nt::KeBugCheckEx(BUG_CHECK, file, length, line, column) }
}

/// Says that the image uses floating point, which it does not: the compiler's output refers to it all the same.
#[unsafe(no_mangle)]
#[used]
static _fltused: i32 = 0;

/// Touches the pages of a large stack frame. A kernel stack is resident as a whole: there is nothing to touch.
#[cfg(not(target_arch = "x86"))]
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn __chkstk() {
    core::arch::naked_asm!("ret")
}

/// Makes room for a large stack frame, of `eax` bytes, and touches nothing: as above.
#[cfg(target_arch = "x86")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn _chkstk() {
    core::arch::naked_asm!("neg eax", "lea eax, [esp + eax + 4]", "xchg eax, esp", "jmp dword ptr [eax]")
}
