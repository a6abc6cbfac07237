//! Wave: rendered frames, straight into guest pages ([`card_spec::wave`]).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use card_spec::control::{StreamKind, StreamState};
use card_spec::diagnosis::Diagnosis;
use card_spec::limits::{QUEUE_SIZE_MAX, WAVE_BUFFER_BYTES_MAX};
use card_spec::queue::Queue;
use card_spec::wave::{WaveHeader, WaveRequest, WaveStatus};
use zerocopy::{FromBytes, IntoBytes};

use crate::bus::{Bus, Chain, SharedBus};
use crate::diagnosis::{Counter, DriverError, Registers};
use crate::session::state::WaveBuffer;
use crate::session::{DeviceState, Session};

/// Largest readable part of a wave chain: the request, with room to grow.
const READABLE_MAX: u32 = 64;

const HEADER_BYTES: u64 = size_of::<WaveHeader>() as u64;

/// Consumes the wave queue.
#[derive(Clone)]
pub struct Wave {
    bus: SharedBus,
    registers: Arc<Registers>,
}

impl Wave {
    /// Returns a handler of the wave queue of `bus`.
    #[must_use]
    pub const fn new(bus: SharedBus, registers: Arc<Registers>) -> Self {
        Self { bus, registers }
    }

    /// Takes the next wave buffer from the ring, if none is being filled. True when one was taken, or refused.
    pub fn take_buffer(&self, session: &mut Option<Session>) -> bool {
        let mut bus = self.bus.lock();
        match session {
            Some(session) if session.wave_buffer.is_some() => return false,
            // Buffers wait while the stream stands still; where there is no stream they are wrong.
            Some(session) if session.streams.wave_state().is_some_and(|state| state != StreamState::RUN) => {
                return false;
            }
            _ => {}
        }
        let Some(chain) = bus.take(Queue::WAVE, READABLE_MAX) else { return false };
        match check(session.as_ref(), &chain) {
            Ok(frames) => {
                if let Some(session) = session {
                    session.wave_buffer = Some(WaveBuffer { chain, frames });
                    session.filling = false;
                }
            }
            Err(error) => {
                if chain.error().is_none() {
                    self.registers.report(error);
                }
                self.return_unfilled(&mut bus, session.as_ref(), chain, WaveStatus::REFUSED);
            }
        }
        true
    }

    /// Returns the buffer being filled, once all its frames are there. True when it was.
    pub fn fill_buffer(&self, state: &mut DeviceState) -> bool {
        let Some(session) = &mut state.session else { return false };
        let Some(buffer) = session.wave_buffer.take_if(|buffer| session.output.len() >= buffer.frames) else {
            return false;
        };
        session.filling = false;
        let first = session.first_waiting_frame();
        let channels = session.streams.first(StreamKind::WAVE).map_or(2, |(_, stream)| stream.channels);
        let master_time = session.timeline.master_time(first);
        // Under the lock, so that the frames leave the FIFO only if the buffer still is the card's.
        let mut bus = self.bus.lock();
        if !bus.holds(&buffer.chain) {
            return false;
        }
        let (frames, lost) = session.output.take(buffer.frames);
        let mut pcm = Vec::with_capacity(buffer.frames.saturating_mul(4));
        for [left, right] in frames {
            if channels == 1 {
                pcm.extend_from_slice(&mix_down(left, right).to_le_bytes());
            } else {
                pcm.extend_from_slice(&left.to_le_bytes());
                pcm.extend_from_slice(&right.to_le_bytes());
            }
        }
        let status = if lost.is_some() { WaveStatus::AFTER_UNDERRUN } else { WaveStatus::OK };
        let header = WaveHeader {
            status: status.0.into(),
            frames: (buffer.frames as u32).into(),
            position: (first as u64).into(),
            master_time: master_time.into(),
            card_time: self.registers.card_time().into(),
        };
        bus.complete(buffer.chain, &[header.as_bytes(), &pcm]);
        self.registers.add(Counter::WaveBuffers, 1);
        if let Some(lost) = lost.filter(|lost| *lost > 0) {
            state.notify_underrun(lost, self.registers.card_time());
        }
        true
    }

    /// Returns all wave buffers unfilled, because the stream has left `RUN` or is closed.
    pub fn flush_buffers(&self, mut session: Option<&mut Session>) {
        let taken = session.as_mut().and_then(|session| session.wave_buffer.take());
        let session = session.as_deref();
        if let Some(buffer) = taken {
            self.return_unfilled(&mut self.bus.lock(), session, buffer.chain, WaveStatus::FLUSHED);
        }
        // No more than a ring holds: a driver that posts them again at once must not keep the card here.
        for _ in 0..QUEUE_SIZE_MAX {
            let mut bus = self.bus.lock();
            let Some(chain) = bus.take(Queue::WAVE, READABLE_MAX) else { return };
            self.return_unfilled(&mut bus, session, chain, WaveStatus::FLUSHED);
        }
    }

    fn return_unfilled(&self, bus: &mut Bus, session: Option<&Session>, chain: Chain, status: WaveStatus) {
        let header = WaveHeader {
            status: status.0.into(),
            frames: 0.into(),
            position: session.map_or(0, |session| session.timeline.position() as u64).into(),
            master_time: session.map_or(0, Session::master_time).into(),
            card_time: self.registers.card_time().into(),
        };
        let room = chain.writable_bytes() >= HEADER_BYTES;
        bus.complete(chain, &[if room { header.as_bytes() } else { &[] }]);
    }
}

/// Returns how many frames are requested for a buffer.
///
/// # Errors
/// The error for which the buffer cannot be filled.
fn check(session: Option<&Session>, chain: &Chain) -> Result<usize, DriverError> {
    if let Some(error) = chain.error() {
        return Err(error);
    }
    let session = session.ok_or_else(|| chain.diagnose(Diagnosis::NO_SESSION))?;
    let got = chain.request().len() as u32;
    let (request, _) = WaveRequest::read_from_prefix(chain.request())
        .map_err(|_| chain.diagnose(Diagnosis::READABLE_TOO_SHORT).expected(size_of::<WaveRequest>() as u32, got))?;
    let stream = request.stream.get();
    let wave = session.streams.get(stream).filter(|stream| stream.kind == StreamKind::WAVE);
    let wave = wave.ok_or_else(|| chain.diagnose(Diagnosis::STREAM).got(stream))?;
    let frames = request.frames.get();
    if frames == 0 {
        return Err(DriverError::new(Diagnosis::PARAMETER).on(Queue::WAVE).at(4).expected(1, 0));
    }
    let bytes = u64::from(frames).saturating_mul(2 * u64::from(wave.channels.min(2)));
    if bytes > u64::from(WAVE_BUFFER_BYTES_MAX) {
        let got = u32::try_from(bytes).unwrap_or(u32::MAX);
        return Err(chain.diagnose(Diagnosis::LENGTH).expected(WAVE_BUFFER_BYTES_MAX, got));
    }
    let room = chain.writable_bytes();
    let needed = HEADER_BYTES.saturating_add(bytes);
    if room < needed {
        let got = u32::try_from(room).unwrap_or(u32::MAX);
        return Err(chain
            .diagnose(Diagnosis::WRITABLE_TOO_SHORT)
            .expected(u32::try_from(needed).unwrap_or(u32::MAX), got));
    }
    Ok(frames as usize)
}

/// Returns half the sum of two samples, rounded down.
const fn mix_down(left: i16, right: i16) -> i16 {
    (left & right).wrapping_add((left ^ right) >> 1)
}
