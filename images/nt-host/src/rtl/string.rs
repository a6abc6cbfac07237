//! Counted and terminated strings.
#![allow(unsafe_code, reason = "strings of the Windows ABI")]

use alloc::string::String;
use alloc::vec::Vec;

use crate::export_functions;
use crate::mm::pool::{self, Owner};
use crate::nt::status::*;
use crate::nt::{ANSI_STRING, GUID, NTSTATUS, UNICODE_STRING};

const TAG: u32 = u32::from_le_bytes(*b"Strg");
/// Longest terminated string that is looked through.
const LENGTH_MAX: usize = 1 << 16;

/// Returns a counted string's text.
///
/// # Safety
/// The buffer holds the length that the string says.
#[must_use]
pub unsafe fn text(string: &UNICODE_STRING) -> String {
    // SAFETY: the caller's promise.
    unsafe { String::from_utf16_lossy(units(string)) }
}

unsafe fn units(string: &UNICODE_STRING) -> &[u16] {
    if string.Buffer.is_null() || string.Length == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(string.Buffer, usize::from(string.Length / 2)) }
}

unsafe fn bytes(string: &ANSI_STRING) -> &[u8] {
    if string.Buffer.is_null() || string.Length == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(string.Buffer, usize::from(string.Length)) }
}

/// Returns the length of a terminated string in units.
///
/// # Safety
/// `string` is terminated.
#[must_use]
pub unsafe fn length(string: *const u16) -> usize {
    // SAFETY: the caller's promise.
    (0..LENGTH_MAX).find(|&at| unsafe { string.add(at).read() } == 0).unwrap_or(LENGTH_MAX)
}

/// Returns the length of a terminated string in bytes.
///
/// # Safety
/// `string` is terminated.
#[must_use]
pub unsafe fn narrow_length(string: *const u8) -> usize {
    // SAFETY: the caller's promise.
    (0..LENGTH_MAX).find(|&at| unsafe { string.add(at).read() } == 0).unwrap_or(LENGTH_MAX)
}

/// Returns a string in memory that its receiver frees with `RtlFreeUnicodeString`: counted as the driver's, since it
/// must free it.
pub fn allocate(text: &str) -> Option<UNICODE_STRING> {
    let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let bytes = u16::try_from(2 * units.len()).ok()?;
    let buffer = pool::allocate(bytes.into(), TAG, true, Owner::Driver)? as *mut u16;
    // SAFETY: fresh memory of this size.
    unsafe { core::ptr::copy_nonoverlapping(units.as_ptr(), buffer, units.len()) };
    Some(UNICODE_STRING { Length: bytes - 2, MaximumLength: bytes, Buffer: buffer })
}

/// Returns a unit in upper case: simple case folding, enough for names.
fn upcase(unit: u16) -> u16 {
    match char::from_u32(unit.into()) {
        Some(c) => {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(u), None) => u16::try_from(u as u32).unwrap_or(unit),
                _ => unit,
            }
        }
        None => unit,
    }
}

fn compare(a: &[u16], b: &[u16], fold: bool) -> i32 {
    let fold = |unit: &u16| if fold { upcase(*unit) } else { *unit };
    match a.iter().map(fold).cmp(b.iter().map(fold)) {
        core::cmp::Ordering::Less => -1,
        core::cmp::Ordering::Equal => 0,
        core::cmp::Ordering::Greater => 1,
    }
}

unsafe fn append(target: *mut UNICODE_STRING, source: &[u16]) -> NTSTATUS {
    // SAFETY: an export's argument.
    unsafe {
        let target = &mut *target;
        let bytes = 2 * source.len();
        if usize::from(target.Length) + bytes > usize::from(target.MaximumLength) {
            return STATUS_BUFFER_TOO_SMALL;
        }
        let end = target.Buffer.add(usize::from(target.Length / 2));
        core::ptr::copy(source.as_ptr(), end, source.len());
        target.Length += bytes as u16;
        if target.Length + 2 <= target.MaximumLength {
            target.Buffer.add(usize::from(target.Length / 2)).write(0);
        }
    }
    STATUS_SUCCESS
}

unsafe fn with_buffer(target: *mut UNICODE_STRING, text: &str, make: bool) -> NTSTATUS {
    // SAFETY: an export's argument.
    unsafe {
        if make {
            return match allocate(text) {
                Some(string) => {
                    target.write(string);
                    STATUS_SUCCESS
                }
                None => STATUS_NO_MEMORY,
            };
        }
        (*target).Length = 0;
        let units: Vec<u16> = text.encode_utf16().collect();
        if append(target, &units) == STATUS_SUCCESS { STATUS_SUCCESS } else { STATUS_BUFFER_OVERFLOW }
    }
}

unsafe fn change_case(
    target: *mut UNICODE_STRING,
    source: &UNICODE_STRING,
    make: bool,
    case: impl Fn(u16) -> u16,
) -> NTSTATUS {
    // SAFETY: an export's arguments.
    unsafe {
        let changed: Vec<u16> = units(source).iter().map(|&unit| case(unit)).collect();
        if make {
            let bytes = u64::from(source.Length).max(2);
            let Some(buffer) = pool::allocate(bytes, TAG, true, Owner::Driver) else { return STATUS_NO_MEMORY };
            target.write(UNICODE_STRING { Length: 0, MaximumLength: source.Length, Buffer: buffer as *mut u16 });
        }
        if usize::from((*target).MaximumLength) < 2 * changed.len() {
            return STATUS_BUFFER_OVERFLOW;
        }
        core::ptr::copy_nonoverlapping(changed.as_ptr(), (*target).Buffer, changed.len());
        (*target).Length = source.Length;
    }
    STATUS_SUCCESS
}

export_functions! {
    /// Strings.
    pub static EXPORTS;

    /// Counts a terminated string.
    [ANY] fn RtlInitUnicodeString(target: *mut UNICODE_STRING, source: *const u16) {
        {
            let bytes = if source.is_null() { 0 } else { 2 * length(source).min(0x7ffe) };
            target.write(UNICODE_STRING {
                Length: bytes as u16,
                MaximumLength: if source.is_null() { 0 } else { bytes as u16 + 2 },
                Buffer: source.cast_mut(),
            });
        }
    }

    /// Counts a terminated string.
    [ANY] fn RtlInitAnsiString(target: *mut ANSI_STRING, source: *const u8) {
        {
            let bytes = if source.is_null() { 0 } else { narrow_length(source).min(0xfffe) };
            target.write(ANSI_STRING {
                Length: bytes as u16,
                MaximumLength: if source.is_null() { 0 } else { bytes as u16 + 1 },
                Buffer: source.cast_mut(),
            });
        }
    }

    /// Counts a terminated string.
    [ANY] fn RtlInitString(target: *mut ANSI_STRING, source: *const u8) { RtlInitAnsiString(target, source) }

    /// Copies as much as there is room for.
    [ANY] fn RtlCopyUnicodeString(target: *mut UNICODE_STRING, source: *const UNICODE_STRING) {
        {
            (*target).Length = 0;
            if let Some(source) = source.as_ref() {
                let room = usize::from((*target).MaximumLength / 2);
                let source = units(source);
                append(target, &source[..source.len().min(room)]);
            }
        }
    }

    /// Appends a string.
    [ANY] fn RtlAppendUnicodeStringToString(target: *mut UNICODE_STRING, source: *const UNICODE_STRING) -> NTSTATUS {
        append(target, units(&*source))
    }

    /// Appends a terminated string.
    [ANY] fn RtlAppendUnicodeToString(target: *mut UNICODE_STRING, source: *const u16) -> NTSTATUS {
        {
            if source.is_null() { return STATUS_SUCCESS }
            append(target, core::slice::from_raw_parts(source, length(source)))
        }
    }

    /// Compares strings: below, equal, above zero.
    [PASSIVE] fn RtlCompareUnicodeString(a: *const UNICODE_STRING, b: *const UNICODE_STRING, fold: u8) -> i32 {
        compare(units(&*a), units(&*b), fold != 0)
    }

    /// Returns whether two strings are equal.
    [PASSIVE] fn RtlEqualUnicodeString(a: *const UNICODE_STRING, b: *const UNICODE_STRING, fold: u8) -> u8 {
        u8::from(compare(units(&*a), units(&*b), fold != 0) == 0)
    }

    /// Returns whether one string begins with another.
    [PASSIVE] fn RtlPrefixUnicodeString(prefix: *const UNICODE_STRING, string: *const UNICODE_STRING, fold: u8) -> u8 {
        {
            let (prefix, string) = (units(&*prefix), units(&*string));
            u8::from(string.len() >= prefix.len() && compare(prefix, &string[..prefix.len()], fold != 0) == 0)
        }
    }

    /// Makes a string upper case; allocated, if asked.
    [PASSIVE] fn RtlUpcaseUnicodeString(target: *mut UNICODE_STRING, source: *const UNICODE_STRING, make: u8) -> NTSTATUS {
        change_case(target, &*source, make != 0, upcase)
    }

    /// Makes a string lower case; allocated, if asked.
    [PASSIVE] fn RtlDowncaseUnicodeString(target: *mut UNICODE_STRING, source: *const UNICODE_STRING, make: u8) -> NTSTATUS {
        change_case(target, &*source, make != 0, |unit| super::narrow::towlower(unit))
    }

    /// Returns the small letter of a character.
    [APC] fn RtlDowncaseUnicodeChar(unit: u16) -> u16 { super::narrow::towlower(unit) }

    /// Returns a hash of a string.
    [APC] fn RtlHashUnicodeString(string: *const UNICODE_STRING, fold: u8, algorithm: u32, hash: *mut u32) -> NTSTATUS {
        if string.is_null() || hash.is_null() || algorithm > 1 {
            return STATUS_INVALID_PARAMETER;
        }
        let units = units(&*string).iter().map(|&unit| if fold != 0 { upcase(unit) } else { unit });
        hash.write(crate::base::hash::x65599(units));
        STATUS_SUCCESS
    }

    /// Compares characters: below, equal, above zero.
    [APC] fn RtlCompareUnicodeStrings(a: *const u16, a_units: usize, b: *const u16, b_units: usize, fold: u8) -> i32 {
        compare(core::slice::from_raw_parts(a, a_units), core::slice::from_raw_parts(b, b_units), fold != 0)
    }

    /// Returns a GUID from its text, in braces.
    [PASSIVE] fn RtlGUIDFromString(string: *const UNICODE_STRING, guid: *mut GUID) -> NTSTATUS {
        match crate::base::guid::parse(units(&*string)) {
            Some(found) => { guid.write(found); STATUS_SUCCESS }
            None => STATUS_INVALID_PARAMETER,
        }
    }

    /// Compares narrow strings: below, equal, above zero.
    [PASSIVE] fn RtlCompareString(a: *const ANSI_STRING, b: *const ANSI_STRING, fold: u8) -> i32 {
        let case = |byte: &u8| if fold != 0 { byte.to_ascii_uppercase() } else { *byte };
        bytes(&*a).iter().map(case).cmp(bytes(&*b).iter().map(case)) as i32
    }

    /// Returns whether two narrow strings are equal.
    [PASSIVE] fn RtlEqualString(a: *const ANSI_STRING, b: *const ANSI_STRING, fold: u8) -> u8 { u8::from(RtlCompareString(a, b, fold) == 0) }

    /// Copies as much as there is room for.
    [ANY] fn RtlCopyString(target: *mut ANSI_STRING, source: *const ANSI_STRING) {
        let source = source.as_ref().map_or(&[][..], |source| bytes(source));
        let taken = source.len().min((*target).MaximumLength.into());
        core::ptr::copy(source.as_ptr(), (*target).Buffer, taken);
        (*target).Length = taken as u16;
    }

    /// Returns the capital of a narrow character.
    [APC] fn RtlUpperChar(c: u8) -> u8 { c.to_ascii_uppercase() }

    /// Makes a narrow string upper case.
    [APC] fn RtlUpperString(target: *mut ANSI_STRING, source: *const ANSI_STRING) {
        RtlCopyString(target, source);
        core::slice::from_raw_parts_mut((*target).Buffer, (*target).Length.into()).make_ascii_uppercase();
    }

    /// Returns the bytes that a narrow string takes when it is widened, its terminator included.
    [PASSIVE] fn RtlxAnsiStringToUnicodeSize(string: *const ANSI_STRING) -> u32 { 2 * (u32::from((*string).Length) + 1) }

    /// Returns the bytes that a string takes when it is narrowed, its terminator included.
    [PASSIVE] fn RtlxUnicodeStringToAnsiSize(string: *const UNICODE_STRING) -> u32 { text(&*string).len() as u32 + 1 }

    /// Returns a wide string in its own memory from a terminated one.
    [PASSIVE] fn RtlCreateUnicodeString(target: *mut UNICODE_STRING, source: *const u16) -> u8 {
        let text = String::from_utf16_lossy(core::slice::from_raw_parts(source, length(source)));
        u8::from(with_buffer(target, &text, true) == STATUS_SUCCESS)
    }

    /// Returns a 64-bit number as text.
    [PASSIVE] fn RtlInt64ToUnicodeString(value: u64, base: u32, target: *mut UNICODE_STRING) -> NTSTATUS {
        let text = match base {
            0 | 10 => alloc::format!("{value}"),
            16 => alloc::format!("{value:X}"),
            8 => alloc::format!("{value:o}"),
            2 => alloc::format!("{value:b}"),
            _ => return STATUS_INVALID_PARAMETER,
        };
        with_buffer(target, &text, false)
    }

    /// Converts wide characters to UTF-8; without a target, returns how long it would be.
    [PASSIVE] fn RtlUnicodeToUTF8N(target: *mut u8, room: u32, done: *mut u32, source: *const u16, length: u32) -> NTSTATUS {
        let units: Vec<u16> = (0..length as usize / 2).map(|at| source.add(at).read_unaligned()).collect();
        let text = String::from_utf16_lossy(&units);
        let mut taken = text.len();
        if !target.is_null() {
            taken = taken.min(room as usize);
            while !text.is_char_boundary(taken) { taken -= 1 }
            core::ptr::copy_nonoverlapping(text.as_ptr(), target, taken);
        }
        if !done.is_null() { done.write(taken as u32) }
        if taken < text.len() { STATUS_BUFFER_TOO_SMALL } else { STATUS_SUCCESS }
    }

    /// Converts UTF-8 to wide characters; without a target, returns how long they would be.
    [PASSIVE] fn RtlUTF8ToUnicodeN(target: *mut u16, room: u32, done: *mut u32, source: *const u8, length: u32) -> NTSTATUS {
        let text = String::from_utf8_lossy(core::slice::from_raw_parts(source, length as usize)).into_owned();
        let units: Vec<u16> = text.encode_utf16().collect();
        let taken = if target.is_null() { units.len() } else { units.len().min(room as usize / 2) };
        if !target.is_null() {
            for (at, unit) in units.iter().take(taken).enumerate() { target.add(at).write_unaligned(*unit) }
        }
        if !done.is_null() { done.write(2 * taken as u32) }
        if taken < units.len() { STATUS_BUFFER_TOO_SMALL } else { STATUS_SUCCESS }
    }

    /// Returns the capital of a character.
    [APC] fn RtlUpcaseUnicodeChar(unit: u16) -> u16 { upcase(unit) }

    /// Frees a string that the run-time library allocated.
    [APC] fn RtlFreeUnicodeString(string: *mut UNICODE_STRING) {
        {
            if !(*string).Buffer.is_null() {
                pool::free("RtlFreeUnicodeString", (*string).Buffer as u64, None);
                string.write(UNICODE_STRING { Length: 0, MaximumLength: 0, Buffer: core::ptr::null_mut() });
            }
        }
    }

    /// Frees a string that the run-time library allocated.
    [APC] fn RtlFreeAnsiString(string: *mut ANSI_STRING) {
        {
            if !(*string).Buffer.is_null() {
                pool::free("RtlFreeAnsiString", (*string).Buffer as u64, None);
                string.write(ANSI_STRING { Length: 0, MaximumLength: 0, Buffer: core::ptr::null_mut() });
            }
        }
    }

    /// Widens a string.
    [PASSIVE] fn RtlAnsiStringToUnicodeString(target: *mut UNICODE_STRING, source: *const ANSI_STRING, make: u8) -> NTSTATUS {
        with_buffer(target, &String::from_utf8_lossy(bytes(&*source)), make != 0)
    }

    /// Narrows a string.
    [PASSIVE] fn RtlUnicodeStringToAnsiString(target: *mut ANSI_STRING, source: *const UNICODE_STRING, make: u8) -> NTSTATUS {
        {
            let text = text(&*source);
            let Ok(needed) = u16::try_from(text.len() + 1) else { return STATUS_INVALID_PARAMETER_2 };
            if make != 0 {
                let Some(buffer) = pool::allocate(needed.into(), TAG, true, Owner::Driver) else { return STATUS_NO_MEMORY };
                target.write(ANSI_STRING { Length: 0, MaximumLength: needed, Buffer: buffer as *mut u8 });
            }
            let target = &mut *target;
            if target.MaximumLength < needed { return STATUS_BUFFER_OVERFLOW }
            core::ptr::copy_nonoverlapping(text.as_ptr(), target.Buffer, text.len());
            target.Buffer.add(text.len()).write(0);
            target.Length = needed - 1;
        }
        STATUS_SUCCESS
    }

    /// Returns a number as text.
    [PASSIVE] fn RtlIntegerToUnicodeString(value: u32, base: u32, target: *mut UNICODE_STRING) -> NTSTATUS {
        let text = match base {
            0 | 10 => alloc::format!("{value}"),
            16 => alloc::format!("{value:X}"),
            8 => alloc::format!("{value:o}"),
            2 => alloc::format!("{value:b}"),
            _ => return STATUS_INVALID_PARAMETER,
        };
        with_buffer(target, &text, false)
    }

    /// Reads text as a number.
    [PASSIVE] fn RtlUnicodeStringToInteger(source: *const UNICODE_STRING, base: u32, value: *mut u32) -> NTSTATUS {
        let text = text(&*source);
        let text = text.trim();
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (base, digits) = match (base, digits.get(..2)) {
            (0, Some("0x")) => (16, &digits[2..]),
            (0, Some("0o")) => (8, &digits[2..]),
            (0, Some("0b")) => (2, &digits[2..]),
            (0, _) => (10, digits),
            (2 | 8 | 10 | 16, _) => (base, digits),
            _ => return STATUS_INVALID_PARAMETER,
        };
        let end = digits.find(|c: char| !c.is_digit(base)).unwrap_or(digits.len());
        let number = u32::from_str_radix(&digits[..end], base).unwrap_or(0);
        value.write(if negative { number.wrapping_neg() } else { number });
        STATUS_SUCCESS
    }

    /// Returns a GUID as text, in braces.
    [PASSIVE] fn RtlStringFromGUID(guid: *const GUID, target: *mut UNICODE_STRING) -> NTSTATUS {
        let text = crate::base::guid::text(&*guid).to_uppercase();
        with_buffer(target, &text, true)
    }

    /// Returns the length of a terminated string.
    [ANY] fn wcslen(string: *const u16) -> usize { length(string) }

    /// Returns the length of a terminated string.
    [ANY] fn strlen(string: *const u8) -> usize { narrow_length(string) }

    /// Compares terminated strings.
    [ANY] fn wcscmp(a: *const u16, b: *const u16) -> i32 {
        {
            compare(core::slice::from_raw_parts(a, length(a)), core::slice::from_raw_parts(b, length(b)), false)
        }
    }

    /// Compares terminated strings without regard to case.
    [ANY] fn _wcsicmp(a: *const u16, b: *const u16) -> i32 {
        {
            compare(core::slice::from_raw_parts(a, length(a)), core::slice::from_raw_parts(b, length(b)), true)
        }
    }

    /// Compares terminated strings up to a length.
    [ANY] fn wcsncmp(a: *const u16, b: *const u16, most: usize) -> i32 {
        {
            compare(core::slice::from_raw_parts(a, length(a).min(most)), core::slice::from_raw_parts(b, length(b).min(most)), false)
        }
    }

    /// Compares terminated strings.
    [ANY] fn strcmp(a: *const u8, b: *const u8) -> i32 {
        {
            let (a, b) = (core::slice::from_raw_parts(a, narrow_length(a)), core::slice::from_raw_parts(b, narrow_length(b)));
            a.cmp(b) as i32
        }
    }

    /// Compares terminated strings up to a length.
    [ANY] fn strncmp(a: *const u8, b: *const u8, most: usize) -> i32 {
        {
            let (a, b) = (core::slice::from_raw_parts(a, narrow_length(a).min(most)), core::slice::from_raw_parts(b, narrow_length(b).min(most)));
            a.cmp(b) as i32
        }
    }

    /// Copies a terminated string.
    [ANY] fn wcscpy(target: *mut u16, source: *const u16) -> *mut u16 {
        core::ptr::copy(source, target, length(source) + 1);
        target
    }

    /// Copies a terminated string, filling up with zeros.
    [ANY] fn wcsncpy(target: *mut u16, source: *const u16, most: usize) -> *mut u16 {
        {
            let units = length(source).min(most);
            core::ptr::copy(source, target, units);
            target.add(units).write_bytes(0, most - units);
        }
        target
    }

    /// Appends a terminated string.
    [ANY] fn wcscat(target: *mut u16, source: *const u16) -> *mut u16 {
        core::ptr::copy(source, target.add(length(target)), length(source) + 1);
        target
    }

    /// Returns the first of a character in a terminated string.
    [ANY] fn wcschr(string: *const u16, unit: u16) -> *const u16 {
        (0..=length(string)).map(|at| string.add(at)).find(|at| **at == unit).unwrap_or(core::ptr::null())
    }

    /// Copies a terminated string.
    [ANY] fn strcpy(target: *mut u8, source: *const u8) -> *mut u8 {
        core::ptr::copy(source, target, narrow_length(source) + 1);
        target
    }
}
