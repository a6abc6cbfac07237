//! A WAV file that PCM is compared with.

use std::fmt;
use std::path::{Path, PathBuf};

use hound::SampleFormat;
use serde::Serialize;

use super::tolerance::Tolerance;
use crate::host::failure::{Class, Diagnosed};
use crate::sound::pcm::{Pcm, PcmFormat};

/// Frames by which the best shift is found: enough for any music to differ from itself when it is shifted.
const ALIGNED_FRAMES: usize = 1 << 15;

/// Steps of 16 bits in full scale.
const FULL_SCALE: f64 = 32_768.0;

/// The PCM of a WAV file, of any depth that WAV has.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// The file.
    pub path: PathBuf,
    /// Samples, interleaved; full scale is 1.
    samples: Vec<f64>,
    /// Frames a second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u16,
}

/// Why PCM cannot be compared with a reference.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// The file is no WAV file, or cannot be read.
    #[error("{path} is no WAV file to compare with: {reason}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The driver's PCM has another rate, or other channels.
    #[error(
        "{path} has {sample_rate} Hz and {channels} channels, and the driver's pin gives {format}",
        path = .path.display()
    )]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// Its rate.
        sample_rate: u32,
        /// Its channels.
        channels: u16,
        /// The driver's format.
        format: PcmFormat,
    },
}

impl Diagnosed for ReferenceError {
    fn class(&self) -> Class {
        Class::BadInput
    }

    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => "give a WAV file of 8 to 32 bits, such as guest.wav of a run with --keep".into(),
            Self::OtherFormat { .. } => {
                "give a reference of the pin's format; --rate chooses another rate of a pin that has several".into()
            }
        })
    }
}

/// How far PCM is from its reference, at the best shift.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Whether it is within the tolerance.
    pub within: bool,
    /// Frames by which the PCM comes later than the reference; negative if earlier.
    pub offset: i64,
    /// The largest difference of two samples, in steps of 16 bits.
    pub max: f64,
    /// The largest difference in dBFS; `None` for none.
    pub peak: Option<f64>,
    /// The root mean square of the differences in dBFS; `None` for none.
    pub rms: Option<f64>,
    /// The frame of the PCM with the largest difference.
    pub frame: u64,
    /// The channel of the largest difference.
    pub channel: u16,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.max == 0.0 {
            f.write_str("equal samples")?;
        } else {
            let decibels = |value: Option<f64>| value.map_or_else(|| "none".into(), |value| format!("{value:.1} dBFS"));
            let (max, peak, rms) = (self.max, decibels(self.peak), decibels(self.rms));
            let (frame, channel) = (self.frame, self.channel);
            write!(
                f,
                "samples differ by at most {max:.1} steps of 16 bits ({peak}; frame {frame}, channel {channel}), RMS {rms}"
            )?;
        }
        match self.offset {
            0 => Ok(()),
            offset if offset > 0 => write!(f, ", {offset} frames later"),
            offset => write!(f, ", {} frames earlier", -offset),
        }
    }
}

impl Reference {
    /// Reads a WAV file.
    ///
    /// # Errors
    /// [`ReferenceError::Unreadable`] for a file that cannot be read, is no WAV file, or holds no sample.
    pub fn read(path: &Path) -> Result<Self, ReferenceError> {
        let fail = |reason: String| ReferenceError::Unreadable { path: path.into(), reason };
        let mut reader = hound::WavReader::open(path).map_err(|error| fail(error.to_string()))?;
        let spec = reader.spec();
        let samples: Result<Vec<f64>, hound::Error> = match spec.sample_format {
            SampleFormat::Float => reader.samples::<f32>().map(|sample| sample.map(f64::from)).collect(),
            SampleFormat::Int => {
                let scale = f64::from(1_u32 << (spec.bits_per_sample - 1).min(31));
                reader.samples::<i32>().map(|sample| sample.map(|sample| f64::from(sample) / scale)).collect()
            }
        };
        let samples = samples.map_err(|error| fail(error.to_string()))?;
        if samples.is_empty() || spec.channels == 0 {
            return Err(fail("it holds no sample".into()));
        }
        Ok(Self { path: path.into(), samples, sample_rate: spec.sample_rate, channels: spec.channels })
    }

    /// Checks that a format is comparable.
    ///
    /// # Errors
    /// [`ReferenceError::OtherFormat`] for another rate or another number of channels.
    pub fn expect(&self, format: PcmFormat) -> Result<(), ReferenceError> {
        if (self.sample_rate, self.channels) == (format.sample_rate, format.channels) {
            return Ok(());
        }
        let Self { path, sample_rate, channels, .. } = self;
        Err(ReferenceError::OtherFormat { path: path.clone(), sample_rate: *sample_rate, channels: *channels, format })
    }

    /// Compares PCM with the reference at the shift, within the tolerance, at which they differ least. Frames that only one of
    /// them has are compared with silence.
    ///
    /// # Errors
    /// [`ReferenceError::OtherFormat`] for PCM of another rate or another number of channels.
    pub fn compare(&self, pcm: &Pcm, tolerance: Tolerance) -> Result<Comparison, ReferenceError> {
        self.expect(pcm.format)?;
        let guest: Vec<f64> = pcm.samples.iter().map(|sample| f64::from(*sample) / FULL_SCALE).collect();
        let offset = self.best_offset(&guest, tolerance.offset);
        let Differences { largest, at, squares, count } = self.differences(&guest, offset);
        let decibels = |value: f64| (value > 0.0).then(|| 20.0 * value.log10());
        let max = largest * FULL_SCALE;
        let (peak, rms) = (decibels(largest), decibels((squares / count.max(1) as f64).sqrt()));
        let below = |value: Option<f64>, bound: Option<f64>| match (value, bound) {
            (Some(value), Some(bound)) => value <= bound,
            _ => true,
        };
        let within = (!tolerance.is_exact() || largest == 0.0)
            && tolerance.max.is_none_or(|bound| max <= f64::from(bound))
            && below(peak, tolerance.peak)
            && below(rms, tolerance.rms);
        let channels = i64::from(self.channels);
        Ok(Comparison {
            within,
            offset,
            max,
            peak,
            rms,
            frame: u64::try_from(at / channels).unwrap_or(0),
            channel: u16::try_from(at.rem_euclid(channels)).unwrap_or(0),
        })
    }

    /// Returns the shift of at most `limit` frames at which the beginning of what sounds differs least; 0 among equals.
    fn best_offset(&self, guest: &[f64], limit: u32) -> i64 {
        if limit == 0 {
            return 0;
        }
        let channels = i64::from(self.channels);
        let sounds = self.samples.iter().position(|sample| *sample != 0.0).unwrap_or(0) as i64;
        let first = sounds / channels * channels;
        let window = first..(first + ALIGNED_FRAMES as i64 * channels).min(self.samples.len() as i64);
        let distance = |offset: i64| -> f64 {
            window.clone().map(|at| (sample(guest, at + offset * channels) - sample(&self.samples, at)).powi(2)).sum()
        };
        let mut best = (distance(0), 0);
        for step in 1..=i64::from(limit) {
            for offset in [step, -step] {
                let found = distance(offset);
                if found < best.0 {
                    best = (found, offset);
                }
            }
        }
        best.1
    }

    /// Returns the differences at a shift, over all frames that either has.
    fn differences(&self, guest: &[f64], offset: i64) -> Differences {
        let shift = offset * i64::from(self.channels);
        let (first, last) = (shift.min(0), (self.samples.len() as i64 + shift).max(guest.len() as i64));
        let mut found = Differences { largest: 0.0, at: 0, squares: 0.0, count: (last - first).unsigned_abs() };
        for at in first..last {
            let difference = (sample(guest, at) - sample(&self.samples, at - shift)).abs();
            found.squares += difference * difference;
            if difference > found.largest {
                (found.largest, found.at) = (difference, at);
            }
        }
        found
    }
}

/// The differences of all samples.
struct Differences {
    largest: f64,
    /// The sample of the PCM with the largest.
    at: i64,
    squares: f64,
    count: u64,
}

/// Returns a sample, or silence where there is none.
fn sample(samples: &[f64], at: i64) -> f64 {
    usize::try_from(at).ok().and_then(|at| samples.get(at)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;

    const FORMAT: PcmFormat = PcmFormat { sample_rate: 22_050, channels: 1, bits: 16 };

    fn tone(frames: i32) -> Vec<i16> {
        (0..frames).map(|frame| ((frame * 37) % 2000 - (frame * frame) % 700) as i16).collect()
    }

    fn pcm(samples: Vec<i16>) -> Pcm {
        Pcm { samples, format: FORMAT }
    }

    fn reference(samples: Vec<i16>) -> (Scratch, Reference) {
        let folder = Scratch::new().unwrap();
        let path = folder.path().join("r.wav");
        pcm(samples).write_wav(&path).unwrap();
        let reference = Reference::read(&path).unwrap();
        (folder, reference)
    }

    fn tolerance(text: &str) -> Tolerance {
        text.parse().unwrap()
    }

    #[test]
    fn equal_samples_are_equal() {
        let (_folder, reference) = reference(tone(500));
        let found = reference.compare(&pcm(tone(500)), Tolerance::default()).unwrap();
        assert_eq!((found.within, found.max, found.peak, found.rms), (true, 0.0, None, None));
        assert_eq!(found.to_string(), "equal samples");
    }

    #[test]
    fn one_step_is_outside_of_equal_and_within_one() {
        let (_folder, reference) = reference(tone(500));
        let mut other = tone(500);
        other[123] += 1;
        let found = reference.compare(&pcm(other.clone()), Tolerance::default()).unwrap();
        assert_eq!((found.within, found.max, found.frame), (false, 1.0, 123));
        assert!((found.peak.unwrap() + 90.3).abs() < 0.05, "{found:?}");
        assert!(reference.compare(&pcm(other.clone()), tolerance("max=1")).unwrap().within);
        assert!(!reference.compare(&pcm(other.clone()), tolerance("max=0")).unwrap().within);
        assert!(reference.compare(&pcm(other.clone()), tolerance("rms=-100")).unwrap().within);
        assert!(!reference.compare(&pcm(other), tolerance("rms=-100,peak=-95")).unwrap().within, "each bound holds");
    }

    #[test]
    fn a_shift_is_found_within_its_limit_only() {
        let (_folder, reference) = reference(tone(4000));
        let later: Vec<i16> = std::iter::repeat_n(0, 7).chain(tone(4000)).collect();
        let found = reference.compare(&pcm(later.clone()), tolerance("offset=10")).unwrap();
        assert_eq!((found.within, found.offset), (true, 7));
        assert!(found.to_string().ends_with("7 frames later"), "{found}");
        let early = tone(4000)[5..].to_vec();
        let found = reference.compare(&pcm(early), tolerance("offset=10")).unwrap();
        assert_eq!(found.offset, -5);
        assert!(!found.within, "five frames are missing, and they are not silent");
        assert!(!reference.compare(&pcm(later), tolerance("offset=6")).unwrap().within);
    }

    #[test]
    fn missing_frames_are_compared_with_silence() {
        let (_folder, reference) = reference(vec![100, 100, 100, 0]);
        assert!(reference.compare(&pcm(vec![100, 100, 100]), Tolerance::default()).unwrap().within);
        let found = reference.compare(&pcm(vec![100, 100]), tolerance("max=99")).unwrap();
        assert_eq!((found.within, found.max, found.frame), (false, 100.0, 2));
    }

    #[test]
    fn refuses_another_rate_and_other_channels() {
        let (_folder, reference) = reference(tone(10));
        for format in [PcmFormat { sample_rate: 44_100, ..FORMAT }, PcmFormat { channels: 2, ..FORMAT }] {
            let error = reference.compare(&Pcm { samples: tone(10), format }, Tolerance::default()).unwrap_err();
            assert!(error.to_string().contains("has 22050 Hz and 1 channels"), "{error}");
            assert!(matches!(error.class(), Class::BadInput));
        }
    }

    #[test]
    fn reads_other_depths_and_refuses_what_is_no_wav_file() {
        let folder = Scratch::new().unwrap();
        let path = folder.path().join("f.wav");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 22_050,
            bits_per_sample: 32,
            sample_format: SampleFormat::Float,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for sample in [0.5_f32, -0.25] {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
        let reference = Reference::read(&path).unwrap();
        assert!(reference.compare(&pcm(vec![16_384, -8192]), Tolerance::default()).unwrap().within);
        std::fs::write(&path, b"RIFF").unwrap();
        let error = Reference::read(&path).unwrap_err();
        assert!(error.to_string().contains("f.wav is no WAV file"), "{error}");
    }
}
