//! The news queue: buffers lent to the card, and what it writes into them.

use card_spec::notice::Notice;

use crate::dma::Window;
use crate::exchange::Line;
use crate::irql::AtMostDispatch;
use crate::kernel::Kernel;
use crate::lock::Spin;
use crate::ring::{Ring, RingAddresses, RingFault, Segment};

/// Descriptors of a chain: a record.
pub const SHAPE: u16 = 1;

/// The queue.
pub const QUEUE: u16 = card_spec::queue::Queue::EVENT.0;

/// Bytes of DMA memory for the records.
pub const BUFFER_BYTES: usize = 4096;

/// Bytes from one record to the next.
const STRIDE: usize = 64;

/// Records lent to the card. News is rare: underruns and diagnoses. Bursts beyond this show as a gap in the sequence.
const RECORDS: u16 = 16;

const _: () = assert!(STRIDE >= size_of::<Notice>() && STRIDE * RECORDS as usize <= BUFFER_BYTES);

struct State {
    ring: Ring,
    buffer: Window,
}

impl State {
    fn lend(&mut self, slot: u16) {
        let record = self.buffer.part(STRIDE * usize::from(slot), STRIDE);
        self.ring.submit(slot, &[Segment::writable(&record, size_of::<Notice>())]);
    }

    fn lend_all(&mut self) {
        for slot in 0..RECORDS.min(self.ring.slots()) {
            self.lend(slot);
        }
        self.ring.want_interrupts(true);
    }
}

/// The queue.
pub struct News<K: Kernel> {
    state: Spin<K, State>,
}

impl<K: Kernel> News<K> {
    /// Makes the queue on a ring and [`BUFFER_BYTES`] of memory.
    pub fn new(kernel: &K, ring: Ring, buffer: Window) -> Self {
        let mut state = State { ring, buffer };
        state.lend_all();
        Self { state: Spin::new(kernel, state) }
    }

    /// Begins anew, after the device has been reset. Gives the ring's addresses.
    pub fn restart(&self, level: AtMostDispatch) -> RingAddresses {
        self.state.with(level, |state| {
            state.ring.restart();
            state.lend_all();
            state.ring.addresses()
        })
    }

    /// Kicks for the records lent at the start.
    pub fn start(&self, level: AtMostDispatch, line: &impl Line) {
        if self.state.with(level, |state| state.ring.needs_kick()) {
            line.kick();
        }
    }

    /// How the card broke the ring, if it did.
    pub fn fault(&self, level: AtMostDispatch) -> Option<RingFault> {
        self.state.with(level, |state| state.ring.fault())
    }

    /// Takes the next record, and lends its buffer again; from the deferred procedure call. A record that is cut short
    /// is passed over.
    pub fn next(&self, level: AtMostDispatch, line: &impl Line) -> Option<Notice> {
        let (record, wants_kick) = self.state.with(level, |state| {
            let mut record = None;
            while record.is_none() {
                let Some(returned) = state.ring.reap() else {
                    if state.ring.want_interrupts(true) {
                        continue;
                    }
                    break;
                };
                if returned.written as usize >= size_of::<Notice>() {
                    record = Some(state.buffer.read(STRIDE * usize::from(returned.slot)));
                }
                state.lend(returned.slot);
            }
            (record, state.ring.needs_kick())
        });
        if wants_kick {
            line.kick();
        }
        record
    }
}
