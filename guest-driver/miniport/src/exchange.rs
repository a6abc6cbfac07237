//! A ring on which one chain at a time is given to the card and waited for.

use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::{Kernel, Signal};
use crate::lock::Spin;
use crate::ring::{Ring, RingAddresses, RingFault, Segment};

/// How long one wait is before the ring is looked at without an interrupt: so a lost interrupt costs time, not the
/// session. It is also how long a card that was torn out goes unnoticed.
///
/// Time-outs are counted in slices, each of which ends with a register that the card itself answers. Time in which the
/// machine does not run is one slice at most, and time in which the card does not run is none: neither says anything
/// about the card.
const SLICE_MILLISECONDS: u32 = 20;

/// The way to the card of one queue.
pub trait Line {
    /// Tells the card to look at the queue.
    fn kick(&self);
    /// The card's registers read all ones: it is not there any more.
    fn is_gone(&self, level: AtMostDispatch) -> bool;
    /// Reads a register that the card itself answers: returns when the card runs.
    fn hear(&self, level: Passive);
}

/// Why a chain did not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// It takes too long. The card still has the chain; until it comes back there is no other.
    Late,
    /// The card is not there any more.
    Gone,
    /// The card broke the ring.
    Ring(RingFault),
}

/// The ring.
pub struct Exchange<K: Kernel> {
    ring: Spin<K, Ring>,
    /// Set when the card may have returned the chain.
    returned: K::Signal,
}

impl<K: Kernel> Exchange<K> {
    /// Puts a ring to this use. `None`: no memory.
    pub fn new(kernel: &K, level: Passive, ring: Ring) -> Option<Self> {
        Some(Self { ring: Spin::new(kernel, ring), returned: kernel.signal(level)? })
    }

    /// Begins anew, after the device has been reset: a chain that was late is forgotten. Gives the ring's addresses.
    pub fn restart(&self, level: AtMostDispatch) -> RingAddresses {
        self.ring.with(level, |ring| {
            ring.restart();
            ring.addresses()
        })
    }

    /// Looks whether the chain has come back; from the deferred procedure call.
    pub fn service(&self, level: AtMostDispatch) {
        if self.ring.with(level, |ring| ring.in_flight() != 0 && ring.want_interrupts(true)) {
            self.returned.set(level);
        }
    }

    /// How the card broke the ring, if it did.
    pub fn fault(&self, level: AtMostDispatch) -> Option<RingFault> {
        self.ring.with(level, |ring| ring.fault())
    }

    /// Takes a chain back that was late. Whether there was one.
    ///
    /// # Errors
    /// It is not back yet, or never will be.
    pub fn settle(&self, level: AtMostDispatch) -> Result<bool, Unanswered> {
        self.ring.with(level, |ring| {
            let late = ring.in_flight() != 0;
            let back = ring.reap().is_some();
            match ring.fault() {
                Some(fault) => Err(Unanswered::Ring(fault)),
                None if late && !back => Err(Unanswered::Late),
                None => Ok(late),
            }
        })
    }

    /// Gives the card a chain and waits until it comes back, at most `milliseconds` in which the card runs: how many
    /// bytes the card has written. Only one caller at a time.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub fn ask(
        &self,
        level: Passive,
        line: &impl Line,
        chain: &[Segment],
        milliseconds: u32,
    ) -> Result<usize, Unanswered> {
        self.returned.clear(level.into());
        let wants_kick = self.ring.with(level.into(), |ring| {
            ring.want_interrupts(true);
            ring.submit(0, chain);
            ring.needs_kick()
        });
        if wants_kick {
            line.kick();
        }
        let mut waited = 0;
        loop {
            let (returned, fault) = self.ring.with(level.into(), |ring| (ring.reap(), ring.fault()));
            if let Some(fault) = fault {
                return Err(Unanswered::Ring(fault));
            }
            if let Some(returned) = returned {
                return Ok(returned.written as usize);
            }
            if waited >= milliseconds {
                return Err(Unanswered::Late);
            }
            if !self.returned.wait(level, SLICE_MILLISECONDS) {
                if line.is_gone(level.into()) {
                    return Err(Unanswered::Gone);
                }
                line.hear(level);
                waited += SLICE_MILLISECONDS;
            }
        }
    }
}
