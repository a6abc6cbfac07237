//! The low-pass filter: exactly the measurement prototype of DLS-2.2, 1.7.4, a pair of poles and no zeros.
//!
//! `H(z) = K / (1 - 2 r cos(t) z^-1 + r^2 z^-2)`, with `r`, `t` and `K` from cutoff and resonance. Cutoff is where the
//! asymptotes meet, resonance the height of the peak above the pass band, and the pass band is lowered by half the
//! resonance. The poles have no closed form in the cutoff, so they are solved once for a grid of cutoffs and taken
//! from there by interpolation; between two stable pairs of coefficients every mixture is stable.

use std::sync::OnceLock;

use crate::lanes::{LANES, Lane};
use crate::math::{greatest, least};

/// Resonance in dB from one table to the next: finer than the 16 steps that a device must have.
const Q_STEP_DB: f64 = 0.75;
/// Tables: 0 to 22.5 dB.
const Q_STEPS: usize = 31;
/// Grid points an octave. Interpolation is exact to 1 cent of cutoff.
const PER_OCTAVE: usize = 16;
/// Octaves from the lowest cutoff, Fs/512, to the highest, Fs/4. A device must reach from Fs/240 to Fs/6.
const OCTAVES: usize = 7;
const POINTS: usize = OCTAVES * PER_OCTAVE + 1;
/// The same, padded with the last point, so that seven bits are always an index.
const PADDED: usize = 128;

/// Resonance in dB from one table of SoundFonts to the next.
const SOUND_FONT_Q_STEP_DB: f64 = 0.5;
/// Tables of SoundFonts: 0 to 48 dB. The specification's generator reaches 96 dB, but above this a pole is so near to the
/// circle that single precision does not hold it, and every sound becomes a whistle long before.
const SOUND_FONT_Q_STEPS: usize = 97;

/// A cutoff in octaves above Fs/512 that leaves everything as it is when there is no resonance.
pub(crate) const OPEN: f32 = 1e6;

/// The coefficients of one resonance at the grid's cutoffs.
pub(crate) struct Resonance {
    /// Gain of the pass band.
    gain: f32,
    /// Gain where the filter is open: SoundFont lowers the level by half the resonance at any cutoff (8.1.2, 9).
    open_gain: f32,
    points: [(f32, f32); PADDED],
}

impl Resonance {
    /// Returns the table for a resonance in dB, clamped to the range of tables. It is made at its first use.
    pub(crate) fn of(decibels: f64) -> &'static Self {
        static TABLES: [OnceLock<Resonance>; Q_STEPS] = [const { OnceLock::new() }; Q_STEPS];
        let index = libm::round(decibels / Q_STEP_DB).clamp(0.0, (Q_STEPS - 1) as f64) as usize;
        TABLES[index].get_or_init(|| Self::make(index as f64 * Q_STEP_DB))
    }

    /// Makes all tables.
    pub(crate) fn prepare() {
        (0..Q_STEPS).for_each(|step| _ = Self::of(step as f64 * Q_STEP_DB));
    }

    /// Returns SoundFont's table for a resonance in dB, clamped to the range of tables. It is made at its first use.
    ///
    /// The poles are a resonant pair at the cutoff (SoundFont 2.04, 8.1.2, 8), and the peak is as many dB above the pass
    /// band as the resonance says, so that without one there is none (8.1.2, 9).
    pub(crate) fn of_sound_font(decibels: f64) -> &'static Self {
        static TABLES: [OnceLock<Resonance>; SOUND_FONT_Q_STEPS] = [const { OnceLock::new() }; SOUND_FONT_Q_STEPS];
        let most = (SOUND_FONT_Q_STEPS - 1) as f64;
        let index = libm::round(decibels / SOUND_FONT_Q_STEP_DB).clamp(0.0, most) as usize;
        TABLES[index].get_or_init(|| Self::make_sound_font(index as f64 * SOUND_FONT_Q_STEP_DB))
    }

    /// Makes all tables of SoundFonts.
    pub(crate) fn prepare_sound_font() {
        (0..SOUND_FONT_Q_STEPS).for_each(|step| _ = Self::of_sound_font(step as f64 * SOUND_FONT_Q_STEP_DB));
    }

    fn make_sound_font(decibels: f64) -> Self {
        let peak = libm::pow(10.0, decibels / 20.0);
        // A pair of damping d has a peak of 1 / (2 d sqrt(1 - d^2)).
        let damping = libm::sqrt(0.5 * (1.0 - libm::sqrt((1.0 - 1.0 / (peak * peak)).max(0.0))));
        let gain = libm::pow(10.0, -decibels / 40.0) as f32;
        let points = core::array::from_fn(|i| {
            let turn = core::f64::consts::TAU * libm::exp2(i.min(POINTS - 1) as f64 / PER_OCTAVE as f64) / 512.0;
            let radius = libm::exp(-damping * turn);
            let angle = turn * libm::sqrt(1.0 - damping * damping);
            ((-2.0 * radius * libm::cos(angle)) as f32, (radius * radius) as f32)
        });
        Self { gain, open_gain: gain, points }
    }

    fn make(decibels: f64) -> Self {
        let resonance = libm::pow(10.0, decibels / 20.0);
        let points = core::array::from_fn(|i| {
            let cutoff = libm::exp2(i.min(POINTS - 1) as f64 / PER_OCTAVE as f64) / 512.0;
            let angle = solve(cutoff, resonance);
            let radius = radius(angle, resonance);
            ((-2.0 * radius * libm::cos(angle)) as f32, (radius * radius) as f32)
        });
        Self { gain: libm::pow(10.0, -decibels / 40.0) as f32, open_gain: 1.0, points }
    }
}

/// Returns the coefficients for a cutoff in octaves above Fs/512, lane by lane: `y = input x - first y1 - second y2`
/// with input, first and second in this order.
///
/// Below Fs/512 the cutoff stays; from Fs/4 to Fs/2 the filter opens little by little, and from there on it is open
/// at any resonance, so that a sweep through all of it has no step.
#[inline(always)]
pub(crate) fn coefficients(resonances: &[&Resonance; LANES], octaves: &Lane) -> [Lane; 3] {
    let zero = Lane::default();
    let (mut first, mut second, mut fraction) = ([zero; 2], [zero; 2], zero);
    let (mut gain, mut open_gain) = (zero, zero);
    let mut index = [0; LANES];
    for (i, index) in index.iter_mut().enumerate() {
        // Adding this number rounds to a whole one, which its low bits are then: half less than x, it is the point at
        // or below x, or the one before; in between it makes no difference.
        const ROUNDER: f32 = 12_582_912.0;
        let x = least(greatest(octaves.0[i] * PER_OCTAVE as f32, 0.0), (POINTS - 1) as f32);
        let rounded = (x - 0.5) + ROUNDER;
        *index = rounded.to_bits() & (PADDED as u32 - 1);
        fraction.0[i] = x - (rounded - ROUNDER);
    }
    for (i, (resonance, index)) in resonances.iter().zip(index).enumerate() {
        let at = index as usize;
        let [from, to] = [resonance.points[at], resonance.points[(at + 1) % PADDED]];
        (first[0].0[i], first[1].0[i]) = (from.0, to.0);
        (second[0].0[i], second[1].0[i]) = (from.1, to.1);
        (gain.0[i], open_gain.0[i]) = (resonance.gain, resonance.open_gain);
    }
    let mut coefficients = [zero; 3];
    for i in 0..LANES {
        let between = |ends: &[Lane; 2]| ends[0].0[i] + (ends[1].0[i] - ends[0].0[i]) * fraction.0[i];
        let opened = least(greatest(octaves.0[i] - OCTAVES as f32, 0.0), 1.0);
        let (first, second) = (between(&first) * (1.0 - opened), between(&second) * (1.0 - opened));
        let gain = gain.0[i] + (open_gain.0[i] - gain.0[i]) * opened;
        coefficients[0].0[i] = gain * (1.0 + first + second);
        (coefficients[1].0[i], coefficients[2].0[i]) = (first, second);
    }
    coefficients
}

/// Returns the offset from octaves above 8.1758 Hz (cents over 1200) to octaves above Fs/512.
pub(crate) fn octaves_offset(sample_rate: u32) -> f64 {
    libm::log2(8.175_798_915_643_707 * 512.0 / f64::from(sample_rate))
}

fn radius(angle: f64, resonance: f64) -> f64 {
    let (sine, cosine) = (libm::sin(angle), libm::cos(angle));
    (cosine + sine * libm::sqrt(resonance * resonance - 1.0)) / (1.0 + resonance * sine)
}

/// Returns the cutoff of a pole angle, as a fraction of the sample rate.
fn cutoff(angle: f64, resonance: f64) -> f64 {
    let r = radius(angle, resonance);
    let at_zero = 1.0 - 2.0 * r * libm::cos(angle) + r * r;
    let at_quarter = libm::sqrt(1.0 + 2.0 * r * r * libm::cos(2.0 * angle) + r * r * r * r);
    0.25 * libm::sqrt(at_zero / at_quarter)
}

/// Returns the pole angle of a cutoff, by bisection: the cutoff grows with the angle.
fn solve(target: f64, resonance: f64) -> f64 {
    let (mut low, mut high) = (0.0, core::f64::consts::FRAC_PI_2);
    for _ in 0..48 {
        let middle = 0.5 * (low + high);
        if cutoff(middle, resonance) < target {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The coefficients of one lane.
    #[derive(Debug)]
    struct Coefficients {
        input: f32,
        first: f32,
        second: f32,
    }

    fn at(decibels: f64, octaves: f32) -> Coefficients {
        let [input, first, second] = coefficients(&[Resonance::of(decibels); LANES], &Lane([octaves; LANES]));
        Coefficients { input: input.0[0], first: first.0[0], second: second.0[0] }
    }

    /// Returns the magnitude in dB at a fraction of the sample rate.
    fn response(c: &Coefficients, frequency: f64) -> f64 {
        let w = core::f64::consts::TAU * frequency;
        let (a1, a2) = (f64::from(c.first), f64::from(c.second));
        let re = 1.0 + a1 * libm::cos(w) + a2 * libm::cos(2.0 * w);
        let im = a1 * libm::sin(w) + a2 * libm::sin(2.0 * w);
        20.0 * libm::log10(f64::from(c.input) / libm::hypot(re, im))
    }

    fn octaves(frequency: f64) -> f32 {
        libm::log2(frequency * 512.0) as f32
    }

    #[test]
    fn an_open_filter_without_resonance_changes_no_sample() {
        let c = at(0.0, OPEN);
        assert_eq!((c.input, c.first, c.second), (1.0, 0.0, 0.0));
    }

    #[test]
    fn cutoff_is_where_the_asymptotes_meet_within_a_semitone() {
        for q in [0.0, 6.0, 12.0, 22.5] {
            for i in 0..200 {
                let wanted = libm::exp2(f64::from(i) / 200.0 * libm::log2(40.0)) / 240.0;
                let c = at(q, octaves(wanted));
                // Above the poles the filter falls by 12 dB an octave, down to Fs/4.
                let fall = response(&c, 0.0) - response(&c, 0.25);
                let found = 0.25 * libm::pow(10.0, -fall / 40.0);
                assert!(libm::log2(found / wanted).abs() < 0.02, "q {q}: {wanted} is {found}");
            }
        }
    }

    #[test]
    fn resonance_is_the_height_of_the_peak_over_the_pass_band() {
        for step in 0..=15 {
            let q = f64::from(step) * 1.5;
            let c = at(q, octaves(1.0 / 40.0));
            let pass = response(&c, 0.0);
            let peak = (1..2500).map(|i| response(&c, f64::from(i) * 1e-4)).fold(pass, f64::max);
            assert!((pass + q / 2.0).abs() < 0.05, "pass band of {q} dB: {pass}");
            assert!((peak - pass - q).abs() < 0.1, "peak of {q} dB: {}", peak - pass);
        }
    }

    /// The poles are at the cutoff, and the peak is what the resonance says; the pass band is lowered by half of it.
    #[test]
    fn a_sound_fonts_resonance_peaks_at_the_cutoff() {
        for q in [0.0, 1.0, 6.0, 10.0, 20.0, 40.0, 48.0] {
            let [input, first, second] =
                coefficients(&[Resonance::of_sound_font(q); LANES], &Lane([octaves(1.0 / 40.0); LANES]));
            let c = Coefficients { input: input.0[0], first: first.0[0], second: second.0[0] };
            let pass = response(&c, 0.0);
            let (peak, at) = (1..12_500)
                .map(|i| f64::from(i) * 1e-5)
                .map(|f| (response(&c, f), f))
                .fold((pass, 0.0), |most, found| if found.0 > most.0 { found } else { most });
            assert!((pass + q / 2.0).abs() < 0.05, "pass band of {q} dB: {pass}");
            assert!((peak - pass - q).abs() < 0.2, "peak of {q} dB: {}", peak - pass);
            assert!(q < 10.0 || (at * 40.0 - 1.0).abs() < 0.06, "peak of {q} dB at {at}");
            // Without resonance: half of the power at the cutoff.
            assert!(q > 0.0 || (response(&c, 1.0 / 40.0) + 3.01).abs() < 0.1, "{}", response(&c, 1.0 / 40.0));
        }
    }

    #[test]
    fn every_filter_of_sound_fonts_is_stable() {
        for step in 0..SOUND_FONT_Q_STEPS {
            let resonance = Resonance::of_sound_font(step as f64 * SOUND_FONT_Q_STEP_DB);
            for i in -200..2000 {
                let [_, first, second] = coefficients(&[resonance; LANES], &Lane([i as f32 * 0.005; LANES]));
                let (first, second) = (first.0[0], second.0[0]);
                assert!(second < 1.0 && first.abs() < 1.0 + second, "{step} {i}: {first} {second}");
            }
        }
    }

    #[test]
    fn every_filter_in_the_tables_and_between_is_stable() {
        for step in 0..Q_STEPS {
            for i in -200..2000 {
                let c = at(step as f64 * Q_STEP_DB, i as f32 * 0.005);
                assert!(c.second < 1.0 && c.first.abs() < 1.0 + c.second, "{c:?}");
            }
        }
    }
}
