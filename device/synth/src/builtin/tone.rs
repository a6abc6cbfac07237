//! Waves out of numbers: sums of partials that loop without a seam, and shaped noise.

use core::f64::consts::TAU;

use crate::dls::collection::{SampleLoop, Wave, WaveSample};

/// Sample rate of most pitched waves. Partials end below half of it.
pub(super) const RATE: f64 = 17_000.0;

/// Sample rate of waves that live by their brilliance.
pub(super) const BRIGHT: f64 = 22_050.0;

/// Sample rate of basses and big drums.
pub(super) const DARK: f64 = 11_025.0;

/// Highest partial, as a fraction of the sample rate.
const HIGHEST: f64 = 0.46;

/// Peak of a finished wave: -1 dB.
const PEAK: f64 = 29_200.0;

/// Samples in which a wave comes in, so that it does not click.
const FADE_IN: usize = 12;

/// Random numbers that are the same everywhere (xorshift64*).
pub(super) struct Random(u64);

impl Random {
    /// Makes a sequence of its own for each seed text.
    pub(super) fn new(seed: &str) -> Self {
        // FNV-1a
        let hash = seed.bytes().fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3));
        Self(hash | 1)
    }

    /// Returns a number from 0 to 1.
    pub(super) fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// Returns a number from -1 to 1.
    pub(super) fn noise(&mut self) -> f64 {
        2.0 * self.unit() - 1.0
    }
}

/// One sine of a sound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Partial {
    /// Frequency over the fundamental's.
    pub(super) ratio: f64,
    pub(super) amplitude: f64,
    /// The rate of decay before the loop begins, in 1/s.
    pub(super) decay: f64,
    /// Seconds until it is at its full amplitude.
    pub(super) rise: f64,
}

impl Partial {
    /// Makes a partial that does not decay.
    pub(super) fn steady(ratio: f64, amplitude: f64) -> Self {
        Self { ratio, amplitude, decay: 0.0, rise: 0.0 }
    }

    /// Makes a partial that decays at a rate in 1/s.
    pub(super) fn dying(ratio: f64, amplitude: f64, decay: f64) -> Self {
        Self { ratio, amplitude, decay, rise: 0.0 }
    }
}

/// A band of noise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise {
    pub(super) amplitude: f64,
    /// The lower end of the band, in Hz.
    pub(super) low: f64,
    /// The upper end of the band, in Hz.
    pub(super) high: f64,
    /// The rate of decay in 1/s; 0 for breath that goes on.
    pub(super) decay: f64,
}

/// The components of a pitched wave.
#[derive(Clone, Debug, Default)]
pub(super) struct Spectrum {
    pub(super) partials: Vec<Partial>,
    pub(super) noises: Vec<Noise>,
}

/// Renders a pitched wave: `head` seconds in which partials die away, then a loop of about `turn` seconds in which
/// nothing changes. Without a loop (`turn` 0) the wave fades out at its end.
pub(super) fn pitched(name: &str, key: u8, rate: f64, (head, turn): (f64, f64), spectrum: &Spectrum) -> Wave {
    let nominal = 440.0 * libm::exp2((f64::from(key) - 69.0) / 12.0);
    // Whole turns of the fundamental in whole samples; the small error in pitch goes into the fine tuning.
    let cycles = libm::round((turn * nominal).max(1.0));
    let turn_samples = libm::round(cycles * rate / nominal);
    let fundamental = cycles * rate / turn_samples;
    let fine_tune = libm::round(1200.0 * libm::log2(nominal / fundamental)) as i16;
    let loops = turn > 0.0;
    // Components that are faded in at the beginning must not be in the loop.
    let head_samples = ((head * rate) as usize).max(if loops { FADE_IN } else { 0 });
    let length = head_samples + if loops { turn_samples as usize } else { 0 };

    let mut random = Random::new(name);
    let mut sum = vec![0.0; length];
    for partial in &spectrum.partials {
        // In a loop, a frequency must come round: it goes to the nearest that does.
        let exact = partial.ratio * cycles;
        let turns = if loops { libm::round(exact).max(1.0) } else { exact };
        let step = turns / turn_samples;
        if step > HIGHEST {
            continue;
        }
        let start = random.unit();
        for (i, out) in sum.iter_mut().enumerate() {
            let seconds = i.min(head_samples) as f64 / rate;
            let rise = if partial.rise > 0.0 { 1.0 - libm::exp(-4.0 * seconds / partial.rise) } else { 1.0 };
            let amplitude = partial.amplitude * rise * libm::exp(-partial.decay * seconds);
            *out += amplitude * libm::sin(TAU * (step * i as f64 + start));
        }
    }
    for noise in &spectrum.noises {
        add_noise(&mut sum, noise, rate, loops.then_some(head_samples), &mut random);
    }
    fade_ends(&mut sum, loops);
    let sample_loop =
        loops.then_some(SampleLoop { until_release: false, start: head_samples as u32, length: turn_samples as u32 });
    let sample = WaveSample { unity_note: u16::from(key), fine_tune, sample_loop, ..WaveSample::default() };
    finish(name, rate, &sum, sample)
}

/// Adds noise. In a loop it is made to come round: its filter is run over the same noise twice, and the second run,
/// which begins as it ends, is kept.
fn add_noise(sum: &mut [f64], noise: &Noise, rate: f64, loop_start: Option<usize>, random: &mut Random) {
    let head = loop_start.unwrap_or(sum.len());
    let mut band = Band::new(noise.low, noise.high, rate);
    let shape = |i: usize| noise.amplitude * libm::exp(-noise.decay * i.min(head) as f64 / rate);
    let (head_part, loop_part) = sum.split_at_mut(head);
    let round: Vec<f64> = loop_part.iter().map(|_| random.noise()).collect();
    for (i, out) in head_part.iter_mut().enumerate() {
        *out += shape(i) * band.process(random.noise());
    }
    round.iter().for_each(|x| _ = band.process(*x));
    for (out, x) in loop_part.iter_mut().zip(&round) {
        *out += shape(head) * band.process(*x);
    }
}

/// Takes the click from a beginning, and from the end of what does not loop.
fn fade_ends(sum: &mut [f64], loops: bool) {
    let end = if loops { 0 } else { sum.len() / 8 };
    for (i, x) in sum.iter_mut().take(FADE_IN).enumerate() {
        *x *= (i + 1) as f64 / FADE_IN as f64;
    }
    for (i, x) in sum.iter_mut().rev().take(end).enumerate() {
        *x *= i as f64 / end as f64;
    }
}

/// Scales to the common peak, and rounds.
pub(super) fn finish(name: &str, rate: f64, sum: &[f64], sample: WaveSample) -> Wave {
    let peak = sum.iter().fold(1e-9, |peak: f64, x| peak.max(x.abs()));
    let samples: Vec<i16> = sum.iter().map(|x| libm::round(x / peak * PEAK) as i16).collect();
    Wave::new(name, rate as u32, &samples, Some(sample))
}

/// Returns the root mean square of a wave's loudest tenth of a second, in dB below full scale.
pub(super) fn loudness(wave: &Wave) -> f64 {
    let window = (wave.sample_rate / 10) as usize;
    let power = |part: &[i16]| part.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() / window as f64;
    let loudest = wave.samples().chunks(window).map(power).fold(1.0, f64::max);
    10.0 * libm::log10(loudest) - 20.0 * libm::log10(32_768.0)
}

/// A band-pass of two one-pole low-passes and two one-pole high-passes.
pub(super) struct Band {
    low: f64,
    high: f64,
    state: [f64; 4],
}

impl Band {
    /// Makes a band-pass filter between two frequencies in Hz.
    pub(super) fn new(low: f64, high: f64, rate: f64) -> Self {
        let pole = |hertz: f64| 1.0 - libm::exp(-TAU * (hertz / rate).min(0.49));
        Self { low: pole(low), high: pole(high), state: [0.0; 4] }
    }

    /// Filters one sample.
    pub(super) fn process(&mut self, x: f64) -> f64 {
        let [a, b, c, d] = &mut self.state;
        *a += (x - *a) * self.high;
        *b += (*a - *b) * self.high;
        *c += (*b - *c) * self.low;
        let first = *b - *c;
        *d += (first - *d) * self.low;
        first - *d
    }
}
