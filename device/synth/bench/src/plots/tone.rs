//! Tones: waves that hold one, and what of a sound is one.

use std::f64::consts::TAU;

/// Samples of a wave.
const LENGTH: usize = 16_384;

/// Amplitude of a tone in a wave.
const AMPLITUDE: f64 = 20_000.0;

/// How often the frequency is corrected by the phase at which the halves of a sound meet.
const CORRECTIONS: usize = 4;

/// Returns the whole number of periods in a wave that is nearest to a frequency in turns a sample. It is odd, so that no
/// part of the wave repeats.
pub(super) fn periods(frequency: f64) -> usize {
    (frequency * LENGTH as f64) as usize | 1
}

/// Returns the frequency of so many periods, in turns a sample.
pub(super) fn frequency(periods: usize) -> f64 {
    periods as f64 / LENGTH as f64
}

/// Makes a wave of a tone with so many periods.
pub(super) fn wave(periods: usize) -> Vec<i16> {
    let sample = |i: usize| (AMPLITUDE * (TAU * (i * periods % LENGTH) as f64 / LENGTH as f64).sin()).round() as i16;
    (0..LENGTH).map(sample).collect()
}

/// Powers of a sound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Powers {
    /// Of the tone.
    pub(super) tone: f64,
    /// Of all else.
    pub(super) rest: f64,
}

/// Returns the mean power of a sound.
pub(super) fn power(samples: &[f32]) -> f64 {
    samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / samples.len().max(1) as f64
}

/// Fits a tone near a frequency, in turns a frame, by least squares: amplitude, phase and frequency (IEEE 1057, the sine
/// wave of four parameters; the mean is taken as zero). `None`: there is none.
pub(super) fn fit(samples: &[f32], near: f64) -> Option<Powers> {
    let half = samples.len() / 2;
    let mut frequency = near;
    for _ in 0..CORRECTIONS {
        let (a, b) = (component(&samples[..half], frequency, 0), component(&samples[half..], frequency, half));
        // The second half's phase less the first's, over the frames between their middles.
        let turned = (b.1 * a.0 - b.0 * a.1).atan2(a.0 * b.0 + a.1 * b.1);
        frequency += turned / TAU / half as f64;
    }
    let (cosine, sine) = component(samples, frequency, 0);
    let tone = (cosine * cosine + sine * sine) / 2.0;
    let rest = samples.iter().enumerate().map(|(i, sample)| {
        let angle = TAU * (frequency * i as f64).fract();
        (f64::from(*sample) - cosine * angle.cos() + sine * angle.sin()).powi(2)
    });
    let rest = rest.sum::<f64>() / samples.len() as f64;
    (tone > 0.0 && tone.is_finite()).then_some(Powers { tone, rest })
}

/// Returns the factors `a` and `b` of `a cos - b sin` that fit a stretch of a sound best, where frame `first` of the whole
/// comes first.
fn component(samples: &[f32], frequency: f64, first: usize) -> (f64, f64) {
    let (mut cc, mut ss, mut cs, mut xc, mut xs) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (i, sample) in samples.iter().enumerate() {
        let (sine, cosine) = (TAU * (frequency * (first + i) as f64).fract()).sin_cos();
        let sample = f64::from(*sample);
        (cc, ss, cs) = (cc + cosine * cosine, ss + sine * sine, cs + cosine * sine);
        (xc, xs) = (xc + sample * cosine, xs + sample * sine);
    }
    let determinant = cc * ss - cs * cs;
    ((xc * ss - xs * cs) / determinant, -(xs * cc - xc * cs) / determinant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_tone_of_a_slightly_other_frequency_and_what_is_beside_it() {
        let tone = |i: usize, frequency: f64| (TAU * frequency * i as f64 + 0.7).sin();
        let samples: Vec<f32> =
            (0..16_384).map(|i| (0.5 * tone(i, 0.100_003) + 0.000_5 * tone(i, 0.31)) as f32).collect();
        let found = fit(&samples, 0.1).unwrap();
        assert!((found.tone - 0.125).abs() < 1e-5, "{found:?}");
        assert!((10.0 * (found.tone / found.rest).log10() - 60.0).abs() < 0.1, "{found:?}");
        assert!(fit(&[0.0; 1000], 0.1).is_none());
    }
}
