//! Classifies failures: one class, and one exit code, for each kind of person who has to act.

use serde::Serialize;

/// Who has to act. The exit code is part of the command line's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// An expectation did not hold.
    TestFailed,
    /// The command line makes no sense (the number is clap's).
    Usage,
    /// The guest stopped with a bug check, or fell over without one.
    GuestCrashed,
    /// A step did not end in time.
    Timeout,
    /// The card's process ended while the guest ran.
    CardDied,
    /// QEMU did not start, or crashed by itself.
    QemuFailed,
    /// Something that the run needs is not there and could not be brought in.
    MissingArtefact,
    /// A song, bank, scenario or driver image is malformed.
    BadInput,
    /// The host is in the way: disk, memory, permissions.
    Host,
    /// The host did not let the card or QEMU run for so long that a time-out of the driver's ran out.
    HostStalled,
    /// The run was ended by a signal, at the user's wish.
    Interrupted,
    /// The harness itself is wrong.
    HarnessBug,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 12] = [
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
        Self::Interrupted,
        Self::HarnessBug,
    ];

    /// The process's exit code.
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
            Self::HarnessBug => 70,
            Self::Interrupted => 130,
        }
    }

    /// The name that scenarios and reports use.
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
            Self::Interrupted => "interrupted",
            Self::HarnessBug => "harness-bug",
        }
    }
}

/// What every error of this library can say about itself, besides its message.
pub trait Diagnosed {
    /// Who has to act.
    fn class(&self) -> Class;
    /// What to do about it, where that is known.
    fn remedy(&self) -> Option<String> {
        None
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
