//! The error of a machine that did not start.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use super::card_exit::CARD_DISLIKES_BANK;
use super::death::{Death, NOT_OURS};
use super::device_control::DeviceControlError;
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::interrupt;
use crate::host::invocation;
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
    #[error("{} did not start: {death}", .death.who())]
    CardNotStarted {
        /// The end of the card, or of the device in its place.
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
    /// The program of a device could not be started.
    #[error("{device} does not start: cannot run `{program}`: {source}{}", behind(.source))]
    DeviceProgram {
        /// The name of the device.
        device: String,
        /// The program.
        program: String,
        /// The error of the start.
        source: io::Error,
    },
    /// A device ended before it listened on its socket.
    #[error("{device} ended before it listened: {ended}{}{tail}", if .tail.is_empty() { "" } else { "; its log ends with:\n" })]
    DeviceEnded {
        /// The name of the device.
        device: String,
        /// Its exit status or signal.
        ended: String,
        /// The end of the device's log.
        tail: String,
    },
    /// A device that runs does not listen on its socket.
    #[error(
        "{device} does not listen on {socket} after {seconds} s{}{tail}",
        if .tail.is_empty() { "" } else { "; its log ends with:\n" },
        socket = .socket.display()
    )]
    DeviceDoesNotListen {
        /// The name of the device.
        device: String,
        /// The socket.
        socket: PathBuf,
        /// The limit.
        seconds: u64,
        /// The end of the device's log.
        tail: String,
    },
    /// QEMU refused the device of the user's.
    #[error("QEMU refuses {device}: {words}")]
    DeviceRefused {
        /// The name of the device.
        device: String,
        /// QEMU's own words.
        words: String,
        /// Whether the device is one of QEMU's own, named on a command line or in a scenario.
        of_qemu: bool,
    },
    /// QEMU waits for a device that does not answer.
    #[error("{device} does not answer QEMU: no machine after {seconds} s{}{tail}",
        if .tail.is_empty() { "" } else { "; QEMU's log ends with:\n" })]
    DeviceSilent {
        /// The name of the device.
        device: String,
        /// The limit.
        seconds: u64,
        /// The end of QEMU's log.
        tail: String,
    },
    /// The device's control socket does not answer as the contract says.
    #[error(transparent)]
    Control(#[from] DeviceControlError),
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
            Self::CardNotStarted { death } if death.device.is_none() && death.ended == CARD_DISLIKES_BANK => {
                Class::BadInput
            }
            Self::CardNotStarted { .. }
            | Self::DeviceEnded { .. }
            | Self::DeviceDoesNotListen { .. }
            | Self::DeviceSilent { .. } => Class::CardDied,
            Self::DeviceRefused { of_qemu: false, .. } => Class::CardDied,
            Self::DeviceProgram { .. } | Self::DeviceRefused { of_qemu: true, .. } => Class::Usage,
            Self::Control(error) => error.class(),
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
                .or_else(|| Some(format!("`{}` says what is missing", invocation::command("doctor")))),
            Self::Spawn(SpawnError::Log(error)) => error.remedy(),
            Self::CardNotStarted { death } if death.device.is_none() && death.ended == CARD_DISLIKES_BANK => {
                Some("give a usable bank with --bank, or leave it out".into())
            }
            Self::CardNotStarted { death } if death.from_outside() => Some(NOT_OURS.into()),
            Self::DeviceEnded { .. } => {
                Some("the words above are the device's own; device.log in the run folder has them all".into())
            }
            Self::CardNotStarted { death } if death.device.is_some() => {
                Some("device.log in the run folder has the device's own words".into())
            }
            Self::DeviceProgram { .. } => Some("name a program that exists and can be executed".into()),
            Self::DeviceDoesNotListen { .. } => {
                Some("the device must bind and listen on the path that it is given in place of {socket}".into())
            }
            Self::DeviceRefused { of_qemu: true, .. } => Some(
                "`qemu-system-x86_64 -device help` lists QEMU's devices, `-device NAME,help` their properties".into(),
            ),
            Self::DeviceRefused { words, .. } if words.contains("not a valid device model name") => {
                Some("name a QEMU of version 10.1 or later that was built with vfio-user-pci with --qemu".into())
            }
            Self::DeviceRefused { .. } | Self::DeviceSilent { .. } => {
                Some("the device must run, listen on the socket and serve the vfio-user protocol, version 0.0".into())
            }
            Self::Control(error) => error.remedy(),
            Self::CardNotStarted { .. } => Some(format!(
                "the message above is the card's own; `{}` looks at the rest",
                invocation::command("doctor")
            )),
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
                    _ => format!("check memory (free -m) and what `{}` says", invocation::command("doctor")),
                })
            }),
            Self::File(error) => error.remedy(),
            Self::Limit(error) => error.remedy(),
            Self::Interrupted => None,
        }
    }
}
