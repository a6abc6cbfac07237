//! The way to the card's registers, for queues that are served while the card may be going away.

use core::sync::atomic::Ordering;

use portcls::NtStatus;

use super::Card;
use crate::exchange::Line;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::Kernel;
use crate::log::Part;
use crate::pending::cause;

/// A queue's way to the card.
pub(super) struct QueueLine<'a, K: Kernel> {
    pub(super) card: &'a Card<K>,
    pub(super) queue: u16,
}

impl<K: Kernel> Line for QueueLine<'_, K> {
    fn kick(&self) {
        if let Some(_visit) = self.card.presence.enter() {
            self.card.transport.kick(self.queue);
        }
    }

    fn is_gone(&self, level: AtMostDispatch) -> bool {
        self.card.is_gone(level)
    }

    fn hear(&self, _: Passive) {
        if let Some(_visit) = self.card.presence.enter() {
            self.card.transport.hear();
        }
    }
}

impl<K: Kernel> Card<K> {
    /// The way to the card of a queue.
    pub(super) const fn line(&self, queue: u16) -> QueueLine<'_, K> {
        QueueLine { card: self, queue }
    }

    /// Looks whether the card was torn out. Once it was, its registers are not touched any more.
    pub fn is_gone(&self, level: AtMostDispatch) -> bool {
        if let Some(_visit) = self.presence.enter()
            && self.transport.is_absent()
        {
            self.presence.bar();
            if !self.gone.swap(true, Ordering::AcqRel) {
                self.kernel.log(&[Part::Text("the card is not there any more")]);
                self.unloads.end_all(level, NtStatus::DEVICE_REMOVED);
            }
        }
        self.gone.load(Ordering::Acquire)
    }

    /// The interrupt service routine: whether the interrupt is the card's. Any IRQL.
    pub fn interrupt(&self) -> bool {
        let Some(_visit) = self.presence.enter() else { return false };
        let causes = self.transport.acknowledge_interrupt();
        self.pending.raise(causes);
        causes != 0
    }

    /// Looks why the card says that its configuration has changed: nothing in it can, but it may need a reset.
    pub(super) fn look_at_configuration(&self, level: AtMostDispatch) {
        let needs_reset = self.presence.enter().is_some_and(|_visit| self.transport.needs_reset());
        if needs_reset && !self.is_gone(level) {
            self.is_in_trouble(level, Part::Text("it says so"));
        }
    }

    /// Takes what the service routine has seen.
    pub(super) fn look_at_causes(&self, level: AtMostDispatch) {
        if self.pending.take() & cause::CONFIGURATION != 0 {
            self.look_at_configuration(level);
        }
    }
}
