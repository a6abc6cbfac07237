//! A chorus: two delay lines a side that swing slowly, each at its own place of the turn.

use super::delay::{CHUNK, DelayLine, is_silent};
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

/// Most that a delay changes from one frame to the next, in frames, at any rate.
const SLOPE: f64 = DEPTH_MS / 1000.0 * core::f64::consts::TAU * HERTZ;

// Within a chunk whole delays differ by one at most, so that two runs of samples are all that a tap reads.
const _: () = assert!(SLOPE * (CHUNK as f64) < 0.99);

/// The chorus: one channel in, two out.
pub(crate) struct Chorus {
    // Fixed.
    middle: f32,
    depth: f32,
    step: u32,
    longest: usize,
    // Where it is.
    line: DelayLine,
    phase: u32,
    /// Frames for which the line was given nothing but zeros. From the longest delay on there is nothing but zeros to
    /// be read.
    silent: usize,
}

impl Chorus {
    /// Makes the chorus for a sample rate.
    pub(crate) fn new(sample_rate: u32) -> Self {
        let per_ms = f64::from(sample_rate) / 1000.0;
        let longest = ((DELAY_MS + DEPTH_MS) * per_ms) as usize + 2;
        Self {
            middle: (DELAY_MS * per_ms) as f32,
            depth: (DEPTH_MS * per_ms) as f32,
            step: (HERTZ / f64::from(sample_rate) * 4_294_967_296.0) as u32,
            longest,
            line: DelayLine::new(longest),
            phase: 0,
            silent: usize::MAX,
        }
    }

    /// Silences the chorus.
    pub(crate) fn clear(&mut self) {
        self.line.clear();
        self.phase = 0;
        self.silent = usize::MAX;
    }

    /// Adds the chorus of some frames to the output, left and right, of as many.
    #[inline(always)]
    pub(crate) fn process(&mut self, input: &[f32], [left, right]: [&mut [f32]; 2]) {
        for (input, (left, right)) in input.chunks(CHUNK).zip(left.chunks_mut(CHUNK).zip(right.chunks_mut(CHUNK))) {
            let frames = input.len();
            let silent = if is_silent(input) { self.silent.saturating_add(frames) } else { 0 };
            // The line keeps its place: all of it that can be read is zero.
            if silent <= self.longest + frames {
                self.line.write(input);
                let mut taps = [[0.0; CHUNK]; PHASES.len()];
                for (tap, start) in taps.iter_mut().zip(PHASES) {
                    self.tap(self.phase.wrapping_add(start), frames, tap);
                }
                for (out, [a, b]) in [(left, [&taps[0], &taps[1]]), (right, [&taps[2], &taps[3]])] {
                    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
                        *out += (a + b) * WET;
                    }
                }
            }
            self.silent = silent;
            self.phase = self.phase.wrapping_add(self.step.wrapping_mul(frames as u32));
        }
    }

    /// Reads one tap for the `frames` frames just written, the first of them at a phase of the swing. What it returns
    /// for later ones is anything.
    #[inline(always)]
    fn tap(&self, first: u32, frames: usize, delays: &mut [f32; CHUNK]) {
        for (i, delay) in delays.iter_mut().enumerate() {
            *delay = self.middle + self.depth * math::sine(first.wrapping_add(self.step.wrapping_mul(i as u32)));
        }
        // Positive numbers are in the order of their bits, which the compiler compares many at once.
        let least = f32::from_bits(delays.iter().fold(u32::MAX, |least, delay| least.min(delay.to_bits()))) as i32;
        // What was written `least + 1 + frames` writes ago comes first: of the first frame, where its delay is the
        // longer, the farther of the two samples around it.
        let mut samples = [0.0; CHUNK + 2];
        self.line.read(least as usize + 1 + frames, &mut samples);
        for (i, tap) in delays.iter_mut().enumerate() {
            let whole = *tap as i32;
            let (a, b, c) = (samples[i], samples[i + 1], samples[i + 2]);
            let (near, far) = if whole > least { (b, a) } else { (c, b) };
            *tap = near + (far - near) * (*tap - whole as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(chorus: &mut Chorus, x: f32) -> [f32; 2] {
        let (mut left, mut right) = ([0.0], [0.0]);
        chorus.process(&[x], [&mut left, &mut right]);
        [left[0], right[0]]
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
