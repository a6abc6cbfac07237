//! Midi-in: captured events on their way to the driver ([`card_spec::event`]).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use card_spec::control::{StreamKind, StreamState};
use card_spec::diagnosis::Diagnosis;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::Queue;

use crate::card::Card;

/// Why a captured event was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// The driver captures nothing.
    #[error("no capture stream is open and running")]
    NotRunning,
    /// The data cannot be captured.
    #[error("the data is not one MIDI message, or the channel group is not between 1 and the number of groups")]
    Malformed,
    /// The driver does not keep up.
    #[error("the driver posts no midi-in buffers, and no more events fit: the event is lost")]
    Full,
}

impl Card {
    /// Captures a message for a group numbered from 1, now or at a master time, in 100 ns units.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn capture(&mut self, group: u16, data: &[u8], time: Option<i64>) -> Result<(), CaptureError> {
        let session = self.session.as_mut().ok_or(CaptureError::NotRunning)?;
        let (id, stream) = session.streams.first(StreamKind::CAPTURE).ok_or(CaptureError::NotRunning)?;
        if stream.state != StreamState::RUN {
            return Err(CaptureError::NotRunning);
        }
        if !(1..=session.parameters.channel_groups).contains(&group) || !card_spec::midi::is_one_message(data) {
            return Err(CaptureError::Malformed);
        }
        let time = time.unwrap_or_else(|| session.master_time());
        if session.capture.push(time, group, data) {
            return Ok(());
        }
        session.lose(id, 1);
        Err(CaptureError::Full)
    }

    /// Hands captured events to the buffers that the driver has posted, no more than a ring holds. True when there may be
    /// more.
    pub(crate) fn serve_midi_in(&mut self) -> bool {
        let bus = Arc::clone(&self.bus);
        for _ in 0..QUEUE_SIZE_MAX {
            let Some(session) = &mut self.session else { return false };
            let Some((id, stream)) = session.streams.first(StreamKind::CAPTURE) else { return false };
            if stream.state != StreamState::RUN || session.capture.is_empty() {
                return false;
            }
            let mut bus = bus.lock();
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
