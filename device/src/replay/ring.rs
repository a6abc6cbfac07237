//! A virtqueue of a replay, whose driver wants an interrupt for the chains for which the recorded one wanted it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use card_spec::limits::QUEUE_SIZE_MAX;
use parking_lot::Mutex;
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::bus::{RingSetup, Virtqueue};

/// Whether the driver takes an interrupt, for each that the recorded card had for a queue.
pub(super) type Taken = Arc<Mutex<VecDeque<bool>>>;

/// A ring from its start to its stop.
pub(super) struct RecordedRing {
    queue: Mutex<State>,
    memory: GuestMemoryMmap,
    setup: RingSetup,
    taken: Taken,
}

struct State {
    queue: Queue,
    /// Chains returned since the start.
    returned: u64,
    /// The used index when that was counted.
    used: Option<u16>,
    /// Those for which the driver wants an interrupt.
    wanted: BTreeSet<u64>,
}

impl RecordedRing {
    /// Returns a ring as it was set up. Of the chains that are returned from now on, those with the numbers of `wanted`, from 0, want an
    /// interrupt.
    ///
    /// # Panics
    /// Never: [`QUEUE_SIZE_MAX`] is a size that a queue can have.
    pub(super) fn new(setup: RingSetup, memory: GuestMemoryMmap, wanted: BTreeSet<u64>, taken: Taken) -> Self {
        let queue = Queue::new(QUEUE_SIZE_MAX).expect("a power of two");
        Self { queue: Mutex::new(State { queue, returned: 0, used: None, wanted }), memory, setup, taken }
    }

    /// Returns how it was set up.
    pub(super) const fn setup(&self) -> RingSetup {
        self.setup
    }

    /// Sets the available index so many entries ahead of the card.
    pub(super) fn run_ahead(&self, entries: u16) {
        let index = self.queue.lock().queue.next_avail().wrapping_add(entries);
        // A ring outside memory has not been started.
        let _ = self.memory.write_obj(index.to_le(), GuestAddress(self.setup.available.saturating_add(2)));
    }

    /// Lets the driver want an interrupt for the next chain, or none: both ways in which a driver says so (virtio 1.2, sections 2.7.7
    /// and 2.7.10).
    fn wish(&self, state: &mut State) {
        if !state.queue.ready() {
            return;
        }
        let used = state.queue.next_used();
        let returned = used.wrapping_sub(*state.used.get_or_insert(used));
        state.returned = state.returned.saturating_add(returned.into());
        state.used = Some(used);
        let wanted = state.wanted.contains(&state.returned);
        let flags = u16::from(!wanted);
        let event = if wanted { used } else { used.wrapping_sub(1) };
        let tail = self.setup.available.saturating_add(4).saturating_add(2_u64.saturating_mul(self.setup.size.into()));
        // A ring outside memory has not been started.
        let _ = self.memory.write_obj(flags.to_le(), GuestAddress(self.setup.available));
        let _ = self.memory.write_obj(event.to_le(), GuestAddress(tail));
    }
}

impl Virtqueue for RecordedRing {
    fn with_queue(&self, act: &mut dyn FnMut(&mut Queue)) {
        let mut state = self.queue.lock();
        self.wish(&mut state);
        act(&mut state.queue);
    }

    fn is_enabled(&self) -> bool {
        true
    }

    fn interrupt(&self) -> bool {
        self.taken.lock().pop_front().unwrap_or(true)
    }
}
