//! Injected faults of a ring ([`UsedRingCorruption`]).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::atomic::Ordering;

use card_control::UsedRingCorruption;
use virtio_queue::QueueT;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Returns a chain, and corrupts the used ring with it.
///
/// # Errors
/// The used ring is not in guest memory any more.
pub(super) fn corrupt(
    corruption: UsedRingCorruption,
    queue: &mut virtio_queue::Queue,
    memory: &GuestMemoryMmap,
    head: u16,
    written: u32,
) -> Result<(), vm_memory::GuestMemoryError> {
    let (id, written) = match corruption {
        UsedRingCorruption::UsedId => (u32::MAX, written),
        UsedRingCorruption::UsedLength => (head.into(), u32::MAX),
        UsedRingCorruption::UsedIndex => (head.into(), written),
    };
    let next = queue.next_used();
    let used = queue.used_ring();
    // A header of four bytes, then elements of eight.
    let element = used.saturating_add(4).saturating_add(8 * u64::from(next.checked_rem(queue.size()).unwrap_or(0)));
    memory.write_obj([id.to_le(), written.to_le()], GuestAddress(element))?;
    let index =
        next.wrapping_add(if corruption == UsedRingCorruption::UsedIndex { queue.size().wrapping_add(1) } else { 1 });
    queue.set_next_used(index);
    memory.store(index.to_le(), GuestAddress(used.saturating_add(2)), Ordering::SeqCst)
}
