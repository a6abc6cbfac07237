//! What the installation of a driver leaves in the registry, as its INF says: the `fw_cfg` file
//! [`INSTALLATION_FILE`](crate::INSTALLATION_FILE).

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// What an INF installs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// The name of the INF file.
    pub inf: String,
    /// The setup class: `MEDIA`.
    pub class: String,
    /// The GUID of the setup class, in braces.
    pub class_guid: String,
    /// The provider.
    pub provider: String,
    /// The date of `DriverVer`, as it stands there.
    pub driver_date: String,
    /// The version of `DriverVer`.
    pub driver_version: String,
    /// The models, in order of the file.
    pub models: Vec<Model>,
    /// The installations that models name.
    pub installs: Vec<Install>,
}

/// A model: the ids of a device, and the installation that they lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The description of the device.
    pub description: String,
    /// The manufacturer.
    pub manufacturer: String,
    /// The hardware id; empty where the model has compatible ids only.
    pub hardware_id: String,
    /// The compatible ids, best first.
    pub compatible_ids: Vec<String>,
    /// The index of its installation.
    pub install: u16,
}

/// What is installed for a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Install {
    /// The name of the section.
    pub section: String,
    /// The name of the driver's service; empty without one.
    pub service: String,
    /// Registry keys with their values.
    pub keys: Vec<RegistryKey>,
    /// The device interfaces.
    pub interfaces: Vec<InstalledInterface>,
}

/// A registry key and its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryKey {
    /// The key that the path begins at.
    pub root: RegistryRoot,
    /// The path below it; empty for the key itself.
    pub path: String,
    /// The values.
    pub values: Vec<RegistryValue>,
}

/// A key of the registry by what it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RegistryRoot {
    /// The driver's software key, `PLUGPLAY_REGKEY_DRIVER`.
    Driver,
    /// The device's hardware key, `PLUGPLAY_REGKEY_DEVICE`.
    Device,
    /// The key of the driver's service, `DriverEntry`'s `RegistryPath`.
    Service,
    /// `\Registry\Machine`.
    Machine,
    /// `\Registry\User`.
    Users,
}

/// A registry value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryValue {
    /// Its name; empty for the key's unnamed value.
    pub name: String,
    /// `REG_SZ` and so on.
    pub kind: u32,
    /// Its data, as it is in the registry.
    pub data: Vec<u8>,
}

/// A device interface that `AddInterface` installs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledInterface {
    /// The interface class, in memory order.
    pub class: [u8; 16],
    /// The reference string; empty without one.
    pub reference: String,
    /// The keys below the interface's own, with their values.
    pub keys: Vec<(String, Vec<RegistryValue>)>,
}

/// A device interface that a driver has registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredInterface {
    /// The interface class, in memory order.
    pub class: [u8; 16],
    /// The reference string; empty without one.
    pub reference: String,
}

/// An installation that cannot be written to its file, or a file that holds none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the installation's file: {0}")]
pub struct InstallationError(postcard::Error);

impl Installation {
    /// Returns it as the bytes of the file.
    ///
    /// # Errors
    /// [`InstallationError`] when postcard cannot encode it, which no installation causes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, InstallationError> {
        postcard::to_allocvec(self).map_err(InstallationError)
    }

    /// Reads the bytes of the file.
    ///
    /// # Errors
    /// [`InstallationError`] for a file that another version of the protocol wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InstallationError> {
        postcard::from_bytes(bytes).map_err(InstallationError)
    }

    /// Returns the model that a device with these hardware ids and compatible ids, best first, is installed by: the one
    /// whose id stands first among the device's own, and among equal ones the first in the file.
    #[must_use]
    pub fn model_of<'a>(&'a self, ids: &[String]) -> Option<&'a Model> {
        let rank = |model: &Model| {
            let named = core::iter::once(&model.hardware_id).chain(&model.compatible_ids);
            let own = named.filter(|id| !id.is_empty()).enumerate();
            let ranks = own.filter_map(|(order, id)| {
                ids.iter().position(|device| device.eq_ignore_ascii_case(id)).map(|at| (at, order))
            });
            ranks.min()
        };
        let ranked = self.models.iter().enumerate().filter_map(|(order, model)| Some((rank(model)?, order, model)));
        ranked.min_by_key(|(rank, order, _)| (*rank, *order)).map(|(_, _, model)| model)
    }

    /// Returns the installation of a model.
    #[must_use]
    pub fn install_of(&self, model: &Model) -> Option<&Install> {
        self.installs.get(usize::from(model.install))
    }

    /// Returns the first model that is for a device which no bus enumerates, or the first of all.
    #[must_use]
    pub fn root_model(&self) -> Option<&Model> {
        let of_pci = |model: &Model| {
            let mut ids = core::iter::once(&model.hardware_id).chain(&model.compatible_ids);
            let first = ids.find(|id| !id.is_empty());
            first.and_then(|id| id.get(..4)).is_some_and(|bus| bus.eq_ignore_ascii_case("pci\\"))
        };
        self.models.iter().find(|model| !of_pci(model)).or_else(|| self.models.first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn model(description: &str, hardware_id: &str, compatible_ids: &[&str]) -> Model {
        Model {
            description: description.into(),
            hardware_id: hardware_id.into(),
            compatible_ids: compatible_ids.iter().map(|id| (*id).into()).collect(),
            ..Model::default()
        }
    }

    #[test]
    fn prefers_the_model_with_the_most_specific_id() {
        let ids: Vec<String> = ["PCI\\VEN_1&DEV_2&SUBSYS_3", "PCI\\VEN_1&DEV_2", "PCI\\CC_04"].map(Into::into).into();
        let installation = Installation {
            models: vec![
                model("any", "", &["pci\\cc_04"]),
                model("generic", "pci\\ven_1&dev_2", &[]),
                model("exact", "PCI\\VEN_1&DEV_2&SUBSYS_3", &[]),
                model("again", "PCI\\VEN_1&DEV_2&SUBSYS_3", &[]),
                model("cable", "root\\cable", &[]),
            ],
            ..Installation::default()
        };
        let found = |ids: &[String]| installation.model_of(ids).map(|model| model.description.as_str());
        assert_eq!(found(&ids), Some("exact"));
        assert_eq!(found(&ids[1..]), Some("generic"));
        assert_eq!(found(&ids[2..]), Some("any"));
        assert_eq!(found(&["USB\\VID_1".into()]), None);
        assert_eq!(installation.root_model().unwrap().description, "cable");
        let bytes = installation.to_bytes().unwrap();
        assert_eq!(Installation::from_bytes(&bytes).unwrap(), installation);
        assert!(Installation::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    }
}
