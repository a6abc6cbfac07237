//! Measurements of PCM: level, peak, strongest tone, onsets.

use std::fmt;

use realfft::RealFftPlanner;

use super::pcm::Pcm;

/// Full scale of a sample.
const FULL_SCALE: f64 = 32_768.0;

/// Most frames of a spectrum: ten seconds at 96 kHz, and the next power of two below fits them.
const SPECTRUM_FRAMES_MAX: usize = 1 << 19;

/// Fewest frames of a spectrum from which a tone can be told.
const SPECTRUM_FRAMES_MIN: usize = 256;

/// A part of PCM, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Where it begins.
    pub from_ms: u32,
    /// Where it ends; the end of the PCM where it is absent.
    pub to_ms: Option<u32>,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_ms {
            Some(to) => write!(f, "the part from {} to {to} ms", self.from_ms),
            None if self.from_ms == 0 => f.write_str("all of it"),
            None => write!(f, "the part from {} ms on", self.from_ms),
        }
    }
}

impl Part {
    /// Returns its samples, of all channels.
    fn samples(self, pcm: &Pcm) -> &[i16] {
        let channels = usize::from(pcm.format.channels.max(1));
        let at = |ms: u32| (u64::from(ms) * u64::from(pcm.format.sample_rate) / 1000) as usize * channels;
        let end = self.to_ms.map_or(pcm.samples.len(), at).min(pcm.samples.len());
        pcm.samples.get(at(self.from_ms).min(end)..end).unwrap_or_default()
    }
}

/// Returns the root mean square over all channels, in dB of full scale; nothing of digital silence.
#[must_use]
pub fn level_dbfs(pcm: &Pcm, part: Part) -> Option<f64> {
    let samples = part.samples(pcm);
    let sum: f64 = samples.iter().map(|sample| (f64::from(*sample) / FULL_SCALE).powi(2)).sum();
    (sum > 0.0).then(|| 10.0 * (sum / samples.len() as f64).log10())
}

/// Returns the largest magnitude of a sample, and its moment in milliseconds from the beginning of the PCM; nothing of no samples.
#[must_use]
pub fn peak(pcm: &Pcm, part: Part) -> Option<(u16, f64)> {
    let channels = usize::from(pcm.format.channels.max(1));
    let samples = part.samples(pcm);
    let highest = samples.iter().map(|sample| sample.unsigned_abs()).max()?;
    let at = samples.iter().position(|sample| sample.unsigned_abs() == highest)? / channels;
    let ms = at as f64 * 1000.0 / f64::from(pcm.format.sample_rate.max(1));
    Some((highest, f64::from(part.from_ms) + ms))
}

/// Returns the frequency of the strongest partial of the mix of all channels: the peak of the spectrum, between its lines; nothing of
/// silence, and of too few frames.
#[must_use]
pub fn strongest_hz(pcm: &Pcm, part: Part) -> Option<f64> {
    let channels = usize::from(pcm.format.channels.max(1));
    let mixed: Vec<f64> = part
        .samples(pcm)
        .chunks_exact(channels)
        .take(SPECTRUM_FRAMES_MAX)
        .map(|frame| frame.iter().map(|sample| f64::from(*sample)).sum())
        .collect();
    let length = mixed.len();
    if length < SPECTRUM_FRAMES_MIN {
        return None;
    }
    // A Hann window, whose main lobe is smooth enough to find its top between two lines.
    let window = |index: usize| 0.5 - 0.5 * (std::f64::consts::TAU * index as f64 / length as f64).cos();
    let mut input: Vec<f64> = mixed.iter().enumerate().map(|(index, sample)| sample * window(index)).collect();
    let transform = RealFftPlanner::<f64>::new().plan_fft_forward(length);
    let mut output = transform.make_output_vec();
    transform.process(&mut input, &mut output).ok()?;
    let power: Vec<f64> = output.iter().map(realfft::num_complex::Complex::norm_sqr).collect();
    // Not the mean, which a window spreads over two lines.
    let (top, highest) = power.iter().copied().enumerate().skip(3).max_by(|one, other| one.1.total_cmp(&other.1))?;
    if highest <= 0.0 || top + 1 >= power.len() {
        return None;
    }
    let [before, at, after] =
        [power[top - 1], power[top], power[top + 1]].map(|value| value.max(f64::MIN_POSITIVE).ln());
    let shape = before - 2.0 * at + after;
    let offset = if shape == 0.0 { 0.0 } else { 0.5 * (before - after) / shape };
    Some((top as f64 + offset) * f64::from(pcm.format.sample_rate) / length as f64)
}

/// Returns the moments, in milliseconds, at which a sample reaches a magnitude after it was below for a while.
#[must_use]
pub fn onsets_ms(pcm: &Pcm, threshold: u16, gap_ms: f64) -> Vec<f64> {
    let channels = usize::from(pcm.format.channels.max(1));
    let rate = f64::from(pcm.format.sample_rate.max(1));
    let gap = gap_ms * rate / 1000.0;
    let mut onsets = Vec::new();
    let mut last: Option<usize> = None;
    for (frame, samples) in pcm.samples.chunks_exact(channels).enumerate() {
        if samples.iter().all(|sample| sample.unsigned_abs() < threshold.max(1)) {
            continue;
        }
        if last.is_none_or(|last| (frame - last) as f64 > gap) {
            onsets.push(frame as f64 * 1000.0 / rate);
        }
        last = Some(frame);
    }
    onsets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sound::pcm::PcmFormat;

    /// A sine of a second from 250 ms on, in two seconds.
    fn sine(hz: f64) -> Pcm {
        let samples = (0..96_000).flat_map(|frame| {
            let sounds = (12_000..60_000).contains(&frame);
            let phase = std::f64::consts::TAU * hz * f64::from(frame) / 48_000.0;
            let sample = if sounds { (16_384.0 * phase.cos()) as i16 } else { 0 };
            [sample, sample]
        });
        Pcm { samples: samples.collect(), format: PcmFormat::of_card(48_000) }
    }

    const MIDDLE: Part = Part { from_ms: 300, to_ms: Some(1200) };

    #[test]
    fn finds_a_tone_between_the_lines_of_a_spectrum() {
        for hz in [55.0, 440.0, 441.3, 9_999.9] {
            let found = strongest_hz(&sine(hz), MIDDLE).unwrap();
            assert!((1200.0 * (found / hz).log2()).abs() < 1.0, "{hz}: {found}");
        }
        assert_eq!(strongest_hz(&sine(440.0), Part { from_ms: 1500, to_ms: None }), None, "silence");
        assert_eq!(strongest_hz(&sine(440.0), Part { from_ms: 300, to_ms: Some(302) }), None, "too short");
    }

    #[test]
    fn measures_level_peak_and_onset() {
        let pcm = sine(440.0);
        let level = level_dbfs(&pcm, MIDDLE).unwrap();
        assert!((level + 9.03).abs() < 0.05, "half of full scale, as a sine: {level}");
        assert_eq!(level_dbfs(&pcm, Part { from_ms: 0, to_ms: Some(250) }), None);
        assert_eq!(peak(&pcm, Part { from_ms: 0, to_ms: Some(250) }), Some((0, 0.0)));
        assert_eq!(peak(&pcm, Part { from_ms: 0, to_ms: None }).unwrap().0, 16_384);
        assert_eq!(peak(&pcm, Part { from_ms: 5000, to_ms: None }), None);
        assert_eq!(onsets_ms(&pcm, 328, 20.0), [250.0]);
    }
}
