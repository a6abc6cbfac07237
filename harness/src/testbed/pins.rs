//! Finds and opens the pins that a song needs, in the format that they have.

use guest_protocol::{DataRange, Handle, PinFactory, Request, StreamFormat};

use super::error::TestBedError;
use super::session::{OpenedFilter, Session, SessionError, StartedDevice};
use super::synthesizer::{ask_port_parameters, channel_groups_max, inspect, set_channel_groups};
use crate::machine::Health;
use crate::sound::midi::{CHANNEL_GROUP, MidiEvent, Song, write_music_records, write_records};
use crate::sound::pcm::{CHANNELS, PcmFormat};

/// Frames a second that are chosen where a pin has them and no option names a rate.
pub const RATE_DEFAULT: u32 = 48_000;

/// Bits of a sample that the harness reads, the better ones first.
const BITS_READ: [u16; 2] = [16, 8];

/// The format in which a pin takes a song.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MusicFormat {
    /// DirectMusic buffer records, in units of 100 ns.
    DirectMusic,
    /// `KSMUSICFORMAT` records, in whole milliseconds and without channel groups.
    Midi,
}

impl MusicFormat {
    /// The formats in the order in which they are preferred.
    const ALL: [Self; 2] = [Self::DirectMusic, Self::Midi];

    /// Returns the format to connect a pin with.
    #[must_use]
    pub const fn stream_format(self) -> StreamFormat {
        match self {
            Self::DirectMusic => StreamFormat::DirectMusic,
            Self::Midi => StreamFormat::Midi,
        }
    }

    /// Returns the data range of a pin that carries it.
    const fn data_range(self) -> DataRange {
        match self {
            Self::DirectMusic => DataRange::DirectMusic,
            Self::Midi => DataRange::Midi,
        }
    }

    /// Returns the song with the times that the format can carry.
    #[must_use]
    pub fn song(self, song: &Song) -> Song {
        match self {
            Self::DirectMusic => song.clone(),
            Self::Midi => song.in_whole_milliseconds(),
        }
    }

    /// Returns the records of events, one after another.
    #[must_use]
    pub fn records(self, events: &[MidiEvent]) -> Vec<u8> {
        match self {
            Self::DirectMusic => write_records(events),
            Self::Midi => write_music_records(events),
        }
    }
}

/// The pins that a song with sound needs.
#[derive(Clone, Copy, Debug)]
pub struct Pins {
    /// The filter that has both.
    pub filter: Handle,
    /// The pin that takes events.
    pub render: Handle,
    /// The format of the events.
    pub music: MusicFormat,
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
    /// The format of the events.
    pub music: MusicFormat,
    /// The pin that gives PCM, and its format.
    pub wave: Option<(Handle, PcmFormat)>,
}

/// Chooses the pin that takes the events, and the number of channel groups.
#[derive(Clone, Copy, Debug)]
pub struct PinOptions {
    /// The only format of events that is wanted; without, DirectMusic where a pin carries it, else MIDI.
    pub music: Option<MusicFormat>,
    /// The number of channel groups that is requested from the synthesizer.
    pub channel_groups: u32,
    /// Frames a second; without, the pin's data ranges decide, [`RATE_DEFAULT`] where they have it.
    pub sample_rate: Option<u32>,
    /// Whether a filter without a pin that gives PCM is enough, where no filter has both.
    pub without_wave: bool,
}

impl Default for PinOptions {
    fn default() -> Self {
        Self { music: None, channel_groups: CHANNEL_GROUP, sample_rate: None, without_wave: false }
    }
}

/// Opens the first filter that has both a render pin for music and a PCM pin of the rate, by their data ranges:
/// [inspects](inspect) it, opens the pins, and [reads](ask_port_parameters) the port parameters. A filter with a DirectMusic
/// pin is preferred to one with MIDI pins only. Without a rate, the PCM pin's data ranges decide the format.
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
    let SongPins { filter, render, music, wave } = open_song_pins(session, device, options)?;
    let Some((wave, format)) = wave else {
        return Err(TestBedError::NoPins { sample_rate: options.sample_rate, found: String::new() });
    };
    Ok(Pins { filter, render, music, wave, format })
}

/// The pins of a filter that a song can be played through.
#[derive(Clone, Copy, Debug)]
struct Candidate<'a> {
    subdevice: &'a str,
    render: u32,
    music: MusicFormat,
    wave: Option<(u32, PcmFormat)>,
}

impl<'a> Candidate<'a> {
    /// Returns what a filter offers; `None` without a render pin of a wanted format, and for a filter that gives PCM in no
    /// format that is wanted.
    fn of(subdevice: &'a str, filter: &OpenedFilter, options: PinOptions) -> Option<Self> {
        let OpenedFilter { pins, data_path, .. } = filter;
        let wanted = |music: &MusicFormat| options.music.is_none_or(|only| only == *music);
        let render_of = |music: MusicFormat| Some((pins.iter().position(|pin| is_render(pin, music))? as u32, music));
        let (render, music) = MusicFormat::ALL.into_iter().filter(wanted).filter(|_| *data_path).find_map(render_of)?;
        let streamed = |pin: &&PinFactory| pin.not_streamed.is_none();
        let wave = pins
            .iter()
            .zip(0..)
            .filter(|(pin, _)| streamed(pin))
            .find_map(|(pin, id)| Some((id, wave_format(pin, options.sample_rate)?)));
        let gives_pcm = pins.iter().filter(streamed).any(|pin| !pin.flow_in && pin.data_ranges.iter().any(is_pcm));
        (wave.is_some() || !gives_pcm).then_some(Self { subdevice, render, music, wave })
    }

    /// Returns how good it is, the least being the best: with PCM before without, DirectMusic before MIDI.
    fn rank(&self) -> (bool, bool) {
        (self.wave.is_none(), self.music == MusicFormat::Midi)
    }
}

/// Opens pins as [`open_pins`] does, with options.
///
/// # Errors
/// [`TestBedError::NoPins`] where no filter has what is needed; [`TestBedError::ChannelGroups`] where the synthesizer has fewer
/// channel groups than are wanted; [`TestBedError::WrongFormatOpened`] where the wave pin opens as music;
/// [`TestBedError::Session`] for what the guest says.
pub fn open_song_pins<H: Health>(
    session: &mut Session<'_, H>,
    device: &StartedDevice,
    options: PinOptions,
) -> Result<SongPins, TestBedError> {
    let mut found = String::new();
    let mut best: Option<Candidate<'_>> = None;
    for subdevice in &device.subdevices {
        let opened = session.open_filter(subdevice)?;
        let candidate = Candidate::of(subdevice, &opened, options);
        if let Some(candidate) = candidate.filter(|candidate| candidate.rank() == (false, false)) {
            return open_candidate(session, &opened, candidate, options);
        }
        session.done("close a filter", Request::Close(opened.handle))?;
        let allowed = candidate.filter(|candidate| candidate.wave.is_some() || options.without_wave);
        best = best.into_iter().chain(allowed).min_by_key(Candidate::rank);
        for (number, pin) in opened.pins.iter().enumerate() {
            let flow = if pin.flow_in { "in" } else { "out" };
            let opens = match &pin.not_streamed {
                Some(reason) => format!(", which this guest does not stream: {reason}"),
                None if opened.data_path => String::new(),
                None => ", which the guest has no data path for".into(),
            };
            found += &format!("  {subdevice}, pin {number}: {flow}, carries {:?}{opens}\n", pin.data_ranges);
        }
    }
    let Some(candidate) = best else {
        refused_by_guest(session, device, options)?;
        return Err(TestBedError::NoPins { sample_rate: options.sample_rate, found });
    };
    let opened = session.open_filter(candidate.subdevice)?;
    open_candidate(session, &opened, candidate, options)
}

/// Asks the guest to open the first PCM pin that it says it does not stream, where there is one: it then says that it cannot, which is
/// no fault of the driver's.
fn refused_by_guest<H: Health>(
    session: &mut Session<'_, H>,
    device: &StartedDevice,
    options: PinOptions,
) -> Result<(), TestBedError> {
    for subdevice in &device.subdevices {
        let opened = session.open_filter(subdevice)?;
        let mut pins = opened.pins.iter().zip(0..).filter(|(pin, _)| pin.not_streamed.is_some());
        let wave = pins.find_map(|(pin, id)| Some((id, wave_format(pin, options.sample_rate)?)));
        let asked = wave.map(|(id, PcmFormat { sample_rate, channels, bits })| {
            session.create_pin(opened.handle, id, StreamFormat::Pcm { sample_rate, channels, bits })
        });
        let refused = match asked {
            Some(Ok(pin)) => {
                session.done("close a pin", Request::Close(pin))?;
                None
            }
            Some(Err(error @ SessionError::Refused { .. })) => Some(error).filter(SessionError::is_unsupported),
            Some(Err(error)) => return Err(error.into()),
            None => None,
        };
        session.done("close a filter", Request::Close(opened.handle))?;
        if let Some(error) = refused {
            return Err(error.into());
        }
    }
    Ok(())
}

/// Opens the pins of an open filter.
fn open_candidate<H: Health>(
    session: &mut Session<'_, H>,
    opened: &OpenedFilter,
    candidate: Candidate<'_>,
    options: PinOptions,
) -> Result<SongPins, TestBedError> {
    let Candidate { render, music, wave, .. } = candidate;
    let filter = opened.handle;
    // The wave pin first: it owns the sample clock that the events are timed against.
    let wave = match wave {
        Some((id, pcm)) => {
            inspect(session, opened, id)?;
            let PcmFormat { sample_rate, channels, bits } = pcm;
            Some((session.create_pin(filter, id, StreamFormat::Pcm { sample_rate, channels, bits })?, pcm))
        }
        None => None,
    };
    let render = session.create_pin(filter, render, music.stream_format())?;
    ask_port_parameters(session, opened, render)?;
    if options.channel_groups > CHANNEL_GROUP {
        // A legacy MIDI stream has no groups.
        let has = match music {
            MusicFormat::DirectMusic => channel_groups_max(session, opened, render)?,
            MusicFormat::Midi => CHANNEL_GROUP,
        };
        if has < options.channel_groups {
            return Err(TestBedError::ChannelGroups { wanted: options.channel_groups, has });
        }
        set_channel_groups(session, opened, render, options.channel_groups)?;
    }
    Ok(SongPins { filter, render, music, wave })
}

fn is_render(pin: &PinFactory, music: MusicFormat) -> bool {
    pin.flow_in && pin.instances > 0 && pin.not_streamed.is_none() && pin.data_ranges.contains(&music.data_range())
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
        PinFactory {
            flow_in: false,
            communication: 1,
            instances: 1,
            data_ranges: vec![DataRange::Other, range],
            not_streamed: None,
        }
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
