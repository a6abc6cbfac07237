//! Midi-in: captured events on their way to the driver ([`card_spec::event`]).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use card_spec::control::{StreamKind, StreamState};
use card_spec::diagnosis::Diagnosis;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::Queue;

use crate::bus::SharedBus;
use crate::diagnosis::Registers;
use crate::session::Session;

/// Consumes the midi-in queue.
#[derive(Clone)]
pub struct MidiIn {
    bus: SharedBus,
    registers: Arc<Registers>,
}

impl MidiIn {
    /// Returns a handler of the midi-in queue of `bus`.
    #[must_use]
    pub const fn new(bus: SharedBus, registers: Arc<Registers>) -> Self {
        Self { bus, registers }
    }

    /// Writes captured events into the buffers that the driver has posted, no more than a ring holds. True when there
    /// may be more.
    pub fn serve(&self, session: Option<&mut Session>) -> bool {
        let Some(session) = session else { return false };
        for _ in 0..QUEUE_SIZE_MAX {
            let Some((id, stream)) = session.streams.first(StreamKind::CAPTURE) else { return false };
            if stream.state != StreamState::RUN || session.capture.is_empty() {
                return false;
            }
            let mut bus = self.bus.lock();
            let Some(chain) = bus.take(Queue::MIDI_IN, 0) else { return false };
            let least = session.capture.least_bytes() as u64;
            let room = chain.writable_bytes();
            if chain.error().is_some() {
                bus.complete(chain, &[]);
            } else if room < least {
                let error = chain.diagnose(Diagnosis::WRITABLE_TOO_SHORT).expected(least as u32, room as u32);
                self.registers.report(error);
                bus.complete(chain, &[]);
            } else {
                let batch = session.capture.batch(id, usize::try_from(room).unwrap_or(usize::MAX));
                bus.complete(chain, &[&batch]);
            }
        }
        true
    }
}
