//! The capture stream.

use card_spec::control::{StreamKind, StreamOpen};
use card_spec::identity::capability;
use portcls::ks::KsState;

use super::{CAPTURE_STREAM, Card, CardError};
use crate::control::ControlError;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::Kernel;
use crate::log::Part;
use crate::midi_in::{self, Nobody, Outlet};

impl<K: Kernel> Card<K> {
    /// Opens the capture stream, in state `STOP`.
    ///
    /// # Errors
    /// [`CardError::NoCapture`] when the card captures nothing; [`CardError`].
    pub fn open_capture(&self, level: Passive) -> Result<(), CardError> {
        self.recover(level)?;
        if !self.has(capability::CAPTURE) {
            self.kernel.log(&[Part::Text("there is no capture stream: this card does not capture")]);
            return Err(CardError::NoCapture);
        }
        if !self.midi_in.open(level.into()) {
            return Err(CardError::NoStream);
        }
        self.open_capture_on_card(level).inspect_err(|_| self.midi_in.close(&self.kernel, level))
    }

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

    /// Closes the capture stream: when this returns, nobody uses its outlet any more.
    pub fn close_capture(&self, level: Passive) {
        let lost = self.midi_in.lost(level.into());
        if lost != 0 {
            self.kernel.log(&[Part::Number(lost), Part::Text(" captured messages or batches were lost")]);
        }
        self.close_stream(level, CAPTURE_STREAM);
        self.midi_in.close(&self.kernel, level);
        self.drain_capture(level.into(), None::<&Nobody>);
    }

    /// Sets the capture stream's state: below `PAUSE` what is captured is discarded, and what was captured before too.
    ///
    /// # Errors
    /// The card does not follow. On the way down the driver does so all the same.
    pub fn set_capture_state(&self, level: Passive, state: KsState) -> Result<(), CardError> {
        let recovered = self.recover(level);
        if state > KsState::ACQUIRE {
            recovered?;
        }
        self.midi_in.set_state(level.into(), state);
        let result = match recovered.and_then(|()| self.set_stream_state(level, CAPTURE_STREAM, state)) {
            // The state is remembered, and the card learns it when it is on again.
            Ok(()) | Err(CardError::Control(ControlError::Off)) => Ok(()),
            Err(error) => Err(error),
        };
        if state < KsState::PAUSE {
            self.drain_capture(level.into(), None::<&Nobody>);
            self.wait_for_capture(level);
        }
        result
    }

    /// Turns what has been captured into events for the outlet; with none, it is discarded.
    pub fn drain_capture(&self, level: AtMostDispatch, outlet: Option<&impl Outlet>) {
        self.midi_in.drain(level, &self.line(midi_in::QUEUE), outlet);
    }

    /// Waits until nobody turns captured data into events: whoever does so later sees what the caller has changed.
    pub fn wait_for_capture(&self, level: Passive) {
        self.midi_in.wait_until_idle(&self.kernel, level);
    }

    /// Messages and batches that were lost since the stream was opened.
    pub fn capture_lost(&self, level: AtMostDispatch) -> u64 {
        self.midi_in.lost(level)
    }
}
