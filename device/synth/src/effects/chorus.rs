//! A chorus: two delay lines a side that swing slowly, each at its own place of the turn.

use super::delay::{CHUNK, DelayLine};
use crate::math;

/// The middle of the swing, in milliseconds.
const DELAY_MS: f64 = 14.0;
/// The swing to either side, in milliseconds.
const DEPTH_MS: f64 = 2.6;
/// Turns a second.
const HERTZ: f64 = 0.73;
/// The phase at which each tap begins: left, left, right, right.
const PHASES: [u32; 4] = [0, 0x6000_0000, 0x4000_0000, 0xA000_0000];
/// Gain of each tap.
const WET: f32 = 0.5;

/// The chorus: one channel in, two out.
pub(crate) struct Chorus {
    line: DelayLine,
    middle: f32,
    depth: f32,
    phase: u32,
    step: u32,
}

impl Chorus {
    /// Makes the chorus for a sample rate.
    pub(crate) fn new(sample_rate: u32) -> Self {
        let per_ms = f64::from(sample_rate) / 1000.0;
        Self {
            line: DelayLine::new(((DELAY_MS + DEPTH_MS) * per_ms) as usize + 2),
            middle: (DELAY_MS * per_ms) as f32,
            depth: (DEPTH_MS * per_ms) as f32,
            phase: 0,
            step: (HERTZ / f64::from(sample_rate) * 4_294_967_296.0) as u32,
        }
    }

    /// Silences the chorus.
    pub(crate) fn clear(&mut self) {
        self.line.clear();
        self.phase = 0;
    }

    /// Adds the chorus of a chunk of frames to the output.
    pub(crate) fn process(&mut self, input: &[f32], out: &mut [[f32; 2]]) {
        let frames = input.len();
        self.line.write(input);
        let mut taps = [[0.0; CHUNK]; PHASES.len()];
        for (taps, start) in taps.iter_mut().zip(PHASES) {
            let first = self.phase.wrapping_add(start);
            for (i, delay) in taps.iter_mut().enumerate() {
                *delay = self.middle + self.depth * math::sine(first.wrapping_add(self.step.wrapping_mul(i as u32)));
            }
            for (i, tap) in taps[..frames].iter_mut().enumerate() {
                let whole = *tap as usize;
                // The later ones of the chunk are written already.
                *tap = self.line.read_between(whole + frames - 1 - i, *tap - whole as f32);
            }
        }
        self.phase = self.phase.wrapping_add(self.step.wrapping_mul(frames as u32));
        for (i, out) in out.iter_mut().enumerate() {
            out[0] += (taps[0][i] + taps[1][i]) * WET;
            out[1] += (taps[2][i] + taps[3][i]) * WET;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(chorus: &mut Chorus, x: f32) -> [f32; 2] {
        let mut out = [[0.0; 2]];
        chorus.process(&[x], &mut out);
        out[0]
    }

    #[test]
    fn taps_swing_around_their_delay_and_never_leave_the_delay_line() {
        for rate in [11_025u32, 48_000, 96_000] {
            let mut chorus = Chorus::new(rate);
            let (low, high) = ((DELAY_MS - DEPTH_MS) * 1e-3, (DELAY_MS + DEPTH_MS) * 1e-3);
            for click in 0..40 {
                let period = (0.05 * f64::from(rate)) as usize;
                let response: Vec<_> = (0..period).map(|i| one(&mut chorus, f32::from(i == 0))).collect();
                let sounding = response.iter().enumerate().filter(|(_, f)| f[0] != 0.0 || f[1] != 0.0).map(|(i, _)| i);
                for i in sounding {
                    let seconds = i as f64 / f64::from(rate);
                    let slack = 2.0 / f64::from(rate);
                    assert!((low - slack..=high + slack).contains(&seconds), "click {click}: {seconds}");
                }
            }
        }
    }

    #[test]
    fn a_steady_tone_comes_out_as_loud_as_two_voices() {
        let mut chorus = Chorus::new(48_000);
        let mut power = 0.0;
        for i in 0..480_000u32 {
            let x = libm::sin(f64::from(i) * 0.05) as f32;
            let [left, _] = one(&mut chorus, x);
            power += f64::from(left) * f64::from(left);
        }
        let decibels = 10.0 * libm::log10(power / 480_000.0 * 2.0);
        assert!((-6.0..1.0).contains(&decibels), "{decibels} dB of one");
    }
}
