//! The phases of a build, and how many minutes each may take.

use serde::{Deserialize, Serialize};

/// A phase of a build, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The guest starts from the disc; its prompt is answered.
    Start,
    /// Set-up copies files, until the guest restarts from its disk.
    Copy,
    /// Set-up goes on from the disk, until the first logon.
    Configure,
    /// The script of the first logon runs.
    SetUp,
    /// The guest restarts, and its agent comes.
    Agent,
    /// The layers of the disk are merged, and the image is put in its place.
    Seal,
}

impl Phase {
    /// Every phase with a limit, with the minutes that it may take and why so many. Under the emulator all take longer by far.
    pub const LIMITS: [(Self, &'static str, f64); 5] = [
        // Firmware, prompt and the first megabytes of the boot image.
        (Self::Start, "start", 10.0),
        // Some five gigabytes are unpacked: ten to thirty minutes on a processor of its own, hours under the emulator.
        (Self::Copy, "copy", 360.0),
        // Devices, two restarts, first logon.
        (Self::Configure, "configure", 240.0),
        // A dozen commands, of which pnputil takes longest.
        (Self::SetUp, "set-up", 60.0),
        // A restart, and a service that starts late.
        (Self::Agent, "agent", 60.0),
    ];

    /// Returns its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Copy => "copy",
            Self::Configure => "configure",
            Self::SetUp => "set-up",
            Self::Agent => "agent",
            Self::Seal => "seal",
        }
    }

    /// Returns what the guest does in it, for messages.
    #[must_use]
    pub const fn doing(self) -> &'static str {
        match self {
            Self::Start => "starting from the disc",
            Self::Copy => "copying",
            Self::Configure => "going on from the disk",
            Self::SetUp => "running setup.cmd",
            Self::Agent => "waiting for the agent",
            Self::Seal => "merging the disk's layers",
        }
    }
}
