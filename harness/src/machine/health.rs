//! Whether the processes behind a guest's serial line live.

use std::time::Duration;

use super::death::Death;
use crate::host::limits::LimitError;

/// A device that QEMU has lost while both processes live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostDevice {
    /// The name of the device.
    pub device: String,
    /// QEMU's own words.
    pub words: String,
}

/// Tells whether the processes behind a guest's serial line live.
pub trait Health {
    /// Returns the first death, once a process has died.
    fn death(&mut self) -> Option<Death>;

    /// Returns the device that QEMU has lost, if it has: one that has gone, or does not answer, without the end of a process
    /// of the harness's.
    fn lost_device(&mut self) -> Option<LostDevice> {
        None
    }

    /// Returns how the screen of a guest with one shows that its system has crashed, if it does.
    fn crash(&mut self) -> Option<String> {
        None
    }

    /// Tells whether the guest has turned its machine off, which a guest that starts from a disk can.
    fn is_off(&mut self) -> bool {
        false
    }

    /// Returns the limit of the host that a process has reached, if one has.
    fn limit(&mut self) -> Option<LimitError> {
        None
    }

    /// Returns how long the host has kept a process, or the harness, from running so far.
    fn stood_still(&self) -> Duration {
        Duration::ZERO
    }

    /// Tells whether there are processes that could die.
    fn has_processes(&self) -> bool {
        true
    }
}

/// Stands in for processes where there are none, as behind a fake guest.
#[derive(Clone, Copy, Debug)]
pub struct NoProcesses;

impl Health for NoProcesses {
    fn death(&mut self) -> Option<Death> {
        None
    }

    fn has_processes(&self) -> bool {
        false
    }
}
