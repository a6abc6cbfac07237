//! The bus between a transport and the card: guest memory, the five rings, interrupts.
//!
//! A transport describes memory and rings, starts and stops them; the card takes chains and returns them. Both share the
//! bus under one lock that is held for the copy of one chain, or one batch of events. So a transport that stops a ring
//! waits for one of these at most, and once the ring is stopped it is not touched again.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod chain;
mod dma;
mod faults;
mod memory;
mod ring;
mod ring_faults;
mod virtqueue;

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use card_control::InjectedFault;
use card_spec::diagnosis::Diagnosis;
use card_spec::feature;
use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::status_page::StatusPage;
use parking_lot::Mutex;
use vm_memory::{Bytes, GuestAddress, GuestMemory, Permissions};
use zerocopy::IntoBytes;

pub use chain::Chain;
use dma::Placed;
pub use faults::{Faults, TooManyFaults};
pub use memory::{Memory, MemoryError, REGIONS_MAX, Region};
use ring::Ring;
pub use virtqueue::{OwnedVirtqueue, RingSetup, Virtqueue};

use crate::diagnosis::{Counter, DriverError, Registers};
use crate::log_limited;

/// Features that every transport offers the driver.
pub const FEATURES: u64 = feature::VERSION_1 | feature::EVENT_IDX | feature::INDIRECT_DESC;

/// The bus, as transport and card share it.
pub type SharedBus = Arc<Mutex<Bus>>;

/// What a transport has of its own for the card's status, such as registers.
pub trait StatusSink: Send + Sync {
    /// Takes the status over, at every slice of work. It must not wait.
    fn publish(&self, page: &StatusPage);
}

/// What a transport has of its own to tell a driver that the device needs a reset (virtio 1.2, section 2.1.2).
pub trait ResetRequest: Send + Sync {
    /// Sets `DEVICE_NEEDS_RESET` until the driver resets the device, and interrupts for the configuration. It must not wait.
    fn request_reset(&self);
}

/// Guest memory, rings and interrupts.
pub struct Bus {
    // Runtime glue.
    registers: Arc<Registers>,
    /// What the card does wrong on purpose.
    faults: Faults,

    // What the transport has described.
    memory: Memory,
    features: u64,
    rings: [Ring; QUEUE_COUNT],
    /// The regions of guest memory that the trace has.
    traced_memory: Vec<(u64, u64)>,
    /// The first loss of memory since the memory was last announced.
    lost_memory: Option<DriverError>,
    /// What the status is published to besides the page that the driver lends.
    status: Option<Arc<dyn StatusSink>>,
    /// Sets `DEVICE_NEEDS_RESET` for the driver, where the transport can.
    reset_request: Option<Arc<dyn ResetRequest>>,
    /// No queue is served until the device is reset: an injected fault.
    needs_reset: bool,

    // How often the device was reset, and how many of these resets the card has acknowledged.
    resets: u64,
    acknowledged_resets: u64,
}

impl Bus {
    /// Returns a bus with no memory and no rings.
    #[must_use]
    pub fn new(registers: Arc<Registers>) -> Self {
        Self {
            registers,
            faults: Faults::default(),
            memory: Memory::default(),
            features: 0,
            rings: Queue::ALL.map(Ring::new),
            traced_memory: Vec::new(),
            lost_memory: None,
            status: None,
            reset_request: None,
            needs_reset: false,
            resets: 0,
            acknowledged_resets: 0,
        }
    }

    // For transports.

    /// Returns guest memory, to look addresses up.
    #[must_use]
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Returns guest memory for a transport that announces it anew.
    pub fn memory_mut(&mut self) -> &mut Memory {
        self.lost_memory = None;
        &mut self.memory
    }

    /// Sets what the status is published to besides the page that the driver lends.
    pub fn set_status_sink(&mut self, sink: Option<Arc<dyn StatusSink>>) {
        self.status = sink;
    }

    /// Takes what sets `DEVICE_NEEDS_RESET` for the driver.
    pub fn set_reset_request(&mut self, request: Option<Arc<dyn ResetRequest>>) {
        self.reset_request = request;
    }

    /// Returns whether the ring of a queue is in use, or for which error it is parked.
    ///
    /// # Errors
    /// The error for which it is parked.
    pub fn ring_state(&self, queue: Queue) -> Result<bool, DriverError> {
        match self.rings.get(queue.index()) {
            Some(ring) => ring.error().map_or_else(|| Ok(ring.is_live()), Err),
            None => Ok(false),
        }
    }

    /// Sets the virtio features that the driver accepted, for the rings that start from now on.
    pub fn set_features(&mut self, features: u64) {
        self.features = features;
        self.registers.trace().features(features);
    }

    /// Sets the index that a ring begins with next: 0 after a reset, what [`stop_ring`](Self::stop_ring) returned when it
    /// resumes. A ring that runs is taken out of use: its transport has forgotten it, as QEMU does when a driver resets a
    /// single queue.
    pub fn set_ring_base(&mut self, queue: Queue, base: u16) {
        if self.rings.get(queue.index()).is_some_and(Ring::is_running) {
            self.stop_ring(queue);
        }
        self.with_ring(queue, |ring| ring.set_base(base));
    }

    /// Returns whether a ring was started, and neither stopped nor parked since.
    #[must_use]
    pub fn is_running(&self, queue: Queue) -> bool {
        self.rings.get(queue.index()).is_some_and(Ring::is_running)
    }

    /// Checks a ring, and starts or parks it: what is wrong with it is reported to the driver. A ring that is in use is
    /// taken out of use before.
    ///
    /// The first ring to start marks a reset of the device, unless some ring resumes where it was: vhost-user has no
    /// message for a reset, and all ring indices at 0 is the only trace that it leaves. So a transport sets the indices
    /// of all rings ([`set_ring_base`](Self::set_ring_base)) before it starts the first.
    pub fn start_ring(&mut self, which: Queue, setup: RingSetup, queue: Arc<dyn Virtqueue>) {
        self.stop_ring(which);
        self.set_ring_base(which, setup.base);
        self.retire_lost_memory();
        self.trace_memory();
        if !self.rings.iter().any(Ring::is_running) && self.rings.iter().all(|ring| ring.base() == 0) {
            self.resets = self.resets.wrapping_add(1);
            self.registers.trace().reset(self.resets);
            self.needs_reset = false;
            self.rings.iter_mut().for_each(Ring::forget_answer);
            self.registers.clear();
            self.report_features();
            // Those that were found unusable before any could start.
            self.rings.iter().filter_map(Ring::error).for_each(|error| self.registers.report(error));
            log_limited!(log::Level::Info, "the driver is up (features {:#x})", self.features);
        }
        let others: Vec<_> =
            self.rings.iter().filter_map(Ring::parts).map(|(queue, parts)| (queue, parts.clone())).collect();
        let Some(ring) = self.rings.get_mut(which.index()) else { return };
        let started = ring.start(setup, self.features, queue, &self.memory, &others);
        let error = started.err().map_or(0, |error| error.code.0);
        self.registers.trace().ring_started(which, setup.to_trace(), error);
        match started {
            Ok(()) => {
                log::debug!("queue {which} runs with {} entries", ring.working_size());
                self.give_kept_answer(which);
            }
            Err(error) => self.registers.report(error),
        }
    }

    /// Records guest memory where it is not as the trace has it: a ring is about to be looked for in it.
    fn trace_memory(&mut self) {
        let regions = self.memory.regions();
        if regions != self.traced_memory {
            self.registers.trace().memory(&regions);
            self.traced_memory = regions;
        }
    }

    /// Parks a ring that its transport has found unusable, and reports the error to the driver.
    pub fn park_ring(&mut self, queue: Queue, error: DriverError) {
        self.with_ring(queue, |ring| {
            ring.park(error);
        });
        self.registers.report(error);
    }

    /// Takes a ring out of use, and returns the index to resume from. The card does not touch the ring afterwards.
    pub fn stop_ring(&mut self, queue: Queue) -> u16 {
        let Some(ring) = self.rings.get_mut(queue.index()) else { return 0 };
        let ran = ring.is_running();
        let next = ring.stop();
        if ran {
            self.registers.trace().ring_stopped(queue, next);
        }
        next
    }

    /// Forgets which rings are parked, if none runs: the life of the device is over in which they were.
    pub fn unpark_if_idle(&mut self) {
        if !self.rings.iter().any(Ring::is_running) {
            for ring in self.rings.iter_mut().filter(|ring| ring.error().is_some()) {
                ring.stop();
            }
        }
    }

    /// Stops all rings, which begin at 0 again: for transports with a message for the reset of the device.
    pub fn reset_device(&mut self) {
        self.registers.trace().reset(self.resets);
        self.needs_reset = false;
        for queue in Queue::ALL {
            self.stop_ring(queue);
            self.set_ring_base(queue, 0);
        }
    }

    /// Stops all rings and unmaps memory, because the transport has disconnected.
    pub fn disconnect(&mut self) {
        self.registers.trace().disconnected();
        for queue in Queue::ALL {
            self.stop_ring(queue);
        }
        self.memory = Memory::default();
        self.lost_memory = None;
        self.features = 0;
        self.needs_reset = false;
    }

    /// Counts kicks of a queue.
    pub fn kicked(&mut self, queue: Queue, kicks: u64) {
        let Some(ring) = self.rings.get_mut(queue.index()) else { return };
        if kicks == 0 {
            return;
        }
        self.registers.add(Counter::Kicks, kicks);
        self.registers.trace().kicked(queue, kicks);
        if let Some(error) = ring.kicked(self.memory.map(), kicks) {
            self.registers.report(error);
        }
    }

    fn with_ring(&mut self, queue: Queue, act: impl FnOnce(&mut Ring)) {
        if let Some(ring) = self.rings.get_mut(queue.index()) {
            act(ring);
        }
    }

    /// Reports what is wrong with the features that the driver accepted.
    fn report_features(&self) {
        if self.features & feature::VERSION_1 == 0 {
            let got = (self.features >> 32) as u32;
            self.registers.report(DriverError::new(Diagnosis::VERSION_1_MISSING).got(got));
        }
    }

    /// Returns the chain of a request that was carried out while its ring was stopped, with its answer.
    fn give_kept_answer(&mut self, queue: Queue) {
        let Some(ring) = self.rings.get_mut(queue.index()) else { return };
        let Some((head, bytes)) = ring.take_answer() else { return };
        match ring.take(self.memory.map(), 0) {
            Ok(Some(chain)) if chain.head == head => self.complete(chain, &[&bytes]),
            // The driver has put another chain there: it has given up the request that the answer is to.
            Ok(Some(chain)) => self.complete(chain, &[]),
            Ok(None) => {}
            Err(error) => self.registers.report(error),
        }
    }

    /// Takes memory whose file has become shorter out of use, and parks the rings in it. Returns the error of the region
    /// that was lost last.
    pub fn retire_lost_memory(&mut self) -> Option<DriverError> {
        let mut lost = None;
        for region in self.memory.take_lost() {
            let (start, end) = (region.guest_address, region.guest_address.saturating_add(region.length));
            let error = DriverError::new(Diagnosis::MEMORY_LOST).got(chain::page(GuestAddress(start)));
            self.lost_memory.get_or_insert(error);
            lost = Some(error);
            self.registers.report(error);
            for ring in &mut self.rings {
                let inside = ring
                    .parts()
                    .is_some_and(|(_, parts)| parts.iter().any(|part| part.start < end && start < part.end));
                if inside {
                    ring.park(error);
                }
            }
        }
        lost
    }

    // For the card.

    /// Returns how often the device was reset.
    #[must_use]
    pub fn resets(&self) -> u64 {
        self.resets
    }

    /// Acknowledges that the card has dropped its state for every reset. Until then it gets no chains.
    pub fn acknowledge_resets(&mut self) {
        self.acknowledged_resets = self.resets;
    }

    /// Returns whether some ring is in use, which means that the guest runs.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.rings.iter().any(Ring::is_live)
    }

    /// Returns the size that a ring works with; 0 when it does not.
    #[must_use]
    pub fn ring_size(&self, queue: Queue) -> u16 {
        self.rings.get(queue.index()).map_or(0, Ring::working_size)
    }

    /// Reports again, at the start of a session, the errors that outlast a session: features, lost memory, parked rings.
    pub fn report_standing(&self) {
        self.report_features();
        if let Some(error) = self.lost_memory {
            self.registers.report(error);
        }
        for error in self.rings.iter().filter_map(Ring::error).filter(|error| error.code != Diagnosis::MEMORY_LOST) {
            self.registers.report(error);
        }
    }

    /// Returns the injected faults.
    #[must_use]
    pub const fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Returns the injected faults, to arm them and to let them become live.
    pub const fn faults_mut(&mut self) -> &mut Faults {
        &mut self.faults
    }

    /// Strikes with the first live fault for which `pick` has a result, and returns that.
    pub(crate) fn strike<T>(&mut self, pick: impl Fn(&InjectedFault) -> Option<T>) -> Option<T> {
        self.faults.strike(&self.registers, pick)
    }

    /// Returns whether the transport can tell a driver that the device needs a reset.
    #[must_use]
    pub const fn can_need_reset(&self) -> bool {
        self.reset_request.is_some()
    }

    /// Tells the driver that the device needs a reset, and serves no queue until then.
    pub(crate) fn need_reset(&mut self) {
        if let Some(request) = &self.reset_request {
            self.needs_reset = true;
            request.request_reset();
        }
    }

    /// Raises the interrupts that injected faults have due at `now`.
    pub(crate) fn raise_scheduled(&mut self, now: Instant) {
        for queue in self.faults.take_due_interrupts(now) {
            self.raise(queue);
        }
    }

    /// Raises the interrupts that injected faults have due next, without waiting for their time.
    pub(crate) fn raise_next_scheduled(&mut self) {
        if let Some(next) = self.faults.next_interrupt() {
            self.raise_scheduled(next);
        }
    }

    /// Raises the interrupt of a queue, if its transport has one.
    pub(crate) fn raise(&self, queue: Queue) {
        let raised = self.rings.get(queue.index()).is_some_and(Ring::interrupt);
        self.registers.trace().interrupt(queue, raised);
        if raised {
            self.registers.add(Counter::Interrupts, 1);
        }
    }

    /// Keeps a chain for good: an injected fault never returns it.
    pub(crate) fn abandon(&mut self, chain: &Chain) {
        if self.holds(chain) {
            self.with_ring(chain.queue, Ring::abandon);
        }
    }

    /// Takes the next chain of a queue, with at most `readable_max` bytes to read. Errors of the chain have been reported;
    /// it is returned to the driver all the same. `None` when there is none: the driver kicks for the next.
    pub fn take(&mut self, queue: Queue, readable_max: u32) -> Option<Chain> {
        if self.resets != self.acknowledged_resets || self.needs_reset {
            return None;
        }
        self.give_kept_answer(queue);
        let taken = self.rings.get_mut(queue.index())?.take(self.memory.map(), readable_max);
        // Before errors are reported: what was read of lost memory was zeroes.
        let lost = self.retire_lost_memory();
        match (taken, lost) {
            (Ok(Some(mut chain)), Some(lost)) => {
                chain.lose(lost);
                self.trace_taken(&chain);
                self.holds(&chain).then_some(chain)
            }
            (Ok(Some(chain)), None) => {
                self.trace_taken(&chain);
                if let Some(error) = chain.error() {
                    self.registers.report(error);
                }
                Some(chain)
            }
            (Ok(None), _) => None,
            (Err(_), Some(lost)) => {
                self.rings.get_mut(queue.index())?.park(lost);
                None
            }
            (Err(error), None) => {
                self.registers.report(error);
                None
            }
        }
    }

    fn trace_taken(&self, chain: &Chain) {
        let request = chain.error().is_none().then(|| chain.request());
        self.registers.trace().chain_taken(chain.queue, chain.head, chain.writable_bytes(), request);
    }

    /// Returns whether the ring that the chain came from has not been stopped since.
    #[must_use]
    pub fn holds(&self, chain: &Chain) -> bool {
        self.rings.get(chain.queue.index()).is_some_and(|ring| ring.generation() == chain.generation)
    }

    /// Writes `parts` one after the other into a chain, as far as there is room, and returns it to the driver. A chain
    /// whose ring was stopped in between belongs to the driver again: what would have been written is kept until the
    /// ring resumes there, and forgotten at a reset.
    pub fn complete(&mut self, chain: Chain, parts: &[&[u8]]) {
        if !self.holds(&chain) {
            // Until the card acknowledges a reset its answers belong to requests from before the reset.
            if self.resets == self.acknowledged_resets
                && let Some(ring) = self.rings.get_mut(chain.queue.index())
            {
                ring.keep_answer(&chain, parts);
                self.give_kept_answer(chain.queue);
            }
            return;
        }
        let length: usize = parts.iter().map(|part| part.len()).fold(0, usize::saturating_add);
        let placed = Placed::of(&chain, length, |pick| self.faults.strike(&self.registers, pick));
        let (written, all) = placed.write(self.memory.map(), &chain, parts);
        if !all {
            // The memory was taken away after the chain was checked.
            self.registers.report(chain.diagnose(Diagnosis::BUFFER_OUTSIDE_MEMORY));
        }
        let Some(ring) = self.rings.get_mut(chain.queue.index()) else { return };
        let corruption = self.faults.strike(&self.registers, |fault| match fault {
            InjectedFault::CorruptUsedRing { corruption, queue } if *queue == chain.queue.0 => Some(*corruption),
            _ => None,
        });
        self.registers.trace().chain_returned(chain.queue, chain.head, written, parts);
        match ring.give_back(self.memory.map(), chain.head, written, corruption) {
            Ok(true) => self.interrupt(chain.queue),
            Ok(false) => {}
            Err(error) => self.registers.report(error),
        }
    }

    /// Interrupts for a chain that was returned, unless an injected fault keeps the interrupt.
    fn interrupt(&mut self, queue: Queue) {
        let delay = self.strike(|fault| match fault {
            InjectedFault::LostInterrupt { queue: of } if *of == queue.0 => Some(None),
            InjectedFault::LateInterrupt { queue: of, milliseconds } if *of == queue.0 => Some(Some(*milliseconds)),
            _ => None,
        });
        match delay {
            None => self.raise(queue),
            Some(None) => {}
            Some(Some(milliseconds)) => self.faults.schedule(queue, Duration::from_millis(milliseconds.into()), 1),
        }
    }

    /// Returns whether `length` bytes at a guest address can be written.
    #[must_use]
    pub fn is_writable(&self, address: u64, length: usize) -> bool {
        self.memory.map().check_range(GuestAddress(address), length, Permissions::Write)
    }

    /// Returns whether the transport has something of its own for the status.
    #[must_use]
    pub fn has_status_sink(&self) -> bool {
        self.status.is_some()
    }

    /// Publishes the status to what the transport has of its own for it.
    pub fn publish_status(&self, page: &StatusPage) {
        if let Some(sink) = self.status.as_ref().filter(|_| self.resets == self.acknowledged_resets) {
            sink.publish(page);
        }
    }

    /// Writes the status page under its sequence lock, if the guest runs. `page.sequence` is the even number that it
    /// ends with.
    pub fn write_status_page(&self, address: u64, page: &StatusPage) {
        if !self.is_live() || self.resets != self.acknowledged_resets {
            return;
        }
        let map = self.memory.map();
        let sequence = GuestAddress(address);
        let body = GuestAddress(address.wrapping_add(4));
        let even = page.sequence.get();
        // The page was checked when it was lent; if its memory is gone by now the write has no effect.
        let _ = map.store(even.wrapping_sub(1).to_le(), sequence, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let _ = map.write_slice(&page.as_bytes()[4..], body);
        let _ = map.store(even.to_le(), sequence, Ordering::Release);
    }
}
