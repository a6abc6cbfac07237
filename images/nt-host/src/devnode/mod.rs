//! Device nodes: what the bus driver says of a device, and what the driver's installation adds.
//!
//! Specification: Microsoft, "Identifiers for PCI devices", "Root-enumerated devices".

pub mod installation;

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::arch::uninterrupted::Uninterrupted;
use crate::harness::options::Resource;
use crate::nt::{
    DEVICE_OBJECT, GUID, GUID_BUS_TYPE_INTERNAL, GUID_BUS_TYPE_PCI, INTERFACE_TYPE_ISA, INTERFACE_TYPE_PCI_BUS,
    INTERFACE_TYPE_PNP_BUS,
};
use crate::pci::Function;

/// A device of a bus, or of none.
#[derive(Clone, Debug)]
pub enum Node {
    /// A function of the PCI bus.
    Function(Function),
    /// A device that no bus enumerates, with the resources that it was given by hand.
    Root(Vec<Resource>),
}

/// The instance of the only device that no bus enumerates.
const ROOT_INSTANCE: &str = "0000";

impl Node {
    /// Returns its function, if it is a device of the PCI bus.
    #[must_use]
    pub const fn function(&self) -> Option<&Function> {
        match self {
            Self::Function(function) => Some(function),
            Self::Root(_) => None,
        }
    }

    /// Returns the device id: `PCI\VEN_v(4)&DEV_d(4)&SUBSYS_s(4)n(4)&REV_r(2)`, or `ROOT\` and the setup class.
    #[must_use]
    pub fn device_id(&self) -> String {
        match self {
            Self::Function(f) => format!(
                "PCI\\VEN_{:04X}&DEV_{:04X}&SUBSYS_{:04X}{:04X}&REV_{:02X}",
                f.vendor, f.device, f.subsystem, f.subsystem_vendor, f.revision
            ),
            Self::Root(_) => format!("ROOT\\{}", installation::class().to_uppercase()),
        }
    }

    /// Returns the hardware ids, most specific first. Those of a device that no bus enumerates are what its installation
    /// gave it.
    #[must_use]
    pub fn hardware_ids(&self) -> Vec<String> {
        let f = match self {
            Self::Function(function) => function,
            Self::Root(_) => {
                let model = installation::root_model();
                let id = model.map(|model| model.hardware_id).filter(|id| !id.is_empty());
                return vec![id.unwrap_or_else(|| self.device_id())];
            }
        };
        let short = format!("PCI\\VEN_{:04X}&DEV_{:04X}", f.vendor, f.device);
        let subsystem = format!("{short}&SUBSYS_{:04X}{:04X}", f.subsystem, f.subsystem_vendor);
        let class = f.class >> 8;
        vec![self.device_id(), subsystem, format!("{short}&CC_{:06X}", f.class), format!("{short}&CC_{class:04X}")]
    }

    /// Returns the compatible ids, most specific first.
    #[must_use]
    pub fn compatible_ids(&self) -> Vec<String> {
        let f = match self {
            Self::Function(function) => function,
            Self::Root(_) => return installation::root_model().map(|model| model.compatible_ids).unwrap_or_default(),
        };
        let (vendor, class) = (format!("PCI\\VEN_{:04X}", f.vendor), f.class >> 8);
        vec![
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
        match self {
            Self::Function(f) => {
                let address = f.address;
                format!("3&{:x}&0&{:02X}", address.bus, u32::from(address.device) << 3 | u32::from(address.function))
            }
            Self::Root(_) => ROOT_INSTANCE.to_owned(),
        }
    }

    /// Returns device and instance id, as the device's registry key is named.
    #[must_use]
    pub fn instance_path(&self) -> String {
        format!("{}\\{}", self.device_id(), self.instance_id())
    }

    /// Returns address and ids, for messages.
    #[must_use]
    pub fn description(&self) -> String {
        match self {
            Self::Function(f) => format!("{} {:04x}:{:04x}", f.address, f.vendor, f.device),
            Self::Root(_) => format!("{} ({})", self.instance_path(), self.hardware_ids().join(", ")),
        }
    }

    /// Returns the name of its physical device object.
    #[must_use]
    pub fn object_name(&self) -> String {
        match self {
            Self::Function(f) => {
                format!("\\Device\\NTPNP_PCI{:04X}", u32::from(f.address.bus) << 8 | u32::from(f.address.device))
            }
            Self::Root(_) => "\\Device\\00000010".to_owned(),
        }
    }

    /// Returns the name of the bus driver that has enumerated it.
    #[must_use]
    pub const fn enumerator(&self) -> &'static str {
        match self {
            Self::Function(_) => "PCI",
            Self::Root(_) => "ROOT",
        }
    }

    /// Returns the GUID of its bus.
    #[must_use]
    pub const fn bus_type(&self) -> GUID {
        match self {
            Self::Function(_) => GUID_BUS_TYPE_PCI,
            Self::Root(_) => GUID_BUS_TYPE_INTERNAL,
        }
    }

    /// Returns `INTERFACE_TYPE` of its bus: resources that were given by hand are those of the ISA bus.
    #[must_use]
    pub fn interface_type(&self) -> i32 {
        match self {
            Self::Function(_) => INTERFACE_TYPE_PCI_BUS,
            Self::Root(resources) if resources.is_empty() => INTERFACE_TYPE_PNP_BUS,
            Self::Root(_) => INTERFACE_TYPE_ISA,
        }
    }

    /// Returns the number of its bus.
    #[must_use]
    pub fn bus_number(&self) -> u32 {
        self.function().map_or(0, |function| function.address.bus.into())
    }

    /// Returns its address on the bus, if the bus has addresses.
    #[must_use]
    pub fn address(&self) -> Option<u32> {
        let address = self.function()?.address;
        Some(u32::from(address.device) << 16 | u32::from(address.function))
    }

    /// Returns its hardware ids and compatible ids, best first.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.hardware_ids().into_iter().chain(self.compatible_ids()).collect()
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
            *node = Node::Function(function.clone());
        }
    });
}
