//! Render streams.

use card_spec::control::{StreamKind, StreamOpen};
use portcls::event::DmusKernelEvent;
use portcls::ks::KsState;

use super::device::Card;
use super::error::CardError;
use crate::control::ControlError;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::Kernel;
use crate::midi_out::Groups;

/// How long the card may take for the batches that it has before a stream leaves `RUN` all the same.
const DRAIN_MILLISECONDS: u32 = 50;

impl<K: Kernel> Card<K> {
    /// Opens a render stream in state `STOP`, and returns its number. The caller keeps the allocator until
    /// [`close_render`](Self::close_render) has returned.
    ///
    /// # Errors
    /// [`CardError::NoStream`] when all render streams are open; [`CardError::Control`] when the card does not open it;
    /// and why a card that needs a reset does not recover.
    pub fn open_render(&self, level: Passive, groups: Groups, allocator: K::Allocator) -> Result<u32, CardError> {
        self.recover(level)?;
        self.without_recovery(level, || {
            let id = self.queues.midi_out.add(level.into(), groups, allocator).ok_or(CardError::NoStream)?;
            self.open_render_on_card(level, id).inspect_err(|_| {
                self.queues.midi_out.remove(&self.kernel, level, id, self);
            })?;
            Ok(id)
        })
    }

    /// Opens a render stream on the card.
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

    /// Closes a render stream and gives its events back. When this returns the allocator is not used any more.
    pub fn close_render(&self, level: Passive, id: u32) {
        self.queues.midi_out.set_state(level.into(), id, KsState::STOP, self);
        self.close_stream(level, id);
        self.queues.midi_out.remove(&self.kernel, level, id, self);
    }

    /// Sets a render stream's state.
    ///
    /// # Errors
    /// [`CardError::Control`] when the card does not take the state, and why a card that needs a reset does not
    /// recover. On the way down the driver's stream changes its state all the same.
    pub fn set_render_state(&self, level: Passive, id: u32, state: KsState) -> Result<(), CardError> {
        let recovered = self.recover(level);
        if state < KsState::RUN {
            // First no more batches are sent; then the card gets the state, after the batches that it has.
            self.queues.midi_out.set_state(level.into(), id, state, self);
            self.queues.midi_out.wait_until_taken(level, DRAIN_MILLISECONDS, self);
        }
        recovered?;
        loop {
            let epoch = self.epoch();
            match self.set_stream_state(level, id, state) {
                // The state is kept, and sent when the card is on again.
                Ok(()) | Err(CardError::Control(ControlError::Off)) => {}
                Err(error) => return Err(error),
            }
            if state >= KsState::RUN {
                self.queues.midi_out.set_state(level.into(), id, KsState::RUN, self);
            }
            // A card that was reset meanwhile has got the state that the stream had before.
            if self.epoch() == epoch {
                return Ok(());
            }
        }
    }

    /// Takes a chain of events for a render stream. The events are the driver's from here on, whatever the state.
    ///
    /// # Safety
    /// `events` is null, or a chain that came from the stream's allocator and that no other code uses.
    #[allow(unsafe_code, reason = "passes the caller's promise on")]
    pub unsafe fn put(&self, level: AtMostDispatch, id: u32, events: *mut DmusKernelEvent) {
        // SAFETY: the caller's promise.
        unsafe { self.queues.midi_out.put(level, id, events, self) };
    }
}
