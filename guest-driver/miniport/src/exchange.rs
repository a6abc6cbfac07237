//! A ring on which the driver submits one chain at a time and waits for it.

use crate::doorbell::Doorbell;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::{Kernel, Signal};
use crate::lock::Spin;
use crate::ring::{Ring, RingAddresses, RingFault, Segment, Served};

/// How long one wait is, in milliseconds, before the ring is read without an interrupt: a lost interrupt costs this
/// time and not the session. A card that is removed goes unnoticed for as long.
///
/// Time-outs are counted in slices, each of which ends with a read of a register that the card itself answers. Time in
/// which the machine does not run is one slice at most, and time in which the card does not run is none: neither says
/// anything about the card.
const SLICE_MILLISECONDS: u32 = 20;

/// Why a chain did not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeError {
    /// The time-out ran out. The card still has the chain; until it comes back there is no other.
    Timeout,
    /// The card was removed.
    Gone,
    /// The card broke the ring.
    Ring(RingFault),
}

/// A queue with at most one chain in flight.
pub struct Exchange<K: Kernel> {
    queue: u16,
    ring: Spin<K, Ring>,
    /// Set when the card may have returned the chain.
    returned: K::Signal,
}

impl<K: Kernel> Exchange<K> {
    /// Makes the exchange of a queue on its ring. `None`: no memory.
    pub fn new(kernel: &K, level: Passive, queue: u16, ring: Ring) -> Option<Self> {
        Some(Self { queue, ring: Spin::new(kernel, ring), returned: kernel.signal(level)? })
    }

    /// Empties the ring after the device has been reset, a late chain included. Returns the ring's addresses.
    pub fn restart(&self, level: AtMostDispatch) -> RingAddresses {
        self.ring.with(level, |ring| {
            ring.restart();
            ring.addresses()
        })
    }

    /// Wakes the waiting thread if the chain has come back. Called from the deferred procedure call.
    pub fn service(&self, level: AtMostDispatch) -> Served {
        // The lock is taken once: it costs more than what is done under it.
        let (wakes, served) = self.ring.with(level, |ring| {
            let had_returned = ring.has_returned();
            let wakes = ring.in_flight() != 0 && ring.want_interrupts(true);
            (wakes, Served { had_returned, fault: ring.fault() })
        });
        if wakes {
            self.returned.set(level);
        }
        served
    }

    /// Submits one chain and waits until it comes back, for at most `milliseconds` in which the card runs. Returns how
    /// many bytes the card has written.
    ///
    /// A late chain is taken back first. Only then is `chain` called, which writes the request and returns its
    /// segments; its argument says whether a late chain came back. The caller holds the lock of the memory that the
    /// chain names.
    ///
    /// # Errors
    /// [`ExchangeError::Timeout`] when this chain, or a late one before it, does not come back in time;
    /// [`ExchangeError::Gone`] when the registers read all ones; [`ExchangeError::Ring`] when the card breaks the ring.
    pub fn submit_and_wait<const SEGMENTS: usize>(
        &self,
        level: Passive,
        doorbell: &impl Doorbell,
        milliseconds: u32,
        chain: impl FnOnce(bool) -> [Segment; SEGMENTS],
    ) -> Result<usize, ExchangeError> {
        let late_came_back = self.take_late(level.into())?;
        self.wait_for(level, doorbell, milliseconds, &chain(late_came_back))
    }

    /// Takes back a chain that was late. Returns whether there was one.
    fn take_late(&self, level: AtMostDispatch) -> Result<bool, ExchangeError> {
        self.ring.with(level, |ring| {
            let late = ring.in_flight() != 0;
            let back = ring.reap().is_some();
            match ring.fault() {
                Some(fault) => Err(ExchangeError::Ring(fault)),
                None if late && !back => Err(ExchangeError::Timeout),
                None => Ok(late),
            }
        })
    }

    fn wait_for(
        &self,
        level: Passive,
        doorbell: &impl Doorbell,
        milliseconds: u32,
        chain: &[Segment],
    ) -> Result<usize, ExchangeError> {
        self.returned.clear(level.into());
        let needs_kick = self.ring.with(level.into(), |ring| {
            ring.want_interrupts(true);
            ring.submit(0, chain);
            ring.needs_kick()
        });
        if needs_kick {
            doorbell.ring(self.queue);
        }
        let mut waited = 0;
        loop {
            let (returned, fault) = self.ring.with(level.into(), |ring| (ring.reap(), ring.fault()));
            if let Some(fault) = fault {
                return Err(ExchangeError::Ring(fault));
            }
            if let Some(returned) = returned {
                return Ok(returned.written as usize);
            }
            if waited >= milliseconds {
                return Err(ExchangeError::Timeout);
            }
            if !self.returned.wait(level, SLICE_MILLISECONDS) {
                if doorbell.is_gone(level.into()) {
                    return Err(ExchangeError::Gone);
                }
                doorbell.wait_for_card(level);
                waited += SLICE_MILLISECONDS;
            }
        }
    }
}
