//! Debug output and formatting: `DbgPrint` and the `printf` family.
#![allow(unsafe_code, reason = "variadic functions of the Windows ABI")]

use alloc::string::String;
use alloc::vec::Vec;
use core::arch::global_asm;
use core::cell::Cell;

use guest_protocol::Level;

use crate::arch::{PAGE_SIZE, cpu, paging};
use crate::base::printf::{self, Arguments};
use crate::bugcheck::modules;
use crate::contract::export::Export;
use crate::contract::{verifier, watch};
use crate::export_functions;
use crate::harness::link;
use crate::nt::irql::PASSIVE_LEVEL;
use crate::nt::{NTSTATUS, UNICODE_STRING};

/// Longest line; Windows' debug output has 512 bytes.
const LINE_MAX: usize = 512;
/// `IRQL_NOT_LESS_OR_EQUAL`.
const IRQL_NOT_LESS_OR_EQUAL: u32 = 0x0a;
/// Longest format string.
const FORMAT_MAX: usize = 4096;

/// Arguments as the x64 convention lays them: eight bytes each.
struct Stack {
    next: *const u64,
    /// The format is one of wide characters.
    wide: bool,
    /// A string was converted from narrow to wide, or the other way.
    converts: Cell<bool>,
}

impl Stack {
    fn new(arguments: *const u64, wide: bool) -> Self {
        Self { next: arguments, wide, converts: Cell::new(false) }
    }

    /// Checks that no string was converted above `PASSIVE_LEVEL`: the tables that it takes are pageable (the page of
    /// DbgPrint, and those of the safe string functions).
    fn expect_passive(&self) {
        let level = cpu::irql();
        if self.converts.get() && level > PASSIVE_LEVEL && watch::is_on() {
            verifier::broken(
                verifier::RULE_IRQL,
                IRQL_NOT_LESS_OR_EQUAL,
                "DbgPrint, printf and the like",
                [0, u64::from(level), 0, 0],
                format_args!(
                    "a format with a Unicode conversion (%S, %ls, %ws, %wZ; %S or %hs in a wide format) is used at IRQL {level}: \
                     they are for PASSIVE_LEVEL only"
                ),
            );
        }
    }
}

fn readable<T: Copy + Default + PartialEq>(address: u64, limit: usize) -> Option<Vec<T>> {
    let mut text = Vec::new();
    let size = size_of::<T>() as u64;
    let mut page_checked = u64::MAX;
    for index in 0..limit as u64 {
        let at = address.checked_add(index * size)?;
        if at / PAGE_SIZE != page_checked {
            if !paging::accessible(at, size, false) {
                return None;
            }
            page_checked = at / PAGE_SIZE;
        }
        // SAFETY: mapped.
        let unit = unsafe { (at as *const T).read_unaligned() };
        if unit == T::default() {
            break;
        }
        text.push(unit);
    }
    Some(text)
}

impl Arguments for Stack {
    fn next(&mut self) -> u64 {
        // SAFETY: the caller of a variadic function passed as many arguments as its format says; more are whatever is
        // on its stack.
        unsafe {
            let value = self.next.read();
            self.next = self.next.add(1);
            value
        }
    }
    fn narrow(&self, address: u64, limit: usize) -> Option<Vec<u8>> {
        self.converts.set(self.converts.get() | self.wide);
        readable(address, limit)
    }
    fn wide(&self, address: u64, limit: usize) -> Option<Vec<u16>> {
        self.converts.set(self.converts.get() | !self.wide);
        readable(address, limit)
    }
    fn counted(&self, address: u64) -> Option<(usize, u64)> {
        if !paging::accessible(address, size_of::<UNICODE_STRING>() as u64, false) {
            return None;
        }
        // SAFETY: mapped.
        let string = unsafe { (address as *const UNICODE_STRING).read_unaligned() };
        Some((usize::from(string.Length), string.Buffer as u64))
    }
}

unsafe fn narrow(template: *const u8, arguments: *const u64) -> String {
    let template = readable::<u8>(template as u64, FORMAT_MAX).unwrap_or_default();
    let mut stack = Stack::new(arguments, false);
    let text = printf::format(&String::from_utf8_lossy(&template), false, &mut stack);
    stack.expect_passive();
    text
}

unsafe fn wide(template: *const u16, arguments: *const u64) -> String {
    let template = readable::<u16>(template as u64, FORMAT_MAX).unwrap_or_default();
    let mut stack = Stack::new(arguments, true);
    let text = printf::format(&String::from_utf16_lossy(&template), true, &mut stack);
    stack.expect_passive();
    text
}

fn print(level: Level, text: &str) {
    let text = text.trim_end_matches(['\n', '\r']);
    let end = text.char_indices().map(|(at, _)| at).find(|&at| at >= LINE_MAX).unwrap_or(text.len());
    let name = modules::module().map_or("driver", |module| module.name);
    link::log(level, name, format_args!("{}", &text[..end]));
}

unsafe extern "win64" fn debug_print(template: *const u8, arguments: *const u64) -> NTSTATUS {
    // SAFETY: an export's arguments.
    print(Level::Info, &unsafe { narrow(template, arguments) });
    0
}

unsafe extern "win64" fn debug_print_ex(level: u32, template: *const u8, arguments: *const u64) -> NTSTATUS {
    /// `DPFLTR_*_LEVEL`: error, warning, trace, information.
    const LEVELS: [Level; 4] = [Level::Error, Level::Warn, Level::Debug, Level::Info];
    let level = LEVELS.get(level as usize).copied().unwrap_or(Level::Info);
    // SAFETY: an export's arguments.
    print(level, &unsafe { narrow(template, arguments) });
    0
}

/// Copies a formatted string as the C routines do: -1 if it does not fit, and then perhaps without a terminator.
unsafe fn put<T: Copy>(target: *mut T, room: usize, text: &[T], zero: T) -> i32 {
    // SAFETY: the caller gives a buffer with this room.
    unsafe {
        core::ptr::copy_nonoverlapping(text.as_ptr(), target, text.len().min(room));
        if text.len() < room {
            target.add(text.len()).write(zero);
        }
    }
    if text.len() > room { -1 } else { text.len() as i32 }
}

/// Copies a formatted string that fits with its terminator, or leaves an empty one: -1.
unsafe fn put_whole<T: Copy + Default>(target: *mut T, room: usize, text: &[T]) -> i32 {
    // SAFETY: the caller gives a buffer with this room.
    unsafe {
        if target.is_null() || room == 0 {
            return -1;
        }
        let fits = text.len() < room;
        let taken = if fits { text.len() } else { 0 };
        core::ptr::copy_nonoverlapping(text.as_ptr(), target, taken);
        target.add(taken).write(T::default());
        if fits { taken as i32 } else { -1 }
    }
}

/// Copies at most `most` of a formatted string, and terminates: -1 if that is not all of it.
unsafe fn put_part<T: Copy + Default>(target: *mut T, room: usize, most: usize, text: &[T]) -> i32 {
    /// `_TRUNCATE`: as much as there is room for.
    const TRUNCATE: usize = usize::MAX;
    let wanted = text.len().min(most);
    let room_for = if most == TRUNCATE { wanted.min(room.saturating_sub(1)) } else { wanted };
    // SAFETY: the caller gives a buffer with this room.
    let done = unsafe { put_whole(target, room, &text[..room_for]) };
    if done >= 0 && room_for < text.len() { -1 } else { done }
}

unsafe extern "win64" fn print_narrow(target: *mut u8, room: usize, template: *const u8, arguments: *const u64) -> i32 {
    // SAFETY: an export's arguments.
    unsafe { put(target, room, narrow(template, arguments).as_bytes(), 0) }
}

unsafe extern "win64" fn print_wide(target: *mut u16, room: usize, template: *const u16, arguments: *const u64) -> i32 {
    // SAFETY: an export's arguments.
    unsafe {
        let text: Vec<u16> = wide(template, arguments).encode_utf16().collect();
        put(target, room, &text, 0)
    }
}

unsafe extern "win64" fn print_narrow_unbounded(target: *mut u8, template: *const u8, arguments: *const u64) -> i32 {
    // SAFETY: an export's arguments.
    unsafe { print_narrow(target, usize::MAX, template, arguments) }
}

unsafe extern "win64" fn print_wide_unbounded(target: *mut u16, template: *const u16, arguments: *const u64) -> i32 {
    // SAFETY: an export's arguments.
    unsafe { print_wide(target, usize::MAX, template, arguments) }
}

// A variadic function spills its register arguments to their home space, where they are in a row with those on the
// stack, and passes the address of the first variable one on.
global_asm!(
    r#"
    .section .text.variadic, "ax", @progbits
    .macro spill
    mov [rsp + 8], rcx
    mov [rsp + 16], rdx
    mov [rsp + 24], r8
    mov [rsp + 32], r9
    .endm

    .global variadic_debug_print
variadic_debug_print:
    spill
    lea rdx, [rsp + 16]
    jmp {debug_print}

    .global variadic_debug_print_ex
variadic_debug_print_ex:
    spill
    mov rcx, rdx
    mov rdx, r8
    lea r8, [rsp + 32]
    jmp {debug_print_ex}

    .global variadic_snprintf
variadic_snprintf:
    spill
    lea r9, [rsp + 32]
    jmp {print_narrow}

    .global variadic_snwprintf
variadic_snwprintf:
    spill
    lea r9, [rsp + 32]
    jmp {print_wide}

    /* Bounded, and terminated whatever happens. */
    .global variadic_sprintf_s
variadic_sprintf_s:
    spill
    lea r9, [rsp + 32]
    jmp {print_narrow_s}

    .global variadic_swprintf_s
variadic_swprintf_s:
    spill
    lea r9, [rsp + 32]
    jmp {print_wide_s}

    /* Four named arguments: the address of the first variable one goes on the stack. */
    .global variadic_snprintf_s
variadic_snprintf_s:
    spill
    lea rax, [rsp + 40]
    sub rsp, 56
    mov [rsp + 32], rax
    call {print_narrow_part}
    add rsp, 56
    ret

    .global variadic_snwprintf_s
variadic_snwprintf_s:
    spill
    lea rax, [rsp + 40]
    sub rsp, 56
    mov [rsp + 32], rax
    call {print_wide_part}
    add rsp, 56
    ret

    .global variadic_sprintf
variadic_sprintf:
    spill
    lea r8, [rsp + 24]
    jmp {print_narrow_unbounded}

    .global variadic_swprintf
variadic_swprintf:
    spill
    lea r8, [rsp + 24]
    jmp {print_wide_unbounded}
    "#,
    debug_print = sym debug_print,
    debug_print_ex = sym debug_print_ex,
    print_narrow = sym print_narrow,
    print_narrow_s = sym vsprintf_s,
    print_wide_s = sym vswprintf_s,
    print_narrow_part = sym _vsnprintf_s,
    print_wide_part = sym _vsnwprintf_s,
    print_wide = sym print_wide,
    print_narrow_unbounded = sym print_narrow_unbounded,
    print_wide_unbounded = sym print_wide_unbounded,
);

unsafe extern "C" {
    fn variadic_debug_print();
    fn variadic_debug_print_ex();
    fn variadic_snprintf();
    fn variadic_snwprintf();
    fn variadic_sprintf();
    fn variadic_sprintf_s();
    fn variadic_swprintf_s();
    fn variadic_snprintf_s();
    fn variadic_snwprintf_s();
    fn variadic_swprintf();
}

/// The variadic functions.
pub static VARIADIC: &[Export] = &[
    Export::new("DbgPrint", variadic_debug_print as *const ()),
    Export::new("DbgPrintEx", variadic_debug_print_ex as *const ()),
    Export::new("_snprintf", variadic_snprintf as *const ()),
    Export::new("_snwprintf", variadic_snwprintf as *const ()),
    Export::new("sprintf", variadic_sprintf as *const ()),
    Export::new("sprintf_s", variadic_sprintf_s as *const ()),
    Export::new("swprintf_s", variadic_swprintf_s as *const ()),
    Export::new("_snprintf_s", variadic_snprintf_s as *const ()),
    Export::new("_snwprintf_s", variadic_snwprintf_s as *const ()),
    Export::new("swprintf", variadic_swprintf as *const ()),
];

export_functions! {
    /// Debug output.
    pub static EXPORTS;

    /// Prints with an argument list.
    [ANY] fn vDbgPrintEx(_component: u32, level: u32, template: *const u8, arguments: *const u64) -> NTSTATUS {
        debug_print_ex(level, template, arguments)
    }

    /// Prints with an argument list, after a prefix.
    [ANY] fn vDbgPrintExWithPrefix(prefix: *const u8, _component: u32, _level: u32, template: *const u8, arguments: *const u64) -> NTSTATUS {
        let prefix = readable::<u8>(prefix as u64, FORMAT_MAX).unwrap_or_default();
        let text = alloc::format!("{}{}", String::from_utf8_lossy(&prefix), narrow(template, arguments));
        print(Level::Info, &text);
        0
    }

    /// Formats with an argument list.
    [ANY] fn _vsnprintf(target: *mut u8, room: usize, template: *const u8, arguments: *const u64) -> i32 {
        print_narrow(target, room, template, arguments)
    }

    /// Formats with an argument list.
    [ANY] fn _vsnwprintf(target: *mut u16, room: usize, template: *const u16, arguments: *const u64) -> i32 {
        print_wide(target, room, template, arguments)
    }

    /// Formats with an argument list, unbounded.
    [ANY] fn vsprintf(target: *mut u8, template: *const u8, arguments: *const u64) -> i32 {
        print_narrow(target, usize::MAX, template, arguments)
    }

    /// Formats with an argument list; what does not fit leaves an empty string.
    [ANY] fn vsprintf_s(target: *mut u8, room: usize, template: *const u8, arguments: *const u64) -> i32 {
        put_whole(target, room, narrow(template, arguments).as_bytes())
    }

    /// Formats with an argument list; what does not fit leaves an empty string.
    [ANY] fn vswprintf_s(target: *mut u16, room: usize, template: *const u16, arguments: *const u64) -> i32 {
        let text: Vec<u16> = wide(template, arguments).encode_utf16().collect();
        put_whole(target, room, &text)
    }

    /// Formats at most so many characters with an argument list, and terminates.
    [ANY] fn _vsnprintf_s(target: *mut u8, room: usize, most: usize, template: *const u8, arguments: *const u64) -> i32 {
        put_part(target, room, most, narrow(template, arguments).as_bytes())
    }

    /// Formats at most so many characters with an argument list, and terminates.
    [ANY] fn _vsnwprintf_s(target: *mut u16, room: usize, most: usize, template: *const u16, arguments: *const u64) -> i32 {
        let text: Vec<u16> = wide(template, arguments).encode_utf16().collect();
        put_part(target, room, most, &text)
    }

    /// Prints at the level of information.
    [ANY] fn DbgSetDebugFilterState(_component: u32, _level: u32, _state: u8) -> NTSTATUS { 0 }

    /// Returns whether a component's output at a level is shown: all is.
    [ANY] fn DbgQueryDebugFilterState(_component: u32, _level: u32) -> NTSTATUS { 1 }

    /// Stops: no debugger is attached.
    [ANY] fn DbgBreakPoint() { stop_at_breakpoint("DbgBreakPoint") }

    /// Stops: no debugger is attached.
    [ANY] fn DbgBreakPointWithStatus(_status: u32) { stop_at_breakpoint("DbgBreakPointWithStatus") }

    /// Stops, because an assertion of a checked build failed.
    [ANY] fn RtlAssert(assertion: *const u8, file: *const u8, at: u32, _message: *const u8) {
        let text = |address: *const u8| {
            String::from_utf8_lossy(&readable::<u8>(address as u64, FORMAT_MAX).unwrap_or_default()).into_owned()
        };
        crate::contract::verifier::stop(0x1e, "RtlAssert", [0, 0, 0, 0],
            format_args!("assertion failed: {} ({}:{at})", text(assertion), text(file)));
    }
}

fn stop_at_breakpoint(function: &'static str) -> ! {
    crate::contract::verifier::stop(
        0x1e,
        function,
        [0x8000_0003, 0, 0, 0],
        format_args!("the driver broke into the debugger ({function}), and there is none"),
    )
}
