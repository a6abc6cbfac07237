//! `IRegistryKey`: a key of the registry as an object, with the access that it was opened for.

#![allow(unsafe_code, reason = "keys are named and read through structures of the Windows ABI")]

use alloc::format;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::alloc_faults;
use crate::contract::services;
use crate::contract::violation::{Violation, violation};
use crate::exports::{
    IoOpenDeviceInterfaceRegistryKey, IoOpenDeviceRegistryKey, RtlQueryRegistryValues, ZwCreateKey, ZwDeleteKey,
    ZwEnumerateKey, ZwEnumerateValueKey, ZwQueryKey, ZwQueryValueKey, ZwSetValueKey,
};
use crate::io::registry_query::RTL_QUERY_REGISTRY_TABLE;
use crate::ke::handle;
use crate::nt::status::{
    STATUS_ACCESS_DENIED, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER,
    STATUS_KEY_DELETED, success,
};
use crate::nt::{HANDLE, NTSTATUS, OBJECT_ATTRIBUTES, PVOID, UNICODE_STRING};
use crate::portcls::adapter;
use crate::portcls::com::guids::{GUID, IID_IREGISTRYKEY};
use crate::portcls::com::object::{Class, Com, Object, Slot, object, unknown};
use crate::portcls::kernel::irql;
use crate::portcls::services::call_faults;

/// The kinds of key that `PcNewRegistryKey` opens (portcls.h).
pub(crate) mod kind {
    /// `GeneralRegistryKey`.
    pub(crate) const GENERAL: u32 = 0;
    /// `DeviceRegistryKey`.
    pub(crate) const DEVICE: u32 = 1;
    /// `DriverRegistryKey`.
    pub(crate) const DRIVER: u32 = 2;
    /// `DeviceInterfaceRegistryKey`.
    pub(crate) const DEVICE_INTERFACE: u32 = 4;
}

/// `PLUGPLAY_REGKEY_*` (wdm.h).
mod plug_and_play {
    /// `PLUGPLAY_REGKEY_DEVICE`.
    pub(crate) const DEVICE: u32 = 1;
    /// `PLUGPLAY_REGKEY_DRIVER`.
    pub(crate) const DRIVER: u32 = 2;
    /// `PLUGPLAY_REGKEY_CURRENT_HWPROFILE`.
    pub(crate) const CURRENT_HWPROFILE: u32 = 4;
}

/// Access to keys (wdm.h).
mod access {
    /// `KEY_QUERY_VALUE`.
    pub(crate) const QUERY_VALUE: u32 = 1;
    /// `KEY_SET_VALUE`.
    pub(crate) const SET_VALUE: u32 = 2;
    /// `KEY_CREATE_SUB_KEY`.
    pub(crate) const CREATE_SUB_KEY: u32 = 4;
    /// `KEY_ENUMERATE_SUB_KEYS`.
    pub(crate) const ENUMERATE_SUB_KEYS: u32 = 8;
    const NOTIFY: u32 = 0x10;
    /// `DELETE`.
    pub(crate) const DELETE: u32 = 0x1_0000;
    const MAXIMUM_ALLOWED: u32 = 0x0200_0000;
    const GENERIC_ALL: u32 = 0x1000_0000;
    const GENERIC_WRITE: u32 = 0x4000_0000;
    const GENERIC_READ: u32 = 0x8000_0000;

    /// Returns generic rights as those of keys.
    pub(crate) fn mapped(access: u32) -> u32 {
        let mut mapped = access;
        if access & (GENERIC_ALL | MAXIMUM_ALLOWED) != 0 {
            mapped |= u32::MAX;
        }
        if access & GENERIC_WRITE != 0 {
            mapped |= SET_VALUE | CREATE_SUB_KEY;
        }
        if access & GENERIC_READ != 0 {
            mapped |= QUERY_VALUE | ENUMERATE_SUB_KEYS | NOTIFY;
        }
        mapped
    }
}

/// `RTL_REGISTRY_HANDLE` (wdm.h).
const RTL_REGISTRY_HANDLE: u32 = 0x4000_0000;

/// `REG_OPENED_EXISTING_KEY` (wdm.h).
const REG_OPENED_EXISTING_KEY: u32 = 2;

/// `IRegistryKey`.
pub(crate) struct RegistryKey {
    handle: usize,
    access: u32,
    deleted: AtomicBool,
}

impl Drop for RegistryKey {
    fn drop(&mut self) {
        handle::close(self.handle as HANDLE);
    }
}

impl Class for RegistryKey {
    const NAME: &'static str = "IRegistryKey";
    const INTERFACES: &'static [GUID] = &[IID_IREGISTRYKEY];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<RegistryKey>();
        static VTABLE: [Slot; 11] = [
            UNKNOWN[0],
            UNKNOWN[1],
            UNKNOWN[2],
            Slot(query_key as *const ()),
            Slot(enumerate_key as *const ()),
            Slot(query_value_key as *const ()),
            Slot(enumerate_value_key as *const ()),
            Slot(set_value_key as *const ()),
            Slot(query_registry_values as *const ()),
            Slot(new_sub_key as *const ()),
            Slot(delete_key as *const ()),
        ];
        &VTABLE
    }

    fn released(_object: &Object<Self>) {
        irql::passive("IRegistryKey", "the last Release");
    }
}

type This = *mut Object<RegistryKey>;

impl RegistryKey {
    fn create(handle: HANDLE, access: u32) -> Com<Self> {
        Com::new(Self { handle: handle as usize, access: access::mapped(access), deleted: AtomicBool::new(false) })
    }
}

/// Checks what every method checks first: `PASSIVE_LEVEL`, a key that is not deleted, no allocation fault, and the
/// right to do it.
unsafe fn enter<'a>(this: This, method: &'static str, right: u32) -> Result<&'a Object<RegistryKey>, NTSTATUS> {
    irql::passive_method(method);
    // SAFETY: the caller of the method holds a reference.
    let key = unsafe { object(this) };
    if key.deleted.load(Ordering::Relaxed) {
        violation(
            method,
            Violation::new(
                services::REGISTRY_KEY,
                format!("{method} is called on a key that was deleted"),
                "after DeleteKey only Release the object",
            ),
        );
        return Err(STATUS_KEY_DELETED);
    }
    if alloc_faults::fails(method) {
        return Err(STATUS_INSUFFICIENT_RESOURCES);
    }
    if key.access & right == right { Ok(key) } else { Err(STATUS_ACCESS_DENIED) }
}

unsafe extern "win64" fn query_key(this: This, class: i32, buffer: PVOID, length: u32, needed: *mut u32) -> NTSTATUS {
    // SAFETY: the caller's object and buffer.
    unsafe {
        match enter(this, "IRegistryKey::QueryKey", access::QUERY_VALUE) {
            Ok(key) => ZwQueryKey(key.handle as HANDLE, class, buffer, length, needed),
            Err(status) => status,
        }
    }
}

unsafe extern "win64" fn enumerate_key(
    this: This,
    index: u32,
    class: i32,
    buffer: PVOID,
    length: u32,
    needed: *mut u32,
) -> NTSTATUS {
    // SAFETY: the caller's object and buffer.
    unsafe {
        match enter(this, "IRegistryKey::EnumerateKey", access::ENUMERATE_SUB_KEYS) {
            Ok(key) => ZwEnumerateKey(key.handle as HANDLE, index, class, buffer, length, needed),
            Err(status) => status,
        }
    }
}

unsafe extern "win64" fn query_value_key(
    this: This,
    name: *const UNICODE_STRING,
    class: i32,
    buffer: PVOID,
    length: u32,
    needed: *mut u32,
) -> NTSTATUS {
    // SAFETY: the caller's object, name and buffer.
    unsafe {
        match enter(this, "IRegistryKey::QueryValueKey", access::QUERY_VALUE) {
            Ok(key) => ZwQueryValueKey(key.handle as HANDLE, name, class, buffer, length, needed),
            Err(status) => status,
        }
    }
}

unsafe extern "win64" fn enumerate_value_key(
    this: This,
    index: u32,
    class: i32,
    buffer: PVOID,
    length: u32,
    needed: *mut u32,
) -> NTSTATUS {
    // SAFETY: the caller's object and buffer.
    unsafe {
        match enter(this, "IRegistryKey::EnumerateValueKey", access::QUERY_VALUE) {
            Ok(key) => ZwEnumerateValueKey(key.handle as HANDLE, index, class, buffer, length, needed),
            Err(status) => status,
        }
    }
}

/// Sets a value; without a name, the key's default value.
unsafe extern "win64" fn set_value_key(
    this: This,
    name: *const UNICODE_STRING,
    kind: u32,
    data: *const u8,
    length: u32,
) -> NTSTATUS {
    let unnamed = UNICODE_STRING { Length: 0, MaximumLength: 0, Buffer: core::ptr::null_mut() };
    let name = if name.is_null() { &raw const unnamed } else { name };
    // SAFETY: the caller's object, name and data.
    unsafe {
        match enter(this, "IRegistryKey::SetValueKey", access::SET_VALUE) {
            Ok(key) => ZwSetValueKey(key.handle as HANDLE, name, 0, kind, data, length),
            Err(status) => status,
        }
    }
}

unsafe extern "win64" fn query_registry_values(
    this: This,
    table: *mut RTL_QUERY_REGISTRY_TABLE,
    context: PVOID,
) -> NTSTATUS {
    // SAFETY: the caller's object and table.
    unsafe {
        match enter(this, "IRegistryKey::QueryRegistryValues", access::QUERY_VALUE) {
            Ok(_) if table.is_null() => STATUS_INVALID_PARAMETER,
            Ok(key) => RtlQueryRegistryValues(
                RTL_REGISTRY_HANDLE,
                key.handle as *const u16,
                table,
                context,
                core::ptr::null_mut(),
            ),
            Err(status) => status,
        }
    }
}

unsafe extern "win64" fn new_sub_key(
    this: This,
    out: *mut PVOID,
    outer: PVOID,
    access: u32,
    name: *mut UNICODE_STRING,
    options: u32,
    disposition: *mut u32,
) -> NTSTATUS {
    // SAFETY: the caller's object, name and out parameters.
    unsafe {
        let key = match enter(this, "IRegistryKey::NewSubKey", access::CREATE_SUB_KEY) {
            Ok(key) => key,
            Err(status) => return status,
        };
        if out.is_null() || !outer.is_null() || name.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        let attributes = OBJECT_ATTRIBUTES {
            Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
            RootDirectory: key.handle as HANDLE,
            ObjectName: name,
            Attributes: 0,
            SecurityDescriptor: core::ptr::null_mut(),
            SecurityQualityOfService: core::ptr::null_mut(),
        };
        create(out, access, &attributes, options, disposition)
    }
}

/// Deletes the key; what follows is its last `Release`.
unsafe extern "win64" fn delete_key(this: This) -> NTSTATUS {
    // SAFETY: the caller's object.
    unsafe {
        match enter(this, "IRegistryKey::DeleteKey", access::DELETE) {
            Ok(key) => {
                let status = ZwDeleteKey(key.handle as HANDLE);
                key.deleted.store(success(status), Ordering::Relaxed);
                status
            }
            Err(status) => status,
        }
    }
}

unsafe fn create(
    out: *mut PVOID,
    access: u32,
    attributes: *const OBJECT_ATTRIBUTES,
    options: u32,
    disposition: *mut u32,
) -> NTSTATUS {
    let mut handle = core::ptr::null_mut();
    // SAFETY: by the caller.
    unsafe {
        let status = ZwCreateKey(&raw mut handle, access, attributes, 0, core::ptr::null(), options, disposition);
        if success(status) {
            out.write(RegistryKey::create(handle, access).into_raw());
        }
        status
    }
}

/// What opens a key: where it is, by kind.
pub(crate) struct KeyRequest {
    /// One of [`kind`].
    pub(crate) kind: u32,
    /// `ACCESS_MASK`.
    pub(crate) access: u32,
    /// The functional device object, for keys of devices.
    pub(crate) fdo: PVOID,
    /// Where a general key is.
    pub(crate) attributes: *const OBJECT_ATTRIBUTES,
    /// `REG_OPTION_*`.
    pub(crate) options: u32,
}

/// Opens a key, and makes a general one that is not there.
///
/// # Safety
/// `out` and `disposition` are null or can be written; the attributes are null or name a key.
pub(crate) unsafe fn open(
    out: *mut PVOID,
    outer: PVOID,
    request: &KeyRequest,
    interface: Option<&str>,
    disposition: *mut u32,
) -> NTSTATUS {
    if out.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: by the caller.
    unsafe {
        out.write(core::ptr::null_mut());
        if !outer.is_null() || request.kind > kind::DEVICE_INTERFACE {
            return STATUS_INVALID_PARAMETER;
        }
        if call_faults::must_fail("PcNewRegistryKey") {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        if request.kind == kind::GENERAL {
            if request.attributes.is_null() {
                return STATUS_INVALID_PARAMETER;
            }
            return create(out, request.access, request.attributes, request.options, disposition);
        }
        let mut handle = core::ptr::null_mut();
        let status = if request.kind == kind::DEVICE_INTERFACE {
            let Some(link) = interface else { return STATUS_INVALID_PARAMETER };
            let mut units: alloc::vec::Vec<u16> = link.encode_utf16().collect();
            let bytes = (2 * units.len()) as u16;
            let link = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_mut_ptr() };
            IoOpenDeviceInterfaceRegistryKey(&raw const link, request.access, &raw mut handle)
        } else {
            let Some(pdo) = adapter::physical(request.fdo.cast()) else { return STATUS_INVALID_PARAMETER };
            let place = match request.kind {
                kind::DEVICE => plug_and_play::DEVICE,
                kind::DRIVER => plug_and_play::DRIVER,
                // HwProfileRegistryKey, 3.
                _ => plug_and_play::DEVICE | plug_and_play::CURRENT_HWPROFILE,
            };
            IoOpenDeviceRegistryKey(pdo, place, request.access, &raw mut handle)
        };
        if success(status) {
            if !disposition.is_null() {
                disposition.write(REG_OPENED_EXISTING_KEY);
            }
            out.write(RegistryKey::create(handle, request.access).into_raw());
        }
        status
    }
}

/// Opens a key for `IPort::NewRegistryKey`: the device and its interface are the port's.
///
/// # Safety
/// As [`open`].
pub(crate) unsafe fn of_port(
    fdo: PVOID,
    port: PVOID,
    (out, outer): (*mut PVOID, PVOID),
    (kind, access): (u32, u32),
    attributes: PVOID,
    options: u32,
    disposition: *mut u32,
) -> NTSTATUS {
    if alloc_faults::fails("IPort::NewRegistryKey") {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let link = adapter::interface_of(fdo.cast(), port);
    if kind == kind::DEVICE_INTERFACE && link.is_none() {
        // Not registered yet: there is no interface.
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    let request = KeyRequest { kind, access, fdo, attributes: attributes.cast(), options };
    // SAFETY: by the caller.
    unsafe { open(out, outer, &request, link.as_deref(), disposition) }
}

crate::export_functions! {
    /// What opens registry keys.
    pub(crate) static EXPORTS;

    /// Opens a key, and makes a general one that is not there.
    [PASSIVE] fn PcNewRegistryKey(out: *mut PVOID, outer: PVOID, kind: u32, access: u32, fdo: PVOID, subdevice: PVOID,
        attributes: *const OBJECT_ATTRIBUTES, options: u32, disposition: *mut u32) -> NTSTATUS {
        if !subdevice.is_null() {
            violation(
                "PcNewRegistryKey",
                Violation::new(
                    services::REGISTRY_KEY,
                    format!("SubDevice is {subdevice:p}"),
                    "pass NULL for SubDevice; for the key of a device interface, ask the port: IPort::NewRegistryKey",
                ),
            )
        }
        open(out, outer, &KeyRequest { kind, access, fdo, attributes, options }, None, disposition)
    }
}
