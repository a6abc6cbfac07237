//! The device that the driver is for: the project's card, or one that the user brings.

mod command;
mod pci;
mod qemu_arguments;
mod resource;

use std::path::PathBuf;

use guest_protocol::Installation;
use guest_protocol::options::{DEVICE, RESOURCE, ROOT_DEVICE};
use serde::{Deserialize, Serialize};

pub use command::{CommandError, DeviceCommand};
pub use pci::{PciError, PciFunction};
pub use qemu_arguments::{QemuArguments, QemuArgumentsError};
pub use resource::{Resource, ResourceError, check as check_resources, resources};

/// Where the device that the driver is for comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceSource {
    /// The project's card, which the harness starts.
    #[default]
    Card,
    /// A device that QEMU emulates.
    Qemu(QemuArguments),
    /// A vfio-user server that runs already, by its socket.
    VfioUser(PathBuf),
    /// A vfio-user server that the harness starts, watches and ends.
    Command(DeviceCommand),
    /// An example card of the project's, by name: a vfio-user server that the harness builds, starts, watches and ends.
    Example(String),
    /// Nothing: the driver makes its sound, or passes its events, in software.
    None,
}

/// The device that the driver is for, and what its installation leaves in the registry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Where the device comes from.
    pub source: DeviceSource,
    /// The control socket of a device that was started elsewhere.
    #[serde(default)]
    pub control: Option<PathBuf>,
    /// The resources of a device that no bus enumerates.
    #[serde(default)]
    pub resources: Vec<Resource>,
    /// The PCI function, where several could be the driver's.
    #[serde(default)]
    pub pci: Option<PciFunction>,
    /// What the driver's INF installs.
    #[serde(default)]
    pub installation: Option<Installation>,
}

/// Parts of a device that do not belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// There are resources, and the device is the project's card, which PCI enumerates.
    #[error(
        "resources are for a device that no bus enumerates: name QEMU's device that answers there, or say that there is \
         no device"
    )]
    ResourcesOfCard,
    /// There are resources and a PCI function.
    #[error("a device has resources of its own or is a PCI function, not both")]
    ResourcesAndFunction,
    /// There is a PCI function and no device.
    #[error("there is no device, and so no PCI function to choose")]
    FunctionOfNothing,
    /// A control socket is named for a device that has none, or brings its own.
    #[error(
        "a control socket is named for a device that runs already; a device command is given its own by {{control}}"
    )]
    Control,
}

impl Device {
    /// Checks that its parts belong together.
    ///
    /// # Errors
    /// [`DeviceError`] for the first that does not.
    pub fn check(&self) -> Result<(), DeviceError> {
        if !self.resources.is_empty() && self.is_card() {
            return Err(DeviceError::ResourcesOfCard);
        }
        if !self.resources.is_empty() && self.pci.is_some() {
            return Err(DeviceError::ResourcesAndFunction);
        }
        if self.pci.is_some() && self.source == DeviceSource::None {
            return Err(DeviceError::FunctionOfNothing);
        }
        if self.control.is_some() && (self.is_card() || self.is_served()) {
            return Err(DeviceError::Control);
        }
        Ok(())
    }

    /// Returns this device with what a command line names in place of its own: another device takes its control socket,
    /// resources and function with it.
    #[must_use]
    pub fn overridden_by(&self, other: &Self) -> Self {
        let mut merged = self.clone();
        if !other.is_card() {
            merged.source.clone_from(&other.source);
            (merged.control, merged.resources, merged.pci) = (other.control.clone(), Vec::new(), None);
        }
        if !other.resources.is_empty() {
            (merged.resources, merged.pci) = (other.resources.clone(), None);
        }
        if other.pci.is_some() {
            (merged.pci, merged.resources) = (other.pci, Vec::new());
        }
        if other.installation.is_some() {
            merged.installation.clone_from(&other.installation);
        }
        merged
    }

    /// Tells whether the device is the project's card.
    #[must_use]
    pub const fn is_card(&self) -> bool {
        matches!(self.source, DeviceSource::Card)
    }

    /// Tells whether the harness starts a vfio-user server for it.
    #[must_use]
    pub const fn is_served(&self) -> bool {
        matches!(self.source, DeviceSource::Command(_) | DeviceSource::Example(_))
    }

    /// Tells whether no bus enumerates the device: the guest makes a device node of its own for it.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        matches!(self.source, DeviceSource::None) || !self.resources.is_empty()
    }

    /// Returns its name, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.source {
            DeviceSource::Card => "the card".into(),
            DeviceSource::Qemu(arguments) => format!("the device `{arguments}`"),
            DeviceSource::VfioUser(socket) => format!("the vfio-user device at {}", socket.display()),
            DeviceSource::Command(command) => command.name(),
            DeviceSource::Example(name) => format!("the example card {name}"),
            DeviceSource::None => "no device".into(),
        }
    }

    /// Returns the lines of options by which the guest finds the device.
    #[must_use]
    pub fn guest_options(&self) -> String {
        let mut lines = Vec::new();
        if let Some(function) = &self.pci {
            lines.push(format!("{DEVICE}={function}\n"));
        } else if self.is_root() {
            lines.push(format!("{DEVICE}={ROOT_DEVICE}\n"));
        }
        lines.extend(self.resources.iter().map(|resource| format!("{RESOURCE}={}\n", resource.option())));
        lines.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_parts_that_do_not_belong_together() {
        let isa = resources("irq=5").unwrap();
        let function = "1af4:1067".parse().ok();
        let device = |source| Device { source, ..Device::default() };
        let card = Device { resources: isa.clone(), ..Device::default() };
        assert_eq!(card.check(), Err(DeviceError::ResourcesOfCard));
        let both = Device { pci: function, resources: isa.clone(), ..device(DeviceSource::None) };
        assert_eq!(both.check(), Err(DeviceError::ResourcesAndFunction));
        assert_eq!(Device { pci: function, ..device(DeviceSource::None) }.check(), Err(DeviceError::FunctionOfNothing));
        assert_eq!(Device { control: Some("c".into()), ..Device::default() }.check(), Err(DeviceError::Control));
        assert_eq!(Device { resources: isa, ..device(DeviceSource::None) }.check(), Ok(()));
    }

    #[test]
    fn takes_what_the_command_line_names_in_place_of_the_scenario_s() {
        let scenario = Device {
            source: DeviceSource::VfioUser("a".into()),
            control: Some("c".into()),
            pci: "1af4:1067".parse().ok(),
            installation: Some(Installation::default()),
            ..Device::default()
        };
        assert_eq!(scenario.overridden_by(&Device::default()), scenario);
        let other = Device { source: DeviceSource::None, resources: resources("irq=5").unwrap(), ..Device::default() };
        let merged = scenario.overridden_by(&other);
        assert_eq!((merged.control.is_some(), merged.pci), (false, None));
        assert_eq!((&merged.resources, merged.installation.is_some()), (&other.resources, true));
        let function = Device { pci: "8086:2415:1".parse().ok(), ..Device::default() };
        assert_eq!(scenario.overridden_by(&function).pci, function.pci);
    }

    #[test]
    fn tells_the_guest_where_the_device_is() {
        assert_eq!(Device::default().guest_options(), "");
        let root = Device { source: DeviceSource::None, ..Device::default() };
        assert_eq!(root.guest_options(), "device=root\n");
        let isa = Device {
            source: DeviceSource::Qemu("isa-serial,iobase=0x2f8,irq=3".parse().unwrap()),
            resources: resources("port=0x2f8+8,irq=3").unwrap(),
            ..Device::default()
        };
        assert_eq!(isa.guest_options(), "device=root\nresource=port:2f8+8\nresource=irq:3:edge\n");
        let second = Device { pci: Some("1234:11E8:1".parse().unwrap()), ..Device::default() };
        assert_eq!(second.guest_options(), "device=1234:11e8:1\n");
    }
}
