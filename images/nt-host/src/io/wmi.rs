//! Windows Management Instrumentation. As a driver sees it as a client, no provider has registered a data block that it could
//! open. As a client of drivers, this host requests the registration of each device that registers as a provider, when
//! it is started, and all data of each block; a client of Windows has no part in what a song needs.
#![allow(unsafe_code, reason = "strings of the Windows ABI")]

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::irp::send_synchronous;
use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::verifier;
use crate::devnode;
use crate::export_functions;
use crate::nt::status::*;
use crate::nt::{DEVICE_OBJECT, GUID, IRP_MJ_SYSTEM_CONTROL, NTSTATUS, PVOID, UNICODE_STRING};
use crate::rtl::string::{allocate, text};

/// By data block, the next free instance.
static INSTANCES: Uninterrupted<BTreeMap<GUID, u32>> = Uninterrupted::new(BTreeMap::new());

/// Devices that registered as providers and were not asked yet.
static PROVIDERS: Uninterrupted<Vec<usize>> = Uninterrupted::new(Vec::new());

/// `WMIREG_ACTION_REGISTER` and `WMIREG_ACTION_DEREGISTER` (wdm.h). With flags beside them it is tracing that registers.
const REGISTER: u32 = 1;
const DEREGISTER: u32 = 2;

/// `IRP_MN_QUERY_ALL_DATA` and `IRP_MN_REGINFO_EX` (wdm.h), and `WMIREGISTER` (wmistr.h).
const QUERY_ALL_DATA: u8 = 0;
const REGINFO_EX: u8 = 11;
const WMIREGISTER: usize = 0;

/// Bytes for an answer; what needs more is not asked for again.
const ANSWER_BYTES: usize = 4096;

/// Places in `WMIREGINFOW` and `WMIREGGUIDW` (wmistr.h), and their sizes.
const GUID_COUNT: usize = 16;
const REGINFO_BYTES: usize = 24;
const REGGUID_BYTES: usize = 32;
const REGGUID_FLAGS: usize = 16;

/// `WMIREG_FLAG_EVENT_ONLY_GUID` (wmistr.h): there are no data.
const EVENT_ONLY: u32 = 0x40;

/// Places in `WNODE_HEADER` (wmistr.h), and `WNODE_FLAG_ALL_DATA`.
const NODE_GUID: usize = 24;
const NODE_FLAGS: usize = 44;
const FLAG_ALL_DATA: u32 = 1;

fn word(answer: &[u8], at: usize) -> u32 {
    answer.get(at..at + 4).map_or(0, |word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}

/// Sends a request of WMI's to a device. Returns the answer.
///
/// # Errors
/// The status that the driver answers with.
fn request(device: *mut DEVICE_OBJECT, minor: u8, path: usize, answer: &mut [u8]) -> Result<usize, NTSTATUS> {
    let buffer = answer.as_mut_ptr();
    // SAFETY: the device is registered and has not deregistered; the buffer lives for the call.
    let (status, bytes) = unsafe {
        send_synchronous(device, STATUS_NOT_SUPPORTED, |_, stack| {
            stack.MajorFunction = IRP_MJ_SYSTEM_CONTROL;
            stack.MinorFunction = minor;
            stack.Parameters.Others = [device.cast(), path as PVOID, answer.len() as PVOID, buffer.cast()];
        })
    };
    if success(status) { Ok(bytes.min(ANSWER_BYTES)) } else { Err(status) }
}

/// Requests the data blocks of every device that has registered since the last time, and all data of each. At
/// `PASSIVE_LEVEL`, when no packet is under way.
pub fn ask_providers() {
    for provider in PROVIDERS.with(core::mem::take) {
        let device = provider as *mut DEVICE_OBJECT;
        let mut answer = vec![0; ANSWER_BYTES];
        let blocks = match request(device, REGINFO_EX, WMIREGISTER, &mut answer) {
            Ok(bytes) => answer[..bytes].to_vec(),
            Err(status) => {
                crate::info!("WMI: the device at {device:p} answers IRP_MN_REGINFO_EX with {status:#010x}");
                continue;
            }
        };
        for block in blocks
            .get(REGINFO_BYTES..)
            .unwrap_or_default()
            .chunks_exact(REGGUID_BYTES)
            .take(word(&blocks, GUID_COUNT) as usize)
        {
            if word(block, REGGUID_FLAGS) & EVENT_ONLY != 0 {
                continue;
            }
            answer.fill(0);
            answer[..4].copy_from_slice(&(ANSWER_BYTES as u32).to_le_bytes());
            answer[NODE_GUID..NODE_GUID + 16].copy_from_slice(&block[..16]);
            answer[NODE_FLAGS..NODE_FLAGS + 4].copy_from_slice(&FLAG_ALL_DATA.to_le_bytes());
            // The path is the block's GUID.
            let path = block.as_ptr() as usize;
            match request(device, QUERY_ALL_DATA, path, &mut answer) {
                Ok(bytes) => crate::info!("WMI: a data block of the device at {device:p} has {bytes} bytes of data"),
                Err(status) => {
                    crate::info!("WMI: the device at {device:p} answers IRP_MN_QUERY_ALL_DATA with {status:#010x}")
                }
            }
        }
    }
}

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

    /// Registers a device as a provider of data blocks, or takes that back. Registrations for tracing change nothing.
    [PASSIVE] fn IoWMIRegistrationControl(device: *mut DEVICE_OBJECT, action: u32) -> NTSTATUS {
        PROVIDERS.with(|all| {
            if matches!(action, REGISTER | DEREGISTER) {
                all.retain(|provider| *provider != device as usize);
            }
            if action == REGISTER {
                all.push(device as usize);
            }
        });
        STATUS_SUCCESS
    }

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
