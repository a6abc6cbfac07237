//! Windows Management Instrumentation as a client sees it: no provider has registered a data block that a driver could
//! open. What a driver provides itself goes through `wmilib.sys` and its requests.
#![allow(unsafe_code, reason = "strings of the Windows ABI")]

use alloc::collections::BTreeMap;
use alloc::format;

use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::verifier;
use crate::devnode;
use crate::export_functions;
use crate::nt::status::*;
use crate::nt::{DEVICE_OBJECT, GUID, NTSTATUS, PVOID, UNICODE_STRING};
use crate::rtl::string::{allocate, text};

/// By data block, the next free instance.
static INSTANCES: Uninterrupted<BTreeMap<GUID, u32>> = Uninterrupted::new(BTreeMap::new());

fn unknown(function: &'static str, object: PVOID) -> ! {
    verifier::stop(
        0x18,
        function,
        [0, object as u64, 0, 0],
        format_args!("{object:p} is no data block object: IoWMIOpenBlock opens them, and found none here"),
    )
}

/// Allocates a string for the caller.
unsafe fn give(name: &str, out: *mut UNICODE_STRING) -> NTSTATUS {
    match allocate(name) {
        Some(string) => {
            // SAFETY: an export's argument.
            unsafe { out.write(string) };
            STATUS_SUCCESS
        }
        None => STATUS_INSUFFICIENT_RESOURCES,
    }
}

/// Returns the name of a device's instances: its instance path with the suffix that the PnP instance names have.
fn instance_name(device: *mut DEVICE_OBJECT) -> Option<alloc::string::String> {
    // SAFETY: an export's argument.
    let bottom = unsafe { super::device::bottom(device) };
    devnode::instance_path(bottom).map(|path| format!("{path}_0"))
}

export_functions! {
    /// Windows Management Instrumentation.
    pub static EXPORTS;

    /// Opens a data block: none is registered.
    [PASSIVE] fn IoWMIOpenBlock(_block: *const GUID, _access: u32, object: *mut PVOID) -> NTSTATUS {
        object.write(core::ptr::null_mut());
        STATUS_WMI_GUID_NOT_FOUND
    }

    /// Reads all instances of a data block.
    [PASSIVE] fn IoWMIQueryAllData(object: PVOID, _bytes: *mut u32, _out: PVOID) -> NTSTATUS { unknown("IoWMIQueryAllData", object) }

    /// Reads an instance of a data block.
    [PASSIVE] fn IoWMIQuerySingleInstance(object: PVOID, _name: *const UNICODE_STRING, _bytes: *mut u32, _out: PVOID) -> NTSTATUS {
        unknown("IoWMIQuerySingleInstance", object)
    }

    /// Writes an instance of a data block.
    [PASSIVE] fn IoWMISetSingleInstance(object: PVOID, _name: *const UNICODE_STRING, _version: u32, _bytes: u32, _value: PVOID) -> NTSTATUS {
        unknown("IoWMISetSingleInstance", object)
    }

    /// Writes an item of an instance.
    [PASSIVE] fn IoWMISetSingleItem(object: PVOID, _name: *const UNICODE_STRING, _item: u32, _version: u32, _bytes: u32, _value: PVOID) -> NTSTATUS {
        unknown("IoWMISetSingleItem", object)
    }

    /// Registers for the events of a data block.
    [PASSIVE] fn IoWMISetNotificationCallback(object: PVOID, _callback: PVOID, _context: PVOID) -> NTSTATUS {
        unknown("IoWMISetNotificationCallback", object)
    }

    /// Calls a method of an instance.
    [PASSIVE] fn IoWMIExecuteMethod(object: PVOID, _name: *const UNICODE_STRING, _method: u32, _in_bytes: u32, _out_bytes: *mut u32,
        _buffer: *mut u8) -> NTSTATUS { unknown("IoWMIExecuteMethod", object) }

    /// Returns the name of the instance that a device provides of a data block.
    [PASSIVE] fn IoWMIDeviceObjectToInstanceName(_block: PVOID, device: *mut DEVICE_OBJECT, name: *mut UNICODE_STRING) -> NTSTATUS {
        match instance_name(device) {
            Some(found) => give(&found, name),
            None => STATUS_WMI_INSTANCE_NOT_FOUND,
        }
    }

    /// Returns the number by which a device is known as a provider.
    [ANY] fn IoWMIDeviceObjectToProviderId(device: *mut DEVICE_OBJECT) -> u32 { device as usize as u32 }

    /// Suggests a name for the instances of a device or of a symbolic link, or of both together.
    [PASSIVE] fn IoWMISuggestInstanceName(device: *mut DEVICE_OBJECT, link: *const UNICODE_STRING, combine: u8, name: *mut UNICODE_STRING) -> NTSTATUS {
        let of_device = if device.is_null() { None } else { instance_name(device) };
        let of_link = link.as_ref().map(|link| text(link));
        let suggested = match (of_device, of_link) {
            (Some(device), Some(link)) if combine != 0 => format!("{device}_{link}"),
            (_, Some(link)) => link,
            (Some(device), None) => device,
            (None, None) => return STATUS_INVALID_PARAMETER,
        };
        give(&suggested, name)
    }

    /// Reserves numbers for instances of a data block. Returns the first.
    [PASSIVE] fn IoWMIAllocateInstanceIds(block: *const GUID, count: u32, first: *mut u32) -> NTSTATUS {
        let next = INSTANCES.with(|all| {
            let next = all.entry(*block).or_insert(0);
            let found = *next;
            *next = found.checked_add(count)?;
            Some(found)
        });
        match next {
            Some(found) => { first.write(found); STATUS_SUCCESS }
            None => STATUS_UNSUCCESSFUL,
        }
    }
}
