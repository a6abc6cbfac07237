//! The C library's routines for characters and narrow strings, and conversions between narrow and wide.
#![allow(unsafe_code, reason = "strings of the C library")]

use super::string::{length, narrow_length};
use crate::ke::bugcheck::KeBugCheck;
use crate::nt::NTSTATUS;
use crate::nt::status::*;
use crate::{bugcheck, export_functions};

fn lower(unit: u16) -> u16 {
    char::from_u32(unit.into())
        .and_then(|c| c.to_lowercase().next())
        .and_then(|c| u16::try_from(c as u32).ok())
        .unwrap_or(unit)
}

fn upper(unit: u16) -> u16 {
    char::from_u32(unit.into())
        .and_then(|c| c.to_uppercase().next())
        .and_then(|c| u16::try_from(c as u32).ok())
        .unwrap_or(unit)
}

unsafe fn narrow<'a>(string: *const u8) -> &'a [u8] {
    // SAFETY: a terminated string of the caller's.
    unsafe { core::slice::from_raw_parts(string, narrow_length(string)) }
}

unsafe fn wide<'a>(string: *const u16) -> &'a [u16] {
    // SAFETY: a terminated string of the caller's.
    unsafe { core::slice::from_raw_parts(string, length(string)) }
}

fn order<T: Ord>(a: T, b: T) -> i32 {
    a.cmp(&b) as i32
}

export_functions! {
    /// Characters and narrow strings.
    pub static EXPORTS;

    /// Returns the lower case of an ASCII letter.
    [ANY] fn tolower(c: i32) -> i32 { u8::try_from(c).map_or(c, |c| c.to_ascii_lowercase().into()) }

    /// Returns the upper case of an ASCII letter.
    [ANY] fn toupper(c: i32) -> i32 { u8::try_from(c).map_or(c, |c| c.to_ascii_uppercase().into()) }

    /// Returns the lower case of a wide character.
    [ANY] fn towlower(c: u16) -> u16 { lower(c) }

    /// Returns the upper case of a wide character.
    [ANY] fn towupper(c: u16) -> u16 { upper(c) }

    /// Compares without regard to case.
    [ANY] fn _stricmp(a: *const u8, b: *const u8) -> i32 {
        order(narrow(a).to_ascii_lowercase(), narrow(b).to_ascii_lowercase())
    }

    /// Compares at most so many characters without regard to case.
    [ANY] fn _strnicmp(a: *const u8, b: *const u8, most: usize) -> i32 {
        let cut = |s: &[u8]| s[..s.len().min(most)].to_ascii_lowercase();
        order(cut(narrow(a)), cut(narrow(b)))
    }

    /// Compares at most so many characters without regard to case.
    [ANY] fn _wcsnicmp(a: *const u16, b: *const u16, most: usize) -> i32 {
        let cut = |s: &[u16]| s[..s.len().min(most)].iter().map(|&unit| lower(unit)).collect::<alloc::vec::Vec<_>>();
        order(cut(wide(a)), cut(wide(b)))
    }

    /// Copies at most so many characters, and fills up with zeros.
    [ANY] fn strncpy(target: *mut u8, source: *const u8, most: usize) -> *mut u8 {
        let bytes = narrow(source);
        let taken = bytes.len().min(most);
        core::ptr::copy(bytes.as_ptr(), target, taken);
        target.add(taken).write_bytes(0, most - taken);
        target
    }

    /// Appends a string.
    [ANY] fn strcat(target: *mut u8, source: *const u8) -> *mut u8 {
        let bytes = narrow(source);
        core::ptr::copy(bytes.as_ptr(), target.add(narrow_length(target)), bytes.len() + 1);
        target
    }

    /// Appends at most so many characters, and a terminator.
    [ANY] fn strncat(target: *mut u8, source: *const u8, most: usize) -> *mut u8 {
        let bytes = narrow(source);
        let end = target.add(narrow_length(target));
        let taken = bytes.len().min(most);
        core::ptr::copy(bytes.as_ptr(), end, taken);
        end.add(taken).write(0);
        target
    }

    /// Appends at most so many characters, and a terminator.
    [ANY] fn wcsncat(target: *mut u16, source: *const u16, most: usize) -> *mut u16 {
        let units = wide(source);
        let end = target.add(length(target));
        let taken = units.len().min(most);
        core::ptr::copy(units.as_ptr(), end, taken);
        end.add(taken).write(0);
        target
    }

    /// Returns the first place of a character; its terminator counts.
    [ANY] fn strchr(string: *const u8, c: i32) -> *const u8 {
        let bytes = core::slice::from_raw_parts(string, narrow_length(string) + 1);
        bytes.iter().position(|&byte| byte == c as u8).map_or(core::ptr::null(), |at| string.add(at))
    }

    /// Returns the last place of a character; its terminator counts.
    [ANY] fn strrchr(string: *const u8, c: i32) -> *const u8 {
        let bytes = core::slice::from_raw_parts(string, narrow_length(string) + 1);
        bytes.iter().rposition(|&byte| byte == c as u8).map_or(core::ptr::null(), |at| string.add(at))
    }

    /// Returns the last place of a character; its terminator counts.
    [ANY] fn wcsrchr(string: *const u16, c: u16) -> *const u16 {
        let units = core::slice::from_raw_parts(string, length(string) + 1);
        units.iter().rposition(|&unit| unit == c).map_or(core::ptr::null(), |at| string.add(at))
    }

    /// Returns the first place of a string in another.
    [ANY] fn strstr(string: *const u8, part: *const u8) -> *const u8 {
        let (whole, part) = (narrow(string), narrow(part));
        if part.is_empty() {
            return string;
        }
        whole.windows(part.len()).position(|window| window == part).map_or(core::ptr::null(), |at| string.add(at))
    }

    /// Returns the first place of a string in another.
    [ANY] fn wcsstr(string: *const u16, part: *const u16) -> *const u16 {
        let (whole, part) = (wide(string), wide(part));
        if part.is_empty() {
            return string;
        }
        whole.windows(part.len()).position(|window| window == part).map_or(core::ptr::null(), |at| string.add(at))
    }

    /// Returns a decimal number.
    [ANY] fn atoi(string: *const u8) -> i32 {
        let text = narrow(string).trim_ascii_start();
        let (negative, digits) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            _ => (false, text),
        };
        let value = digits.iter().take_while(|c| c.is_ascii_digit()).fold(0i32, |value, digit| {
            value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'))
        });
        if negative { value.wrapping_neg() } else { value }
    }

    /// Converts wide to narrow, by number of bytes.
    [PASSIVE] fn RtlUnicodeToMultiByteN(target: *mut u8, room: u32, done: *mut u32, source: *const u16, bytes: u32) -> NTSTATUS {
        let count = (bytes / 2).min(room);
        for index in 0..count as usize {
            let unit = source.add(index).read_unaligned();
            target.add(index).write(u8::try_from(unit).ok().filter(u8::is_ascii).unwrap_or(b'?'));
        }
        if !done.is_null() { done.write(count) }
        STATUS_SUCCESS
    }

    /// Converts narrow to wide, by number of bytes.
    [PASSIVE] fn RtlMultiByteToUnicodeN(target: *mut u16, room: u32, done: *mut u32, source: *const u8, bytes: u32) -> NTSTATUS {
        let count = bytes.min(room / 2);
        for index in 0..count as usize {
            target.add(index).write_unaligned(source.add(index).read().into());
        }
        if !done.is_null() { done.write(2 * count) }
        STATUS_SUCCESS
    }

    /// Stops: the vtable of an abstract class of MSVC points here.
    [ANY] fn _purecall() {
        KeBugCheck(bugcheck::MANUALLY_INITIATED_CRASH);
    }

    /// Saves the state of the floating-point unit: on x64 nothing is to be saved.
    [DISPATCH] fn KeSaveFloatingPointState(_state: *mut u8) -> NTSTATUS { STATUS_SUCCESS }

    /// Restores it.
    [DISPATCH] fn KeRestoreFloatingPointState(_state: *mut u8) -> NTSTATUS { STATUS_SUCCESS }
}
