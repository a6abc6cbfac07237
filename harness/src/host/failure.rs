//! Classifies failures by the part at fault: one class and one exit code each.

use serde::Serialize;

/// The class of a failure: the part at fault. The exit codes are part of the command line's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// An expectation did not hold.
    TestFailed,
    /// The command line is wrong (the number is clap's).
    Usage,
    /// The guest stopped with a bug check, or ended without a report.
    GuestCrashed,
    /// A step took too long.
    Timeout,
    /// The card's process ended while the guest ran.
    CardDied,
    /// QEMU did not start, or crashed by itself.
    QemuFailed,
    /// An artefact that the run needs is missing and could not be provisioned.
    MissingArtefact,
    /// A song, bank, scenario or driver image is malformed.
    BadInput,
    /// The host prevents the run: disk, memory, permissions.
    Host,
    /// The host kept card or QEMU from running for so long that a time-out of the driver's ran out.
    HostStalled,
    /// The driver needs what the guest does not have, and was not judged.
    NotHosted,
    /// A guest did not start from its installation disc.
    NotStarted,
    /// An installer stands still: it waits for a person, or hangs.
    InstallerStuck,
    /// A guest restarts again and again.
    RestartLoop,
    /// A step of an image's set-up failed in the guest.
    SetupFailed,
    /// The agent of a guest does not come, or answers nothing.
    AgentSilent,
    /// A signal of the user's ended the run.
    Interrupted,
    /// The harness has a defect.
    HarnessBug,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 18] = [
        Self::TestFailed,
        Self::Usage,
        Self::GuestCrashed,
        Self::Timeout,
        Self::CardDied,
        Self::QemuFailed,
        Self::MissingArtefact,
        Self::BadInput,
        Self::Host,
        Self::HostStalled,
        Self::NotHosted,
        Self::NotStarted,
        Self::InstallerStuck,
        Self::RestartLoop,
        Self::SetupFailed,
        Self::AgentSilent,
        Self::Interrupted,
        Self::HarnessBug,
    ];

    /// Returns the exit code of the process.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::TestFailed => 1,
            Self::Usage => 2,
            Self::GuestCrashed => 3,
            Self::Timeout => 4,
            Self::CardDied => 5,
            Self::QemuFailed => 6,
            Self::MissingArtefact => 7,
            Self::BadInput => 8,
            Self::Host => 9,
            Self::HostStalled => 11,
            Self::NotHosted => 12,
            Self::NotStarted => 13,
            Self::InstallerStuck => 14,
            Self::RestartLoop => 15,
            Self::SetupFailed => 16,
            Self::AgentSilent => 17,
            Self::HarnessBug => 70,
            Self::Interrupted => 130,
        }
    }

    /// Returns the name that scenarios and reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TestFailed => "test-failed",
            Self::Usage => "usage",
            Self::GuestCrashed => "guest-crashed",
            Self::Timeout => "timeout",
            Self::CardDied => "card-died",
            Self::QemuFailed => "qemu-failed",
            Self::MissingArtefact => "missing-artefact",
            Self::BadInput => "bad-input",
            Self::Host => "host",
            Self::HostStalled => "host-stalled",
            Self::NotHosted => "not-hosted",
            Self::NotStarted => "not-started",
            Self::InstallerStuck => "installer-stuck",
            Self::RestartLoop => "restart-loop",
            Self::SetupFailed => "setup-failed",
            Self::AgentSilent => "agent-silent",
            Self::Interrupted => "interrupted",
            Self::HarnessBug => "harness-bug",
        }
    }
}

/// Tells more about an error of this library than its message.
pub trait Diagnosed {
    /// Returns the class of the failure.
    fn class(&self) -> Class;
    /// Returns the remedy, where one is known.
    fn remedy(&self) -> Option<String> {
        None
    }
}

impl<E: Diagnosed + ?Sized> Diagnosed for Box<E> {
    fn class(&self) -> Class {
        E::class(self)
    }

    fn remedy(&self) -> Option<String> {
        E::remedy(self)
    }
}

/// Implements [`Diagnosed`] for an enum each of whose variants holds an error that implements it.
#[macro_export]
macro_rules! diagnosed_by_variant {
    ($name:ident: $($variant:ident),+ $(,)?) => {
        impl $crate::host::failure::Diagnosed for $name {
            fn class(&self) -> $crate::host::failure::Class {
                match self {
                    $(Self::$variant(error) => $crate::host::failure::Diagnosed::class(error),)+
                }
            }

            fn remedy(&self) -> Option<String> {
                match self {
                    $(Self::$variant(error) => $crate::host::failure::Diagnosed::remedy(error),)+
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn gives_every_class_an_exit_code_of_its_own_and_none_success() {
        let codes: HashSet<u8> = Class::ALL.iter().map(|class| class.exit_code()).collect();
        assert_eq!(codes.len(), Class::ALL.len());
        assert!(!codes.contains(&0));
    }
}
