//! Render streams.

use card_spec::control::{StreamKind, StreamOpen};
use portcls::event::DmusKernelEvent;
use portcls::ks::KsState;

use super::{Card, CardError};
use crate::control::ControlError;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::Kernel;
use crate::midi_out::{self, Groups};

/// How long batches may take to be taken before a stream leaves `RUN` all the same.
const DRAIN_MILLISECONDS: u32 = 50;

impl<K: Kernel> Card<K> {
    /// Opens a render stream, in state `STOP`; its number.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn open_render(&self, level: Passive, groups: Groups, home: K::Home) -> Result<u32, CardError> {
        self.recover(level)?;
        let id = self.midi_out.add(level.into(), groups, home).ok_or(CardError::NoStream)?;
        match self.open_render_on_card(level, id) {
            Ok(()) => Ok(id),
            Err(error) => {
                self.midi_out.remove(&self.kernel, level, id, &self.line(midi_out::QUEUE));
                Err(error)
            }
        }
    }

    pub(super) fn open_render_on_card(&self, level: Passive, id: u32) -> Result<(), CardError> {
        let request = StreamOpen {
            stream: id.into(),
            kind: StreamKind::RENDER.0.into(),
            sample_rate: 0.into(),
            channels: 0.into(),
            bits: 0.into(),
        };
        self.open_on_card(level, &request)
    }

    /// Closes a render stream: its events go home, and when this returns nobody uses the home any more.
    pub fn close_render(&self, level: Passive, id: u32) {
        self.midi_out.set_state(level.into(), id, KsState::STOP, &self.line(midi_out::QUEUE));
        self.close_stream(level, id);
        self.midi_out.remove(&self.kernel, level, id, &self.line(midi_out::QUEUE));
    }

    /// Sets a render stream's state.
    ///
    /// # Errors
    /// The card does not follow. On the way down the driver does so all the same.
    pub fn set_render_state(&self, level: Passive, id: u32, state: KsState) -> Result<(), CardError> {
        let recovered = self.recover(level);
        let line = self.line(midi_out::QUEUE);
        if state < KsState::RUN {
            // First nothing more goes out, then the card learns of it, after the batches that were there before.
            self.midi_out.set_state(level.into(), id, state, &line);
            self.midi_out.wait_until_taken(level, DRAIN_MILLISECONDS, &line);
        }
        recovered?;
        match self.set_stream_state(level, id, state) {
            // The state is remembered, and the card learns it when it is on again.
            Ok(()) | Err(CardError::Control(ControlError::Off)) => {}
            Err(error) => return Err(error),
        }
        if state >= KsState::RUN {
            self.midi_out.set_state(level.into(), id, KsState::RUN, &line);
        }
        Ok(())
    }

    /// Takes events for a render stream. They are the driver's from here on, whatever happens.
    ///
    /// # Safety
    /// `events` is null, or a chain that came from the stream's home and that nobody else uses.
    #[allow(unsafe_code, reason = "passes the caller's promise on")]
    pub unsafe fn put(&self, level: AtMostDispatch, id: u32, events: *mut DmusKernelEvent) {
        // SAFETY: the caller's promise.
        unsafe { self.midi_out.put(level, id, events, &self.line(midi_out::QUEUE)) };
    }
}
