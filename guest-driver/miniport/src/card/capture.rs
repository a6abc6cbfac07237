//! The capture stream.

use card_spec::control::{StreamKind, StreamOpen};
use card_spec::identity::capability;
use portcls::ReferenceTime;
use portcls::ks::KsState;

use super::device::{CAPTURE_STREAM, Card};
use super::error::CardError;
use crate::control::ControlError;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::Kernel;
use crate::log::Part;
use crate::midi_in::{NoOutlet, Outlet};

impl<K: Kernel> Card<K> {
    /// Opens the capture stream, in state `STOP`, at this master time, if there is a clock.
    ///
    /// # Errors
    /// [`CardError::NoCapture`] when the card does not capture; [`CardError::NoStream`] when the stream is open
    /// already; [`CardError::Control`] when the card does not open it; and why a card that needs a reset does not
    /// recover.
    pub fn open_capture(&self, level: Passive, now: Option<ReferenceTime>) -> Result<(), CardError> {
        self.recover(level)?;
        if !self.has(capability::CAPTURE) {
            self.kernel.log(&[Part::Text("there is no capture stream: this card does not capture")]);
            return Err(CardError::NoCapture);
        }
        self.without_recovery(level, || {
            if !self.queues.midi_in.open(level.into(), now) {
                return Err(CardError::NoStream);
            }
            self.open_capture_on_card(level).inspect_err(|_| self.queues.midi_in.close(&self.kernel, level))
        })
    }

    /// Opens the capture stream on the card.
    pub(super) fn open_capture_on_card(&self, level: Passive) -> Result<(), CardError> {
        let request = StreamOpen {
            stream: CAPTURE_STREAM.into(),
            kind: StreamKind::CAPTURE.0.into(),
            sample_rate: 0.into(),
            channels: 0.into(),
            bits: 0.into(),
        };
        self.open_on_card(level, &request)
    }

    /// Closes the capture stream. When this returns its outlet is not used any more.
    pub fn close_capture(&self, level: Passive) {
        let lost = self.queues.midi_in.lost(level.into());
        if lost != 0 {
            self.kernel.log(&[Part::Number(lost), Part::Text(" captured messages or batches were lost")]);
        }
        self.close_stream(level, CAPTURE_STREAM);
        self.queues.midi_in.close(&self.kernel, level);
        self.drain_capture(level.into(), None::<&NoOutlet>);
    }

    /// Sets the capture stream's state. Below `PAUSE` captured messages are discarded, those that wait included.
    ///
    /// # Errors
    /// [`CardError::Control`] when the card does not take the state, and why a card that needs a reset does not
    /// recover. On the way down the driver's stream changes its state all the same.
    pub fn set_capture_state(&self, level: Passive, state: KsState) -> Result<(), CardError> {
        let recovered = self.recover(level);
        if state > KsState::ACQUIRE {
            recovered?;
        }
        self.queues.midi_in.set_state(level.into(), state);
        let result = match recovered.and_then(|()| self.set_stream_state(level, CAPTURE_STREAM, state)) {
            // The state is kept, and sent when the card is on again.
            Ok(()) | Err(CardError::Control(ControlError::Off)) => Ok(()),
            Err(error) => Err(error),
        };
        if state < KsState::PAUSE {
            self.drain_capture(level.into(), None::<&NoOutlet>);
            self.wait_for_capture(level);
        }
        result
    }

    /// Turns captured messages into events for the outlet. Without an outlet they are discarded.
    pub fn drain_capture(&self, level: AtMostDispatch, outlet: Option<&impl Outlet>) {
        self.queues.midi_in.drain(level, self, outlet);
    }

    /// Waits until no [`drain_capture`](Self::drain_capture) is under way. A later one sees what the caller has
    /// changed.
    pub fn wait_for_capture(&self, level: Passive) {
        self.queues.midi_in.wait_until_idle(&self.kernel, level);
    }

    /// Returns how many messages and batches were lost since the stream was opened.
    pub fn capture_lost(&self, level: AtMostDispatch) -> u64 {
        self.queues.midi_in.lost(level)
    }
}
