//! What the registry tells of keys, and `RtlQueryRegistryValues`, which reads values by a table.
#![allow(unsafe_code, reason = "strings, buffers and routines of the Windows ABI")]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::registry::{self, Value, copy_out, key_of, name_of, result, subkeys, utf16, values};
use crate::export_functions;
use crate::nt::status::*;
use crate::nt::{HANDLE, NTSTATUS, PVOID, UNICODE_STRING};
use crate::rtl::string::allocate;

/// `KEY_INFORMATION_CLASS` (wdm.h).
mod class {
    /// `KeyBasicInformation`.
    pub(super) const BASIC: i32 = 0;
    /// `KeyNodeInformation`.
    pub(super) const NODE: i32 = 1;
    /// `KeyFullInformation`.
    pub(super) const FULL: i32 = 2;
    /// `KeyNameInformation`.
    pub(super) const NAME: i32 = 3;
}

/// What each class needs room for at least: the offset of its last member.
const FIXED: [u32; 4] = [16, 24, 44, 4];

/// When every key was written last: this registry keeps no times. 100 ns since 1601.
const LAST_WRITE: u64 = 0;

/// Returns a key as `KEY_*_INFORMATION`.
fn encode(path: &str, class: i32) -> Option<Vec<u8>> {
    let name = utf16(&name_of(path));
    let mut bytes = Vec::new();
    let words = |bytes: &mut Vec<u8>, words: &[u32]| words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    match class {
        class::BASIC | class::NODE => {
            bytes.extend(LAST_WRITE.to_le_bytes());
            words(&mut bytes, &[0]); // TitleIndex
            if class == class::NODE {
                words(&mut bytes, &[u32::MAX, 0]); // no class name
            }
            words(&mut bytes, &[name.len() as u32]);
            bytes.extend(name);
        }
        class::FULL => {
            let (keys, values) = (subkeys(path), values(path));
            let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0) as u32;
            bytes.extend(LAST_WRITE.to_le_bytes());
            words(
                &mut bytes,
                &[
                    0, // TitleIndex
                    u32::MAX,
                    0, // no class name
                    keys.len() as u32,
                    longest(&mut keys.iter().map(|key| utf16(key).len())),
                    0, // longest class name of a subkey
                    values.len() as u32,
                    longest(&mut values.iter().map(|value| utf16(&value.name).len())),
                    longest(&mut values.iter().map(|value| value.data.len())),
                ],
            );
        }
        class::NAME => {
            words(&mut bytes, &[name.len() as u32]);
            bytes.extend(name);
        }
        _ => return None,
    }
    Some(bytes)
}

/// `RTL_QUERY_REGISTRY_ROUTINE`.
type Routine = unsafe extern "win64" fn(*const u16, u32, PVOID, u32, PVOID, PVOID) -> NTSTATUS;

/// `RTL_QUERY_REGISTRY_TABLE` (wdm.h).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct RTL_QUERY_REGISTRY_TABLE {
    routine: Option<Routine>,
    flags: u32,
    name: *const u16,
    entry_context: PVOID,
    default_type: u32,
    default_data: PVOID,
    default_length: u32,
}

const _: () = assert!(size_of::<RTL_QUERY_REGISTRY_TABLE>() == 56);

/// `RTL_QUERY_REGISTRY_*` (wdm.h).
mod flag {
    /// `RTL_QUERY_REGISTRY_SUBKEY`.
    pub(super) const SUBKEY: u32 = 1;
    /// `RTL_QUERY_REGISTRY_TOPKEY`.
    pub(super) const TOPKEY: u32 = 2;
    /// `RTL_QUERY_REGISTRY_REQUIRED`.
    pub(super) const REQUIRED: u32 = 4;
    /// `RTL_QUERY_REGISTRY_NOVALUE`.
    pub(super) const NOVALUE: u32 = 8;
    /// `RTL_QUERY_REGISTRY_NOEXPAND`.
    pub(super) const NOEXPAND: u32 = 0x10;
    /// `RTL_QUERY_REGISTRY_DIRECT`.
    pub(super) const DIRECT: u32 = 0x20;
    /// `RTL_QUERY_REGISTRY_DELETE`.
    pub(super) const DELETE: u32 = 0x40;
    /// `RTL_QUERY_REGISTRY_TYPECHECK`.
    pub(super) const TYPECHECK: u32 = 0x100;
}

/// Where `RTL_QUERY_REGISTRY_TABLE.DefaultType` has the type that `flag::TYPECHECK` demands.
const TYPECHECK_SHIFT: u32 = 24;

/// `RTL_REGISTRY_*` (wdm.h): what a path is relative to.
mod relative {
    /// `RTL_REGISTRY_HANDLE`.
    pub(super) const HANDLE: u32 = 0x4000_0000;
    /// `RTL_REGISTRY_OPTIONAL`.
    pub(super) const OPTIONAL: u32 = 0x8000_0000;
    /// By number: ABSOLUTE, SERVICES, CONTROL, WINDOWS_NT, DEVICEMAP.
    pub(super) const ROOTS: [&str; 5] = [
        "",
        "\\Registry\\Machine\\System\\CurrentControlSet\\Services",
        "\\Registry\\Machine\\System\\CurrentControlSet\\Control",
        "\\Registry\\Machine\\Software\\Microsoft\\Windows NT\\CurrentVersion",
        "\\Registry\\Machine\\Hardware\\DeviceMap",
    ];
}

/// Types of values (wdm.h).
mod kind {
    /// `REG_NONE`.
    pub(super) const NONE: u32 = 0;
    /// `REG_SZ`.
    pub(super) const SZ: u32 = 1;
    /// `REG_EXPAND_SZ`.
    pub(super) const EXPAND_SZ: u32 = 2;
    /// `REG_MULTI_SZ`.
    pub(super) const MULTI_SZ: u32 = 7;
}

/// Longest string that is read, in UTF-16 units.
const STRING_MAX: usize = 1 << 15;

/// Returns a zero-terminated string; empty for null.
unsafe fn wide(string: *const u16) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: by the caller it ends with a zero.
    let units = (0..STRING_MAX).map(|at| unsafe { string.add(at).read_unaligned() }).take_while(|&unit| unit != 0);
    String::from_utf16_lossy(&units.collect::<Vec<_>>())
}

/// Returns the full path that `relative` and a path name.
unsafe fn resolve(relative: u32, path: *const u16) -> Result<String, NTSTATUS> {
    if relative & relative::HANDLE != 0 {
        return key_of(path.cast_mut().cast());
    }
    let root = relative::ROOTS.get((relative & !relative::OPTIONAL) as usize).ok_or(STATUS_INVALID_PARAMETER)?;
    // SAFETY: by the caller.
    let path = unsafe { wide(path) };
    Ok(match (root.is_empty(), path.is_empty()) {
        (true, _) => path,
        (false, true) => (*root).into(),
        (false, false) => format!("{root}\\{path}"),
    })
}

/// Hands one value to a table's routine or place.
unsafe fn hand_over(entry: &RTL_QUERY_REGISTRY_TABLE, value: &Value, context: PVOID) -> NTSTATUS {
    // SAFETY: by the caller the table is a driver's own.
    unsafe {
        if entry.flags & flag::DIRECT != 0 {
            let demanded = entry.default_type >> TYPECHECK_SHIFT;
            if entry.flags & flag::TYPECHECK != 0 && demanded != value.kind {
                return STATUS_OBJECT_TYPE_MISMATCH;
            }
            return directly(entry.entry_context, value);
        }
        let Some(routine) = entry.routine else { return STATUS_SUCCESS };
        let name: Vec<u16> = value.name.encode_utf16().chain([0]).collect();
        let call = |kind: u32, data: &[u8]| {
            // As the driver may write to it, and as aligned as pool is.
            let mut copy: Vec<u64> = alloc::vec![0; data.len().div_ceil(8) + 1];
            core::ptr::copy_nonoverlapping(data.as_ptr(), copy.as_mut_ptr().cast(), data.len());
            let data_at = copy.as_mut_ptr().cast();
            crate::ke::driver_call::call("an RTL_QUERY_REGISTRY_ROUTINE", || {
                routine(name.as_ptr(), kind, data_at, data.len() as u32, context, entry.entry_context)
            })
        };
        if value.kind != kind::MULTI_SZ || entry.flags & flag::NOEXPAND != 0 {
            // Nothing of an environment is here to expand.
            let kind =
                if value.kind == kind::EXPAND_SZ && entry.flags & flag::NOEXPAND == 0 { kind::SZ } else { value.kind };
            return call(kind, &value.data);
        }
        let units: Vec<u16> = value.data.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        for string in units.split(|&unit| unit == 0).filter(|string| !string.is_empty()) {
            let data: Vec<u8> = string.iter().chain(&[0]).flat_map(|unit| unit.to_le_bytes()).collect();
            let status = call(kind::SZ, &data);
            if !success(status) {
                return status;
            }
        }
        STATUS_SUCCESS
    }
}

/// Stores a value where `RTL_QUERY_REGISTRY_DIRECT` says.
unsafe fn directly(place: PVOID, value: &Value) -> NTSTATUS {
    const LONG: usize = 4;
    // SAFETY: by the caller the place is as the value's type demands.
    unsafe {
        if matches!(value.kind, kind::SZ | kind::EXPAND_SZ | kind::MULTI_SZ) {
            let string = place.cast::<UNICODE_STRING>();
            let length = value.data.len();
            if (*string).Buffer.is_null() {
                let units: Vec<u16> =
                    value.data.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
                let text = String::from_utf16_lossy(&units);
                let Some(made) = allocate(text.trim_end_matches('\0')) else { return STATUS_INSUFFICIENT_RESOURCES };
                string.write(made);
                return STATUS_SUCCESS;
            }
            if usize::from((*string).MaximumLength) < length {
                return STATUS_BUFFER_TOO_SMALL;
            }
            core::ptr::copy_nonoverlapping(value.data.as_ptr(), (*string).Buffer.cast(), length);
            let terminated = value.kind != kind::MULTI_SZ && value.data.ends_with(&[0, 0]);
            (*string).Length = (length - if terminated { 2 } else { 0 }) as u16;
        } else if value.data.len() <= LONG {
            core::ptr::copy_nonoverlapping(value.data.as_ptr(), place.cast(), value.data.len());
        } else {
            // A negative length: the data alone. A positive one: length, type, data.
            let room = place.cast::<i32>().read_unaligned();
            let (header, room) = if room < 0 { (0, room.unsigned_abs()) } else { (2 * LONG, room.unsigned_abs()) };
            if (room as usize) < header + value.data.len() {
                return STATUS_BUFFER_TOO_SMALL;
            }
            if header > 0 {
                place.cast::<u32>().write_unaligned(value.data.len() as u32);
                place.cast::<u32>().add(1).write_unaligned(value.kind);
            }
            core::ptr::copy_nonoverlapping(value.data.as_ptr(), place.cast::<u8>().add(header), value.data.len());
        }
        STATUS_SUCCESS
    }
}

/// Returns what a table's entry says of a value that is not there.
unsafe fn default(entry: &RTL_QUERY_REGISTRY_TABLE, name: &str) -> Option<Value> {
    let kind = entry.default_type & !(u32::MAX << TYPECHECK_SHIFT);
    if kind == kind::NONE {
        return None;
    }
    // SAFETY: by the caller.
    let data = unsafe {
        match (kind, entry.default_length) {
            (kind::SZ | kind::EXPAND_SZ, 0) => {
                let mut data = utf16(&wide(entry.default_data.cast()));
                data.extend([0, 0]);
                data
            }
            (_, length) => core::slice::from_raw_parts(entry.default_data.cast::<u8>(), length as usize).to_vec(),
        }
    };
    Some(Value { kind, data, name: name.into() })
}

/// Does what one entry says in the key at `path`.
unsafe fn answer(entry: &RTL_QUERY_REGISTRY_TABLE, path: &str, context: PVOID) -> NTSTATUS {
    // SAFETY: by the caller.
    unsafe {
        if entry.flags & flag::NOVALUE != 0 {
            let Some(routine) = entry.routine else { return STATUS_SUCCESS };
            return crate::ke::driver_call::call("an RTL_QUERY_REGISTRY_ROUTINE", || {
                routine(core::ptr::null(), kind::NONE, core::ptr::null_mut(), 0, context, entry.entry_context)
            });
        }
        let all = values(path);
        if entry.name.is_null() || entry.flags & flag::SUBKEY != 0 {
            if all.is_empty() && entry.flags & flag::REQUIRED != 0 {
                return STATUS_OBJECT_NAME_NOT_FOUND;
            }
            return all
                .iter()
                .map(|value| hand_over(entry, value, context))
                .find(|status| !success(*status))
                .unwrap_or(STATUS_SUCCESS);
        }
        let name = wide(entry.name);
        match all.iter().find(|value| value.name.eq_ignore_ascii_case(&name)) {
            Some(value) => {
                let status = hand_over(entry, value, context);
                if success(status) && entry.flags & flag::DELETE != 0 {
                    registry::forget_value(path, &name);
                }
                status
            }
            None if entry.flags & flag::REQUIRED != 0 => STATUS_OBJECT_NAME_NOT_FOUND,
            None => default(entry, &name).map_or(STATUS_SUCCESS, |value| hand_over(entry, &value, context)),
        }
    }
}

export_functions! {
    /// What the registry tells of keys.
    pub static EXPORTS;

    /// Tells of a key.
    [PASSIVE] fn ZwQueryKey(key: HANDLE, class: i32, buffer: PVOID, length: u32, needed: *mut u32) -> NTSTATUS {
        result(key_of(key).map(|path| {
            let Some(bytes) = encode(&path, class) else { return STATUS_INVALID_PARAMETER };
            copy_out(&bytes, FIXED[class as usize], buffer, length, needed)
        }))
    }

    /// Tells of the key of a number below a key.
    [PASSIVE] fn ZwEnumerateKey(key: HANDLE, index: u32, class: i32, buffer: PVOID, length: u32, needed: *mut u32) -> NTSTATUS {
        result(key_of(key).map(|path| {
            let Some(name) = subkeys(&path).into_iter().nth(index as usize) else { return STATUS_NO_MORE_ENTRIES };
            let Some(bytes) = encode(&format!("{path}\\{}", name.to_lowercase()), class) else { return STATUS_INVALID_PARAMETER };
            copy_out(&bytes, FIXED[class as usize], buffer, length, needed)
        }))
    }

    /// Reads values by a table.
    [PASSIVE] fn RtlQueryRegistryValues(relative: u32, path: *const u16, table: *mut RTL_QUERY_REGISTRY_TABLE, context: PVOID,
        _environment: PVOID) -> NTSTATUS {
        let top = match resolve(relative, path) {
            Ok(top) => top.to_lowercase(),
            Err(status) => return status,
        };
        if !registry::exists(&top) {
            return if relative & relative::OPTIONAL != 0 { STATUS_SUCCESS } else { STATUS_OBJECT_NAME_NOT_FOUND };
        }
        let mut current = top.clone();
        let mut at = table;
        loop {
            let entry = at.read();
            if entry.routine.is_none() && entry.flags & (flag::SUBKEY | flag::DIRECT) == 0 {
                return STATUS_SUCCESS;
            }
            if entry.flags & flag::DIRECT != 0 && (entry.name.is_null() || entry.flags & flag::SUBKEY != 0 || entry.routine.is_some()) {
                return STATUS_INVALID_PARAMETER;
            }
            if entry.flags & (flag::TOPKEY | flag::SUBKEY) != 0 {
                current.clone_from(&top);
            }
            let mut there = true;
            if entry.flags & flag::SUBKEY != 0 {
                if entry.name.is_null() {
                    return STATUS_INVALID_PARAMETER;
                }
                current = format!("{top}\\{}", wide(entry.name).to_lowercase());
                there = registry::exists(&current);
                if !there && entry.flags & flag::REQUIRED != 0 {
                    return STATUS_OBJECT_NAME_NOT_FOUND;
                }
            }
            if there && (entry.routine.is_some() || entry.flags & flag::DIRECT != 0) {
                let status = answer(&entry, &current, context);
                if !success(status) {
                    return status;
                }
            }
            at = at.add(1);
        }
    }

    /// Returns whether a key is there.
    [PASSIVE] fn RtlCheckRegistryKey(relative: u32, path: *const u16) -> NTSTATUS {
        result(resolve(relative, path).map(|path| if registry::exists(&path) { STATUS_SUCCESS } else { STATUS_OBJECT_NAME_NOT_FOUND }))
    }

    /// Makes a key, if it is not there.
    [PASSIVE] fn RtlCreateRegistryKey(relative: u32, path: *const u16) -> NTSTATUS {
        result(resolve(relative, path).map(|path| {
            registry::create(&path);
            STATUS_SUCCESS
        }))
    }

    /// Writes a value, and makes its key if it is not there.
    [PASSIVE] fn RtlWriteRegistryValue(relative: u32, path: *const u16, name: *const u16, kind: u32, data: *const u8, length: u32) -> NTSTATUS {
        result(resolve(relative, path).map(|path| {
            registry::create(&path);
            let data = if length == 0 { Vec::new() } else { core::slice::from_raw_parts(data, length as usize).to_vec() };
            registry::write_value(&path, Value { kind, data, name: wide(name) });
            STATUS_SUCCESS
        }))
    }

    /// Deletes a value.
    [PASSIVE] fn RtlDeleteRegistryValue(relative: u32, path: *const u16, name: *const u16) -> NTSTATUS {
        result(resolve(relative, path).map(|path| {
            if registry::forget_value(&path.to_lowercase(), &wide(name)) { STATUS_SUCCESS } else { STATUS_OBJECT_NAME_NOT_FOUND }
        }))
    }
}
