//! The machine under test: guest memory, the card's process, QEMU, and the lines between them.
//!
//! The harness makes the guest's memory (a memfd) and the sockets, and passes them on as open files: nothing that the
//! processes need has a name that others could take. Both processes die with the harness, however it ends.

mod card;
mod memory;
mod qemu;
mod qmp;
mod rig;

use std::io;

pub use card::{Card, CardControl, CardCounters, CardDiagnosis, CardOptions, CardSockets, CardStatus, Clock};
pub use memory::GuestMemory;
pub use qemu::{Accelerator, Boot, CARD_QUEUES, CARD_RING_SIZE, Firmware, Machine, MachineOptions, guest_exit};
pub use rig::Rig;

use crate::failure::{Class, Diagnosed, FileError};
use crate::process::{Ended, SpawnError};

/// How the card ends when its bank is missing or broken.
pub(crate) const CARD_DISLIKES_BANK: Ended = Ended::Exit(3);

/// Why a machine did not come to be.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// A process did not start.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The card ended before QEMU was there.
    #[error("the card did not start ({ended}): {tail}")]
    CardNotStarted {
        /// How it ended.
        ended: Ended,
        /// The end of its log.
        tail: String,
    },
    /// QEMU ended, or did not answer, before the guest ran.
    #[error("QEMU did not start: {ended}\n{tail}")]
    QemuNotStarted {
        /// How it ended.
        ended: String,
        /// The end of its log.
        tail: String,
    },
    /// Memory or sockets could not be made.
    #[error("cannot make {what}: {source}")]
    Resource {
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file of the run.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Diagnosed for MachineError {
    fn class(&self) -> Class {
        match self {
            Self::Spawn(_) | Self::Resource { .. } => Class::Host,
            Self::CardNotStarted { ended: CARD_DISLIKES_BANK, .. } => Class::BadInput,
            Self::CardNotStarted { .. } => Class::CardDied,
            Self::QemuNotStarted { .. } => Class::QemuFailed,
            Self::File(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Spawn(_) => Some("`cargo dmus doctor` says what is missing".into()),
            Self::CardNotStarted { ended: CARD_DISLIKES_BANK, .. } => {
                Some("give a usable bank with --bank, or leave it out".into())
            }
            Self::CardNotStarted { .. } => {
                Some("the message above is the card's own; `cargo dmus doctor` looks at the rest".into())
            }
            Self::QemuNotStarted { .. } => {
                Some("the message above is QEMU's own; try --accel tcg, or another --qemu".into())
            }
            Self::Resource { .. } => Some("check memory (free -m), /dev/shm and the limit of open files".into()),
            Self::File(error) => error.remedy(),
        }
    }
}
