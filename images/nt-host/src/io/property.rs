//! Properties of devices, as the bus knows them.
#![allow(unsafe_code, reason = "buffers of the Windows ABI")]

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::names;
use crate::arch::uninterrupted::Uninterrupted;
use crate::devnode::{self, installation};
use crate::export_functions;
use crate::nt::status::*;
use crate::nt::{DEVICE_OBJECT, GUID, NTSTATUS, PVOID, UNICODE_STRING};
use crate::rtl::string::text;

/// `DEVICE_REGISTRY_PROPERTY` (wdm.h).
mod which {
    /// `DEVICE_REGISTRY_PROPERTY`: device description.
    pub(super) const DEVICE_DESCRIPTION: u32 = 0;
    /// `DEVICE_REGISTRY_PROPERTY`: hardware id.
    pub(super) const HARDWARE_ID: u32 = 1;
    /// `DEVICE_REGISTRY_PROPERTY`: compatible ids.
    pub(super) const COMPATIBLE_IDS: u32 = 2;
    /// `DEVICE_REGISTRY_PROPERTY`: class name.
    pub(super) const CLASS_NAME: u32 = 5;
    /// `DEVICE_REGISTRY_PROPERTY`: class GUID, as text.
    pub(super) const CLASS_GUID: u32 = 6;
    /// `DEVICE_REGISTRY_PROPERTY`: driver key name.
    pub(super) const DRIVER_KEY_NAME: u32 = 7;
    /// `DEVICE_REGISTRY_PROPERTY`: friendly name.
    pub(super) const FRIENDLY_NAME: u32 = 9;
    /// `DEVICE_REGISTRY_PROPERTY`: manufacturer.
    pub(super) const MANUFACTURER: u32 = 8;
    /// `DEVICE_REGISTRY_PROPERTY`: physical device object name.
    pub(super) const PHYSICAL_DEVICE_OBJECT_NAME: u32 = 11;
    /// `DEVICE_REGISTRY_PROPERTY`: bus type guid.
    pub(super) const BUS_TYPE_GUID: u32 = 12;
    /// `DEVICE_REGISTRY_PROPERTY`: legacy bus type.
    pub(super) const LEGACY_BUS_TYPE: u32 = 13;
    /// `DEVICE_REGISTRY_PROPERTY`: bus number.
    pub(super) const BUS_NUMBER: u32 = 14;
    /// `DEVICE_REGISTRY_PROPERTY`: enumerator name.
    pub(super) const ENUMERATOR_NAME: u32 = 15;
    /// `DEVICE_REGISTRY_PROPERTY`: address.
    pub(super) const ADDRESS: u32 = 16;
}

/// Returns the driver's software key, below the key of classes: the first of its class.
#[must_use]
pub fn driver_key_name() -> String {
    format!("{}\\0000", installation::class_guid())
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

fn value(device: *mut DEVICE_OBJECT, property: u32) -> Option<Vec<u8>> {
    let node = devnode::of(device)?;
    let installed = installation::of(&node);
    Some(match property {
        which::DEVICE_DESCRIPTION | which::FRIENDLY_NAME => {
            let description = installed.map(|(model, _)| model.description).filter(|text| !text.is_empty());
            wide(&description.unwrap_or_else(|| node.description()))
        }
        which::MANUFACTURER => wide(&installed?.0.manufacturer),
        which::CLASS_GUID => wide(&installation::class_guid()),
        which::HARDWARE_ID => node.hardware_ids().iter().flat_map(|id| wide(id)).chain([0, 0]).collect(),
        which::COMPATIBLE_IDS => node.compatible_ids().iter().flat_map(|id| wide(id)).chain([0, 0]).collect(),
        which::CLASS_NAME => wide(&installation::class()),
        which::DRIVER_KEY_NAME => wide(&driver_key_name()),
        which::PHYSICAL_DEVICE_OBJECT_NAME => wide(&node.object_name()),
        which::BUS_TYPE_GUID => {
            let guid = node.bus_type();
            let mut bytes = guid.Data1.to_le_bytes().to_vec();
            bytes.extend(guid.Data2.to_le_bytes());
            bytes.extend(guid.Data3.to_le_bytes());
            bytes.extend(guid.Data4);
            bytes
        }
        which::LEGACY_BUS_TYPE => node.interface_type().to_le_bytes().to_vec(),
        which::BUS_NUMBER => node.bus_number().to_le_bytes().to_vec(),
        which::ENUMERATOR_NAME => wide(node.enumerator()),
        which::ADDRESS => node.address()?.to_le_bytes().to_vec(),
        _ => return None,
    })
}

/// `DEVPROPKEY`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    set: GUID,
    id: u32,
}

/// `DEVPROP_TYPE_*`.
mod kind {
    /// `DEVPROP_TYPE_UINT32`.
    pub(super) const UINT32: u32 = 7;
    /// `DEVPROP_TYPE_GUID`.
    pub(super) const GUID: u32 = 13;
    /// `DEVPROP_TYPE_STRING`.
    pub(super) const STRING: u32 = 18;
    /// `DEVPROP_TYPE_STRING_LIST`.
    pub(super) const STRING_LIST: u32 = 0x2012;
}

/// The set of `DEVPKEY_Device_DeviceDesc` and its neighbours.
const DEVICE_SET: GUID = GUID::from_u128(0xa45c254e_df1c_4efd_8020_67d146a850e0);

/// Values by owner and key, each with its type.
type Values<Owner> = BTreeMap<(Owner, Key), (u32, Vec<u8>)>;

/// Properties that drivers have set: device, key; type and data.
static SET: Uninterrupted<Values<u64>> = Uninterrupted::new(BTreeMap::new());

/// Properties of device interfaces that drivers have set: link, key; type and data.
static OF_INTERFACES: Uninterrupted<Values<String>> = Uninterrupted::new(BTreeMap::new());

/// Returns the link of a device interface that is registered.
unsafe fn interface(link: *const UNICODE_STRING) -> Option<String> {
    // SAFETY: an export's argument.
    let link = unsafe { text(&*link) };
    names::interfaces().into_iter().map(|interface| interface.link).find(|known| *known == link)
}

/// Returns a property by key, with its type: what was set, or what the bus knows.
fn by_key(device: *mut DEVICE_OBJECT, key: Key) -> Option<(u32, Vec<u8>)> {
    if let Some(found) = SET.with(|set| set.get(&(device as u64, key)).cloned()) {
        return Some(found);
    }
    if key.set != DEVICE_SET {
        return None;
    }
    // `devpkey.h`: the ids of this set are those of the registry's properties, plus 2.
    let kind = match key.id {
        2 | 9 | 11 | 13 | 14 | 16 | 24 => kind::STRING,
        3 | 4 => kind::STRING_LIST,
        21 => kind::GUID,
        22 | 23 | 30 => kind::UINT32,
        _ => return None,
    };
    let property = match key.id {
        2 => which::DEVICE_DESCRIPTION,
        3 => which::HARDWARE_ID,
        4 => which::COMPATIBLE_IDS,
        9 => which::CLASS_NAME,
        11 => which::DRIVER_KEY_NAME,
        13 => which::MANUFACTURER,
        14 => which::FRIENDLY_NAME,
        16 => which::PHYSICAL_DEVICE_OBJECT_NAME,
        21 => which::BUS_TYPE_GUID,
        22 => which::LEGACY_BUS_TYPE,
        23 => which::BUS_NUMBER,
        24 => which::ENUMERATOR_NAME,
        _ => which::ADDRESS,
    };
    Some((kind, value(device, property)?))
}

export_functions! {
    /// Device properties.
    pub static EXPORTS;

    /// Reads a property of a physical device object by key.
    [PASSIVE] fn IoGetDevicePropertyData(device: *mut DEVICE_OBJECT, key: *const Key, _language: u32, _flags: u32, length: u32,
        buffer: PVOID, needed: *mut u32, kind: *mut u32) -> NTSTATUS {
        if devnode::of(device).is_none() { return STATUS_INVALID_DEVICE_REQUEST }
        let Some((found, data)) = by_key(device, *key) else { return STATUS_OBJECT_NAME_NOT_FOUND };
        needed.write(data.len() as u32);
        kind.write(found);
        if (length as usize) < data.len() { return STATUS_BUFFER_TOO_SMALL }
        core::ptr::copy_nonoverlapping(data.as_ptr(), buffer.cast(), data.len());
        STATUS_SUCCESS
    }

    /// Sets a property of a device interface by key, or takes it away with no data.
    [PASSIVE] fn IoSetDeviceInterfacePropertyData(link: *const UNICODE_STRING, key: *const Key, _language: u32, _flags: u32, kind: u32,
        length: u32, data: *const u8) -> NTSTATUS {
        let Some(link) = interface(link) else { return STATUS_OBJECT_NAME_NOT_FOUND };
        let at = (link, *key);
        if data.is_null() || length == 0 {
            OF_INTERFACES.with(|all| all.remove(&at));
        } else {
            let data = core::slice::from_raw_parts(data, length as usize).to_vec();
            OF_INTERFACES.with(|all| all.insert(at, (kind, data)));
        }
        STATUS_SUCCESS
    }

    /// Reads a property of a device interface by key.
    [PASSIVE] fn IoGetDeviceInterfacePropertyData(link: *const UNICODE_STRING, key: *const Key, _language: u32, _flags: u32, length: u32,
        buffer: PVOID, needed: *mut u32, kind: *mut u32) -> NTSTATUS {
        let found = interface(link).and_then(|link| OF_INTERFACES.with(|all| all.get(&(link, *key)).cloned()));
        let Some((found, data)) = found else { return STATUS_OBJECT_NAME_NOT_FOUND };
        needed.write(data.len() as u32);
        kind.write(found);
        if (length as usize) < data.len() { return STATUS_BUFFER_TOO_SMALL }
        core::ptr::copy_nonoverlapping(data.as_ptr(), buffer.cast(), data.len());
        STATUS_SUCCESS
    }

    /// Sets a property of a physical device object by key, or takes it away with no data.
    [PASSIVE] fn IoSetDevicePropertyData(device: *mut DEVICE_OBJECT, key: *const Key, _language: u32, _flags: u32, kind: u32,
        length: u32, data: *const u8) -> NTSTATUS {
        if devnode::of(device).is_none() { return STATUS_INVALID_DEVICE_REQUEST }
        let at = (device as u64, *key);
        if data.is_null() || length == 0 {
            SET.with(|set| set.remove(&at));
        } else {
            let data = core::slice::from_raw_parts(data, length as usize).to_vec();
            SET.with(|set| set.insert(at, (kind, data)));
        }
        STATUS_SUCCESS
    }

    /// Reads a property of a physical device object.
    [PASSIVE] fn IoGetDeviceProperty(device: *mut DEVICE_OBJECT, property: u32, length: u32, buffer: PVOID, needed: *mut u32) -> NTSTATUS {
        if devnode::of(device).is_none() {
            return STATUS_INVALID_DEVICE_REQUEST;
        }
        let Some(value) = value(device, property) else { return STATUS_OBJECT_NAME_NOT_FOUND };
        {
            needed.write(value.len() as u32);
            if (length as usize) < value.len() {
                return STATUS_BUFFER_TOO_SMALL;
            }
            core::ptr::copy_nonoverlapping(value.as_ptr(), buffer.cast(), value.len());
        }
        STATUS_SUCCESS
    }
}
