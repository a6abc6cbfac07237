//! One split virtqueue (virtio 1.2, section 2.7): its set-up, checked before the card touches it, and its chains.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use card_control::UsedRingCorruption;
use card_spec::diagnosis::Diagnosis;
use card_spec::feature;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::Queue;
use virtio_queue::{Error, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemory, GuestMemoryMmap, Permissions};

use super::chain::{Chain, Place};
use super::memory::Memory;
use super::ring_faults::corrupt;
use super::virtqueue::{RingSetup, Virtqueue};
use crate::diagnosis::DriverError;

/// Kicks that may find an empty ring within [`STORM_WINDOW`] before they are an error.
const STORM_KICKS: u64 = 1000;

/// The window that kicks are counted in.
const STORM_WINDOW: Duration = Duration::from_secs(1);

/// `VIRTQ_AVAIL_F_NO_INTERRUPT` (virtio 1.2, section 2.7.6).
const NO_INTERRUPT: u16 = 1;

/// The guest-physical addresses that the parts of a ring take: descriptor table, available ring, used ring.
pub(super) type Parts = [Range<u64>; 3];

/// The answer to a chain whose ring was stopped while the card worked on it: it is returned when the ring resumes there.
struct Unreturned {
    position: u16,
    head: u16,
    bytes: Vec<u8>,
}

/// Returns the length of a descriptor table (virtio 1.2, section 2.7), for a size that has been checked.
const fn descriptor_table_bytes(entries: usize) -> usize {
    entries.saturating_mul(16)
}

/// Returns the length of an available ring: flags, index, entries, and the event index behind them.
const fn available_ring_bytes(entries: usize) -> usize {
    entries.saturating_mul(2).saturating_add(6)
}

/// Returns the length of a used ring: flags, index, entries, and the event index behind them.
const fn used_ring_bytes(entries: usize) -> usize {
    entries.saturating_mul(8).saturating_add(6)
}

enum State {
    /// Not set up, or taken out of use.
    Stopped,
    /// In use.
    Running(Arc<dyn Virtqueue>, Parts),
    /// Set up wrongly: not touched until the transport takes it out of use.
    Parked(DriverError),
}

/// A ring.
pub(super) struct Ring {
    // Fixed.
    which: Queue,

    // What the transport has described.
    /// The available index to begin with.
    base: u16,
    /// Whether `VIRTIO_F_INDIRECT_DESC` is negotiated.
    indirect: bool,

    // What it does.
    state: State,
    generation: u64,
    /// Chains taken and not returned. They are returned in order, so these are the last ones taken.
    outstanding: u16,
    unreturned: Option<Unreturned>,
    /// The available index at which the ring was found empty, for which the driver has been asked to kick.
    asked: Option<u16>,
    storm: Storm,
}

struct Storm {
    since: Instant,
    kicks: u64,
}

impl Ring {
    /// Returns a ring that is not set up.
    pub(super) fn new(which: Queue) -> Self {
        Self {
            which,
            base: 0,
            indirect: false,
            state: State::Stopped,
            generation: 0,
            outstanding: 0,
            unreturned: None,
            asked: None,
            storm: Storm { since: Instant::now(), kicks: 0 },
        }
    }

    /// Returns whether the ring was started, and neither stopped nor parked since.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running(..))
    }

    /// Returns whether the card may take chains from the ring.
    pub(super) fn is_live(&self) -> bool {
        matches!(&self.state, State::Running(queue, _) if queue.is_enabled())
    }

    /// Returns the available index that the ring begins with.
    pub(super) fn base(&self) -> u16 {
        self.base
    }

    /// Sets the available index that the ring begins with. It does not run.
    pub(super) fn set_base(&mut self, base: u16) {
        self.base = base;
    }

    /// Returns the error for which the ring is parked.
    pub(super) fn error(&self) -> Option<DriverError> {
        match self.state {
            State::Parked(error) => Some(error),
            _ => None,
        }
    }

    /// Returns the size that the ring works with; 0 when it does not.
    pub(super) fn working_size(&self) -> u16 {
        match &self.state {
            State::Running(queue, _) => queue.with(|queue| queue.size()).unwrap_or(0),
            _ => 0,
        }
    }

    /// Returns how often the ring was taken out of use.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns what it takes of guest memory while it runs.
    pub(super) fn parts(&self) -> Option<(Queue, &Parts)> {
        match &self.state {
            State::Running(_, parts) => Some((self.which, parts)),
            _ => None,
        }
    }

    /// Checks what the transport has described, and starts or parks the ring. `others` are the rings that run.
    ///
    /// # Errors
    /// The error for which the ring is parked.
    pub(super) fn start(
        &mut self,
        setup: RingSetup,
        features: u64,
        queue: Arc<dyn Virtqueue>,
        memory: &Memory,
        others: &[(Queue, Parts)],
    ) -> Result<(), DriverError> {
        self.base = setup.base;
        self.asked = None;
        self.indirect = features & feature::INDIRECT_DESC != 0;
        let event_idx = features & feature::EVENT_IDX != 0;
        let outside = || DriverError::new(Diagnosis::RING_OUTSIDE_MEMORY).on(self.which);
        let checked = self.checked(setup, memory, others).and_then(|(size, parts)| {
            let set_up = queue.with(|queue| set_up(queue, size, setup, event_idx, memory.map()));
            if set_up.is_some_and(|done| done.is_ok()) { Ok(parts) } else { Err(outside()) }
        });
        match checked {
            Ok(parts) => {
                self.state = State::Running(queue, parts);
                self.outstanding = 0;
                Ok(())
            }
            Err(error) => {
                self.state = State::Parked(error);
                Err(error)
            }
        }
    }

    fn checked(
        &self,
        setup: RingSetup,
        memory: &Memory,
        others: &[(Queue, Parts)],
    ) -> Result<(u16, Parts), DriverError> {
        let error = |code| DriverError::new(code).on(self.which);
        if memory.is_empty() {
            return Err(error(Diagnosis::MEMORY_NOT_SHARED));
        }
        let size = u16::try_from(setup.size)
            .ok()
            .filter(|size| size.is_power_of_two() && *size <= QUEUE_SIZE_MAX)
            .ok_or_else(|| error(Diagnosis::RING_SIZE).expected(QUEUE_SIZE_MAX.into(), setup.size))?;
        let entries = usize::from(size);
        // Alignments: virtio 1.2, section 2.7.
        let parts = [
            (setup.descriptors, descriptor_table_bytes(entries), 16, Permissions::Read),
            (setup.available, available_ring_bytes(entries), 2, Permissions::Read),
            (setup.used, used_ring_bytes(entries), 4, Permissions::Write),
        ];
        let mut ranges = [const { 0..0 }; 3];
        for (at, (range, (start, length, alignment, access))) in (0_u32..).zip(ranges.iter_mut().zip(parts)) {
            if !start.is_multiple_of(alignment) {
                let expected = u32::try_from(alignment).unwrap_or_default();
                return Err(error(Diagnosis::RING_MISALIGNED).at(at).expected(expected, start as u32));
            }
            let end = start.checked_add(length as u64);
            let inside = memory.map().check_range(GuestAddress(start), length, access);
            *range = end
                .filter(|_| inside)
                .map(|end| start..end)
                .ok_or_else(|| error(Diagnosis::RING_OUTSIDE_MEMORY).at(at).got((start >> 12) as u32))?;
        }
        self.check_overlap(&ranges, others)?;
        Ok((size, ranges))
    }

    /// No part may share memory with another one, of this ring or of those that run: what the card writes to one would
    /// be read from the other.
    fn check_overlap(&self, parts: &Parts, others: &[(Queue, Parts)]) -> Result<(), DriverError> {
        let own = std::iter::once((self.which, parts));
        for (queue, theirs) in own.chain(others.iter().map(|(queue, parts)| (*queue, parts))) {
            for (at, part) in (0_u32..).zip(parts) {
                for (other_at, other) in (0_u32..).zip(theirs) {
                    let itself = queue == self.which && other_at <= at;
                    if !itself && part.start < other.end && other.start < part.end {
                        let error = DriverError::new(Diagnosis::RING_OVERLAP).on(self.which);
                        return Err(error.at(at).expected(queue.0.into(), other_at));
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes the ring out of use, and returns the index of the next chain to take, as if those outstanding had never been
    /// taken.
    pub(super) fn stop(&mut self) -> u16 {
        let base = match &self.state {
            State::Running(queue, _) => {
                // As if those outstanding had never been taken, for the transport too.
                let next = queue.with(|queue| {
                    let next = queue.next_avail().wrapping_sub(self.outstanding);
                    queue.set_next_avail(next);
                    queue.set_ready(false);
                    next
                });
                next.unwrap_or(self.base)
            }
            _ => self.base,
        };
        self.state = State::Stopped;
        self.generation = self.generation.wrapping_add(1);
        self.outstanding = 0;
        self.storm = Storm { since: Instant::now(), kicks: 0 };
        self.base = base;
        base
    }

    /// Keeps the answer to a chain under which the ring was stopped, if the ring begins, or has begun, with that chain
    /// again. A machine that is paused and continued must not have a request carried out twice.
    pub(super) fn keep_answer(&mut self, chain: &Chain, parts: &[&[u8]]) {
        let untouched = match &self.state {
            State::Stopped => true,
            State::Running(queue, _) => queue.with(|queue| queue.next_avail()) == Some(self.base),
            State::Parked(_) => false,
        };
        if untouched && self.generation == chain.generation.wrapping_add(1) && self.base == chain.position {
            let (position, head, bytes) = (chain.position, chain.head, parts.concat());
            self.unreturned = Some(Unreturned { position, head, bytes });
        }
    }

    /// Returns the head of the chain that the ring begins with and the answer to it, if the card has carried it out
    /// already.
    pub(super) fn take_answer(&mut self) -> Option<(u16, Vec<u8>)> {
        if self.unreturned.is_none() || !self.is_live() {
            return None;
        }
        let kept = self.unreturned.take()?;
        (self.base == kept.position).then_some((kept.head, kept.bytes))
    }

    /// Forgets the answer that is kept, because the device was reset.
    pub(super) fn forget_answer(&mut self) {
        self.unreturned = None;
    }

    /// Parks a running ring.
    pub(super) fn park(&mut self, error: DriverError) -> DriverError {
        self.state = State::Parked(error);
        self.generation = self.generation.wrapping_add(1);
        error
    }

    /// Takes the next chain.
    ///
    /// # Errors
    /// The error for which the ring had to be parked.
    pub(super) fn take(&mut self, memory: &GuestMemoryMmap, readable_max: u32) -> Result<Option<Chain>, DriverError> {
        let State::Running(queue, _) = &self.state else { return Ok(None) };
        if !queue.is_enabled() {
            return Ok(None);
        }
        let (which, generation, indirect, asked) = (self.which, self.generation, self.indirect, self.asked);
        let next = queue.with(|queue| {
            // Every kick has the card look at all rings; those that are as they were are not written to again.
            let next = queue.next_avail();
            if asked == Some(next) && queue.avail_idx(memory, Ordering::Acquire).is_ok_and(|index| index.0 == next) {
                return Ok(Err(next));
            }
            next_head(queue, which, memory).map(|head| {
                head.ok_or(next).map(|head| Place {
                    queue: which,
                    generation,
                    position: queue.next_avail().wrapping_sub(1),
                    head,
                    table: GuestAddress(queue.desc_table()),
                    size: queue.size(),
                    indirect,
                })
            })
        });
        match next {
            Some(Ok(Ok(place))) => {
                self.asked = None;
                self.outstanding = self.outstanding.saturating_add(1);
                Ok(Some(Chain::copy(place, memory, readable_max)))
            }
            Some(Ok(Err(empty_at))) => {
                self.asked = Some(empty_at);
                Ok(None)
            }
            None => Ok(None),
            Some(Err(error)) => Err(self.park(error)),
        }
    }

    /// Keeps a chain that was taken for good: an injected fault never returns it.
    pub(super) fn abandon(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
    }

    /// Returns a chain to the driver, and tells whether it wants an interrupt for it. An injected fault may corrupt the used
    /// ring with it.
    ///
    /// # Errors
    /// The error for which the ring had to be parked.
    pub(super) fn give_back(
        &mut self,
        memory: &GuestMemoryMmap,
        head: u16,
        written: u32,
        corruption: Option<UsedRingCorruption>,
    ) -> Result<bool, DriverError> {
        let State::Running(queue, _) = &self.state else { return Ok(false) };
        self.outstanding = self.outstanding.saturating_sub(1);
        let given_back = queue.with(|queue| match corruption {
            Some(corruption) => Ok(corrupt(corruption, queue, memory, head, written).is_ok()),
            None => give_back(queue, memory, head, written),
        });
        match given_back {
            Some(Ok(wanted)) => Ok(wanted),
            Some(Err(_)) => {
                let error = DriverError::new(Diagnosis::RING_OUTSIDE_MEMORY).on(self.which).at(2);
                Err(self.park(error))
            }
            None => Ok(false),
        }
    }

    /// Tells the driver that chains were returned. False when the transport has no interrupt for it.
    pub(super) fn interrupt(&self) -> bool {
        matches!(&self.state, State::Running(queue, _) if queue.interrupt())
    }

    /// Counts kicks, and returns an error when too many found an empty ring.
    pub(super) fn kicked(&mut self, memory: &GuestMemoryMmap, kicks: u64) -> Option<DriverError> {
        if let State::Running(queue, _) = &self.state {
            let waiting = queue.with(|queue| {
                let next = queue.next_avail();
                queue.avail_idx(memory, Ordering::Acquire).is_ok_and(|index| index.0 != next)
            });
            if waiting == Some(true) {
                return None;
            }
        }
        let storm = &mut self.storm;
        if storm.since.elapsed() > STORM_WINDOW {
            *storm = Storm { since: Instant::now(), kicks: 0 };
        }
        let before = storm.kicks;
        storm.kicks = before.saturating_add(kicks);
        // Once a window, when the bound is crossed.
        (before <= STORM_KICKS && storm.kicks > STORM_KICKS).then(|| {
            let got = u32::try_from(storm.kicks).unwrap_or(u32::MAX);
            DriverError::new(Diagnosis::KICK_STORM).on(self.which).expected(STORM_KICKS as u32, got)
        })
    }
}

/// Sets a queue up as it was checked.
///
/// # Errors
/// The queue's: its addresses cannot be set, or the used ring cannot be read.
fn set_up(
    queue: &mut virtio_queue::Queue,
    size: u16,
    setup: RingSetup,
    event_idx: bool,
    memory: &GuestMemoryMmap,
) -> Result<(), Error> {
    queue.try_set_size(size)?;
    queue.try_set_desc_table_address(GuestAddress(setup.descriptors))?;
    queue.try_set_avail_ring_address(GuestAddress(setup.available))?;
    queue.try_set_used_ring_address(GuestAddress(setup.used))?;
    queue.set_event_idx(event_idx);
    queue.set_next_avail(setup.base);
    // A fresh ring begins at 0 whatever the driver has left in its memory; a resumed one goes on.
    let used = if setup.base == 0 { 0 } else { queue.used_idx(memory, Ordering::Acquire)?.0 };
    queue.set_next_used(used);
    queue.set_ready(true);
    Ok(())
}

/// Takes the head of the next chain from a queue.
///
/// # Errors
/// The error for which the ring has to be parked.
fn next_head(
    queue: &mut virtio_queue::Queue,
    which: Queue,
    memory: &GuestMemoryMmap,
) -> Result<Option<u16>, DriverError> {
    let outside = |part| DriverError::new(Diagnosis::RING_OUTSIDE_MEMORY).on(which).at(part);
    // Once, and once more after asking to be kicked, because an entry may have come in between.
    for _ in 0..2 {
        match queue.iter(memory) {
            Ok(mut available) => {
                if let Some(chain) = available.next() {
                    return Ok(Some(chain.head_index()));
                }
            }
            Err(Error::InvalidAvailRingIndex) => {
                let expected = queue.size().into();
                let index = queue.avail_idx(memory, Ordering::Acquire).map_or(0, |index| index.0);
                let ahead = index.wrapping_sub(queue.next_avail()).into();
                return Err(DriverError::new(Diagnosis::AVAILABLE_INDEX).on(which).expected(expected, ahead));
            }
            Err(_) => return Err(outside(1)),
        }
        if !queue.enable_notification(memory).map_err(|_| outside(2))? {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Puts a chain into the used ring, and returns whether the driver wants an interrupt for it.
///
/// # Errors
/// The used ring is not in guest memory any more.
fn give_back(
    queue: &mut virtio_queue::Queue,
    memory: &GuestMemoryMmap,
    head: u16,
    written: u32,
) -> Result<bool, Error> {
    match queue.add_used(memory, head, written) {
        Ok(()) => {}
        // A head that is no descriptor cannot be returned. The chain was diagnosed when it was taken.
        Err(Error::InvalidDescriptorIndex) => return Ok(false),
        Err(error) => return Err(error),
    }
    if queue.event_idx_enabled() {
        return Ok(queue.needs_notification(memory).unwrap_or(true));
    }
    let flags: u16 = memory.load(GuestAddress(queue.avail_ring()), Ordering::SeqCst).unwrap_or(0);
    Ok(u16::from_le(flags) & NO_INTERRUPT == 0)
}
