//! Measures the loudness of a sound file (EBU R 128, ITU-R BS.1770): integrated loudness, true peak, sample peak.

use std::path::{Path, PathBuf};

use ebur128::{EbuR128, Mode};
use serde::Serialize;

use crate::host::failure::{Class, Diagnosed};

/// Frames that are measured at a time.
const BLOCK_FRAMES: usize = 1 << 14;

/// The loudness of a file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Loudness {
    /// Integrated loudness in LUFS; none where nothing is loud enough to count.
    pub integrated_lufs: Option<f64>,
    /// True peak of both channels in dBTP; none for silence.
    pub true_peak_dbtp: Option<f64>,
    /// Sample peak of both channels in dBFS; none for silence.
    pub sample_peak_dbfs: Option<f64>,
}

/// Why a file could not be measured.
#[derive(Debug, thiserror::Error)]
#[error("cannot measure the loudness of {}: {reason}", path.display())]
pub struct LoudnessError {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    pub reason: String,
}

impl Diagnosed for LoudnessError {
    fn class(&self) -> Class {
        Class::Host
    }
}

/// Measures a WAV file of 16-bit samples.
///
/// # Errors
/// [`LoudnessError`] when the file cannot be read or is no WAV file of 16-bit samples.
pub fn measure(path: &Path) -> Result<Loudness, LoudnessError> {
    let wrong = |reason: String| LoudnessError { path: path.to_owned(), reason };
    let mut reader = hound::WavReader::open(path).map_err(|error| wrong(error.to_string()))?;
    let spec = reader.spec();
    let mut meter = EbuR128::new(spec.channels.into(), spec.sample_rate, Mode::I | Mode::TRUE_PEAK | Mode::SAMPLE_PEAK)
        .map_err(|error| wrong(error.to_string()))?;
    let channels = usize::from(spec.channels).max(1);
    let mut samples = reader.samples::<i16>();
    let mut block = Vec::with_capacity(BLOCK_FRAMES * channels);
    loop {
        block.clear();
        for sample in samples.by_ref().take(BLOCK_FRAMES * channels) {
            block.push(sample.map_err(|error| wrong(error.to_string()))?);
        }
        if block.is_empty() {
            break;
        }
        meter.add_frames_i16(&block).map_err(|error| wrong(error.to_string()))?;
    }
    let peak = |of: &dyn Fn(u32) -> Result<f64, ebur128::Error>| {
        let highest = (0..u32::from(spec.channels)).filter_map(|channel| of(channel).ok()).fold(0.0, f64::max);
        (highest > 0.0).then(|| 20.0 * highest.log10())
    };
    Ok(Loudness {
        integrated_lufs: meter.loudness_global().ok().filter(|loudness| loudness.is_finite()),
        true_peak_dbtp: peak(&|channel| meter.true_peak(channel)),
        sample_peak_dbfs: peak(&|channel| meter.sample_peak(channel)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;

    fn write(path: &Path, sample: impl Fn(u32) -> i16) {
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 48_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(path, spec).unwrap();
        for frame in 0..96_000 {
            let sample = sample(frame);
            writer.write_sample(sample).unwrap();
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
    }

    #[test]
    fn measures_a_tone_as_the_recommendation_defines_it() {
        // BS.1770: 997 Hz at 0 dBFS in one channel is -3.01 LUFS, so in two it is 0; this one is 20 dB lower.
        let folder = Scratch::new().unwrap();
        let path = folder.path().join("tone.wav");
        write(&path, |frame| (3276.8 * (std::f64::consts::TAU * 997.0 * f64::from(frame) / 48_000.0).sin()) as i16);
        let loudness = measure(&path).unwrap();
        assert!((loudness.integrated_lufs.unwrap() + 20.0).abs() < 0.1, "{loudness:?}");
        assert!((loudness.sample_peak_dbfs.unwrap() + 20.0).abs() < 0.1, "{loudness:?}");
        assert!(loudness.true_peak_dbtp.unwrap() >= loudness.sample_peak_dbfs.unwrap() - 0.01, "{loudness:?}");
    }

    #[test]
    fn measures_no_level_in_silence() {
        let folder = Scratch::new().unwrap();
        let path = folder.path().join("silence.wav");
        write(&path, |_| 0);
        let expected = Loudness { integrated_lufs: None, true_peak_dbtp: None, sample_peak_dbfs: None };
        assert_eq!(measure(&path).unwrap(), expected);
    }
}
