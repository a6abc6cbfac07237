//! The event queue: buffers lent to the card, in which it sends notices.

use card_spec::notice::Notice;
use zerocopy::FromZeros;

use crate::dma::Window;
use crate::doorbell::Doorbell;
use crate::irql::AtMostDispatch;
use crate::kernel::Kernel;
use crate::lock::Spin;
use crate::ring::{Ring, RingAddresses, RingFault, Segment};

/// Descriptors of a chain: a notice.
pub const SHAPE: u16 = 1;

/// The queue's number.
pub const QUEUE: u16 = card_spec::queue::Queue::EVENT.0;

/// Bytes of common buffer for the notices.
pub const BUFFER_BYTES: usize = 4096;

/// Bytes from one buffer to the next.
const STRIDE: usize = 64;

/// Buffers lent to the card. Notices are rare: underruns and diagnoses. Bursts beyond this show as a gap in the
/// sequence.
const BUFFERS: u16 = 16;

const _: () = assert!(STRIDE >= size_of::<Notice>() && STRIDE * BUFFERS as usize <= BUFFER_BYTES);

struct State {
    ring: Ring,
    buffer: Window,
}

impl State {
    fn lend(&mut self, slot: u16) {
        let notice = self.buffer.part(STRIDE * usize::from(slot), STRIDE);
        // What a card leaves there that writes elsewhere is a notice of nothing.
        notice.write(0, &Notice::new_zeroed());
        self.ring.submit(slot, &[Segment::writable(&notice, size_of::<Notice>())]);
    }

    fn lend_all(&mut self) {
        for slot in 0..BUFFERS.min(self.ring.slots()) {
            self.lend(slot);
        }
        self.ring.want_interrupts(true);
    }
}

/// The event queue.
pub struct EventQueue<K: Kernel> {
    state: Spin<K, State>,
}

impl<K: Kernel> EventQueue<K> {
    /// Makes the queue on a ring and [`BUFFER_BYTES`] of memory.
    pub fn new(kernel: &K, ring: Ring, buffer: Window) -> Self {
        let mut state = State { ring, buffer };
        state.lend_all();
        Self { state: Spin::new(kernel, state) }
    }

    /// Empties the ring after the device has been reset, and lends the buffers again. Returns the ring's addresses.
    pub fn restart(&self, level: AtMostDispatch) -> RingAddresses {
        self.state.with(level, |state| {
            state.ring.restart();
            state.lend_all();
            state.ring.addresses()
        })
    }

    /// Rings the doorbell for the buffers lent at the start.
    pub fn start(&self, level: AtMostDispatch, doorbell: &impl Doorbell) {
        if self.state.with(level, |state| state.ring.needs_kick()) {
            doorbell.ring(QUEUE);
        }
    }

    /// Returns whether the card has returned a chain that the driver has not taken.
    pub fn has_returned(&self, level: AtMostDispatch) -> bool {
        self.state.with(level, |state| state.ring.has_returned())
    }

    /// Returns how the card broke the ring, if it did.
    pub fn fault(&self, level: AtMostDispatch) -> Option<RingFault> {
        self.state.with(level, |state| state.ring.fault())
    }

    /// Takes the next notice, and lends its buffer again. Called from the deferred procedure call. A notice that is cut
    /// short is passed over.
    pub fn next(&self, level: AtMostDispatch, doorbell: &impl Doorbell) -> Option<Notice> {
        let (notice, needs_kick) = self.state.with(level, |state| {
            let mut notice = None;
            while notice.is_none() {
                let Some(returned) = state.ring.reap() else {
                    if state.ring.want_interrupts(true) {
                        continue;
                    }
                    break;
                };
                if returned.written as usize >= size_of::<Notice>() {
                    notice = Some(state.buffer.read(STRIDE * usize::from(returned.slot)));
                }
                state.lend(returned.slot);
            }
            (notice, state.ring.needs_kick())
        });
        if needs_kick {
            doorbell.ring(QUEUE);
        }
        notice
    }
}
