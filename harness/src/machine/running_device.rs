//! The device of a running machine: the card, a process of the user's, or one that the harness does not own.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::card::Card;
use super::device_process::DeviceProcess;
use crate::host::ended::Ended;
use crate::host::limits::LimitError;
use crate::host::standstill::Watched;

/// The device of a running machine.
#[derive(Debug)]
pub enum RunningDevice {
    /// The project's card.
    Card(Card),
    /// A device that the user's command serves.
    Process(DeviceProcess),
    /// A device of QEMU's own, one that was started elsewhere, or none: there is no process to watch.
    NotOurs,
}

impl RunningDevice {
    /// Returns the card, if the device is the card.
    #[must_use]
    pub const fn card(&self) -> Option<&Card> {
        match self {
            Self::Card(card) => Some(card),
            Self::Process(_) | Self::NotOurs => None,
        }
    }

    /// Returns the name of a device of the user's that has a process.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Process(device) => Some(device.name()),
            Self::Card(_) | Self::NotOurs => None,
        }
    }

    /// Returns the command line of its process, for the record; empty without a process.
    #[must_use]
    pub fn command_line(&self) -> &[String] {
        match self {
            Self::Card(card) => &card.command_line,
            Self::Process(device) => &device.command_line,
            Self::NotOurs => &[],
        }
    }

    /// Tells whether there is a process.
    #[must_use]
    pub const fn has_process(&self) -> bool {
        !matches!(self, Self::NotOurs)
    }

    /// Returns how its process ended, if it has.
    pub fn ended(&mut self) -> Option<Ended> {
        match self {
            Self::Card(card) => card.ended(),
            Self::Process(device) => device.ended(),
            Self::NotOurs => None,
        }
    }

    /// Kills its process with SIGKILL. Tells whether there is one.
    pub fn kill(&mut self) -> bool {
        match self {
            Self::Card(card) => _ = card.kill(),
            Self::Process(device) => _ = device.kill(),
            Self::NotOurs => return false,
        }
        true
    }

    /// Stops its process where it is, on purpose, or lets it continue. Tells whether there is one.
    pub fn freeze(&mut self, frozen: bool) -> bool {
        match self {
            Self::Card(card) => card.freeze(frozen),
            Self::Process(device) => device.freeze(frozen),
            Self::NotOurs => return false,
        }
        true
    }

    /// Ends its process with SIGTERM, and then with SIGKILL.
    pub(super) fn stop(&mut self) {
        match self {
            Self::Card(card) => _ = card.stop(),
            Self::Process(device) => _ = device.stop(),
            Self::NotOurs => {}
        }
    }

    /// Waits for the end of its process, at most as long as `limit`.
    pub(super) fn wait(&mut self, limit: Duration) -> Option<Ended> {
        match self {
            Self::Card(card) => card.wait(limit),
            Self::Process(device) => device.wait(limit),
            Self::NotOurs => None,
        }
    }

    /// Returns the last lines of its process's log.
    #[must_use]
    pub fn tail(&self) -> String {
        match self {
            Self::Card(card) => card.tail(),
            Self::Process(device) => device.tail(),
            Self::NotOurs => String::new(),
        }
    }

    /// Returns what stopped a card that ended as if by itself.
    pub(super) fn stopped_by(&mut self) -> Option<String> {
        match self {
            Self::Card(card) => card.stopped_by(),
            Self::Process(_) | Self::NotOurs => None,
        }
    }

    /// Tells whether a card logged that QEMU had disconnected; `None` where the log does not say.
    pub(super) fn saw_qemu_leave(&self) -> Option<bool> {
        self.card().and_then(Card::saw_qemu_leave)
    }

    /// Notes the limits that its process has, while it lives.
    pub(super) fn note_limits(&mut self) {
        match self {
            Self::Card(card) => card.note_limits(),
            Self::Process(device) => device.note_limits(),
            Self::NotOurs => {}
        }
    }

    /// Returns the limit of the host that its process has reached.
    pub(super) fn limit_reached(&mut self) -> Option<LimitError> {
        match self {
            Self::Card(card) => card.limit_reached(),
            Self::Process(device) => device.limit_reached(),
            Self::NotOurs => None,
        }
    }

    /// Opens a descriptor that becomes readable when its process ends.
    pub(super) fn pidfd(&self) -> io::Result<Option<OwnedFd>> {
        match self {
            Self::Card(card) => card.pidfd().map(Some),
            Self::Process(device) => device.pidfd().map(Some),
            Self::NotOurs => Ok(None),
        }
    }

    /// Returns what a watch for standstills needs.
    pub(super) fn watched(&self) -> Option<Watched> {
        match self {
            Self::Card(card) => Some(card.watched()),
            Self::Process(device) => Some(device.watched()),
            Self::NotOurs => None,
        }
    }
}
