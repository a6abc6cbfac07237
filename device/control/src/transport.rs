//! How the card is attached to QEMU.

use serde::{Deserialize, Serialize};

/// How the card is attached to QEMU, as `--transport` names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// `vhost-user-test-device-pci`: QEMU owns the PCI function, and does not outlive the card.
    #[default]
    VhostUser,
    /// `vfio-user-pci`: the card is a PCI function of its own, with registers, and QEMU outlives it.
    VfioUser,
}

impl Transport {
    /// Returns the name that command line and JSON use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VhostUser => "vhost-user",
            Self::VfioUser => "vfio-user",
        }
    }
}
