//! Power, restart, removal, and recovery of the device.

use std::time::{Duration, Instant};

use guest_protocol::{DevicePower, Request};

use super::bed::TestBed;
use super::error::TestBedError;
use super::session::SessionError;

/// The interval at which the harness polls the card for a session.
const POLL: Duration = Duration::from_millis(2);

impl TestBed<'_> {
    /// Sets the device's power state: in [`DevicePower::D3`] the card keeps nothing; [`DevicePower::D0`] brings the device
    /// back, with its streams.
    ///
    /// # Errors
    /// [`TestBedError::Session`] for what the guest says.
    pub fn set_power(&mut self, power: DevicePower) -> Result<(), TestBedError> {
        Ok(self.session.done("set the device's power", Request::SetPower(power))?)
    }

    /// Pulls the card out while the driver uses it (`IRP_MN_SURPRISE_REMOVAL`). Open pins and filters must be closed
    /// afterwards; the device cannot be used again.
    ///
    /// # Errors
    /// [`TestBedError::Session`] for what the guest says.
    pub fn remove_by_surprise(&mut self) -> Result<(), TestBedError> {
        Ok(self.session.done("pull the card out", Request::SurpriseRemoval)?)
    }

    /// Returns the number of the session that the driver has opened on the card, if it has.
    ///
    /// # Errors
    /// [`TestBedError::Control`] for a card that does not answer.
    pub fn card_session(&self) -> Result<Option<u64>, TestBedError> {
        let status = self.the_card()?.status().map_err(TestBedError::Control)?;
        Ok(status.session.map(|session| session.id))
    }

    /// Waits until the driver has opened another session than `before`, as it does when it resets the card. Time in which
    /// the host keeps a process from running does not count.
    ///
    /// # Errors
    /// [`TestBedError::Session`] with [`SessionError::Timeout`] where it does not within the limit, or for what the guest
    /// says meanwhile; [`TestBedError::Control`] for a card that does not answer.
    pub fn wait_for_new_session(&mut self, before: Option<u64>, limit: Duration) -> Result<u64, TestBedError> {
        let (begun, stood_still) = (Instant::now(), self.stood_still());
        loop {
            // A guest that has stopped says why; the card only follows it.
            self.session.statistics()?;
            if let Some(session) = self.card_session()?
                && Some(session) != before
            {
                return Ok(session);
            }
            if begun.elapsed() > limit + self.stood_still().saturating_sub(stood_still) {
                let seen = String::new();
                let step = "reset the card".into();
                return Err(SessionError::Timeout { step, seconds: limit.as_secs(), seen }.into());
            }
            std::thread::sleep(POLL);
        }
    }
}
