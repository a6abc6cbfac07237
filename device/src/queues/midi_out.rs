//! Midi-out: batches of time-stamped events from the driver ([`card_spec::event`]).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use card_control::answer::TakenEvents;
use card_spec::control::StreamState;
use card_spec::diagnosis::Diagnosis;
use card_spec::event::{BatchHeader, EventHeader, record_bytes};
use card_spec::limits::{BATCH_BYTES_MAX, QUEUE_SIZE_MAX};
use card_spec::queue::Queue;
use parking_lot::Mutex;
use zerocopy::FromBytes;

use super::taken::EventLog;
use crate::bus::{Chain, Faults, SharedBus};
use crate::diagnosis::{Counter, DriverError, Registers};
use crate::session::Session;

/// Largest readable part of a batch's chain: the largest batch, in a buffer of up to sixteen pages that a driver may
/// use for batches of any size.
const READABLE_MAX: u32 = 16 * BATCH_BYTES_MAX;

/// Consumes the midi-out queue.
#[derive(Clone)]
pub struct MidiOut {
    bus: SharedBus,
    registers: Arc<Registers>,
    taken: Arc<Mutex<EventLog>>,
}

impl MidiOut {
    /// Returns a handler of the midi-out queue of `bus`.
    #[must_use]
    pub fn new(bus: SharedBus, registers: Arc<Registers>) -> Self {
        Self { bus, registers, taken: Arc::default() }
    }

    /// Takes the oldest events that no client has taken, from the session and those before it.
    pub fn take_events(&self) -> TakenEvents {
        self.taken.lock().take()
    }

    /// Takes the batches that are available, no more than a ring holds: all that were there when this was called, even
    /// if the driver makes more available meanwhile. True when there may be more that have room.
    pub fn serve(&self, session: &mut Option<Session>) -> bool {
        for _ in 0..QUEUE_SIZE_MAX {
            if let Some(session) = session {
                session.backlog = !session.timeline.has_room();
                if session.backlog {
                    return false;
                }
            }
            // For each batch anew, so that a transport waits for one at most.
            let mut bus = self.bus.lock();
            let Some(chain) = bus.take(Queue::MIDI_OUT, READABLE_MAX) else { return false };
            if chain.error().is_none()
                && let Err(error) = self.accept_batch(session.as_mut(), &chain, bus.faults_mut())
            {
                self.registers.report(error);
            }
            bus.complete(chain, &[]);
        }
        true
    }

    fn accept_batch(
        &self,
        session: Option<&mut Session>,
        chain: &Chain,
        faults: &mut Faults,
    ) -> Result<(), DriverError> {
        let batch = chain.request();
        let short = || {
            let got = u32::try_from(batch.len()).unwrap_or(u32::MAX);
            chain.diagnose(Diagnosis::READABLE_TOO_SHORT).expected(size_of::<BatchHeader>() as u32, got)
        };
        let session = session.ok_or_else(|| chain.diagnose(Diagnosis::NO_SESSION))?;
        let (header, _) = BatchHeader::read_from_prefix(batch).map_err(|_| short())?;
        let length = header.length.get();
        let possible = u32::try_from(batch.len()).unwrap_or(u32::MAX).min(BATCH_BYTES_MAX);
        if length > possible || (length as usize) < size_of::<BatchHeader>() {
            return Err(chain.diagnose(Diagnosis::LENGTH).expected(possible, length));
        }
        let stream = header.stream.get();
        let count = header.count.get();
        let state = session.render_state(stream).ok_or_else(|| chain.diagnose(Diagnosis::STREAM).got(stream))?;
        if state == StreamState::STOP {
            let needed = StreamState::ACQUIRE.0;
            session.lose(stream, possible_events(count, length));
            return Err(chain.diagnose(Diagnosis::STREAM_STATE).expected(needed, state.0));
        }
        let mut taken = self.taken.lock();
        let mut offset = size_of::<BatchHeader>();
        for index in 0..count {
            let rest = batch.get(offset..length as usize).unwrap_or_default();
            let record = EventHeader::read_from_prefix(rest).ok().and_then(|(event, data)| {
                let data = data.get(..usize::from(event.length.get()))?;
                (!data.is_empty()).then_some((event, data))
            });
            let Some((event, data)) = record else {
                // Where one record ends wrongly the next cannot be found.
                session.lose(stream, possible_events(count.saturating_sub(index), length));
                return Err(DriverError::new(Diagnosis::EVENT_MALFORMED).on(Queue::MIDI_OUT).at(offset as u32));
            };
            self.registers.add(Counter::Events, 1);
            faults.event_taken();
            match session.accept_event(stream, &event, data) {
                Ok(late) => {
                    taken.push(event.time.get(), stream, event.channel_group.get(), data);
                    self.registers.add(Counter::EventsLate, late.into());
                }
                Err(error) => {
                    session.lose(stream, 1);
                    self.registers.report(error.on(Queue::MIDI_OUT).at(offset as u32));
                }
            }
            offset = offset.saturating_add(record_bytes(data.len()));
        }
        Ok(())
    }
}

/// Returns how many of `count` records a batch of `length` bytes can hold at most: the batch's own count may be wrong.
fn possible_events(count: u32, length: u32) -> u64 {
    const LEAST: u64 = record_bytes(1) as u64;
    u64::from(count).min(u64::from(length) / LEAST)
}
