//! A machine without card and driver: what is measured of QEMU and the guest alone.

use std::time::Duration;

use super::assembly::{bare_options, guest_line};
use super::provisioned::Provisioned;
use super::session::{Session, SessionError};
use crate::event::Silent;
use crate::host::leftovers::Scratch;
use crate::machine::{Boot, GuestMemory, Machine, MachineError};

/// A QEMU that runs the guest without a card.
#[derive(Debug)]
pub struct BareMachine {
    /// QEMU.
    pub machine: Machine,
    scratch: Scratch,
}

impl BareMachine {
    /// Starts QEMU and the guest, with memory in bytes and guest options (lines of `name=value`).
    ///
    /// # Errors
    /// [`MachineError::QemuNotStarted`] for a QEMU that ended before its monitor answered; the other variants for what the
    /// host refused.
    pub fn start(provisioned: &Provisioned, memory: u64, guest_options: String) -> Result<Self, MachineError> {
        let scratch = Scratch::new()?;
        let log = scratch.path().join("qemu.log");
        let options = bare_options(provisioned, guest_options);
        let machine =
            Machine::start(&options, GuestMemory::new(memory)?, &Boot { log: &log, scratch: scratch.path() })?;
        Ok(Self { machine, scratch })
    }

    /// Opens the session with the guest. The temporary folder must live as long as the session.
    ///
    /// # Errors
    /// [`SessionError::Line`] where the serial line cannot be listened to.
    pub fn into_session(self, timeout: Duration) -> Result<(Session<'static, Machine>, Scratch), SessionError> {
        let line = guest_line(&self.machine)?;
        Ok((Session::new(line, self.machine, timeout, None, &Silent)?, self.scratch))
    }
}
