//! Data formats: reads and checks those of clients, and intersects data ranges.
#![allow(unsafe_code, reason = "formats come as pointers to structures of variable length")]

use card_spec::limits::{SAMPLE_RATE_MAX, SAMPLE_RATE_MIN};
use portcls::guid::{
    KSDATAFORMAT_SPECIFIER_NONE, KSDATAFORMAT_SPECIFIER_WAVEFORMATEX, KSDATAFORMAT_SUBTYPE_DIRECTMUSIC,
    KSDATAFORMAT_SUBTYPE_MIDI, KSDATAFORMAT_SUBTYPE_PCM, KSDATAFORMAT_TYPE_AUDIO, KSDATAFORMAT_TYPE_MUSIC,
};
use portcls::ks::{KsDataFormat, KsDataRange, KsDataRangeAudio, WAVE_DATA_FORMAT_BYTES, WAVE_FORMAT_PCM, WaveFormatEx};

/// Bits of a sample: the only number that the card renders.
pub const BITS: u16 = 16;

/// Most audio channels.
pub const CHANNELS_MAX: u16 = 2;

/// The data that a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFormat {
    /// Raw MIDI.
    Midi,
    /// DirectMusic events.
    DirectMusic,
    /// PCM.
    Pcm(PcmFormat),
}

/// 16-bit PCM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PcmFormat {
    /// Frames a second.
    pub sample_rate: u32,
    /// Channels: 1 or 2.
    pub channels: u16,
}

impl PcmFormat {
    /// Makes a format. `None`: the card does not have this rate or number of channels.
    #[must_use]
    pub fn new(sample_rate: u32, channels: u32) -> Option<Self> {
        let channels = u16::try_from(channels).ok()?;
        let possible =
            (1..=CHANNELS_MAX).contains(&channels) && (SAMPLE_RATE_MIN..=SAMPLE_RATE_MAX).contains(&sample_rate);
        possible.then_some(Self { sample_rate, channels })
    }

    /// Returns how many whole frames fit this many bytes.
    #[must_use]
    pub const fn frames(self, bytes: usize) -> u32 {
        match bytes.checked_div(self.frame_bytes()) {
            Some(frames) => frames as u32,
            None => 0,
        }
    }

    /// Returns how long frames last, in milliseconds.
    #[must_use]
    pub const fn milliseconds(self, frames: u32) -> u32 {
        match (frames as u64 * 1000).checked_div(self.sample_rate as u64) {
            Some(milliseconds) => milliseconds as u32,
            None => 0,
        }
    }

    /// Returns how many bytes a frame has.
    #[must_use]
    pub const fn frame_bytes(self) -> usize {
        self.channels as usize * (BITS as usize / 8)
    }

    /// Returns the format as a `WAVEFORMATEX`.
    #[must_use]
    pub const fn wave_format(self) -> WaveFormatEx {
        WaveFormatEx {
            format_tag: WAVE_FORMAT_PCM,
            channels: self.channels,
            samples_per_sec: self.sample_rate,
            avg_bytes_per_sec: self.sample_rate * self.frame_bytes() as u32,
            block_align: self.frame_bytes() as u16,
            bits_per_sample: BITS,
            cb_size: 0,
        }
    }

    fn of(wave: WaveFormatEx) -> Option<Self> {
        let format = Self::new(wave.samples_per_sec, wave.channels.into())?;
        // Bytes appended to a PCM format have no meaning.
        (WaveFormatEx { cb_size: 0, ..wave } == format.wave_format()).then_some(format)
    }
}

/// Reads a data format. `None`: the card cannot carry it.
///
/// # Safety
/// `format` is null or points to `format_size` readable bytes.
#[must_use]
pub unsafe fn parse(format: *const KsDataFormat) -> Option<StreamFormat> {
    if format.is_null() {
        return None;
    }
    // SAFETY: at least the size can be read; the rest is only read when the size says that it is there.
    let size = unsafe { (&raw const (*format).format_size).read_unaligned() };
    if (size as usize) < size_of::<KsDataFormat>() {
        return None;
    }
    // SAFETY: as long as the structure.
    let head = unsafe { format.read_unaligned() };
    if head.major_format == KSDATAFORMAT_TYPE_MUSIC && head.specifier == KSDATAFORMAT_SPECIFIER_NONE {
        return match head.sub_format {
            KSDATAFORMAT_SUBTYPE_MIDI => Some(StreamFormat::Midi),
            KSDATAFORMAT_SUBTYPE_DIRECTMUSIC => Some(StreamFormat::DirectMusic),
            _ => None,
        };
    }
    let is_pcm = head.major_format == KSDATAFORMAT_TYPE_AUDIO
        && head.sub_format == KSDATAFORMAT_SUBTYPE_PCM
        && head.specifier == KSDATAFORMAT_SPECIFIER_WAVEFORMATEX;
    if !is_pcm || size < WAVE_DATA_FORMAT_BYTES {
        return None;
    }
    // SAFETY: the size says that a WAVEFORMATEX follows.
    let wave = unsafe { format.add(1).cast::<WaveFormatEx>().read_unaligned() };
    PcmFormat::of(wave).map(StreamFormat::Pcm)
}

/// Makes the bytes of a `KSDATAFORMAT_WAVEFORMATEX`.
#[must_use]
pub fn pcm_data_format(format: PcmFormat) -> [u8; WAVE_DATA_FORMAT_BYTES as usize] {
    let head = KsDataFormat {
        format_size: WAVE_DATA_FORMAT_BYTES,
        flags: 0,
        sample_size: format.frame_bytes() as u32,
        reserved: 0,
        major_format: KSDATAFORMAT_TYPE_AUDIO,
        sub_format: KSDATAFORMAT_SUBTYPE_PCM,
        specifier: KSDATAFORMAT_SPECIFIER_WAVEFORMATEX,
    };
    let mut bytes = [0; WAVE_DATA_FORMAT_BYTES as usize];
    let (first, rest) = bytes.split_at_mut(size_of::<KsDataFormat>());
    // SAFETY: the first part is as long as the structure; an unaligned write needs no alignment.
    unsafe { first.as_mut_ptr().cast::<KsDataFormat>().write_unaligned(head) };
    // SAFETY: the rest is as long as the structure, which is packed.
    unsafe { rest.as_mut_ptr().cast::<WaveFormatEx>().write_unaligned(format.wave_format()) };
    bytes
}

/// Returns the best PCM format that both a client's range and the card have: the highest rate, the most channels.
/// `None`: they have none in common.
///
/// # Safety
/// `client` is null or points to `format_size` readable bytes.
#[must_use]
pub unsafe fn intersect_pcm(client: *const KsDataRange) -> Option<PcmFormat> {
    if client.is_null() {
        return None;
    }
    // SAFETY: at least the size can be read; the rest is only read when the size says that it is there.
    let size = unsafe { (&raw const (*client).format_size).read_unaligned() };
    if (size as usize) < size_of::<KsDataRangeAudio>() {
        return None;
    }
    // SAFETY: as long as the structure.
    let range = unsafe { client.cast::<KsDataRangeAudio>().read_unaligned() };
    let head = range.range;
    let is_pcm = head.major_format == KSDATAFORMAT_TYPE_AUDIO
        && head.sub_format == KSDATAFORMAT_SUBTYPE_PCM
        && head.specifier == KSDATAFORMAT_SPECIFIER_WAVEFORMATEX;
    let bits = u32::from(BITS);
    let has_bits = (range.minimum_bits_per_sample..=range.maximum_bits_per_sample).contains(&bits);
    let sample_rate = range.maximum_sample_frequency.min(SAMPLE_RATE_MAX);
    let has_rate = sample_rate >= range.minimum_sample_frequency.max(SAMPLE_RATE_MIN);
    if !is_pcm || !has_bits || !has_rate || range.maximum_channels == 0 {
        return None;
    }
    Some(PcmFormat { sample_rate, channels: range.maximum_channels.min(CHANNELS_MAX.into()) as u16 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pcm(wave: WaveFormatEx, size: u32) -> [u64; 12] {
        let mut storage = [0_u64; 12];
        let mut bytes = pcm_data_format(PcmFormat { sample_rate: 48_000, channels: 2 });
        bytes[..4].copy_from_slice(&size.to_le_bytes());
        // SAFETY: 96 bytes hold the format, and a WAVEFORMATEX is at offset 64.
        unsafe {
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), storage.as_mut_ptr().cast(), bytes.len());
            storage.as_mut_ptr().cast::<u8>().add(64).cast::<WaveFormatEx>().write_unaligned(wave);
        }
        storage
    }

    fn read(storage: &[u64; 12]) -> Option<StreamFormat> {
        // SAFETY: no format of these tests says that it is longer than 96 bytes.
        unsafe { parse(storage.as_ptr().cast()) }
    }

    #[test]
    fn reads_every_pcm_format_of_the_card_back() {
        for sample_rate in [11_025, 22_050, 44_100, 48_000, 96_000] {
            for channels in [1, 2] {
                let format = PcmFormat { sample_rate, channels };
                assert_eq!(read(&pcm(format.wave_format(), 82)), Some(StreamFormat::Pcm(format)));
            }
        }
    }

    #[test]
    fn refuses_formats_that_the_card_cannot_carry() {
        let good = PcmFormat { sample_rate: 48_000, channels: 2 }.wave_format();
        for wave in [
            WaveFormatEx { channels: 3, block_align: 6, avg_bytes_per_sec: 288_000, ..good },
            WaveFormatEx { channels: 0, block_align: 0, avg_bytes_per_sec: 0, ..good },
            WaveFormatEx { samples_per_sec: 8_000, avg_bytes_per_sec: 32_000, ..good },
            WaveFormatEx { bits_per_sample: 8, ..good },
            WaveFormatEx { format_tag: 3, ..good },
            WaveFormatEx { block_align: 2, ..good },
            WaveFormatEx { avg_bytes_per_sec: 1, ..good },
        ] {
            assert_eq!(read(&pcm(wave, 82)), None, "{wave:?}");
        }
    }

    #[test]
    fn refuses_truncated_and_missing_formats() {
        let good = PcmFormat { sample_rate: 48_000, channels: 2 }.wave_format();
        for size in [0, 4, 63, 64, 81] {
            assert_eq!(read(&pcm(good, size)), None, "{size}");
        }
        // SAFETY: null is allowed.
        assert_eq!(unsafe { parse(core::ptr::null()) }, None);
    }

    #[test]
    fn intersects_ranges_to_the_best_common_format() {
        let mut range = crate::filter::PCM_RANGE;
        range.maximum_channels = 8;
        range.minimum_sample_frequency = 1;
        range.maximum_sample_frequency = 50_000;
        // SAFETY: a whole range.
        let best = unsafe { intersect_pcm((&raw const range).cast()) };
        assert_eq!(best, Some(PcmFormat { sample_rate: 50_000, channels: 2 }));
        range.minimum_bits_per_sample = 24;
        // SAFETY: a whole range.
        assert_eq!(unsafe { intersect_pcm((&raw const range).cast()) }, None);
    }
}
