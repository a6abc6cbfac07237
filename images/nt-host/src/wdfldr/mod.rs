//! This guest's own `wdfldr.sys`: it binds a driver to no framework, and says which one the driver wants.
//!
//! The framework itself, `wdf01000.sys`, is not hosted: a driver that is linked with KMDF binds to it before its own
//! `DriverEntry` runs, and cannot go on. That is a limit of this guest and no fault of the driver.

#![cfg(target_os = "none")]
#![allow(unsafe_code, reason = "bind information of the driver's")]

use alloc::format;
use alloc::string::String;

use crate::arch::uninterrupted::Uninterrupted;
use crate::nt::status::{STATUS_NOT_SUPPORTED, STATUS_SUCCESS};
use crate::nt::{DRIVER_OBJECT, NTSTATUS, PVOID, UNICODE_STRING};

/// Most characters of a framework's name that are read: "KmdfLibrary" has eleven.
const NAME_CHARACTERS_MAX: usize = 64;

/// `WDF_BIND_INFO` (fxldr.h of Microsoft's Windows-Driver-Frameworks).
#[repr(C)]
pub(crate) struct BindInfo {
    size: u32,
    component: *const u16,
    major: u32,
    minor: u32,
    build: u32,
    function_count: u32,
    function_table: PVOID,
    module: PVOID,
}

/// The framework that the driver has asked for.
static WANTED: Uninterrupted<Option<String>> = Uninterrupted::new(None);

/// Returns what the driver that is being loaded has asked for in vain, once.
#[must_use]
pub(crate) fn take_refusal() -> Option<String> {
    WANTED.with(Option::take)
}

/// Refuses a framework, by its name and version.
unsafe fn refuse(what: &str, info: *const BindInfo) -> NTSTATUS {
    // SAFETY: by the caller, who gives what its stub library has.
    let wanted = unsafe {
        info.as_ref().map(|info| {
            let mut name = String::new();
            let characters = (0..NAME_CHARACTERS_MAX).map(|index| info.component.add(index).read());
            if !info.component.is_null() {
                name.extend(char::decode_utf16(characters.take_while(|&c| c != 0)).map(|c| c.unwrap_or('?')));
            }
            format!("{name} {}.{} ({} functions)", info.major, info.minor, info.function_count)
        })
    };
    let wanted = wanted.unwrap_or_else(|| "a framework".into());
    crate::warn!("{what}: the driver asks for {wanted}, which this guest does not host");
    WANTED.with(|slot| *slot = Some(wanted));
    STATUS_NOT_SUPPORTED
}

crate::export_functions! {
    /// What drivers import from `wdfldr.sys`.
    pub(crate) static EXPORTS;

    /// Refuses to bind a driver to a framework.
    [PASSIVE] fn WdfVersionBind(_driver: *mut DRIVER_OBJECT, _path: *const UNICODE_STRING, info: *mut BindInfo, globals: *mut PVOID) -> NTSTATUS {
        if !globals.is_null() { globals.write(core::ptr::null_mut()) }
        refuse("WdfVersionBind", info)
    }

    /// Ends a binding, of which there are none.
    [PASSIVE] fn WdfVersionUnbind(_path: *const UNICODE_STRING, _info: *mut BindInfo, _globals: PVOID) -> NTSTATUS { STATUS_SUCCESS }

    /// Refuses to bind a driver to a class extension.
    [PASSIVE] fn WdfVersionBindClass(info: *mut BindInfo, _globals: PVOID, _class: PVOID) -> NTSTATUS {
        refuse("WdfVersionBindClass", info)
    }

    /// Ends a binding to a class extension, of which there are none.
    [PASSIVE] fn WdfVersionUnbindClass(_info: *mut BindInfo, _globals: PVOID, _class: PVOID) {}

    /// Refuses the loader's interfaces: they are about frameworks.
    [PASSIVE] fn WdfLdrQueryInterface(_interface: PVOID) -> NTSTATUS { STATUS_NOT_SUPPORTED }

    /// Refuses a library that is a framework itself.
    [PASSIVE] fn WdfRegisterLibrary(_library: PVOID, _service: *const UNICODE_STRING, _device: *const UNICODE_STRING) -> NTSTATUS {
        refuse("WdfRegisterLibrary", core::ptr::null())
    }

    /// Refuses a library that is a class extension.
    [PASSIVE] fn WdfRegisterClassLibrary(_class: PVOID, _service: *const UNICODE_STRING, _device: *const UNICODE_STRING) -> NTSTATUS {
        refuse("WdfRegisterClassLibrary", core::ptr::null())
    }
}

const _: () = assert!(size_of::<BindInfo>() == 48);
