//! A card in trouble: it says that it needs a reset, has lost its session, or has broken a ring.
//!
//! It is reset and told everything again, like a card that has been without power: streams go on in their states, and
//! downloads are there again; what it had of events is lost, and how many batches that were is said. A card that gets into
//! trouble again and again is left off, until it was left alone for a while or the device was without power: then streams
//! fail, and nothing waits for it.

use core::sync::atomic::Ordering;

use card_spec::control::Status;

use super::{Card, CardError};
use crate::control::ControlError;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::Kernel;
use crate::log::Part;
use crate::midi_out;

/// Repairs in a row before a card is given up.
const REPAIRS_MAX: u32 = 8;

/// How far apart two repairs are that are not in a row, in 100 ns units: a minute.
const IN_A_ROW: u64 = 60 * 10_000_000;

/// Repairs of late.
#[derive(Clone, Copy, Default)]
pub(super) struct Repairs {
    in_a_row: u32,
    last: u64,
}

impl Repairs {
    /// There is one more to be: which one in a row that is.
    fn count(&mut self, now: u64) -> u32 {
        if now.saturating_sub(self.last) > IN_A_ROW {
            self.in_a_row = 0;
        }
        self.last = now;
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.in_a_row
    }
}

impl<K: Kernel> Card<K> {
    /// The card is in trouble: until it has been repaired nothing goes out.
    pub(super) fn is_in_trouble(&self, level: AtMostDispatch, why: Part) {
        if !self.off.load(Ordering::Acquire) && !self.needs_reset.swap(true, Ordering::AcqRel) {
            self.kernel.log(&[Part::Text("the card needs a reset: "), why]);
            self.midi_out.suspend(level);
        }
    }

    /// A request has failed: in a way that only a reset mends?
    pub(super) fn look_at_failure(&self, level: Passive, error: ControlError) {
        if matches!(error, ControlError::Ring(_) | ControlError::Refused(Status::NO_SESSION)) {
            self.is_in_trouble(level.into(), Part::Reason(error.into()));
        }
    }

    /// Repairs the card, if it needs that, and says when it cannot.
    pub fn repair(&self, level: Passive) {
        if let Err(error) = self.recover(level) {
            self.kernel.log(&[Part::Text("the card does not recover: "), Part::Reason(error.into())]);
        }
    }

    /// Resets a card that needs it, and tells it everything again.
    ///
    /// # Errors
    /// [`CardError`]; the card is off, and the next try may bring it back.
    pub(super) fn recover(&self, level: Passive) -> Result<(), CardError> {
        // Whoever comes while another repairs waits for that.
        self.downloads.with(level, |downloads| {
            if self.asleep.load(Ordering::Acquire) || !self.needs_reset.load(Ordering::Acquire) {
                return Ok(());
            }
            let batches = self.midi_out.in_flight(level.into());
            self.switch_off(level, downloads);
            let now = self.kernel.time();
            let in_a_row = self.repairs.with(level.into(), |repairs| repairs.count(now));
            let repaired = if in_a_row <= REPAIRS_MAX {
                self.switch_on(level, downloads)
            } else {
                if in_a_row == REPAIRS_MAX + 1 {
                    self.kernel.log(&[Part::Text("the card fails again and again: it is left off")]);
                }
                Err(ControlError::Off.into())
            };
            match repaired {
                Ok(()) => self.kernel.log(&[
                    Part::Text("the card was reset and told everything again; batches lost with it: "),
                    Part::Number(batches.into()),
                ]),
                Err(_) => {
                    // Nobody waits for a card that may never come back.
                    self.midi_out.abandon(level.into(), &self.line(midi_out::QUEUE));
                    self.needs_reset.store(true, Ordering::Release);
                }
            }
            repaired
        })
    }
}
