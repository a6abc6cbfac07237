//! The driver's way from a queue to the card's registers.

use crate::irql::{AtMostDispatch, Passive};

/// Gives queues the registers that they need: their doorbells, and those that tell whether the card is there and runs.
///
/// Each queue rings its own doorbell. The registers are mapped once for all queues, and may be without power, so that
/// their owner lends them for each call and guards each access.
pub trait Doorbell {
    /// Notifies the card that a queue has new chains (virtio 1.2, section 4.1.5.2). Any IRQL.
    fn ring(&self, queue: u16);

    /// Returns whether the registers read all ones: the card was removed.
    fn is_gone(&self, level: AtMostDispatch) -> bool;

    /// Reads a register that the card's process itself answers, and so returns only once that process runs; notices that the process
    /// was lost.
    fn wait_for_card(&self, level: Passive);
}
