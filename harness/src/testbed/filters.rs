//! Opens filters by what their pins carry.

use guest_protocol::{DataRange, PinFactory, Request, StreamFormat};

use super::bed::TestBed;
use super::error::TestBedError;
use super::session::{OpenedFilter, StartedDevice};

impl TestBed<'_> {
    /// Opens the first filter with a pin that opens and for which `wanted` holds. Returns the filter and the pin.
    ///
    /// # Errors
    /// [`TestBedError::Session`] for what the guest says.
    pub fn open_filter_with(
        &mut self,
        device: &StartedDevice,
        wanted: impl Fn(&PinFactory) -> bool,
    ) -> Result<Option<(OpenedFilter, u32)>, TestBedError> {
        for subdevice in &device.subdevices {
            let filter = self.session.open_filter(subdevice)?;
            let pins = if filter.data_path { filter.pins.as_slice() } else { &[] };
            if let Some(pin) = pins.iter().position(|pin| pin.instances > 0 && wanted(pin)) {
                return Ok(Some((filter, pin as u32)));
            }
            self.session.done("close a filter", Request::Close(filter.handle))?;
        }
        Ok(None)
    }

    /// Opens the first filter with a pin to send DirectMusic events or MIDI to. Returns it with that pin and its format.
    ///
    /// # Errors
    /// [`TestBedError::Session`] for what the guest says.
    pub fn open_music_filter(
        &mut self,
        device: &StartedDevice,
    ) -> Result<Option<(OpenedFilter, u32, StreamFormat)>, TestBedError> {
        for (carries, format) in
            [(DataRange::DirectMusic, StreamFormat::DirectMusic), (DataRange::Midi, StreamFormat::Midi)]
        {
            let wanted = |pin: &PinFactory| pin.flow_in && pin.data_ranges.contains(&carries);
            if let Some((filter, pin)) = self.open_filter_with(device, wanted)? {
                return Ok(Some((filter, pin, format)));
            }
        }
        Ok(None)
    }
}
