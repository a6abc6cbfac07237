//! More of the C library: bounded copies, case, classes of characters, numbers, searching and sorting.
#![allow(unsafe_code, reason = "the C library's functions")]

use alloc::vec::Vec;

use super::string::{length, narrow_length};
use crate::export_functions;

/// `EINVAL`.
const EINVAL: i32 = 22;
/// `ERANGE`.
const ERANGE: i32 = 34;
/// `_TRUNCATE`.
const TRUNCATE: usize = usize::MAX;
/// What a bounded copy that truncated gives.
const STRUNCATE: i32 = 80;

/// Copies at most `most` of `source` to `target` behind `at`, and terminates: the rule of all `_s` functions.
unsafe fn put<T: Copy + Default>(
    target: *mut T,
    room: usize,
    at: usize,
    source: *const T,
    length: usize,
    most: usize,
) -> i32 {
    // SAFETY: an export's arguments.
    unsafe {
        if target.is_null() || room == 0 {
            return EINVAL;
        }
        if source.is_null() || at >= room {
            target.write(T::default());
            return EINVAL;
        }
        let wanted = length.min(most);
        let free = room - at - 1;
        if wanted > free && most != TRUNCATE {
            target.write(T::default());
            return ERANGE;
        }
        let taken = wanted.min(free);
        core::ptr::copy(source, target.add(at), taken);
        target.add(at + taken).write(T::default());
        if taken < wanted { STRUNCATE } else { 0 }
    }
}

/// Returns the length of a string that ends within `room`, or `room`.
unsafe fn bounded<T: PartialEq + Default>(string: *const T, room: usize) -> usize {
    // SAFETY: an export's arguments.
    (0..room).find(|&at| unsafe { *string.add(at) == T::default() }).unwrap_or(room)
}

/// Reads a number as `strtoul` does: value, units read, and whether it was negative.
fn number(units: &[u16], base: u32) -> (u64, usize, bool) {
    let character = |at: usize| units.get(at).and_then(|&unit| char::from_u32(unit.into())).unwrap_or('\0');
    let mut at =
        units.iter().take_while(|&&unit| char::from_u32(unit.into()).is_some_and(|c| c.is_ascii_whitespace())).count();
    let negative = character(at) == '-';
    at += usize::from(matches!(character(at), '-' | '+'));
    let hexadecimal =
        character(at) == '0' && matches!(character(at + 1), 'x' | 'X') && character(at + 2).is_ascii_hexdigit();
    let base = match base {
        0 if hexadecimal => 16,
        0 if character(at) == '0' => 8,
        0 => 10,
        base => base.clamp(2, 36),
    };
    if base == 16 && hexadecimal {
        at += 2;
    }
    let start = at;
    let mut value = 0u64;
    while let Some(digit) = character(at).to_digit(base) {
        value = value.saturating_mul(base.into()).saturating_add(digit.into());
        at += 1;
    }
    if at == start { (0, 0, false) } else { (value, at, negative) }
}

fn digits(mut value: u64, negative: bool, base: u32) -> Vec<u8> {
    let mut text = Vec::new();
    loop {
        text.push(core::char::from_digit((value % u64::from(base)) as u32, base).map_or(b'?', |c| c as u8));
        value /= u64::from(base);
        if value == 0 {
            break;
        }
    }
    if negative {
        text.push(b'-');
    }
    text.reverse();
    text
}

fn signed(value: i64, base: u32) -> Vec<u8> {
    digits(if base == 10 { value.unsigned_abs() } else { value as u64 }, base == 10 && value < 0, base)
}

unsafe fn put_digits<T: Copy + Default + From<u8>>(text: &[u8], base: u32, target: *mut T, room: usize) -> i32 {
    let units: Vec<T> = text.iter().map(|&digit| T::from(digit)).collect();
    if !(2..=36).contains(&base) {
        return EINVAL;
    }
    // SAFETY: an export's arguments.
    unsafe { put(target, room, 0, units.as_ptr(), units.len(), usize::MAX - 1) }
}

fn class(c: i32, is: impl Fn(&u8) -> bool) -> i32 {
    i32::from(u8::try_from(c).is_ok_and(|c| is(&c)))
}

type Compare = unsafe extern "win64" fn(*const u8, *const u8) -> i32;

export_functions! {
    /// More of the C library.
    pub static EXPORTS;

    /// Copies with a bound.
    [ANY] fn memcpy_s(target: *mut u8, room: usize, source: *const u8, bytes: usize) -> i32 { memmove_s(target, room, source, bytes) }

    /// Copies with a bound.
    [ANY] fn memmove_s(target: *mut u8, room: usize, source: *const u8, bytes: usize) -> i32 {
        if bytes == 0 { return 0 }
        if target.is_null() { return EINVAL }
        if source.is_null() || bytes > room {
            target.write_bytes(0, room);
            return if source.is_null() { EINVAL } else { ERANGE };
        }
        core::ptr::copy(source, target, bytes);
        0
    }

    /// Returns the first place of a byte.
    [ANY] fn memchr(memory: *const u8, byte: i32, bytes: usize) -> *const u8 {
        (0..bytes).map(|at| memory.add(at)).find(|at| **at == byte as u8).unwrap_or(core::ptr::null())
    }

    /// Copies a string with a bound.
    [ANY] fn strcpy_s(target: *mut u8, room: usize, source: *const u8) -> i32 {
        put(target, room, 0, source, if source.is_null() { 0 } else { narrow_length(source) }, usize::MAX - 1)
    }

    /// Copies a string with a bound.
    [ANY] fn wcscpy_s(target: *mut u16, room: usize, source: *const u16) -> i32 {
        put(target, room, 0, source, if source.is_null() { 0 } else { length(source) }, usize::MAX - 1)
    }

    /// Copies a part of a string with a bound.
    [ANY] fn strncpy_s(target: *mut u8, room: usize, source: *const u8, most: usize) -> i32 {
        put(target, room, 0, source, if source.is_null() { 0 } else { bounded(source, most.min(1 << 16)) }, most)
    }

    /// Copies a part of a string with a bound.
    [ANY] fn wcsncpy_s(target: *mut u16, room: usize, source: *const u16, most: usize) -> i32 {
        put(target, room, 0, source, if source.is_null() { 0 } else { bounded(source, most.min(1 << 16)) }, most)
    }

    /// Appends a string with a bound.
    [ANY] fn strcat_s(target: *mut u8, room: usize, source: *const u8) -> i32 {
        put(target, room, bounded(target, room), source, if source.is_null() { 0 } else { narrow_length(source) }, usize::MAX - 1)
    }

    /// Appends a string with a bound.
    [ANY] fn wcscat_s(target: *mut u16, room: usize, source: *const u16) -> i32 {
        put(target, room, bounded(target, room), source, if source.is_null() { 0 } else { length(source) }, usize::MAX - 1)
    }

    /// Appends a part of a string with a bound.
    [ANY] fn strncat_s(target: *mut u8, room: usize, source: *const u8, most: usize) -> i32 {
        put(target, room, bounded(target, room), source, if source.is_null() { 0 } else { bounded(source, most.min(1 << 16)) }, most)
    }

    /// Appends a part of a string with a bound.
    [ANY] fn wcsncat_s(target: *mut u16, room: usize, source: *const u16, most: usize) -> i32 {
        put(target, room, bounded(target, room), source, if source.is_null() { 0 } else { bounded(source, most.min(1 << 16)) }, most)
    }

    /// Returns the length of a string, at most so much.
    [ANY] fn strnlen(string: *const u8, most: usize) -> usize { bounded(string, most) }

    /// Returns the length of a string, at most so much.
    [ANY] fn wcsnlen(string: *const u16, most: usize) -> usize { bounded(string, most) }

    /// Returns how many characters from the start are of a set.
    [ANY] fn strspn(string: *const u8, set: *const u8) -> usize {
        let set = core::slice::from_raw_parts(set, narrow_length(set));
        (0..narrow_length(string)).take_while(|&at| set.contains(&*string.add(at))).count()
    }

    /// Returns how many characters from the start are of a set.
    [ANY] fn wcsspn(string: *const u16, set: *const u16) -> usize {
        let set = core::slice::from_raw_parts(set, length(set));
        (0..length(string)).take_while(|&at| set.contains(&*string.add(at))).count()
    }

    /// Returns how many characters from the start are not of a set.
    [ANY] fn wcscspn(string: *const u16, set: *const u16) -> usize {
        let set = core::slice::from_raw_parts(set, length(set));
        (0..length(string)).take_while(|&at| !set.contains(&*string.add(at))).count()
    }

    /// Makes a string lower case, in place.
    [ANY] fn _strlwr(string: *mut u8) -> *mut u8 {
        core::slice::from_raw_parts_mut(string, narrow_length(string)).make_ascii_lowercase();
        string
    }

    /// Makes a string upper case, in place.
    [ANY] fn _strupr(string: *mut u8) -> *mut u8 {
        core::slice::from_raw_parts_mut(string, narrow_length(string)).make_ascii_uppercase();
        string
    }

    /// Makes a string lower case, in place.
    [ANY] fn _wcslwr(string: *mut u16) -> *mut u16 {
        for unit in core::slice::from_raw_parts_mut(string, length(string)) { *unit = super::narrow::towlower(*unit) }
        string
    }

    /// Makes a string upper case, in place.
    [ANY] fn _wcsupr(string: *mut u16) -> *mut u16 {
        for unit in core::slice::from_raw_parts_mut(string, length(string)) { *unit = super::narrow::towupper(*unit) }
        string
    }

    /// Returns whether a character is a decimal digit.
    [ANY] fn isdigit(c: i32) -> i32 { class(c, u8::is_ascii_digit) }

    /// Returns whether a character is a hexadecimal digit.
    [ANY] fn isxdigit(c: i32) -> i32 { class(c, u8::is_ascii_hexdigit) }

    /// Returns whether a character is white space.
    [ANY] fn isspace(c: i32) -> i32 { class(c, |c| c.is_ascii_whitespace() || *c == 0x0b) }

    /// Returns whether a character is a capital.
    [ANY] fn isupper(c: i32) -> i32 { class(c, u8::is_ascii_uppercase) }

    /// Returns whether a character is a small letter.
    [ANY] fn islower(c: i32) -> i32 { class(c, u8::is_ascii_lowercase) }

    /// Returns whether a character can be printed.
    [ANY] fn isprint(c: i32) -> i32 { class(c, |c| (0x20..0x7f).contains(c)) }

    /// Returns a number, in any base, and where it ends.
    [ANY] fn wcstoul(string: *const u16, end: *mut *const u16, base: i32) -> u32 {
        let (value, read, negative) = number(core::slice::from_raw_parts(string, length(string)), base as u32);
        if !end.is_null() { end.write(string.add(read)) }
        let value = u32::try_from(value).unwrap_or(u32::MAX);
        if negative { value.wrapping_neg() } else { value }
    }

    /// Returns a decimal number.
    [ANY] fn _wtoi(string: *const u16) -> i32 {
        let (value, _, negative) = number(core::slice::from_raw_parts(string, length(string)), 10);
        if negative { (value as i32).wrapping_neg() } else { value as i32 }
    }

    /// Returns a decimal number.
    [ANY] fn _wtol(string: *const u16) -> i32 { _wtoi(string) }

    /// Returns a decimal number.
    [ANY] fn atol(string: *const u8) -> i32 { super::narrow::atoi(string) }

    /// Returns a number as text.
    [ANY] fn _itoa_s(value: i32, target: *mut u8, room: usize, base: i32) -> i32 {
        put_digits(&if base == 10 { signed(value.into(), 10) } else { digits(value as u32 as u64, false, base.clamp(2, 36) as u32) }, base as u32, target, room)
    }

    /// Returns a number as text.
    [ANY] fn _itow_s(value: i32, target: *mut u16, room: usize, base: i32) -> i32 {
        put_digits(&if base == 10 { signed(value.into(), 10) } else { digits(value as u32 as u64, false, base.clamp(2, 36) as u32) }, base as u32, target, room)
    }

    /// Returns a number as text.
    [ANY] fn _ultow_s(value: u32, target: *mut u16, room: usize, base: i32) -> i32 {
        put_digits(&digits(value.into(), false, base.clamp(2, 36) as u32), base as u32, target, room)
    }

    /// Returns a number as text.
    [ANY] fn _ultoa_s(value: u32, target: *mut u8, room: usize, base: i32) -> i32 {
        put_digits(&digits(value.into(), false, base.clamp(2, 36) as u32), base as u32, target, room)
    }

    /// Returns a number as text.
    [ANY] fn _i64tow_s(value: i64, target: *mut u16, room: usize, base: i32) -> i32 {
        put_digits(&signed(value, base.clamp(2, 36) as u32), base as u32, target, room)
    }

    /// Returns a number as text.
    [ANY] fn _ui64tow_s(value: u64, target: *mut u16, room: usize, base: i32) -> i32 {
        put_digits(&digits(value, false, base.clamp(2, 36) as u32), base as u32, target, room)
    }

    /// Returns the next part of a string between delimiters.
    [ANY] fn strtok_s(string: *mut u8, delimiters: *const u8, context: *mut *mut u8) -> *mut u8 {
        let set = core::slice::from_raw_parts(delimiters, narrow_length(delimiters));
        let mut at = if string.is_null() { *context } else { string };
        if at.is_null() { return core::ptr::null_mut() }
        while *at != 0 && set.contains(&*at) { at = at.add(1) }
        let start = at;
        while *at != 0 && !set.contains(&*at) { at = at.add(1) }
        if *at != 0 { at.write(0); at = at.add(1) }
        context.write(at);
        if *start == 0 { core::ptr::null_mut() } else { start }
    }

    /// Sorts by insertion: no memory is needed.
    [ANY] fn qsort(base: *mut u8, count: usize, size: usize, compare: Compare) {
        for sorted in 1..count {
            let mut at = sorted;
            while at > 0 && compare(base.add((at - 1) * size), base.add(at * size)) > 0 {
                core::ptr::swap_nonoverlapping(base.add((at - 1) * size), base.add(at * size), size);
                at -= 1;
            }
        }
    }

    /// Finds in what is sorted.
    [ANY] fn bsearch(key: *const u8, base: *const u8, count: usize, size: usize, compare: Compare) -> *const u8 {
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = base.add(middle * size);
            match compare(key, entry) {
                0 => return entry,
                order if order < 0 => high = middle,
                _ => low = middle + 1,
            }
        }
        core::ptr::null()
    }

    /// Converts narrow to wide; with no target, returns how long it would be.
    [PASSIVE] fn mbstowcs(target: *mut u16, source: *const u8, most: usize) -> usize {
        let text = core::slice::from_raw_parts(source, narrow_length(source));
        if target.is_null() { return text.len() }
        for (at, &byte) in text.iter().chain([&0]).enumerate().take(most) { target.add(at).write(byte.into()) }
        text.len().min(most)
    }

    /// Converts wide to narrow; with no target, returns how long it would be. Returns -1 for what has no narrow form.
    [PASSIVE] fn wcstombs(target: *mut u8, source: *const u16, most: usize) -> usize {
        let text = core::slice::from_raw_parts(source, length(source));
        if text.iter().any(|&unit| unit > 0x7f) { return usize::MAX }
        if target.is_null() { return text.len() }
        for (at, &unit) in text.iter().chain([&0]).enumerate().take(most) { target.add(at).write(unit as u8) }
        text.len().min(most)
    }
}
