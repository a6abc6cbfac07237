//! The panic handler: a bug check that names the place.
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

/// A symbol that the compiler's output refers to, as if the image used floating point.
#[unsafe(no_mangle)]
#[used]
static _fltused: i32 = 0;

/// Probes the pages of a large stack frame, which a kernel stack does not need: it is resident as a whole.
#[cfg(not(target_arch = "x86"))]
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn __chkstk() {
    core::arch::naked_asm!("ret")
}

/// Makes room for a large stack frame of `eax` bytes, without probing its pages.
#[cfg(target_arch = "x86")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn _chkstk() {
    core::arch::naked_asm!("neg eax", "lea eax, [esp + eax + 4]", "xchg eax, esp", "jmp dword ptr [eax]")
}
