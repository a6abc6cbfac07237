//! Recovery of a card that needs a reset: it says so, has lost its session, has broken a ring, or does not answer a request,
//! or not so that it can be read.
//!
//! The card is reset and gets its whole state again, like one that has been without power: streams go on in their
//! states, and downloads are there again. The batches that it had are lost, and their number is logged. A card that
//! needs a reset again and again is left off, until it was left alone for a while or the device was without power: then
//! streams fail, and no function waits for it.

use core::sync::atomic::Ordering;

use card_spec::control::Status;

use super::device::Card;
use super::epoch::Epoch;
use super::error::CardError;
use crate::control::ControlError;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::Kernel;
use crate::log::Part;

/// Recoveries in a row before the card is left off.
const RECOVERIES_MAX: u32 = 8;

impl<K: Kernel> Card<K> {
    /// Returns the present epoch, which is read before a failure is looked for: the card may have recovered when it is found.
    pub(super) fn epoch(&self) -> Epoch {
        Epoch::at(self.epoch.load(Ordering::Acquire))
    }

    /// Begins an epoch: what was sent before is lost.
    pub(super) fn begin_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Marks the card as one that needs a reset, unless it has had one since the epoch of the failure. Until it has recovered no
    /// event is sent.
    pub(super) fn request_recovery(&self, level: AtMostDispatch, epoch: Epoch, reason: Part) {
        // Not in two steps: a recovery between them would send events again, and the second step hold them for ever.
        let is_first = self.queues.midi_out.suspend_if(level, || {
            !self.off.load(Ordering::Acquire) && self.epoch() == epoch && !self.needs_reset.swap(true, Ordering::AcqRel)
        });
        if is_first {
            self.kernel.log(&[Part::Text("the card needs a reset: "), reason]);
        }
    }

    /// Requests recovery if a request of an epoch failed in a way that only a reset ends: without an answer that can be read it is
    /// not known what the card has done, and one that keeps a request takes no other.
    pub(super) fn check_failure(&self, level: Passive, epoch: Epoch, error: ControlError) {
        if matches!(
            error,
            ControlError::Ring(_)
                | ControlError::Timeout
                | ControlError::BadAnswer
                | ControlError::Refused(Status::NO_SESSION)
        ) {
            self.request_recovery(level.into(), epoch, Part::Reason(error.into()));
        }
    }

    /// Calls `open`, which adds a stream and opens it on the card, or takes it out again. No recovery comes between: it would
    /// open a stream on the card that the driver then takes out.
    pub(super) fn without_recovery<T>(&self, level: Passive, open: impl FnOnce() -> T) -> T {
        self.downloads.with(level, |_| open())
    }

    /// Recovers the card if it needs that, and logs why it cannot.
    pub fn recover_or_log(&self, level: Passive) {
        if let Err(error) = self.recover(level) {
            self.kernel.log(&[Part::Text("the card does not recover: "), Part::Reason(error.into())]);
        }
    }

    /// Resets a card that needs it, and gives it its whole state again.
    ///
    /// # Errors
    /// Why the card does not come up, as for [`power_up`](Self::power_up); [`ControlError::Off`] after
    /// [`RECOVERIES_MAX`] recoveries in a row. The card is off, and the next call tries again.
    pub(super) fn recover(&self, level: Passive) -> Result<(), CardError> {
        // A second caller waits for the first one's recovery.
        self.downloads.with(level, |downloads| {
            if self.without_power.load(Ordering::Acquire) || !self.needs_reset.load(Ordering::Acquire) {
                return Ok(());
            }
            let batches = self.queues.midi_out.in_flight(level.into());
            self.switch_off(level, downloads);
            let now = self.kernel.time();
            let in_a_row = self.recoveries.with(level.into(), |recoveries| recoveries.count(now));
            let recovered = if in_a_row <= RECOVERIES_MAX {
                self.switch_on(level, downloads)
            } else {
                if in_a_row == RECOVERIES_MAX + 1 {
                    self.kernel.log(&[Part::Text("the card fails again and again: it is left off")]);
                }
                Err(ControlError::Off.into())
            };
            match recovered {
                Ok(()) => self.kernel.log(&[
                    Part::Text("the card was reset and its state restored; batches lost: "),
                    Part::Number(batches.into()),
                ]),
                Err(_) => {
                    // The card may never come back, and events must not wait for it.
                    self.queues.midi_out.abandon(level.into(), self);
                    self.needs_reset.store(true, Ordering::Release);
                }
            }
            recovered
        })
    }
}
