//! Hands the driver's rings to the bus, and takes them back.

use std::sync::Arc;

use card_spec::diagnosis::Diagnosis;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::{QUEUE_COUNT, Queue};

use super::interrupts::Interrupts;
use crate::bus::{OwnedVirtqueue, RingSetup};
use crate::card::Link;
use crate::diagnosis::DriverError;

/// A queue, as the driver has described it: unchecked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Described {
    pub(super) setup: RingSetup,
    pub(super) enabled: bool,
}

impl Described {
    const fn new() -> Self {
        let setup = RingSetup { size: QUEUE_SIZE_MAX as u32, base: 0, descriptors: 0, available: 0, used: 0 };
        Self { setup, enabled: false }
    }
}

/// The rings of the driver.
pub(super) struct Rings {
    // Runtime glue.
    link: Link,
    interrupts: Arc<Interrupts>,

    // Guest-visible volatile state.
    pub(super) queues: [Described; QUEUE_COUNT],
    /// The driver has set `DRIVER_OK`.
    up: bool,
    /// The card may use guest memory.
    bus_master: bool,
    /// The driver was up before bus mastering was on.
    late: bool,
    features: u64,
}

impl Rings {
    /// Returns rings that are not set up.
    pub(super) const fn new(link: Link, interrupts: Arc<Interrupts>) -> Self {
        let queues = [const { Described::new() }; QUEUE_COUNT];
        Self { link, interrupts, queues, up: false, bus_master: false, late: false, features: 0 }
    }

    /// Returns whether the driver is up.
    pub(super) const fn are_up(&self) -> bool {
        self.up
    }

    /// Returns whether the card may use guest memory.
    pub(super) const fn is_bus_master(&self) -> bool {
        self.bus_master
    }

    /// Takes all rings out of use, and forgets what the driver has described.
    pub(super) fn reset(&mut self) {
        self.queues = [const { Described::new() }; QUEUE_COUNT];
        (self.up, self.bus_master, self.late, self.features) = (false, false, false, 0);
        self.link.bus.lock().reset_device();
        self.link.wake();
    }

    /// Starts the rings that the driver has enabled: it has set `DRIVER_OK`.
    pub(super) fn start(&mut self, features: u64) {
        (self.up, self.features) = (true, features);
        if self.bus_master {
            self.start_enabled();
        } else {
            self.late = true;
            self.link.registers.report(DriverError::new(Diagnosis::BUS_MASTER_OFF));
        }
    }

    /// Starts a ring that the driver enables after `DRIVER_OK`.
    pub(super) fn enable(&mut self, queue: Queue) {
        let Some(described) = self.queues.get_mut(queue.index()) else { return };
        described.enabled = true;
        if self.up && self.bus_master {
            let setup = described.setup;
            self.start_one(queue, setup);
            self.link.serve_queues();
        }
    }

    /// Takes the rings back while bus mastering is off, and lets them go on where they were when it is on.
    pub(super) fn set_bus_master(&mut self, on: bool) {
        self.bus_master = on;
        if !self.up {
            return;
        }
        if on {
            self.start_enabled();
            if std::mem::take(&mut self.late) {
                // The start of the first ring has cleared it.
                self.link.registers.report(DriverError::new(Diagnosis::BUS_MASTER_OFF));
            }
            return;
        }
        let mut bus = self.link.bus.lock();
        for (queue, described) in Queue::ALL.into_iter().zip(&mut self.queues) {
            if described.enabled {
                described.setup.base = bus.stop_ring(queue);
            }
        }
        drop(bus);
        self.link.wake();
    }

    fn start_enabled(&self) {
        {
            let mut bus = self.link.bus.lock();
            bus.set_features(self.features);
            for (queue, described) in Queue::ALL.into_iter().zip(&self.queues) {
                bus.set_ring_base(queue, described.setup.base);
            }
        }
        for (queue, described) in Queue::ALL.into_iter().zip(&self.queues) {
            if described.enabled {
                self.start_one(queue, described.setup);
            }
        }
        // What the driver has put there before is found without a kick.
        self.link.serve_queues();
    }

    fn start_one(&self, queue: Queue, setup: RingSetup) {
        let interrupts = Arc::clone(&self.interrupts);
        let virtqueue = Arc::new(OwnedVirtqueue::new(move || interrupts.raise(queue)));
        self.link.bus.lock().start_ring(queue, setup, virtqueue);
    }
}
