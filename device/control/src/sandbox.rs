//! Whether the card's process is confined.

use serde::{Deserialize, Serialize};

/// Whether the card's process is confined, as `--sandbox` names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Sandbox {
    /// It is, or ends where the host does not let it be.
    #[default]
    On,
    /// It is not: for a host without seccomp, for a debugger, or when a call is refused by mistake.
    Off,
}

impl Sandbox {
    /// Returns the name that command line and scenarios use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}
