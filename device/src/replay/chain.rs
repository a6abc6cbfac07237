//! Makes a recorded chain available to the card, as the driver did: well-formed, or malformed in the recorded way.

use card_spec::diagnosis::Diagnosis;
use card_spec::limits::CHAIN_DESCRIPTORS_MAX;
use card_trace::Act;
use vm_memory::{Bytes, GuestAddress};

use super::guest::Guest;
use super::ring::RecordedRing;
use crate::diagnosis::DriverError;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;

/// Most descriptors of a chain that is built: a longer one is a loop.
const BUILT_MAX: u32 = 4096;

/// A descriptor: address, length, flags. Those of a chain follow each other.
type Descriptor = (u64, u32, u16);

/// A chain as it was recorded.
pub(super) struct RecordedChain<'r> {
    pub(super) head: u16,
    writable: u32,
    request: &'r [u8],
    /// What was wrong with it.
    error: Option<DriverError>,
}

/// How a chain is built.
struct Plan {
    descriptors: Vec<Descriptor>,
    end: End,
}

/// How the last descriptor ends it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Rightly.
    Last,
    /// It leads back to the first.
    Loop,
    /// It leads out of the table.
    Outside,
}

impl<'r> RecordedChain<'r> {
    /// Returns the chain that a record says was taken, of which `error` was reported; `None` for another record.
    pub(super) fn of(act: &Act<'r>, error: Option<DriverError>) -> Option<Self> {
        let Act::ChainTaken { head, writable, malformed, request, .. } = *act else { return None };
        Some(Self { head, writable, request, error: error.filter(|_| malformed) })
    }

    /// Makes it available on a ring.
    pub(super) fn offer(&self, ring: &RecordedRing, guest: &mut Guest, indirect: bool) {
        let setup = ring.setup();
        let Ok(size) = u16::try_from(setup.size) else { return };
        if size == 0 {
            return;
        }
        let is_descriptor = self.head < size;
        let plan = self.plan(guest);
        if is_descriptor {
            // A table of its own, so that the descriptors of other chains stay as they are.
            if indirect && plan.descriptors.iter().all(|(_, _, flags)| flags & INDIRECT == 0) {
                let table = self.table(&plan, 0, plan.descriptors.len() as u16);
                let bytes = (table.len() as u32).saturating_mul(16);
                let address = guest.place(table.as_flattened());
                put(guest, setup.descriptors, self.head, encode((address, bytes, INDIRECT), 0));
            } else {
                for (at, bytes) in (0_u16..).zip(self.table(&plan, self.head, size)) {
                    put(guest, setup.descriptors, self.head.wrapping_add(at).checked_rem(size).unwrap_or(0), bytes);
                }
            }
        }
        let index_at = GuestAddress(setup.available.saturating_add(2));
        let view = guest.view();
        let index: u16 = view.read_obj(index_at).map_or(0, u16::from_le);
        let slot = setup
            .available
            .saturating_add(4)
            .saturating_add(2_u64.saturating_mul(index.checked_rem(size).unwrap_or(0).into()));
        let _ = view.write_obj(self.head.to_le(), GuestAddress(slot));
        let _ = view.write_obj(index.wrapping_add(1).to_le(), index_at);
    }

    /// Returns the descriptors in memory, the first with the number `first` in a table of `entries`.
    fn table(&self, plan: &Plan, first: u16, entries: u16) -> Vec<[u8; 16]> {
        let last = plan.descriptors.len().saturating_sub(1);
        let encoded = plan.descriptors.iter().enumerate().map(|(at, &(address, length, flags))| {
            let following = first.wrapping_add(at as u16).wrapping_add(1).checked_rem(entries).unwrap_or(0);
            match plan.end {
                _ if at < last => encode((address, length, flags | NEXT), following),
                End::Last => encode((address, length, flags), 0),
                End::Loop => encode((address, length, flags | NEXT), first),
                End::Outside => encode((address, length, flags | NEXT), u16::MAX),
            }
        });
        encoded.collect()
    }

    fn plan(&self, guest: &mut Guest) -> Plan {
        let any = Guest::writable();
        let writable = (self.writable > 0).then_some((any, self.writable, WRITE));
        let with_writable = |mut descriptors: Vec<Descriptor>| {
            descriptors.extend(writable);
            Plan { descriptors, end: End::Last }
        };
        let Some(error) = self.error else {
            let mut descriptors = Vec::new();
            if !self.request.is_empty() || writable.is_none() {
                descriptors.push((guest.place(self.request), self.request.len() as u32, 0));
            }
            return with_writable(descriptors);
        };
        let address = u64::from(error.got) << 12;
        // Descriptors that are right, before the one that is not.
        let right = |count: u32| vec![(any, 1, 0); count.min(BUILT_MAX) as usize];
        let mut before = right(error.got);
        match error.code {
            Diagnosis::CHAIN_ORDER => {
                Plan { descriptors: vec![(any, self.writable.max(1), WRITE), (any, 1, 0)], end: End::Last }
            }
            Diagnosis::LENGTH => with_writable(vec![(any, error.got, 0)]),
            Diagnosis::BUFFER_OUTSIDE_MEMORY => with_writable(vec![(address, guest.beyond(address), 0)]),
            Diagnosis::INDIRECT_OUTSIDE_MEMORY => {
                let length = guest.beyond(address).max(16).checked_next_multiple_of(16).unwrap_or(!15);
                Plan { descriptors: vec![(address, length, INDIRECT)], end: End::Last }
            }
            Diagnosis::INDIRECT_NOT_NEGOTIATED => {
                before.push((any, 16, INDIRECT));
                Plan { descriptors: before, end: End::Last }
            }
            Diagnosis::INDIRECT_WITH_NEXT => {
                before.push((any, 16, INDIRECT));
                Plan { descriptors: before, end: End::Outside }
            }
            // An indirect table of no entries is one that no descriptor was read of.
            _ if error.got == 0 => Plan { descriptors: vec![(any, 0, INDIRECT)], end: End::Last },
            _ if error.got as usize > CHAIN_DESCRIPTORS_MAX => Plan { descriptors: vec![(any, 1, 0)], end: End::Loop },
            _ => {
                if let Some(last) = before.last_mut() {
                    *last = writable.unwrap_or(*last);
                }
                Plan { descriptors: before, end: End::Outside }
            }
        }
    }
}

fn encode((address, length, flags): Descriptor, next: u16) -> [u8; 16] {
    let mut bytes = [0; 16];
    let numbers = u64::from(length) | u64::from(flags) << 32 | u64::from(next) << 48;
    for (to, from) in bytes.as_chunks_mut::<8>().0.iter_mut().zip([address, numbers]) {
        *to = from.to_le_bytes();
    }
    bytes
}

fn put(guest: &Guest, table: u64, index: u16, bytes: [u8; 16]) {
    let at = table.saturating_add(16_u64.saturating_mul(index.into()));
    // A ring outside memory has not been started.
    let _ = guest.view().write_slice(&bytes, GuestAddress(at));
}
