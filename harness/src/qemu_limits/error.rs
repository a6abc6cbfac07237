//! Why QEMU's limits were not shown.

use std::io;

use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::process::SpawnError;
use crate::machine::MachineError;

/// Why QEMU's limits were not shown.
#[derive(Debug, thiserror::Error)]
pub enum LimitsError {
    /// QEMU cannot be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The card cannot be started.
    #[error(transparent)]
    Card(#[from] MachineError),
    /// A file or folder cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The host gives no socket.
    #[error("a socket to QEMU: {0}")]
    Socket(io::Error),
    /// The user interrupted it.
    #[error("interrupted while QEMU's limits were shown")]
    Interrupted,
}

impl Diagnosed for LimitsError {
    fn class(&self) -> Class {
        match self {
            Self::Spawn(_) | Self::Socket(_) => Class::Host,
            Self::Card(error) => error.class(),
            Self::File(error) => error.class(),
            Self::Interrupted => Class::Interrupted,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Card(error) => error.remedy(),
            Self::File(error) => error.remedy(),
            _ => None,
        }
    }
}
