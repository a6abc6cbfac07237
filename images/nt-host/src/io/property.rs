//! Properties of devices, as the bus knows them.
#![allow(unsafe_code, reason = "buffers of the Windows ABI")]

use alloc::vec::Vec;

use crate::nt::status::*;
use crate::nt::{DEVICE_OBJECT, GUID_BUS_TYPE_PCI, INTERFACE_TYPE_PCI_BUS, NTSTATUS, PVOID};
use crate::{exports, pnp};

/// `DEVICE_REGISTRY_PROPERTY`.
mod which {
    pub(super) const DEVICE_DESCRIPTION: u32 = 0;
    pub(super) const HARDWARE_ID: u32 = 1;
    pub(super) const COMPATIBLE_IDS: u32 = 2;
    pub(super) const CLASS_NAME: u32 = 4;
    pub(super) const DRIVER_KEY_NAME: u32 = 6;
    pub(super) const FRIENDLY_NAME: u32 = 8;
    pub(super) const PHYSICAL_DEVICE_OBJECT_NAME: u32 = 10;
    pub(super) const BUS_TYPE_GUID: u32 = 11;
    pub(super) const LEGACY_BUS_TYPE: u32 = 12;
    pub(super) const BUS_NUMBER: u32 = 13;
    pub(super) const ENUMERATOR_NAME: u32 = 14;
    pub(super) const ADDRESS: u32 = 15;
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

fn value(device: *mut DEVICE_OBJECT, property: u32) -> Option<Vec<u8>> {
    let node = pnp::node(device)?;
    let address = node.function.address;
    Some(match property {
        which::DEVICE_DESCRIPTION | which::FRIENDLY_NAME => wide(&node.description()),
        which::HARDWARE_ID => node.hardware_ids().iter().flat_map(|id| wide(id)).chain([0, 0]).collect(),
        which::COMPATIBLE_IDS => node.compatible_ids().iter().flat_map(|id| wide(id)).chain([0, 0]).collect(),
        which::CLASS_NAME => wide("MEDIA"),
        which::DRIVER_KEY_NAME => wide("{4d36e96c-e325-11ce-bfc1-08002be10318}\\0000"),
        which::PHYSICAL_DEVICE_OBJECT_NAME => wide(&node.object_name()),
        which::BUS_TYPE_GUID => {
            let guid = GUID_BUS_TYPE_PCI;
            let mut bytes = guid.Data1.to_le_bytes().to_vec();
            bytes.extend(guid.Data2.to_le_bytes());
            bytes.extend(guid.Data3.to_le_bytes());
            bytes.extend(guid.Data4);
            bytes
        }
        which::LEGACY_BUS_TYPE => (INTERFACE_TYPE_PCI_BUS as u32).to_le_bytes().to_vec(),
        which::BUS_NUMBER => u32::from(address.bus).to_le_bytes().to_vec(),
        which::ENUMERATOR_NAME => wide("PCI"),
        which::ADDRESS => (u32::from(address.device) << 16 | u32::from(address.function)).to_le_bytes().to_vec(),
        _ => return None,
    })
}

exports! {
    /// Device properties.
    pub static EXPORTS;

    /// Reads a property of a physical device object.
    [PASSIVE] fn IoGetDeviceProperty(device: *mut DEVICE_OBJECT, property: u32, length: u32, buffer: PVOID, needed: *mut u32) -> NTSTATUS {
        if pnp::node(device).is_none() {
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
