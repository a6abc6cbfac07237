//! A ring of the framework's, on which a front-end cannot stop the thread that serves it.
//!
//! [`VringMutex`] reads a kick descriptor and writes a call descriptor as it finds them: a front-end that takes a kick back,
//! fills a counter or clears a non-blocking flag makes the framework's worker wait, or end. This ring reads and writes
//! counters without waiting, counts kicks, and takes nothing but event counters for descriptors.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};

use log::Level;
use parking_lot::Mutex;
use vhost_user_backend::{VringMutex, VringState, VringStateGuard, VringStateMutGuard, VringT};
use virtio_queue::{Error, Queue, QueueT};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

use super::super::doorbell::Kick;
use super::super::interrupts::Call;
use crate::bus::{RingSetup, Virtqueue};
use crate::log_limited;

/// Guest memory as the framework shares it.
pub(super) type Memory = GuestMemoryAtomic<GuestMemoryMmap>;

/// A ring of the framework's, and its descriptors.
#[derive(Clone)]
pub(super) struct Vring {
    inner: VringMutex<Memory>,
    events: Arc<Events>,
    call: Arc<Call>,
}

#[derive(Default)]
struct Events {
    kick: Mutex<Option<Kick>>,
    /// Kicks that were read and not taken.
    kicks: AtomicU64,
    /// Whether the ring is enabled, as the framework has it behind a lock.
    enabled: AtomicBool,
    /// The ring was started, and the card does not know it yet.
    fresh: AtomicBool,
}

impl Vring {
    /// Takes the number of kicks that were read.
    pub(super) fn take_kicks(&self) -> u64 {
        self.events.kicks.swap(0, Ordering::AcqRel)
    }

    /// Returns the call, to look after its writes.
    pub(super) fn call(&self) -> &Arc<Call> {
        &self.call
    }

    /// Returns whether the front-end has started the ring since it was last taken.
    pub(super) fn is_fresh(&self) -> bool {
        self.events.fresh.load(Ordering::Acquire)
    }

    /// Takes whether the front-end has started the ring since it was last taken.
    pub(super) fn take_fresh(&self) -> bool {
        self.events.fresh.swap(false, Ordering::AcqRel)
    }

    /// Returns the ring as the front-end has described it; `None` while it is not started.
    pub(super) fn setup(&self) -> Option<RingSetup> {
        let state = self.inner.get_ref();
        let queue = state.get_queue();
        queue.ready().then(|| RingSetup {
            size: queue.size().into(),
            base: queue.next_avail(),
            descriptors: queue.desc_table(),
            available: queue.avail_ring(),
            used: queue.used_ring(),
        })
    }
}

impl Virtqueue for Vring {
    fn with_queue(&self, act: &mut dyn FnMut(&mut Queue)) {
        let mut state = self.inner.get_mut();
        // The framework's lock must not be poisoned.
        let done = catch_unwind(AssertUnwindSafe(|| act(state.get_queue_mut())));
        drop(state);
        if let Err(panic) = done {
            resume_unwind(panic);
        }
    }

    fn is_enabled(&self) -> bool {
        self.events.enabled.load(Ordering::Acquire)
    }

    fn interrupt(&self) -> bool {
        self.call.raise()
    }
}

/// Names a descriptor that is not used, for the log.
fn refused(what: &str, error: &dyn std::fmt::Display) {
    log_limited!(Level::Warn, "a {what} descriptor is not used: {error}");
}

impl<'a> VringStateGuard<'a, Memory> for Vring {
    type G = MutexGuard<'a, VringState<Memory>>;
}

impl<'a> VringStateMutGuard<'a, Memory> for Vring {
    type G = MutexGuard<'a, VringState<Memory>>;
}

impl VringT<Memory> for Vring {
    fn new(memory: Memory, max_queue_size: u16) -> Result<Self, Error> {
        let inner = VringMutex::new(memory, max_queue_size)?;
        Ok(Self { inner, events: Arc::default(), call: Arc::default() })
    }

    fn get_ref(&self) -> <Self as VringStateGuard<'_, Memory>>::G {
        self.inner.get_ref()
    }

    fn get_mut(&self) -> <Self as VringStateMutGuard<'_, Memory>>::G {
        self.inner.get_mut()
    }

    fn add_used(&self, desc_index: u16, len: u32) -> Result<(), Error> {
        self.inner.add_used(desc_index, len)
    }

    fn signal_used_queue(&self) -> io::Result<()> {
        self.call.raise();
        Ok(())
    }

    fn enable_notification(&self) -> Result<bool, Error> {
        self.inner.enable_notification()
    }

    fn disable_notification(&self) -> Result<(), Error> {
        self.inner.disable_notification()
    }

    fn needs_notification(&self) -> Result<bool, Error> {
        self.inner.needs_notification()
    }

    fn set_enabled(&self, enabled: bool) {
        self.inner.set_enabled(enabled);
        self.events.enabled.store(enabled, Ordering::Release);
    }

    fn set_queue_info(&self, desc_table: u64, avail_ring: u64, used_ring: u64) -> Result<(), Error> {
        self.inner.set_queue_info(desc_table, avail_ring, used_ring)
    }

    fn queue_next_avail(&self) -> u16 {
        self.inner.queue_next_avail()
    }

    fn set_queue_next_avail(&self, base: u16) {
        self.inner.set_queue_next_avail(base);
    }

    fn set_queue_next_used(&self, idx: u16) {
        self.inner.set_queue_next_used(idx);
    }

    fn queue_used_idx(&self) -> Result<u16, Error> {
        self.inner.queue_used_idx()
    }

    fn set_queue_size(&self, num: u16) {
        self.inner.set_queue_size(num);
    }

    fn set_queue_event_idx(&self, enabled: bool) {
        self.inner.set_queue_event_idx(enabled);
    }

    fn set_queue_ready(&self, ready: bool) {
        self.inner.set_queue_ready(ready);
        self.events.fresh.store(ready, Ordering::Release);
    }

    fn set_kick(&self, file: Option<File>) {
        // A second descriptor of the same counter: the framework watches the first, and has no other use for it.
        let opened = file.map(|file| file.try_clone().map(|own| (file, own))).transpose();
        let checked = match opened {
            Ok(None) => None,
            Ok(Some((file, own))) => {
                Kick::new(own.into()).inspect_err(|error| refused("kick", error)).ok().map(|kick| (file, kick))
            }
            Err(error) => {
                refused("kick", &error);
                None
            }
        };
        let (file, kick) = checked.unzip();
        *self.events.kick.lock() = kick;
        self.inner.set_kick(file);
    }

    fn read_kick(&self) -> io::Result<bool> {
        let kicks = self.events.kick.lock().as_ref().map_or(0, Kick::take);
        self.events.kicks.fetch_add(kicks, Ordering::AcqRel);
        Ok(self.is_enabled())
    }

    fn set_call(&self, file: Option<File>) {
        if let Err(error) = self.call.set(file.map(Into::into)) {
            refused("call", &error);
        }
    }

    // Errors of a ring are reported on the event queue.
    fn set_err(&self, _file: Option<File>) {}
}
