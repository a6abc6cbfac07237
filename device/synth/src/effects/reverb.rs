//! A room: early diffusion by all-passes, then eight delay lines fed back through a Hadamard matrix, each with a
//! low-pass so that high notes die away first.

use super::delay::{CHUNK, DelayLine, flush};

const LINES: usize = 8;
/// Lengths in milliseconds, without common factors at any usual rate.
const LINE_MS: [f64; LINES] = [29.71, 33.23, 37.13, 41.11, 43.91, 47.53, 53.17, 58.31];
/// All-passes before the lines, in milliseconds.
const DIFFUSION_MS: [f64; 4] = [3.31, 4.79, 7.63, 11.17];
const DIFFUSION_GAIN: f32 = 0.6;
/// Time to -60 dB of low notes, in seconds.
const DECAY_SECONDS: f64 = 1.6;
/// The frequency at which damping begins, in Hz.
const DAMPING_HERTZ: f64 = 5200.0;
/// The frequency at which damping is the same at every rate, in Hz.
const DAMPING_MEASURED_HERTZ: f64 = 3000.0;
/// Time before the first reflection, in milliseconds.
const PREDELAY_MS: f64 = 12.0;
/// Gain of the output: a full send is then about as loud as the dry voice.
const WET: f32 = 0.42;

struct AllPass {
    line: DelayLine,
    delay: usize,
}

impl AllPass {
    fn process(&mut self, chunk: &mut [f32]) {
        let (mut delayed, mut inner) = ([0.0; CHUNK], [0.0; CHUNK]);
        let (delayed, inner) = (&mut delayed[..chunk.len()], &mut inner[..chunk.len()]);
        self.line.read(self.delay, delayed);
        for ((x, delayed), inner) in chunk.iter_mut().zip(&*delayed).zip(&mut *inner) {
            *inner = *x - DIFFUSION_GAIN * delayed;
            *x = delayed + DIFFUSION_GAIN * *inner;
        }
        self.line.write(inner);
    }
}

/// The reverb: one channel in, two out.
pub(crate) struct Reverb {
    predelay: (DelayLine, usize),
    diffusion: [AllPass; 4],
    lines: [DelayLine; LINES],
    delays: [usize; LINES],
    gains: [f32; LINES],
    damping: f32,
    low: [f32; LINES],
}

impl Reverb {
    /// Makes the reverb for a sample rate.
    pub(crate) fn new(sample_rate: u32) -> Self {
        let rate = f64::from(sample_rate);
        let samples = |milliseconds: f64| ((milliseconds * rate / 1000.0) as usize).max(1);
        let line = |milliseconds| DelayLine::new(samples(milliseconds));
        Self {
            predelay: (line(PREDELAY_MS), samples(PREDELAY_MS)),
            diffusion: DIFFUSION_MS.map(|ms| AllPass { line: line(ms), delay: samples(ms) }),
            lines: LINE_MS.map(line),
            delays: LINE_MS.map(samples),
            gains: LINE_MS.map(|ms| libm::pow(10.0, -3.0 * ms / 1000.0 / DECAY_SECONDS) as f32),
            damping: damping(rate) as f32,
            low: [0.0; LINES],
        }
    }

    /// Silences the reverb.
    pub(crate) fn clear(&mut self) {
        self.predelay.0.clear();
        self.diffusion.iter_mut().for_each(|stage| stage.line.clear());
        self.lines.iter_mut().for_each(DelayLine::clear);
        self.low = [0.0; LINES];
    }

    /// Adds the reverb of a chunk of frames to the output.
    pub(crate) fn process(&mut self, input: &[f32], out: &mut [[f32; 2]]) {
        let frames = input.len();
        let mut x = [0.0; CHUNK];
        let (predelay, delay) = &mut self.predelay;
        predelay.write(input);
        predelay.read(*delay + frames - 1, &mut x[..frames]);
        for stage in &mut self.diffusion {
            stage.process(&mut x[..frames]);
        }
        let mut y = [[0.0; CHUNK]; LINES];
        for (i, y) in y.iter_mut().enumerate() {
            self.lines[i].read(self.delays[i], &mut y[..frames]);
        }
        // All lines frame by frame: each is a chain of its own, and the processor works on one while another waits.
        for frame in 0..frames {
            for (i, y) in y.iter_mut().enumerate() {
                let tap = y[frame];
                self.low[i] = flush(tap + (self.low[i] - tap) * self.damping);
                y[frame] = self.low[i] * self.gains[i];
            }
        }
        for (frame, out) in out.iter_mut().enumerate() {
            let y = |line: usize| y[line][frame];
            out[0] += ((y(0) - y(2)) + (y(4) - y(6))) * WET;
            out[1] += ((y(1) - y(3)) + (y(5) - y(7))) * WET;
        }
        hadamard(&mut y);
        for (i, (line, y)) in self.lines.iter_mut().zip(&mut y).enumerate() {
            let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
            y.iter_mut().zip(&x).for_each(|(y, x)| *y += sign * x);
            line.write(&y[..frames]);
        }
    }
}

/// Returns the pole of the damping low-pass. Placed so that at [`DAMPING_MEASURED_HERTZ`] it damps as much as the
/// analogue one does, whatever the rate: a pole at the analogue one's own frequency damps less the nearer that is to
/// half the rate.
fn damping(rate: f64) -> f64 {
    let hertz = DAMPING_MEASURED_HERTZ.min(0.4 * rate);
    let power = 1.0 / (1.0 + (hertz / DAMPING_HERTZ) * (hertz / DAMPING_HERTZ));
    // (1 - a)^2 / (1 - 2 a cos(w) + a^2) is this power: the solution that is stable.
    let cosine = libm::cos(core::f64::consts::TAU * hertz / rate);
    let b = (1.0 - power * cosine) / (1.0 - power);
    b - libm::sqrt(b * b - 1.0)
}

/// Multiplies by the orthonormal Hadamard matrix of order 8.
fn hadamard(y: &mut [[f32; CHUNK]; LINES]) {
    for span in [1, 2, 4] {
        for i in (0..LINES).filter(|i| i & span == 0) {
            let (low, high) = y.split_at_mut(i + span);
            for (a, b) in low[i].iter_mut().zip(&mut high[0]) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
    }
    // 1 / sqrt(8)
    y.as_flattened_mut().iter_mut().for_each(|v| *v *= 0.353_553_4);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(reverb: &mut Reverb, x: f32) -> [f32; 2] {
        let mut out = [[0.0; 2]];
        reverb.process(&[x], &mut out);
        out[0]
    }

    /// Renders the response to one click, of so many seconds.
    fn response(rate: u32, seconds: f64) -> Vec<[f32; 2]> {
        let mut reverb = Reverb::new(rate);
        (0..(seconds * f64::from(rate)) as usize).map(|i| one(&mut reverb, f32::from(i == 0))).collect()
    }

    /// Returns the energy from a time on, in dB.
    fn energy_after(response: &[[f32; 2]], rate: u32, seconds: f64) -> f64 {
        let tail = &response[(seconds * f64::from(rate)) as usize..];
        10.0 * libm::log10(tail.as_flattened().iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>())
    }

    #[test]
    fn decays_in_its_time_at_any_rate() {
        for rate in [22_050, 48_000, 96_000] {
            let response = response(rate, 2.5);
            let fall = energy_after(&response, rate, 0.2) - energy_after(&response, rate, 1.0);
            // High notes die faster than the nominal 60 dB in 1.6 s.
            assert!((30.0..48.0).contains(&fall), "{rate} Hz: {fall} dB in 0.8 s");
        }
    }

    #[test]
    fn sides_are_equally_loud_and_differ_in_shape() {
        let response = response(48_000, 1.0);
        let (mut left, mut right, mut both) = (0.0, 0.0, 0.0);
        for [l, r] in response.iter().map(|f| f.map(f64::from)) {
            (left, right, both) = (left + l * l, right + r * r, both + l * r);
        }
        assert!((10.0 * libm::log10(left / right)).abs() < 1.0);
        assert!((both / libm::sqrt(left * right)).abs() < 0.2);
    }

    #[test]
    fn is_dense_and_has_no_flutter() {
        // After a tenth of a second no stretch of 10 ms stands out of its neighbours.
        let response = response(48_000, 0.8);
        let power = |part: &[[f32; 2]]| part.as_flattened().iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
        let parts: Vec<f64> = response[4800..].chunks_exact(480).map(|p| 10.0 * libm::log10(power(p))).collect();
        for three in parts.windows(3) {
            assert!((three[1] - 0.5 * (three[0] + three[2])).abs() < 4.5, "{three:?}");
        }
    }

    #[test]
    fn ends_in_silence_and_not_in_denormal_numbers() {
        let mut reverb = Reverb::new(11_025);
        one(&mut reverb, 1.0);
        let tail = (0..11_025 * 20).map(|_| one(&mut reverb, 0.0)).last();
        assert_eq!(tail, Some([0.0, 0.0]));
    }
}
