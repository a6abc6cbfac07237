//! The error of a machine that did not start.

use std::io::{self, ErrorKind};

use super::card_exit::CARD_DISLIKES_BANK;
use super::death::{Death, NOT_OURS};
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::interrupt;
use crate::host::limits::{self, LimitError};
use crate::host::process::SpawnError;

/// Returns the limit of the host behind an error, for a message.
fn behind(source: &io::Error) -> String {
    limits::of_start(source).map_or_else(String::new, |limit| format!(": {}", limit.sentence()))
}

/// Why a machine did not start.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// A process could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The card ended before QEMU ran.
    #[error("the card did not start: {death}")]
    CardNotStarted {
        /// The card's end.
        death: Box<Death>,
    },
    /// QEMU ended, or did not answer, before the guest ran.
    #[error("QEMU did not start: {ended}{}{tail}", if .tail.is_empty() { "" } else { "\n" })]
    QemuNotStarted {
        /// The exit status or signal of QEMU.
        ended: String,
        /// The end of its log.
        tail: String,
        /// Whether something outside the machine ended it.
        from_outside: bool,
    },
    /// Memory, a socket or a thread could not be created.
    #[error("cannot make {what}: {source}{}", behind(.source))]
    Resource {
        /// The resource.
        what: &'static str,
        /// The error of the host.
        source: io::Error,
    },
    /// A file of the run could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A limit of the host was reached.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The user interrupted it.
    #[error("interrupted{} while the machine started", interrupt::by_signal())]
    Interrupted,
}

impl Diagnosed for MachineError {
    fn class(&self) -> Class {
        match self {
            Self::Spawn(_) | Self::Resource { .. } => Class::Host,
            Self::CardNotStarted { death } if death.ended == CARD_DISLIKES_BANK => Class::BadInput,
            Self::CardNotStarted { .. } => Class::CardDied,
            Self::QemuNotStarted { .. } => Class::QemuFailed,
            Self::File(error) => error.class(),
            Self::Limit(error) => error.class(),
            Self::Interrupted => Class::Interrupted,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Spawn(SpawnError::Program { source, .. }) => limits::of_start(source)
                .and_then(|limit| limit.remedy())
                .or_else(|| Some("`cargo dmus doctor` says what is missing".into())),
            Self::Spawn(SpawnError::Log(error)) => error.remedy(),
            Self::CardNotStarted { death } if death.ended == CARD_DISLIKES_BANK => {
                Some("give a usable bank with --bank, or leave it out".into())
            }
            Self::CardNotStarted { death } if death.from_outside() => Some(NOT_OURS.into()),
            Self::CardNotStarted { .. } => {
                Some("the message above is the card's own; `cargo dmus doctor` looks at the rest".into())
            }
            Self::QemuNotStarted { from_outside: true, .. } => Some(NOT_OURS.into()),
            Self::QemuNotStarted { .. } => {
                Some("the message above is QEMU's own; try --accel tcg, or another --qemu".into())
            }
            Self::Resource { source, .. } => limits::of_start(source).and_then(|limit| limit.remedy()).or_else(|| {
                Some(match source.kind() {
                    ErrorKind::Unsupported | ErrorKind::PermissionDenied => {
                        "the kernel refuses the call: run outside the sandbox that forbids it".into()
                    }
                    ErrorKind::InvalidInput => {
                        "set TMPDIR to a folder with a shorter path: a socket's has at most 107 bytes".into()
                    }
                    ErrorKind::StorageFull => {
                        "free some space under TMPDIR, or set it to a folder on a larger disk".into()
                    }
                    _ => "check memory (free -m) and what `cargo dmus doctor` says".to_owned(),
                })
            }),
            Self::File(error) => error.remedy(),
            Self::Limit(error) => error.remedy(),
            Self::Interrupted => None,
        }
    }
}
