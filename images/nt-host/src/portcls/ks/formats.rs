//! Data formats against data ranges: whether a pin can carry a format, and what format two ranges have in common.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::descriptor::{DataRange, Pin};
use crate::portcls::com::abi::{DATA_RANGE_AUDIO_BYTES, DataFormat, WaveFormatEx};
use crate::portcls::com::guids::{self, GUID};

/// `WAVE_FORMAT_PCM`.
const WAVE_FORMAT_PCM: u16 = 1;

/// Bytes of a `KSDATAFORMAT_WAVEFORMATEX`.
const WAVE_FORMAT_BYTES: usize = size_of::<DataFormat>() + size_of::<WaveFormatEx>();

/// Why a format does not fit a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// It is too short to be one, or says that it is longer than it is.
    #[error("a format of {got} bytes says that it has {says}, and a KSDATAFORMAT has at least 64")]
    Length { got: usize, says: u32 },
    /// No data range of the pin matches.
    #[error("no data range of the pin matches the format")]
    NoMatch,
}

/// The limits of a `KSDATARANGE_AUDIO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AudioLimits {
    pub(crate) channels: u32,
    pub(crate) bits_min: u32,
    pub(crate) bits_max: u32,
    pub(crate) rate_min: u32,
    pub(crate) rate_max: u32,
}

impl AudioLimits {
    /// Reads the limits of an audio range; `None` for any other.
    pub(crate) fn of(range: &DataRange) -> Option<Self> {
        let is_audio = range.format.major == guids::KSDATAFORMAT_TYPE_AUDIO
            && range.format.specifier == guids::KSDATAFORMAT_SPECIFIER_WAVEFORMATEX
            && range.bytes.len() >= DATA_RANGE_AUDIO_BYTES as usize;
        is_audio.then(|| Self {
            channels: word(&range.bytes, 64),
            bits_min: word(&range.bytes, 68),
            bits_max: word(&range.bytes, 72),
            rate_min: word(&range.bytes, 76),
            rate_max: word(&range.bytes, 80),
        })
    }
}

/// Returns a `KSDATAFORMAT` for music: 64 bytes, nothing behind it.
pub(crate) fn music(sub: GUID) -> Vec<u8> {
    header(size_of::<DataFormat>(), 0, guids::KSDATAFORMAT_TYPE_MUSIC, sub, guids::KSDATAFORMAT_SPECIFIER_NONE)
}

/// Returns a `KSDATAFORMAT_WAVEFORMATEX` for PCM.
pub(crate) fn pcm(rate: u32, channels: u16, bits: u16) -> Vec<u8> {
    let block = channels.saturating_mul(bits.div_ceil(8));
    let mut bytes = header(
        WAVE_FORMAT_BYTES,
        u32::from(block),
        guids::KSDATAFORMAT_TYPE_AUDIO,
        guids::KSDATAFORMAT_SUBTYPE_PCM,
        guids::KSDATAFORMAT_SPECIFIER_WAVEFORMATEX,
    );
    bytes.extend(WAVE_FORMAT_PCM.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend(rate.saturating_mul(u32::from(block)).to_le_bytes());
    bytes.extend(block.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(0_u16.to_le_bytes());
    bytes
}

/// Checks a connection's format against a pin's data ranges, as the port does before it asks the miniport for a stream.
///
/// # Errors
/// [`Unfit::Length`] for what is no format by its length, [`Unfit::NoMatch`] when no data range of the pin matches.
pub(crate) fn fit(pin: &Pin, format: &[u8]) -> Result<(), Unfit> {
    let says = format.get(..4).map_or(0, |_| word(format, 0));
    if format.len() < size_of::<DataFormat>() || says as usize != format.len() {
        return Err(Unfit::Length { got: format.len(), says });
    }
    let mut of_kind = pin.ranges.iter().filter(|range| is_of_kind(range, format));
    if of_kind.any(|range| AudioLimits::of(range).is_none_or(|limits| within(&limits, format))) {
        Ok(())
    } else {
        Err(Unfit::NoMatch)
    }
}

/// Returns whether a data range of the pin has a format's three GUIDs, which is as far as kernel streaming compares
/// them (KsValidateConnectRequest). The format is a whole one.
pub(crate) fn fits_by_kind(pin: &Pin, format: &[u8]) -> bool {
    pin.ranges.iter().any(|range| is_of_kind(range, format))
}

fn is_of_kind(range: &DataRange, format: &[u8]) -> bool {
    let asked = [guid(format, 16), guid(format, 32), guid(format, 48)];
    [range.format.major, range.format.sub, range.format.specifier]
        .iter()
        .zip(&asked)
        .all(|(offered, asked)| offered == asked || *offered == GUID::default())
}

/// Returns a PCM format that has the kind of an audio range and a rate above it. `None` for another range, and for one
/// without an upper bound.
pub(crate) fn beyond_rate(range: &DataRange) -> Option<Vec<u8>> {
    let limits = AudioLimits::of(range).filter(|_| range.format.sub == guids::KSDATAFORMAT_SUBTYPE_PCM)?;
    Some(pcm(limits.rate_max.checked_add(1)?, limits.channels.min(2) as u16, limits.bits_max as u16))
}

/// Returns the bytes of a frame of a wave format, if it is one.
pub(crate) fn block_align(format: &[u8]) -> Option<u32> {
    (format.len() >= WAVE_FORMAT_BYTES && guid(format, 48) == guids::KSDATAFORMAT_SPECIFIER_WAVEFORMATEX)
        .then(|| u32::from(half(format, 76)))
        .filter(|&block| block != 0)
}

/// Returns whether a format is that of a MIDI pin.
pub(crate) fn is_midi(format: &[u8]) -> bool {
    format.len() >= size_of::<DataFormat>() && guid(format, 32) == guids::KSDATAFORMAT_SUBTYPE_MIDI
}

/// Returns the sample rate of a wave format, if it is one.
pub(crate) fn sample_rate(format: &[u8]) -> Option<u32> {
    block_align(format).map(|_| word(format, 68))
}

/// Returns the bits of a sample of a wave format, if it is one.
pub(crate) fn bits(format: &[u8]) -> Option<u32> {
    block_align(format).map(|_| u32::from(half(format, 78)))
}

/// Returns the format that a client's range and a pin's range have in common: the port's own handler, for miniports
/// that leave it to the port.
pub(crate) fn intersect(client: &[u8], own: &DataRange) -> Option<Vec<u8>> {
    if client.len() < size_of::<DataFormat>() {
        return None;
    }
    let pairs = [(16, own.format.major), (32, own.format.sub), (48, own.format.specifier)];
    let wildcard = GUID::default();
    if !pairs.iter().all(|&(at, ref mine)| guid(client, at) == *mine || guid(client, at) == wildcard) {
        return None;
    }
    match AudioLimits::of(own) {
        None => Some(header(size_of::<DataFormat>(), 0, own.format.major, own.format.sub, own.format.specifier)),
        Some(mine) => {
            let theirs = if client.len() >= DATA_RANGE_AUDIO_BYTES as usize {
                AudioLimits {
                    channels: word(client, 64),
                    bits_min: word(client, 68),
                    bits_max: word(client, 72),
                    rate_min: word(client, 76),
                    rate_max: word(client, 80),
                }
            } else {
                mine
            };
            let (bits, rate) = (mine.bits_max.min(theirs.bits_max), mine.rate_max.min(theirs.rate_max));
            let possible = bits >= mine.bits_min.max(theirs.bits_min) && rate >= mine.rate_min.max(theirs.rate_min);
            let channels = mine.channels.min(theirs.channels);
            (possible && channels > 0).then(|| pcm(rate, channels as u16, bits as u16))
        }
    }
}

/// Returns the bytes at an address that suits every structure of kernel streaming.
pub(crate) fn aligned(bytes: &[u8]) -> Box<[u64]> {
    bytes
        .chunks(8)
        .map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        })
        .collect()
}

fn within(limits: &AudioLimits, format: &[u8]) -> bool {
    if format.len() < WAVE_FORMAT_BYTES {
        return false;
    }
    let (channels, rate, bits) = (u32::from(half(format, 66)), word(format, 68), u32::from(half(format, 78)));
    (1..=limits.channels).contains(&channels)
        && (limits.rate_min..=limits.rate_max).contains(&rate)
        && (limits.bits_min..=limits.bits_max).contains(&bits)
        && half(format, 64) == WAVE_FORMAT_PCM
        && u32::from(half(format, 76)) == channels * bits.div_ceil(8)
}

fn header(size: usize, sample_size: u32, major: GUID, sub: GUID, specifier: GUID) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size);
    bytes.extend((size as u32).to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(sample_size.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    for part in [major, sub, specifier] {
        bytes.extend(guids::to_bytes(&part));
    }
    bytes
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn guid(bytes: &[u8], at: usize) -> GUID {
    let mut raw = [0; 16];
    raw.copy_from_slice(&bytes[at..at + 16]);
    guids::from_bytes(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portcls::ks::descriptor::tests::synthesizer;

    fn audio_range() -> DataRange {
        let mut bytes = pcm(0, 2, 16);
        bytes.truncate(64);
        bytes[..4].copy_from_slice(&88_u32.to_le_bytes());
        for word in [2_u32, 16, 16, 11_025, 96_000, 0] {
            bytes.extend(word.to_le_bytes());
        }
        let format = DataFormat {
            format_size: 88,
            flags: 0,
            sample_size: 4,
            reserved: 0,
            major: guids::KSDATAFORMAT_TYPE_AUDIO,
            sub: guids::KSDATAFORMAT_SUBTYPE_PCM,
            specifier: guids::KSDATAFORMAT_SPECIFIER_WAVEFORMATEX,
        };
        DataRange { format, bytes, address: 0, attributes: Vec::new() }
    }

    fn wave_pin() -> Pin {
        let mut pin = synthesizer().pins.remove(2);
        pin.ranges = std::vec![audio_range()];
        pin
    }

    #[test]
    fn a_music_format_is_64_bytes_and_fits_its_pin_only() {
        let filter = synthesizer();
        let format = music(guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC);
        assert_eq!(format.len(), 64);
        assert_eq!(fit(&filter.pins[1], &format), Ok(()));
        assert_eq!(fit(&filter.pins[0], &format), Err(Unfit::NoMatch));
    }

    #[test]
    fn refuses_a_format_whose_length_differs_from_its_size_field() {
        let filter = synthesizer();
        let mut format = music(guids::KSDATAFORMAT_SUBTYPE_MIDI);
        format.pop();
        assert_eq!(fit(&filter.pins[0], &format), Err(Unfit::Length { got: 63, says: 64 }));
        assert_eq!(fit(&filter.pins[0], &[]), Err(Unfit::Length { got: 0, says: 0 }));
    }

    #[test]
    fn accepts_pcm_within_the_limits_of_the_range() {
        let pin = wave_pin();
        assert_eq!(fit(&pin, &pcm(48_000, 2, 16)), Ok(()));
        for (rate, channels, bits) in [(8_000, 2, 16), (48_000, 3, 16), (48_000, 0, 16), (48_000, 2, 24)] {
            assert_eq!(fit(&pin, &pcm(rate, channels, bits)), Err(Unfit::NoMatch));
        }
        assert_eq!(block_align(&pcm(48_000, 2, 16)), Some(4));
        assert_eq!(sample_rate(&pcm(48_000, 2, 16)), Some(48_000));
    }

    #[test]
    fn the_intersection_of_two_audio_ranges_is_the_best_format_of_both() {
        let mine = audio_range();
        let mut client = mine.bytes.clone();
        client[80..84].copy_from_slice(&44_100_u32.to_le_bytes());
        assert_eq!(intersect(&client, &mine), Some(pcm(44_100, 2, 16)));
        client[80..84].copy_from_slice(&8_000_u32.to_le_bytes());
        assert_eq!(intersect(&client, &mine), None);
    }

    #[test]
    fn intersects_a_wildcard_to_the_format_of_the_pin() {
        let filter = synthesizer();
        let range = &filter.pins[1].ranges[0];
        let wildcard = [0; 64];
        assert_eq!(intersect(&wildcard, range), Some(music(guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC)));
    }
}
