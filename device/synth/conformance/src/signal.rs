//! What was rendered, as one complex signal a side, and what can be read from it.
//!
//! The cosine file is the real part and the sine file the imaginary part, so that one tone of amplitude `a` and phase
//! `p` is `a e^(ip)` at every sample: level and pitch need no window but for noise.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

use crate::expect::{Output, Reference};

/// Length of the transform of an impulse response: 1.5 s at 44.1 kHz, longer than any filter rings.
const TRANSFORM: usize = 1 << 13;

/// The part before an impulse in its transform, in seconds: the reach of long interpolators.
const BEFORE_IMPULSE: f64 = 0.004;

/// Levels below this are shown as this.
pub const FLOOR_DB: f64 = -180.0;

/// Samples of two outputs.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// Frames a second.
    pub rate: u32,
    /// Left and right; full scale is 1.
    pub frames: Vec<[f32; 2]>,
}

impl Recording {
    /// Returns the highest sample in dB below full scale.
    #[must_use]
    pub fn peak_db(&self) -> f64 {
        decibels(self.frames.as_flattened().iter().fold(0.0, |peak: f64, x| peak.max(f64::from(x.abs()))))
    }
}

/// The complex signal, with its zero of level, pitch and time.
pub struct Signal {
    rate: f64,
    sides: [Vec<Complex<f64>>; 2],
    /// Frames by which everything is late.
    late: f64,
    /// Amplitude of the reference note.
    level: f64,
    /// Turns a frame of the reference note.
    turns: f64,
    /// The frame of the reference's impulse.
    impulse: usize,
}

/// Why nothing can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// The reference note is not there.
    #[error("the reference note is not heard: the file was not read, or its program was not chosen")]
    NoReference,
    /// Both renderings of a pair are not of one level.
    #[error("the cosine and the sine rendering do not go together: the reference note is not of one level")]
    NoPair,
}

/// Returns amplitude as dB.
#[must_use]
pub fn decibels(amplitude: f64) -> f64 {
    (20.0 * amplitude.log10()).max(FLOOR_DB)
}

impl Signal {
    /// Makes a signal from both renderings of a tone.
    ///
    /// # Errors
    /// [`SignalError`], when the reference note is not what it has to be.
    pub fn of_pair(cosine: &Recording, sine: &Recording, reference: Reference) -> Result<Self, SignalError> {
        let frames = cosine.frames.len().max(sine.frames.len());
        let side = |side: usize| {
            let at = |r: &Recording, i: usize| r.frames.get(i).map_or(0.0, |frame| f64::from(frame[side]));
            (0..frames).map(|i| Complex::new(at(cosine, i), at(sine, i))).collect()
        };
        let mut signal = Self::raw(cosine.rate, [side(0), side(1)]);
        let middle = 0.5 * (reference.on + reference.off);
        let length = 0.5 * (reference.off - reference.on);
        signal.level = signal.amplitude(middle, length, Output::Both);
        if signal.level < 1e-4 {
            return Err(SignalError::NoReference);
        }
        let spread = [-0.25, 0.0, 0.25].map(|part| signal.amplitude(middle + part * length, 0.001, Output::Both));
        if spread.iter().any(|level| (level / signal.level - 1.0).abs() > 0.02) {
            return Err(SignalError::NoPair);
        }
        signal.turns = signal.turns_a_frame(middle, length, Output::Both);
        let first = (0..frames).find(|i| signal.amplitude_at(*i) > 0.5 * signal.level).unwrap_or(0);
        signal.late = first as f64 - reference.on * signal.rate;
        Ok(signal)
    }

    /// Makes a signal from one rendering of impulses.
    ///
    /// # Errors
    /// [`SignalError`], when the reference impulse is not heard.
    pub fn of_impulses(recording: &Recording, reference: Reference, delay: f64) -> Result<Self, SignalError> {
        let side = |side: usize| recording.frames.iter().map(|f| Complex::new(f64::from(f[side]), 0.0)).collect();
        let mut signal = Self::raw(recording.rate, [side(0), side(1)]);
        let until = ((reference.off * signal.rate) as usize).min(recording.frames.len());
        let loudest = (0..until).max_by(|a, b| signal.amplitude_at(*a).total_cmp(&signal.amplitude_at(*b)));
        signal.impulse = loudest.ok_or(SignalError::NoReference)?;
        signal.level = signal.amplitude_at(signal.impulse);
        if signal.level < 1e-4 {
            return Err(SignalError::NoReference);
        }
        signal.late = signal.impulse as f64 - (reference.on + delay) * signal.rate;
        Ok(signal)
    }

    fn raw(rate: u32, sides: [Vec<Complex<f64>>; 2]) -> Self {
        Self { rate: f64::from(rate), sides, late: 0.0, level: 1.0, turns: 0.0, impulse: 0 }
    }

    /// Returns frames a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Returns the reference note's frequency in Hz.
    #[must_use]
    pub fn reference_hertz(&self) -> f64 {
        self.turns * self.rate
    }

    fn amplitude_at(&self, frame: usize) -> f64 {
        (self.sides[0][frame].norm_sqr() + self.sides[1][frame].norm_sqr()).sqrt()
    }

    fn span(&self, at: f64, window: f64) -> std::ops::Range<usize> {
        let middle = at * self.rate + self.late;
        let frames = (window * self.rate).round().max(1.0);
        let first = (middle - 0.5 * frames).round().max(0.0) as usize;
        let length = self.sides[0].len();
        first.min(length)..(first + frames as usize).min(length)
    }

    fn outputs(&self, output: Output) -> impl Iterator<Item = &Vec<Complex<f64>>> {
        let wanted = match output {
            Output::Both => [true, true],
            Output::Left => [true, false],
            Output::Right => [false, true],
        };
        self.sides.iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(side, _)| side)
    }

    fn amplitude(&self, at: f64, window: f64, output: Output) -> f64 {
        let span = self.span(at, window);
        let frames = span.len().max(1) as f64;
        let power: f64 = self.outputs(output).flat_map(|side| &side[span.clone()]).map(Complex::norm_sqr).sum();
        (power / frames).sqrt()
    }

    /// Returns the level around a time, in dB.
    #[must_use]
    pub fn level(&self, at: f64, window: f64, output: Output) -> f64 {
        decibels(self.amplitude(at, window, output) / self.level)
    }

    /// Returns the level around a time of the component so many cents above the reference, in dB.
    #[must_use]
    pub fn component(&self, at: f64, window: f64, output: Output, cents: f64) -> f64 {
        let span = self.span(at, window);
        let turns = self.turns * (cents / 1200.0).exp2();
        let length = span.len().max(1) as f64;
        let mut power = 0.0;
        for side in self.outputs(output) {
            let mut sum = Complex::new(0.0, 0.0);
            for (i, z) in side[span.clone()].iter().enumerate() {
                let hann = 1.0 - (core::f64::consts::TAU * (i as f64 + 0.5) / length).cos();
                sum += z * Complex::from_polar(hann, -core::f64::consts::TAU * turns * i as f64);
            }
            power += (sum / length).norm_sqr();
        }
        decibels(power.sqrt() / self.level)
    }

    fn turns_a_frame(&self, at: f64, window: f64, output: Output) -> f64 {
        let span = self.span(at, window);
        let products = self.outputs(output).flat_map(|side| side[span.clone()].windows(2));
        let sum: Complex<f64> = products.map(|pair| pair[1] * pair[0].conj()).sum();
        sum.arg() / core::f64::consts::TAU
    }

    /// Returns pitch around a time, in cents; none where there is no sound.
    #[must_use]
    pub fn pitch(&self, at: f64, window: f64, output: Output) -> Option<f64> {
        let turns = self.turns_a_frame(at, window, output);
        (turns > 0.0 && self.level(at, window, output) > -100.0).then(|| 1200.0 * (turns / self.turns).log2())
    }

    /// Returns how far the right output is behind the left around a time, in samples of the tone there.
    #[must_use]
    pub fn phase(&self, at: f64, window: f64) -> Option<f64> {
        let span = self.span(at, window);
        let turns = self.turns_a_frame(at, window, Output::Left);
        let [left, right] = &self.sides;
        let sum: Complex<f64> = span.map(|i| left[i] * right[i].conj()).sum();
        (turns > 0.0 && sum.norm() > 0.0).then(|| sum.arg() / core::f64::consts::TAU / turns)
    }

    /// Returns the first and last time between two at which the signal is above some dB below its highest level there.
    #[must_use]
    pub fn extent(&self, at: f64, until: f64, below: f64) -> Option<(f64, f64)> {
        let span = self.span(0.5 * (at + until), until - at);
        let highest = span.clone().map(|i| self.amplitude_at(i)).fold(0.0, f64::max);
        if decibels(highest / self.level) < -80.0 {
            return None;
        }
        let threshold = highest * 10f64.powf(-below / 20.0);
        let loud = |i: &usize| self.amplitude_at(*i) >= threshold;
        let time = |i: usize| (i as f64 - self.late) / self.rate;
        Some((time(span.clone().find(loud)?), time(span.rev().find(loud)?)))
    }

    /// Returns the first time between two at which one output is within 6 dB of its highest level there.
    #[must_use]
    pub fn onset(&self, at: f64, until: f64, output: Output) -> Option<f64> {
        let span = self.span(0.5 * (at + until), until - at);
        let amplitude = |i: usize| self.outputs(output).map(|side| side[i].norm_sqr()).sum::<f64>().sqrt();
        let highest = span.clone().map(amplitude).fold(0.0, f64::max);
        let first = span.clone().find(|i| amplitude(*i) >= 0.5 * highest)?;
        (decibels(highest / self.level) > -80.0).then(|| (first as f64 - self.late) / self.rate)
    }

    /// Returns the same with times as in the recording, and not from the reference note.
    #[must_use]
    pub fn without_lateness(self) -> Self {
        Self { late: 0.0, ..self }
    }

    /// Returns gain in dB by frequency of the impulse response that was played at a time, against the reference's.
    pub fn response(&self, at: f64, delay: f64) -> impl Fn(f64) -> f64 + use<> {
        let before = (BEFORE_IMPULSE * self.rate) as usize;
        let late = self.late;
        let subject = ((at + delay) * self.rate + late).round() as usize;
        let mut planner = RealFftPlanner::<f64>::new();
        let transform = planner.plan_fft_forward(TRANSFORM);
        let spectrum = |impulse: usize| -> Vec<[Complex<f64>; 2]> {
            let [left, right] = [0, 1].map(|side| {
                let mut input = transform.make_input_vec();
                let from = impulse.saturating_sub(before);
                for (x, z) in input.iter_mut().zip(self.sides[side].iter().skip(from)) {
                    *x = z.re;
                }
                let mut output = transform.make_output_vec();
                // Lengths are the plan's own, so that it cannot fail; a failure would leave zeros, which fail a check.
                let _ = transform.process(&mut input, &mut output);
                output
            });
            left.into_iter().zip(right).map(|(l, r)| [l, r]).collect()
        };
        let (plain, filtered) = (spectrum(self.impulse), spectrum(subject));
        let rate = self.rate;
        move |hertz| {
            let bin = hertz / rate * TRANSFORM as f64;
            let (low, part) = (bin as usize, bin.fract());
            let power = |s: &[[Complex<f64>; 2]], i: usize| {
                s.get(i).map_or(0.0, |bins| bins.iter().map(Complex::norm_sqr).sum::<f64>())
            };
            let gain = |i: usize| decibels((power(&filtered, i) / power(&plain, i).max(1e-30)).sqrt());
            gain(low) * (1.0 - part) + gain(low + 1) * part
        }
    }
}
