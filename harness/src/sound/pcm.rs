//! PCM of a guest or of an offline render, and the comparison of both, bit for bit.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::Serialize;

use crate::host::file_error::FileError;
use crate::host::hash::sha256_hex;

/// Audio channels of the project's card.
pub const CHANNELS: u16 = 2;

/// Bits of a sample of the project's card.
pub const BITS: u16 = 16;

/// Bytes of a frame of the project's card.
pub const FRAME_BYTES: u64 = CHANNELS as u64 * BITS as u64 / 8;

/// Bits of the other samples that the harness reads: unsigned bytes.
const BYTE_BITS: u16 = 8;

/// Rates that pins can have, in Hz: from telephones to the highest that audio devices offer.
pub const SAMPLE_RATES: RangeInclusive<u32> = 4_000..=192_000;

/// Most frames of a request, and of a block that is rendered at once.
pub const BLOCK_FRAMES_MAX: u32 = 65_536;

/// The format of PCM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PcmFormat {
    /// Frames a second.
    pub sample_rate: u32,
    /// Audio channels, 1 or 2.
    pub channels: u16,
    /// Bits of a sample, 8 or 16.
    pub bits: u16,
}

impl PcmFormat {
    /// Returns the format of the project's card at a rate.
    #[must_use]
    pub const fn of_card(sample_rate: u32) -> Self {
        Self { sample_rate, channels: CHANNELS, bits: BITS }
    }

    /// Returns the bytes of a frame.
    #[must_use]
    pub const fn frame_bytes(self) -> u64 {
        self.channels as u64 * (self.bits as u64).div_ceil(8)
    }
}

impl fmt::Display for PcmFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.channels == 1 { "" } else { "s" };
        write!(f, "{} Hz, {} channel{plural}, {} bits", self.sample_rate, self.channels, self.bits)
    }
}

/// PCM, interleaved. Samples of 8 bits are widened to 16.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pcm {
    /// Samples, as many a frame as there are channels.
    pub samples: Vec<i16>,
    /// The format in the guest, or in the file.
    pub format: PcmFormat,
}

impl Pcm {
    /// Reads bytes as they are in guest memory: little-endian, or unsigned bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], format: PcmFormat) -> Self {
        let samples = if format.bits == BYTE_BITS {
            bytes.iter().map(|&byte| (i16::from(byte) - 128) << 8).collect()
        } else {
            bytes.as_chunks::<2>().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect()
        };
        Self { samples, format }
    }

    /// Reads a WAV file.
    ///
    /// # Errors
    /// [`FileError`] where the file cannot be read, or is not of 16 bits and two channels.
    pub fn read_wav(path: &Path) -> Result<Self, FileError> {
        let fail = |error: hound::Error| FileError::own("read", path)(to_io(error));
        let mut reader = hound::WavReader::open(path).map_err(fail)?;
        let spec = reader.spec();
        if (spec.channels, spec.bits_per_sample) != (CHANNELS, BITS) {
            let text = format!("{} channels of {} bits", spec.channels, spec.bits_per_sample);
            return Err(FileError::own("read", path)(std::io::Error::new(std::io::ErrorKind::InvalidData, text)));
        }
        let samples = reader.samples().collect::<Result<_, _>>().map_err(fail)?;
        Ok(Self { samples, format: PcmFormat::of_card(spec.sample_rate) })
    }

    /// Writes a WAV file.
    ///
    /// # Errors
    /// [`FileError`] where the file cannot be written.
    pub fn write_wav(&self, path: &Path) -> Result<(), FileError> {
        let fail = |error: hound::Error| FileError::own("write", path)(to_io(error));
        let PcmFormat { sample_rate, channels, bits } = self.format;
        let spec =
            hound::WavSpec { channels, sample_rate, bits_per_sample: bits, sample_format: hound::SampleFormat::Int };
        let mut writer = hound::WavWriter::create(path, spec).map_err(fail)?;
        if bits == BYTE_BITS {
            for sample in &self.samples {
                // The upper byte is the sample.
                writer.write_sample((*sample >> 8) as i8).map_err(fail)?;
            }
            return writer.finalize().map_err(fail);
        }
        let mut samples = writer.get_i16_writer(self.samples.len() as u32);
        for sample in &self.samples {
            samples.write_sample(*sample);
        }
        samples.flush().map_err(fail)?;
        writer.finalize().map_err(fail)
    }

    /// Returns the number of frames.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.samples.len() as u64 / u64::from(self.format.channels.max(1))
    }

    /// Returns the largest magnitude, 0 to 32768.
    #[must_use]
    pub fn peak(&self) -> u16 {
        self.samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0)
    }

    /// Returns the SHA-256 of the samples, little-endian, in hexadecimal: independent of any file format.
    #[must_use]
    pub fn sha256(&self) -> String {
        let bytes: Vec<u8> = self.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        sha256_hex(&bytes)
    }
}

fn to_io(error: hound::Error) -> std::io::Error {
    match error {
        hound::Error::IoError(error) => error,
        other => std::io::Error::new(std::io::ErrorKind::InvalidData, other.to_string()),
    }
}

/// The first difference of two renders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The frame, from 0.
    pub frame: u64,
    /// The channel, from 0.
    pub channel: u16,
    /// The guest's sample; `None` past its end.
    pub guest: Option<i16>,
    /// The offline render's sample; `None` past its end.
    pub offline: Option<i16>,
    /// The number of samples that differ, the missing ones included.
    pub samples: u64,
    /// The largest difference of two samples.
    pub largest: u16,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sample = |sample: Option<i16>| sample.map_or_else(|| "nothing".into(), |value| value.to_string());
        write!(
            f,
            "differs from the offline render from frame {}, channel {} on (guest {}, offline {}); {} samples differ, by at most {}",
            self.frame,
            self.channel,
            sample(self.guest),
            sample(self.offline),
            self.samples,
            self.largest
        )
    }
}

/// Compares two renders. Returns `None` if they are the same, bit for bit.
#[must_use]
pub fn difference(guest: &Pcm, offline: &Pcm) -> Option<Difference> {
    if guest.samples == offline.samples {
        return None;
    }
    let length = guest.samples.len().max(offline.samples.len());
    let channels = usize::from(guest.format.channels.max(1));
    let mut found: Option<Difference> = None;
    for index in 0..length {
        let pair = (guest.samples.get(index).copied(), offline.samples.get(index).copied());
        if pair.0 == pair.1 {
            continue;
        }
        let distance = match pair {
            (Some(one), Some(other)) => one.abs_diff(other),
            _ => 0,
        };
        let first = found.get_or_insert(Difference {
            frame: (index / channels) as u64,
            channel: (index % channels) as u16,
            guest: pair.0,
            offline: pair.1,
            samples: 0,
            largest: 0,
        });
        first.samples += 1;
        first.largest = first.largest.max(distance);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;

    fn pcm(samples: &[i16]) -> Pcm {
        Pcm { samples: samples.to_vec(), format: PcmFormat::of_card(48_000) }
    }

    #[test]
    fn finds_no_difference_between_the_same_samples() {
        assert_eq!(difference(&pcm(&[1, -2, 3, -4]), &pcm(&[1, -2, 3, -4])), None);
    }

    #[test]
    fn returns_the_first_of_several_differences() {
        let found = difference(&pcm(&[0, 0, 0, 5, 0, i16::MIN]), &pcm(&[0, 0, 0, 6, 0, i16::MAX])).unwrap();
        assert_eq!(
            found,
            Difference { frame: 1, channel: 1, guest: Some(5), offline: Some(6), samples: 2, largest: u16::MAX }
        );
    }

    #[test]
    fn finds_the_end_of_a_short_render() {
        let found = difference(&pcm(&[7, 7]), &pcm(&[7, 7, 7, 7])).unwrap();
        assert_eq!((found.frame, found.guest, found.samples), (1, None, 2));
    }

    #[test]
    fn returns_the_peak_of_the_lowest_sample() {
        assert_eq!(pcm(&[3, i16::MIN]).peak(), 32_768);
    }

    #[test]
    fn widens_unsigned_bytes_and_writes_them_as_they_were() {
        let format = PcmFormat { sample_rate: 22_050, channels: 1, bits: 8 };
        let pcm = Pcm::from_bytes(&[0, 128, 129, 255], format);
        assert_eq!(pcm.samples, [i16::MIN, 0, 256, 127 << 8]);
        assert_eq!((pcm.frames(), format.frame_bytes()), (4, 1));
        let folder = Scratch::new().unwrap();
        let path = folder.path().join("x.wav");
        pcm.write_wav(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes[bytes.len() - 4..], [0, 128, 129, 255]);
        assert_eq!(format.to_string(), "22050 Hz, 1 channel, 8 bits");
    }

    #[test]
    fn reads_back_the_samples_of_a_wav_file() {
        let folder = Scratch::new().unwrap();
        let path = folder.path().join("x.wav");
        let written = pcm(&[0, 1, -1, i16::MIN, i16::MAX, 77]);
        written.write_wav(&path).unwrap();
        assert_eq!(Pcm::read_wav(&path).unwrap(), written);
    }
}
