//! The card's registers after the start: doorbells, interrupt, and whether the card is still there.
//!
//! The interrupt service routine and every caller that rings a doorbell may run on another processor while the card
//! loses its power, so each access is made under rundown protection.

use core::sync::atomic::Ordering;

use portcls::NtStatus;

use super::device::Card;
use crate::doorbell::Doorbell;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::Kernel;
use crate::log::Part;
use crate::pending::cause;

impl<K: Kernel> Doorbell for Card<K> {
    fn ring(&self, queue: u16) {
        if let Some(_guard) = self.rundown.acquire() {
            self.transport.kick(queue);
        }
    }

    fn is_gone(&self, level: AtMostDispatch) -> bool {
        Self::is_gone(self, level)
    }

    fn wait_for_card(&self, level: Passive) {
        if let Some(_guard) = self.rundown.acquire() {
            self.transport.wait_for_card();
        }
        // The interrupt for a lost process is one with a cause, if it meets an answer that the process has just given.
        self.check_presence(level.into());
    }
}

impl<K: Kernel> Card<K> {
    /// Returns whether the card was removed. From the first time on its registers are not accessed any more.
    pub fn is_gone(&self, level: AtMostDispatch) -> bool {
        if let Some(_guard) = self.rundown.acquire()
            && self.transport.is_absent()
        {
            self.rundown.begin();
            if !self.gone.swap(true, Ordering::AcqRel) {
                self.kernel.log(&[Part::Text("the card was removed: its registers read all ones")]);
                self.unloads.end_all(level, NtStatus::DEVICE_REMOVED);
            }
        }
        self.gone.load(Ordering::Acquire)
    }

    /// Acknowledges the card's interrupt, in the interrupt service routine. Returns whether the interrupt is the
    /// card's. Any IRQL.
    pub fn interrupt(&self) -> bool {
        let Some(_guard) = self.rundown.acquire() else { return false };
        let causes = self.transport.acknowledge_interrupt();
        self.pending.raise(causes);
        causes != 0
    }

    /// Looks whether the process behind the card was lost: after an interrupt without a cause in any queue, and where an answer
    /// does not come.
    pub(super) fn check_presence(&self, level: AtMostDispatch) {
        let epoch = self.epoch();
        if self.rundown.acquire().is_some_and(|_guard| self.transport.is_lost()) {
            self.request_recovery(level, epoch, Part::Text("the process behind it was lost"));
        }
    }

    /// Takes the causes of the interrupts since the last call. A change of the configuration can only mean that the
    /// card needs a reset.
    pub(super) fn take_causes(&self, level: AtMostDispatch) {
        if self.pending.take() & cause::CONFIGURATION == 0 {
            return;
        }
        let epoch = self.epoch();
        let needs_reset = self.rundown.acquire().is_some_and(|_guard| self.transport.needs_reset());
        if needs_reset && !self.is_gone(level) {
            self.request_recovery(level, epoch, Part::Text("its status says DEVICE_NEEDS_RESET"));
        }
    }
}
