//! The identifiers that the PCI bus driver gives a device.
//!
//! Specification: Microsoft, "Identifiers for PCI devices".

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::Function;
use crate::arch::uninterrupted::Uninterrupted;
use crate::nt::DEVICE_OBJECT;

/// A device of the bus.
#[derive(Clone, Debug)]
pub struct Node {
    /// The function.
    pub function: Function,
}

impl Node {
    /// Returns `PCI\VEN_v(4)&DEV_d(4)&SUBSYS_s(4)n(4)&REV_r(2)`.
    #[must_use]
    pub fn device_id(&self) -> String {
        let f = &self.function;
        format!(
            "PCI\\VEN_{:04X}&DEV_{:04X}&SUBSYS_{:04X}{:04X}&REV_{:02X}",
            f.vendor, f.device, f.subsystem, f.subsystem_vendor, f.revision
        )
    }

    /// Returns the hardware ids, most specific first.
    #[must_use]
    pub fn hardware_ids(&self) -> [String; 4] {
        let f = &self.function;
        let short = format!("PCI\\VEN_{:04X}&DEV_{:04X}", f.vendor, f.device);
        let subsystem = format!("{short}&SUBSYS_{:04X}{:04X}", f.subsystem, f.subsystem_vendor);
        let class = f.class >> 8;
        [self.device_id(), subsystem, format!("{short}&CC_{:06X}", f.class), format!("{short}&CC_{class:04X}")]
    }

    /// Returns the compatible ids, most specific first.
    #[must_use]
    pub fn compatible_ids(&self) -> [String; 6] {
        let f = &self.function;
        let (vendor, class) = (format!("PCI\\VEN_{:04X}", f.vendor), f.class >> 8);
        [
            format!("{vendor}&DEV_{:04X}&REV_{:02X}", f.device, f.revision),
            format!("{vendor}&DEV_{:04X}", f.device),
            format!("{vendor}&CC_{:06X}", f.class),
            format!("{vendor}&CC_{class:04X}"),
            vendor,
            format!("PCI\\CC_{:06X}", f.class),
        ]
    }

    /// Returns the instance id: where the device is.
    #[must_use]
    pub fn instance_id(&self) -> String {
        let address = self.function.address;
        format!("3&{:x}&0&{:02X}", address.bus, u32::from(address.device) << 3 | u32::from(address.function))
    }

    /// Returns device and instance id, as the device's registry key is named.
    #[must_use]
    pub fn instance_path(&self) -> String {
        format!("{}\\{}", self.device_id(), self.instance_id())
    }

    /// Returns address and ids, for messages.
    #[must_use]
    pub fn description(&self) -> String {
        let f = &self.function;
        format!("{} {:04x}:{:04x}", f.address, f.vendor, f.device)
    }

    /// Returns the name of its physical device object.
    #[must_use]
    pub fn object_name(&self) -> String {
        format!(
            "\\Device\\NTPNP_PCI{:04X}",
            u32::from(self.function.address.bus) << 8 | u32::from(self.function.address.device)
        )
    }
}

/// The nodes, each with the address of its physical device object.
static NODES: Uninterrupted<Vec<(u64, Node)>> = Uninterrupted::new(Vec::new());

/// Adds the node of a physical device object.
pub fn add(pdo: *mut DEVICE_OBJECT, node: Node) {
    NODES.with(|nodes| nodes.push((pdo as u64, node)));
}

/// Removes the node of a physical device object that is being deleted.
pub fn remove(pdo: *mut DEVICE_OBJECT) {
    NODES.with(|nodes| nodes.retain(|(at, _)| *at != pdo as u64));
}

/// Returns the node of a physical device object.
#[must_use]
pub fn of(pdo: *mut DEVICE_OBJECT) -> Option<Node> {
    NODES.with(|nodes| nodes.iter().find(|(at, _)| *at == pdo as u64).map(|(_, node)| node.clone()))
}

/// Returns device and instance id, as the device's registry key is named.
#[must_use]
pub fn instance_path(pdo: *mut DEVICE_OBJECT) -> Option<String> {
    of(pdo).map(|node| node.instance_path())
}

/// Sets the function of a physical device object, whose addresses have changed.
pub fn set_function(pdo: *mut DEVICE_OBJECT, function: &Function) {
    NODES.with(|nodes| {
        for (_, node) in nodes.iter_mut().filter(|(at, _)| *at == pdo as u64) {
            node.function.clone_from(function);
        }
    });
}
