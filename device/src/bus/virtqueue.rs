//! The seam between the card and its transports: what the card needs of one virtqueue, whatever carries it.
//!
//! A transport sets a ring up and hands it to the bus ([`Bus::start_ring`](super::Bus::start_ring)); from then on the bus
//! works on the queue through [`Virtqueue`], until the transport takes the ring back
//! ([`Bus::stop_ring`](super::Bus::stop_ring)).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::atomic::{AtomicBool, Ordering};

use card_spec::limits::QUEUE_SIZE_MAX;
use card_trace::Setup;
use parking_lot::Mutex;
use virtio_queue::{Queue, QueueT};

/// One virtqueue as its transport holds it.
pub trait Virtqueue: Send + Sync {
    /// Calls `act` once with the queue. Nothing else works on it meanwhile.
    fn with_queue(&self, act: &mut dyn FnMut(&mut Queue));

    /// Returns whether the card may take chains from it now. A ring that is held stays set up.
    fn is_enabled(&self) -> bool;

    /// Tells the driver that chains were returned, by the interrupt of this queue. False when the transport has none.
    fn interrupt(&self) -> bool;
}

impl dyn Virtqueue {
    /// Calls `act` with the queue, and returns its result; `None` when the transport has not called it.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Queue) -> T) -> Option<T> {
        let (mut act, mut result) = (Some(act), None);
        self.with_queue(&mut |queue| {
            if let Some(act) = act.take() {
                result = Some(act(queue));
            }
        });
        result
    }
}

/// A ring as a driver has described it: unchecked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingSetup {
    /// Entries.
    pub size: u32,
    /// The available index to begin with: 0 after a reset, what [`Bus::stop_ring`](super::Bus::stop_ring) returned when the
    /// ring resumes.
    pub base: u16,
    /// Guest-physical address of the descriptor table.
    pub descriptors: u64,
    /// Guest-physical address of the available ring.
    pub available: u64,
    /// Guest-physical address of the used ring.
    pub used: u64,
}

impl RingSetup {
    /// Returns it as a trace records it.
    pub(super) const fn to_trace(self) -> Setup {
        let Self { size, base, descriptors, available, used } = self;
        Setup { size, base: base as u32, descriptors, available, used }
    }
}

/// A virtqueue of a transport that has no queues of its own.
pub struct OwnedVirtqueue {
    queue: Mutex<Queue>,
    enabled: AtomicBool,
    interrupt: Box<dyn Fn() -> bool + Send + Sync>,
}

impl OwnedVirtqueue {
    /// Returns an enabled virtqueue that raises its interrupt by `interrupt`, which returns whether there is one and must
    /// not wait.
    ///
    /// # Panics
    /// Never: [`QUEUE_SIZE_MAX`] is a size that a queue can have.
    #[must_use]
    pub fn new(interrupt: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let queue = Queue::new(QUEUE_SIZE_MAX).expect("a power of two");
        Self { queue: Mutex::new(queue), enabled: AtomicBool::new(true), interrupt: Box::new(interrupt) }
    }

    /// Lets the card take chains, or holds the ring.
    pub fn enable(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Release);
    }
}

impl Virtqueue for OwnedVirtqueue {
    fn with_queue(&self, act: &mut dyn FnMut(&mut Queue)) {
        act(&mut self.queue.lock());
    }

    fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire)
    }

    fn interrupt(&self) -> bool {
        (self.interrupt)()
    }
}
