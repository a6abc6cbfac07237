//! A ring as the front-end has described it, and whether it can work.
//!
//! Source: OASIS VIRTIO 1.2, 2.7 "Split Virtqueues".

use std::time::Instant;

use vhost::vhost_user::message::VhostUserVringAddr;

use crate::event_counter::EventCounter;
use crate::finding::{Fault, Field};
use crate::judge::Wrong;
use crate::memory::{Table, overlap};
use crate::offer::has_event_index;

/// Where a ring is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Not started by the front-end, or stopped by it.
    Stopped,
    /// Served by the back-end.
    Running,
    /// Started by the front-end, and not served. `None` while what is missing may still come.
    Parked(Option<Wrong>),
}

/// How a ring is kicked.
#[derive(Debug)]
pub(crate) enum Kick {
    /// Not said yet: the ring is not started.
    None,
    /// Not at all: the back-end is to look by itself.
    Polled,
    /// By a counter.
    Counter(EventCounter),
}

/// A part of a ring: its guest address and length.
pub(crate) type Part = (u64, u64);

/// A ring.
#[derive(Debug)]
pub(crate) struct Ring {
    pub(crate) size: Option<u32>,
    pub(crate) base: u16,
    pub(crate) addresses: Option<VhostUserAddresses>,
    pub(crate) kick: Kick,
    pub(crate) call: Option<EventCounter>,
    pub(crate) error: Option<EventCounter>,
    pub(crate) enabled: bool,
    pub(crate) state: State,
    /// The back-end that ran it is gone: it waits for a base of 0.
    pub(crate) awaits_reset: bool,
    /// The back-end has been told to stop it, whatever an earlier front-end has left there.
    pub(crate) settled: bool,
    /// The smallest size with which its start has ended a back-end.
    pub(crate) ends_backend: Option<u32>,
    /// Its parts in guest memory, while it runs.
    pub(crate) parts: [Part; 3],
    /// Since when a kick has not been read, and the used index then.
    pub(crate) unread: Option<(Instant, Option<u16>)>,
}

/// The addresses of a ring, in the front-end's address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VhostUserAddresses {
    pub(crate) descriptors: u64,
    pub(crate) available: u64,
    pub(crate) used: u64,
}

impl From<&VhostUserVringAddr> for VhostUserAddresses {
    fn from(addresses: &VhostUserVringAddr) -> Self {
        Self { descriptors: addresses.descriptor, available: addresses.available, used: addresses.used }
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            size: None,
            base: 0,
            addresses: None,
            kick: Kick::None,
            call: None,
            error: None,
            enabled: false,
            state: State::Stopped,
            awaits_reset: false,
            settled: false,
            ends_backend: None,
            parts: [(0, 0); 3],
            unread: None,
        }
    }
}

/// Judges a ring's size.
pub(crate) const fn check_size(size: u32, most: u32) -> Result<(), Wrong> {
    if size == 0 {
        return Err(Wrong::new(Field::Size, Fault::Zero, 1, 0));
    }
    if !size.is_power_of_two() {
        // The framework keeps the size before, and the ring's arithmetic is then wrong.
        let below = 1_u32 << size.ilog2();
        return Err(Wrong::new(Field::Size, Fault::NotPowerOfTwo, below as u64, size as u64));
    }
    if size > most {
        return Err(Wrong::new(Field::Size, Fault::TooLarge, most as u64, size as u64));
    }
    Ok(())
}

impl Ring {
    /// Returns whether the back-end serves it.
    pub(crate) fn is_running(&self) -> bool {
        self.state == State::Running
    }

    /// Returns the ring's size and where its parts are in guest memory.
    pub(crate) fn layout(
        &self,
        index: usize,
        memory: &Table,
        features: u64,
        size_most: u32,
    ) -> Result<(u32, [Part; 3]), Wrong> {
        let missing = |field| Wrong::new(field, Fault::Missing, 0, 0);
        let size = self.size.ok_or_else(|| missing(Field::Size))?;
        check_size(size, size_most)?;
        let addresses = self.addresses.ok_or_else(|| missing(Field::DescriptorTable))?;
        let count = u64::from(size);
        // Flags and index, and the event index after the entries.
        let around = if has_event_index(features) { 6 } else { 4 };
        let of = |each: u64, more: u64| count.saturating_mul(each).saturating_add(more);
        let wanted = [
            (Field::DescriptorTable, addresses.descriptors, of(16, 0), 16),
            (Field::AvailableRing, addresses.available, of(2, around), 2),
            (Field::UsedRing, addresses.used, of(8, around), 4),
        ];
        let mut parts = [(0, 0); 3];
        for (part, (field, user, length, alignment)) in parts.iter_mut().zip(wanted) {
            if !user.is_multiple_of(alignment) {
                return Err(Wrong::new(field, Fault::Misaligned, alignment, user));
            }
            if memory.regions().is_empty() {
                return Err(Wrong::new(field, Fault::NoMemory, length, user));
            }
            let guest = memory.translate(user, length).ok_or(Wrong::new(field, Fault::OutsideMemory, length, user))?;
            // The framework takes an address of 0 for a ring that was not set up, and its worker ends.
            if guest == 0 && field == Field::AvailableRing {
                return Err(Wrong::new(field, Fault::Zero, alignment, 0));
            }
            *part = (guest, length);
        }
        let [descriptors, available, used] = parts;
        for (field, part, other_field, other) in [
            (Field::AvailableRing, available, Field::DescriptorTable, descriptors),
            (Field::UsedRing, used, Field::DescriptorTable, descriptors),
            (Field::UsedRing, used, Field::AvailableRing, available),
        ] {
            if overlap(part, other) {
                let wrong = Wrong::new(field, Fault::Overlap, other.0, part.0);
                return Err(Wrong { other: Some((index as u32, other_field)), ..wrong });
            }
        }
        Ok((size, parts))
    }

    /// Returns the index at which the used ring ends, as it stands in guest memory.
    pub(crate) fn used_index(&self, memory: &Table) -> Option<u16> {
        memory.read_u16(self.addresses?.used.checked_add(2)?)
    }
}

/// Judges whether parts of a ring overlap those of another that runs.
pub(crate) fn check_apart(parts: &[Part; 3], others: &[Ring]) -> Result<(), Wrong> {
    let fields = [Field::DescriptorTable, Field::AvailableRing, Field::UsedRing];
    for (index, other) in others.iter().enumerate().filter(|(_, other)| other.is_running()) {
        for (field, part) in fields.into_iter().zip(parts) {
            for (other_field, taken) in fields.into_iter().zip(&other.parts) {
                if overlap(*part, *taken) {
                    let wrong = Wrong::new(field, Fault::Overlap, taken.0, part.0);
                    return Err(Wrong { other: Some((index as u32, other_field)), ..wrong });
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use vhost::vhost_user::message::VhostUserMemoryRegion;

    use super::*;
    use crate::memory::Region;

    const USER: u64 = 0x10_0000;
    const SIZE: u32 = 64;

    /// Memory whose guest addresses begin at `guest`.
    fn memory(guest: u64) -> Table {
        let file = tempfile::tempfile().unwrap();
        file.set_len(0x1_0000).unwrap();
        let mut table = Table::default();
        let region = VhostUserMemoryRegion::new(guest, 0x1_0000, USER, 0);
        table.add(Region::new(&region, file.into()).unwrap(), 1).unwrap();
        table
    }

    fn ring(descriptors: u64, available: u64, used: u64) -> Ring {
        let [descriptors, available, used] = [descriptors, available, used].map(|offset| USER + offset);
        let addresses = Some(VhostUserAddresses { descriptors, available, used });
        Ring { size: Some(SIZE), addresses, ..Ring::default() }
    }

    fn fault(ring: &Ring, memory: &Table) -> (Field, Fault) {
        let wrong = ring.layout(0, memory, 1 << 29, 1024).unwrap_err();
        (wrong.field, wrong.fault)
    }

    #[test]
    fn a_size_is_a_power_of_two_that_the_back_end_takes() {
        for (size, fault) in [
            (0, Fault::Zero),
            (48, Fault::NotPowerOfTwo),
            (u32::MAX, Fault::NotPowerOfTwo),
            (0x1_0000, Fault::TooLarge),
            (2048, Fault::TooLarge),
        ] {
            assert_eq!(check_size(size, 1024).unwrap_err().fault, fault, "{size}");
        }
        assert_eq!(check_size(48, 64).unwrap_err().expected, 32);
        assert!(check_size(1, 1024).is_ok() && check_size(1024, 1024).is_ok());
    }

    #[test]
    fn each_part_is_aligned_and_wholly_in_memory() {
        let memory = memory(0x4000);
        assert!(ring(0, 0x400, 0x500).layout(0, &memory, 0, 1024).is_ok());
        assert_eq!(fault(&ring(8, 0x800, 0x1000), &memory), (Field::DescriptorTable, Fault::Misaligned));
        assert_eq!(fault(&ring(0, 0x801, 0x1000), &memory), (Field::AvailableRing, Fault::Misaligned));
        assert_eq!(fault(&ring(0, 0x800, 0x1002), &memory), (Field::UsedRing, Fault::Misaligned));
        for (end, length) in [(0x1_0000, 6 + 8 * 64), (0x1_0000 - 512, 6 + 8 * 64)] {
            let wrong = ring(0, 0x800, end).layout(0, &memory, 1 << 29, 1024).unwrap_err();
            assert_eq!((wrong.fault, wrong.expected, wrong.got), (Fault::OutsideMemory, length, USER + end));
        }
        assert_eq!(fault(&ring(0, u64::MAX - 1 - USER, 0x1000), &memory), (Field::AvailableRing, Fault::OutsideMemory));
    }

    #[test]
    fn parts_are_apart_and_the_available_ring_is_not_at_zero() {
        let memory = memory(0);
        assert_eq!(fault(&ring(0x1000, 0, 0x800), &memory), (Field::AvailableRing, Fault::Zero));
        assert_eq!(fault(&ring(0x1000, 0x13fe, 0x800), &memory), (Field::AvailableRing, Fault::Overlap));
        assert_eq!(fault(&ring(0x1000, 0x2000, 0x13fc), &memory), (Field::UsedRing, Fault::Overlap));
        assert_eq!(fault(&ring(0x1000, 0x2000, 0x2084), &memory), (Field::UsedRing, Fault::Overlap));
        let ok = ring(0x1000, 0x2000, 0x2088);
        let (_, parts) = ok.layout(0, &memory, 1 << 29, 1024).unwrap();
        let running = Ring { state: State::Running, parts, ..Ring::default() };
        assert_eq!(check_apart(&parts, std::slice::from_ref(&running)).unwrap_err().fault, Fault::Overlap);
        assert!(check_apart(&parts, &[Ring { state: State::Stopped, ..running }]).is_ok());
    }

    #[test]
    fn a_ring_that_was_not_described_is_named_by_what_is_missing() {
        let memory = memory(0x4000);
        assert_eq!(fault(&Ring::default(), &memory), (Field::Size, Fault::Missing));
        let sized = Ring { size: Some(SIZE), ..Ring::default() };
        assert_eq!(fault(&sized, &memory), (Field::DescriptorTable, Fault::Missing));
    }
}
