//! Finds and opens the pins that a song needs.

use guest_protocol::{DataRange, Handle, PinFactory, Request, StreamFormat};

use super::error::TestBedError;
use super::session::{OpenedFilter, Session, StartedDevice};
use super::synthesizer::{ask_port_parameters, inspect, set_channel_groups};
use crate::machine::Health;
use crate::sound::midi::CHANNEL_GROUP;
use crate::sound::pcm::{BITS, CHANNELS};

/// The pins that a song needs.
#[derive(Clone, Copy, Debug)]
pub struct Pins {
    /// The filter that has both.
    pub filter: Handle,
    /// The pin that takes events.
    pub render: Handle,
    /// The pin that gives PCM.
    pub wave: Handle,
}

/// Chooses the pin that takes the events, and the number of channel groups.
#[derive(Clone, Copy, Debug)]
pub struct PinOptions {
    /// Opens the legacy MIDI format, whose times are whole milliseconds, instead of the DirectMusic format.
    pub midi_pin: bool,
    /// The number of channel groups that is requested from the synthesizer.
    pub channel_groups: u32,
}

impl Default for PinOptions {
    fn default() -> Self {
        Self { midi_pin: false, channel_groups: CHANNEL_GROUP }
    }
}

/// Opens the first filter that has both a DirectMusic render pin and a PCM pin of the rate, by their data ranges:
/// [inspects](inspect) it, opens the pins, and [reads](ask_port_parameters) the port parameters.
///
/// # Errors
/// [`TestBedError::NoPins`] where no filter has both; [`TestBedError::WrongFormatOpened`] where the wave pin opens as music;
/// [`TestBedError::Session`] for what the guest says.
pub fn open_pins<H: Health>(
    session: &mut Session<'_, H>,
    device: &StartedDevice,
    sample_rate: u32,
) -> Result<Pins, TestBedError> {
    open_pins_with(session, device, sample_rate, PinOptions::default())
}

/// Opens pins as [`open_pins`] does, with options.
///
/// # Errors
/// [`TestBedError::NoPins`] where no filter has both; [`TestBedError::WrongFormatOpened`] where the wave pin opens as music;
/// [`TestBedError::Session`] for what the guest says.
pub fn open_pins_with<H: Health>(
    session: &mut Session<'_, H>,
    device: &StartedDevice,
    sample_rate: u32,
    options: PinOptions,
) -> Result<Pins, TestBedError> {
    let (carries, format) = if options.midi_pin {
        (DataRange::Midi, StreamFormat::Midi)
    } else {
        (DataRange::DirectMusic, StreamFormat::DirectMusic)
    };
    let mut found = String::new();
    for subdevice in &device.subdevices {
        let opened = session.open_filter(subdevice)?;
        let OpenedFilter { handle: filter, ref pins, .. } = opened;
        let render = pins.iter().position(|pin| is_render(pin, carries));
        let wave = pins.iter().position(|pin| is_wave(pin, sample_rate));
        if let (Some(render), Some(wave)) = (render, wave) {
            inspect(session, &opened, wave as u32)?;
            // The wave pin first: it owns the sample clock that the events are timed against.
            let pcm = StreamFormat::Pcm { sample_rate, channels: CHANNELS, bits: BITS };
            let wave = session.create_pin(filter, wave as u32, pcm)?;
            let render = session.create_pin(filter, render as u32, format)?;
            ask_port_parameters(session, &opened, render)?;
            if options.channel_groups > CHANNEL_GROUP {
                set_channel_groups(session, &opened, render, options.channel_groups)?;
            }
            return Ok(Pins { filter, render, wave });
        }
        session.done("close a filter", Request::Close(filter))?;
        for (number, pin) in pins.iter().enumerate() {
            let flow = if pin.flow_in { "in" } else { "out" };
            found += &format!("  {subdevice}, pin {number}: {flow}, carries {:?}\n", pin.data_ranges);
        }
    }
    Err(TestBedError::NoPins { sample_rate, found })
}

fn is_render(pin: &PinFactory, carries: DataRange) -> bool {
    pin.flow_in && pin.instances > 0 && pin.data_ranges.contains(&carries)
}

fn is_wave(pin: &PinFactory, rate: u32) -> bool {
    let carries_rate = |carries: &DataRange| {
        matches!(carries, DataRange::Pcm { sample_rate_min, sample_rate_max, channels, bits }
            if (*sample_rate_min..=*sample_rate_max).contains(&rate)
                && *channels >= u32::from(CHANNELS)
                && *bits >= u32::from(BITS))
    };
    !pin.flow_in && pin.instances > 0 && pin.data_ranges.iter().any(carries_rate)
}
