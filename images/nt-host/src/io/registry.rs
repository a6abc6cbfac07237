//! The registry: keys by path, values by name, in memory.
//!
//! It begins with what a driver's installation would have left: the driver's service key and its device's keys.
#![allow(unsafe_code, reason = "strings and buffers of the Windows ABI")]

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::arch::uninterrupted::Uninterrupted;
use crate::devnode;
use crate::export_functions;
use crate::ke::handle::{self, Object};
use crate::nt::status::*;
use crate::nt::{DEVICE_OBJECT, DRIVER_OBJECT, HANDLE, NTSTATUS, OBJECT_ATTRIBUTES, PVOID, UNICODE_STRING};
use crate::rtl::string::text;

/// A value: type and data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// `REG_SZ` and so on.
    pub kind: u32,
    /// Its bytes.
    pub data: Vec<u8>,
    /// Its name as it was written.
    pub name: String,
}

/// A key: its values by name in lower case, and the last part of its own name as it was written.
#[derive(Default)]
struct Key {
    name: String,
    values: BTreeMap<String, Value>,
}

static KEYS: Uninterrupted<BTreeMap<String, Key>> = Uninterrupted::new(BTreeMap::new());

const REG_CREATED_NEW_KEY: u32 = 1;
const REG_OPENED_EXISTING_KEY: u32 = 2;
const KEY_VALUE_BASIC: i32 = 0;
const KEY_VALUE_FULL: i32 = 1;
const KEY_VALUE_PARTIAL: i32 = 2;
/// Longest value taken.
const VALUE_BYTES_MAX: u32 = 1 << 20;

/// Makes a key and those above it, if they are not there. Whether it was not.
pub fn create(path: &str) -> bool {
    KEYS.with(|keys| {
        let new = !keys.contains_key(&path.to_lowercase());
        let ends = path.match_indices('\\').map(|(at, _)| at).chain([path.len()]).filter(|&end| end > 0);
        for part in ends.map(|end| &path[..end]) {
            let name = part.rsplit('\\').next().unwrap_or_default();
            keys.entry(part.to_lowercase()).or_insert_with(|| Key { name: name.into(), values: BTreeMap::new() });
        }
        new
    })
}

/// Returns the names of the keys directly below one, as they were written.
pub(super) fn subkeys(path: &str) -> Vec<String> {
    let below = format!("{}\\", path.to_lowercase());
    KEYS.with(|keys| {
        let children =
            keys.iter().filter(|(path, _)| path.strip_prefix(&below).is_some_and(|rest| !rest.contains('\\')));
        children.map(|(_, key)| key.name.clone()).collect()
    })
}

/// Returns a key's own name as it was written, the last part of its path.
pub(super) fn name_of(path: &str) -> String {
    KEYS.with(|keys| keys.get(path).map(|key| key.name.clone()).unwrap_or_default())
}

/// Returns the values of a key.
pub(super) fn values(path: &str) -> Vec<Value> {
    KEYS.with(|keys| keys.get(path).map(|key| key.values.values().cloned().collect()).unwrap_or_default())
}

/// Returns whether a key is there.
pub(super) fn exists(path: &str) -> bool {
    KEYS.with(|keys| keys.contains_key(&path.to_lowercase()))
}

/// Returns the path that attributes name.
unsafe fn path(attributes: *const OBJECT_ATTRIBUTES) -> Result<String, NTSTATUS> {
    // SAFETY: an export's argument.
    unsafe {
        let name = (*attributes).ObjectName.as_ref().map(|name| text(name)).unwrap_or_default();
        if (*attributes).RootDirectory.is_null() {
            return if name.starts_with('\\') { Ok(name) } else { Err(STATUS_OBJECT_PATH_SYNTAX_BAD) };
        }
        match handle::get((*attributes).RootDirectory) {
            Some(Object::Key(root)) if name.is_empty() => Ok(root),
            Some(Object::Key(root)) => Ok(format!("{root}\\{name}")),
            Some(_) => Err(STATUS_OBJECT_TYPE_MISMATCH),
            None => Err(STATUS_INVALID_HANDLE),
        }
    }
}

/// Returns the path of the key that a handle is open on, in lower case. It is there.
pub(super) fn key_of(handle: HANDLE) -> Result<String, NTSTATUS> {
    match handle::get(handle) {
        Some(Object::Key(path)) if exists(&path) => Ok(path.to_lowercase()),
        Some(Object::Key(_)) => Err(STATUS_KEY_DELETED),
        Some(_) => Err(STATUS_OBJECT_TYPE_MISMATCH),
        None => Err(STATUS_INVALID_HANDLE),
    }
}

/// Returns text as the bytes of a `REG_SZ` value.
pub(super) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Returns a value as `KEY_VALUE_*_INFORMATION`.
fn encode(value: &Value, class: i32) -> Option<Vec<u8>> {
    let name = utf16(&value.name);
    let mut bytes = Vec::new();
    let mut word = |value: u32| bytes.extend(value.to_le_bytes());
    word(0);
    word(value.kind);
    match class {
        KEY_VALUE_BASIC => {
            word(name.len() as u32);
            bytes.extend(name);
        }
        KEY_VALUE_FULL => {
            let offset = (20 + name.len()).next_multiple_of(8);
            word(offset as u32);
            word(value.data.len() as u32);
            word(name.len() as u32);
            bytes.extend(name);
            bytes.resize(offset, 0);
            bytes.extend(&value.data);
        }
        KEY_VALUE_PARTIAL => {
            word(value.data.len() as u32);
            bytes.extend(&value.data);
        }
        _ => return None,
    }
    Some(bytes)
}

/// Writes a value of a key that is there.
pub fn write_value(path: &str, value: Value) {
    KEYS.with(|keys| keys.entry(path.to_lowercase()).or_default().values.insert(value.name.to_lowercase(), value));
}

/// Returns the key of a device interface by its symbolic link.
#[must_use]
pub fn interface_key(link: &str) -> String {
    format!("\\Registry\\Machine\\System\\CurrentControlSet\\Control\\DeviceClasses\\{}", link.replace('\\', "#"))
}

/// Deletes a value. Whether it was there.
pub(super) fn forget_value(path: &str, name: &str) -> bool {
    KEYS.with(|keys| keys.get_mut(path).is_some_and(|key| key.values.remove(&name.to_lowercase()).is_some()))
}

/// Smallest buffer that takes the fixed part of each class.
const FIXED: [u32; 3] = [12, 20, 12];

/// Copies information out, as much as there is room for.
///
/// # Safety
/// The buffer has so many bytes, and `needed` can be written.
pub(super) unsafe fn copy_out(bytes: &[u8], fixed: u32, buffer: PVOID, length: u32, needed: *mut u32) -> NTSTATUS {
    // SAFETY: an export's arguments.
    unsafe {
        needed.write(bytes.len() as u32);
        if length < fixed {
            return STATUS_BUFFER_TOO_SMALL;
        }
        core::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.cast(), bytes.len().min(length as usize));
        if (length as usize) < bytes.len() { STATUS_BUFFER_OVERFLOW } else { STATUS_SUCCESS }
    }
}

/// Copies a query's answer to the caller's buffer and returns the status.
pub(super) fn result(outcome: Result<NTSTATUS, NTSTATUS>) -> NTSTATUS {
    outcome.unwrap_or_else(|status| status)
}

export_functions! {
    /// The registry.
    pub static EXPORTS;

    /// Opens a key.
    [PASSIVE] fn ZwOpenKey(out: *mut HANDLE, _access: u32, attributes: *const OBJECT_ATTRIBUTES) -> NTSTATUS {
        result(path(attributes).map(|path| {
            if !exists(&path) {
                return STATUS_OBJECT_NAME_NOT_FOUND;
            }
            out.write(handle::open(Object::Key(path)));
            STATUS_SUCCESS
        }))
    }

    /// Opens a key.
    [PASSIVE] fn ZwOpenKeyEx(out: *mut HANDLE, access: u32, attributes: *const OBJECT_ATTRIBUTES, _options: u32) -> NTSTATUS {
        ZwOpenKey(out, access, attributes)
    }

    /// Creates or opens a key.
    [PASSIVE] fn ZwCreateKey(out: *mut HANDLE, _access: u32, attributes: *const OBJECT_ATTRIBUTES, _index: u32,
        _class: *const UNICODE_STRING, _options: u32, disposition: *mut u32) -> NTSTATUS {
        result(path(attributes).map(|path| {
            let new = create(&path);
            {
                if !disposition.is_null() {
                    disposition.write(if new { REG_CREATED_NEW_KEY } else { REG_OPENED_EXISTING_KEY });
                }
                out.write(handle::open(Object::Key(path)));
            }
            STATUS_SUCCESS
        }))
    }

    /// Deletes a key that has none below it.
    [PASSIVE] fn ZwDeleteKey(key: HANDLE) -> NTSTATUS {
        result(key_of(key).map(|path| {
            if !subkeys(&path).is_empty() {
                return STATUS_CANNOT_DELETE;
            }
            KEYS.with(|keys| keys.remove(&path));
            STATUS_SUCCESS
        }))
    }

    /// Reads a value.
    [PASSIVE] fn ZwQueryValueKey(key: HANDLE, name: *const UNICODE_STRING, class: i32, buffer: PVOID, length: u32,
        needed: *mut u32) -> NTSTATUS {
        result(key_of(key).map(|path| {
            let name = text(&*name).to_lowercase();
            let Some(value) = KEYS.with(|keys| keys.get(&path)?.values.get(&name).cloned()) else { return STATUS_OBJECT_NAME_NOT_FOUND };
            let Some(bytes) = encode(&value, class) else { return STATUS_INVALID_PARAMETER };
            copy_out(&bytes, FIXED[class as usize], buffer, length, needed)
        }))
    }

    /// Reads the value of a number.
    [PASSIVE] fn ZwEnumerateValueKey(key: HANDLE, index: u32, class: i32, buffer: PVOID, length: u32, needed: *mut u32) -> NTSTATUS {
        result(key_of(key).map(|path| {
            let Some(value) = values(&path).into_iter().nth(index as usize) else { return STATUS_NO_MORE_ENTRIES };
            let Some(bytes) = encode(&value, class) else { return STATUS_INVALID_PARAMETER };
            copy_out(&bytes, FIXED[class as usize], buffer, length, needed)
        }))
    }

    /// Writes a value.
    [PASSIVE] fn ZwSetValueKey(key: HANDLE, name: *const UNICODE_STRING, _index: u32, kind: u32, data: *const u8, length: u32) -> NTSTATUS {
        result(key_of(key).map(|path| {
            if length > VALUE_BYTES_MAX {
                return STATUS_INSUFFICIENT_RESOURCES;
            }
            let name = text(&*name);
            let data = if length == 0 { Vec::new() } else { core::slice::from_raw_parts(data, length as usize).to_vec() };
            write_value(&path, Value { kind, data, name });
            STATUS_SUCCESS
        }))
    }

    /// Deletes a value.
    [PASSIVE] fn ZwDeleteValueKey(key: HANDLE, name: *const UNICODE_STRING) -> NTSTATUS {
        result(key_of(key).map(|path| {
            if forget_value(&path, &text(&*name)) { STATUS_SUCCESS } else { STATUS_OBJECT_NAME_NOT_FOUND }
        }))
    }

    /// Writes a key to disk: there is none.
    [PASSIVE] fn ZwFlushKey(key: HANDLE) -> NTSTATUS { result(key_of(key).map(|_| STATUS_SUCCESS)) }

    /// Opens the key of a device (1) or of its driver (2), in the current hardware profile (4) or the common one.
    [PASSIVE] fn IoOpenDeviceRegistryKey(device: *mut DEVICE_OBJECT, kind: u32, _access: u32, out: *mut HANDLE) -> NTSTATUS {
        let Some(id) = devnode::instance_path(device) else { return STATUS_INVALID_DEVICE_REQUEST };
        let set = if kind & 4 != 0 { "\\Registry\\Machine\\System\\CurrentControlSet\\Hardware Profiles\\Current\\System\\CurrentControlSet" }
            else { "\\Registry\\Machine\\System\\CurrentControlSet" };
        let path = if kind & 1 != 0 {
            format!("{set}\\Enum\\{id}\\Device Parameters")
        } else {
            format!("{set}\\Control\\Class\\{}", super::property::driver_key_name())
        };
        create(&path);
        out.write(handle::open(Object::Key(path)));
        STATUS_SUCCESS
    }

    /// Opens a driver's key: its service's parameters (0).
    [PASSIVE] fn IoOpenDriverRegistryKey(driver: *mut DRIVER_OBJECT, kind: i32, _access: u32, _flags: u32, out: *mut HANDLE) -> NTSTATUS {
        if kind != 0 { return STATUS_NOT_SUPPORTED }
        let name = text(&(*driver).DriverName);
        let service = name.rsplit('\\').next().unwrap_or_default();
        let path = format!("\\Registry\\Machine\\System\\CurrentControlSet\\Services\\{service}\\Parameters");
        create(&path);
        out.write(handle::open(Object::Key(path)));
        STATUS_SUCCESS
    }

    /// Opens the key of a device interface.
    [PASSIVE] fn IoOpenDeviceInterfaceRegistryKey(link: *const UNICODE_STRING, _access: u32, out: *mut HANDLE) -> NTSTATUS {
        let link = text(&*link);
        if !super::names::interfaces().iter().any(|interface| interface.link == link) {
            return STATUS_OBJECT_NAME_NOT_FOUND;
        }
        let path = interface_key(&link);
        create(&path);
        out.write(handle::open(Object::Key(path)));
        STATUS_SUCCESS
    }
}
