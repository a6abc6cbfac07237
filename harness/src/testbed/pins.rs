//! Finds and opens the pins that a song needs, in the format that they have.

use guest_protocol::{DataRange, Handle, PinFactory, Request, StreamFormat};

use super::error::TestBedError;
use super::session::{OpenedFilter, Session, StartedDevice};
use super::synthesizer::{ask_port_parameters, inspect, set_channel_groups};
use crate::machine::Health;
use crate::sound::midi::CHANNEL_GROUP;
use crate::sound::pcm::{CHANNELS, PcmFormat};

/// Frames a second that are chosen where a pin has them and no option names a rate.
pub const RATE_DEFAULT: u32 = 48_000;

/// Bits of a sample that the harness reads, the better ones first.
const BITS_READ: [u16; 2] = [16, 8];

/// The pins that a song with sound needs.
#[derive(Clone, Copy, Debug)]
pub struct Pins {
    /// The filter that has both.
    pub filter: Handle,
    /// The pin that takes events.
    pub render: Handle,
    /// The pin that gives PCM.
    pub wave: Handle,
    /// The format of the PCM.
    pub format: PcmFormat,
}

/// The pins of a song, of which a MIDI-only filter has one.
#[derive(Clone, Copy, Debug)]
pub struct SongPins {
    /// The filter.
    pub filter: Handle,
    /// The pin that takes events.
    pub render: Handle,
    /// The pin that gives PCM, and its format.
    pub wave: Option<(Handle, PcmFormat)>,
}

/// Chooses the pin that takes the events, and the number of channel groups.
#[derive(Clone, Copy, Debug)]
pub struct PinOptions {
    /// Opens the legacy MIDI format, whose times are whole milliseconds, instead of the DirectMusic format.
    pub midi_pin: bool,
    /// The number of channel groups that is requested from the synthesizer.
    pub channel_groups: u32,
    /// Frames a second; without, the pin's data ranges decide, [`RATE_DEFAULT`] where they have it.
    pub sample_rate: Option<u32>,
    /// Whether a filter without a pin that gives PCM is enough, where no filter has both.
    pub without_wave: bool,
}

impl Default for PinOptions {
    fn default() -> Self {
        Self { midi_pin: false, channel_groups: CHANNEL_GROUP, sample_rate: None, without_wave: false }
    }
}

/// Opens the first filter that has both a DirectMusic render pin and a PCM pin of the rate, by their data ranges:
/// [inspects](inspect) it, opens the pins, and [reads](ask_port_parameters) the port parameters. Without a rate, the pin's
/// data ranges decide the format.
///
/// # Errors
/// [`TestBedError::NoPins`] where no filter has both; [`TestBedError::WrongFormatOpened`] where the wave pin opens as music;
/// [`TestBedError::Session`] for what the guest says.
pub fn open_pins<H: Health>(
    session: &mut Session<'_, H>,
    device: &StartedDevice,
    sample_rate: impl Into<Option<u32>>,
) -> Result<Pins, TestBedError> {
    let options = PinOptions { sample_rate: sample_rate.into(), ..PinOptions::default() };
    let SongPins { filter, render, wave } = open_song_pins(session, device, options)?;
    let Some((wave, format)) = wave else {
        return Err(TestBedError::NoPins { sample_rate: options.sample_rate, found: String::new() });
    };
    Ok(Pins { filter, render, wave, format })
}

/// Opens pins as [`open_pins`] does, with options. A driver with a synthesizer may have no pin of the DirectMusic format: its
/// MIDI pin is opened then.
///
/// # Errors
/// [`TestBedError::NoPins`] where no filter has what is needed; [`TestBedError::WrongFormatOpened`] where the wave pin opens as
/// music; [`TestBedError::Session`] for what the guest says.
pub fn open_song_pins<H: Health>(
    session: &mut Session<'_, H>,
    device: &StartedDevice,
    options: PinOptions,
) -> Result<SongPins, TestBedError> {
    let (carries, format) = if options.midi_pin {
        (DataRange::Midi, StreamFormat::Midi)
    } else {
        (DataRange::DirectMusic, StreamFormat::DirectMusic)
    };
    let mut found = String::new();
    let mut midi_only = None;
    for subdevice in &device.subdevices {
        let opened = session.open_filter(subdevice)?;
        let OpenedFilter { handle: filter, ref pins, data_path, .. } = opened;
        let render = pins.iter().position(|pin| data_path && is_render(pin, carries));
        let wave = pins.iter().zip(0..).find_map(|(pin, id)| Some((id, wave_format(pin, options.sample_rate)?)));
        let wave = wave.filter(|_| data_path);
        if let (Some(render), Some((id, pcm))) = (render, wave) {
            inspect(session, &opened, id)?;
            // The wave pin first: it owns the sample clock that the events are timed against.
            let PcmFormat { sample_rate, channels, bits } = pcm;
            let wave = session.create_pin(filter, id, StreamFormat::Pcm { sample_rate, channels, bits })?;
            let render = session.create_pin(filter, render as u32, format)?;
            ask_port_parameters(session, &opened, render)?;
            if options.channel_groups > CHANNEL_GROUP {
                set_channel_groups(session, &opened, render, options.channel_groups)?;
            }
            return Ok(SongPins { filter, render, wave: Some((wave, pcm)) });
        }
        session.done("close a filter", Request::Close(filter))?;
        let gives_pcm = pins.iter().any(|pin| !pin.flow_in && pin.data_ranges.iter().any(is_pcm));
        if let Some(render) = render.filter(|_| !gives_pcm) {
            midi_only.get_or_insert((subdevice, render as u32));
        }
        for (number, pin) in pins.iter().enumerate() {
            let flow = if pin.flow_in { "in" } else { "out" };
            let opens = if data_path { "" } else { ", which the guest has no data path for" };
            found += &format!("  {subdevice}, pin {number}: {flow}, carries {:?}{opens}\n", pin.data_ranges);
        }
    }
    if let Some((subdevice, render)) = midi_only.filter(|_| options.without_wave) {
        let opened = session.open_filter(subdevice)?;
        let render = session.create_pin(opened.handle, render, format)?;
        return Ok(SongPins { filter: opened.handle, render, wave: None });
    }
    Err(TestBedError::NoPins { sample_rate: options.sample_rate, found })
}

fn is_render(pin: &PinFactory, carries: DataRange) -> bool {
    pin.flow_in && pin.instances > 0 && pin.data_ranges.contains(&carries)
}

const fn is_pcm(carries: &DataRange) -> bool {
    matches!(carries, DataRange::Pcm { .. })
}

/// Returns the format in which a pin gives PCM that the harness can read; at a rate, if one is wanted.
#[must_use]
pub fn wave_format(pin: &PinFactory, wanted: Option<u32>) -> Option<PcmFormat> {
    if pin.flow_in || pin.instances == 0 {
        return None;
    }
    pin.data_ranges.iter().find_map(|range| range_format(range, wanted))
}

/// Returns the format that is chosen of a data range: the wanted rate or nothing, else [`RATE_DEFAULT`] or the nearest rate;
/// two channels if there are two; 16 bits if there are.
fn range_format(range: &DataRange, wanted: Option<u32>) -> Option<PcmFormat> {
    let DataRange::Pcm { sample_rate_min, sample_rate_max, channels, bits, bits_min } = *range else { return None };
    // A range whose least is more than its most has nothing in it.
    if sample_rate_min > sample_rate_max || sample_rate_max == 0 || channels == 0 {
        return None;
    }
    let sample_rate = match wanted {
        Some(rate) => (sample_rate_min..=sample_rate_max).contains(&rate).then_some(rate)?,
        None => RATE_DEFAULT.clamp(sample_rate_min.max(1), sample_rate_max),
    };
    let bits = BITS_READ.into_iter().find(|read| (bits_min..=bits).contains(&u32::from(*read)))?;
    // At least one channel, and at most two.
    let channels = if channels == 1 { 1 } else { CHANNELS };
    Some(PcmFormat { sample_rate, channels, bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(rates: (u32, u32), channels: u32, bits: (u32, u32)) -> PinFactory {
        let range = DataRange::Pcm {
            sample_rate_min: rates.0,
            sample_rate_max: rates.1,
            channels,
            bits: bits.1,
            bits_min: bits.0,
        };
        PinFactory { flow_in: false, communication: 1, instances: 1, data_ranges: vec![DataRange::Other, range] }
    }

    #[test]
    fn the_pins_own_data_range_decides_the_format() {
        let format = |pin: &PinFactory| wave_format(pin, None).unwrap().to_string();
        assert_eq!(format(&pin((11_025, 96_000), 2, (16, 16))), "48000 Hz, 2 channels, 16 bits");
        assert_eq!(format(&pin((22_050, 22_050), 1, (16, 16))), "22050 Hz, 1 channel, 16 bits");
        assert_eq!(format(&pin((8_000, 22_050), 1, (8, 8))), "22050 Hz, 1 channel, 8 bits");
        assert_eq!(format(&pin((96_000, 192_000), 6, (8, 24))), "96000 Hz, 2 channels, 16 bits");
    }

    #[test]
    fn a_rate_that_is_wanted_is_had_or_there_is_no_pin() {
        let fixed = pin((22_050, 22_050), 1, (16, 16));
        assert_eq!(wave_format(&fixed, Some(22_050)).unwrap().sample_rate, 22_050);
        assert_eq!(wave_format(&fixed, Some(48_000)), None);
        assert_eq!(wave_format(&pin((44_100, 48_000), 2, (24, 32)), None), None, "no bits that the harness reads");
        assert_eq!(wave_format(&pin((48_000, 44_100), 2, (16, 16)), None), None, "an empty range");
        assert_eq!(wave_format(&PinFactory { flow_in: true, ..fixed.clone() }, None), None);
    }
}
