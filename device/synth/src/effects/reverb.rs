//! A room: early diffusion by all-passes, then eight delay lines fed back through a Hadamard matrix, each with a
//! low-pass so that high notes die away first.

use super::delay::DelayLine;

const LINES: usize = 8;
/// Lengths in milliseconds, without common factors at any usual rate.
const LINE_MS: [f64; LINES] = [29.71, 33.23, 37.13, 41.11, 43.91, 47.53, 53.17, 58.31];
/// All-passes before the lines, in milliseconds.
const DIFFUSION_MS: [f64; 4] = [3.31, 4.79, 7.63, 11.17];
const DIFFUSION_GAIN: f32 = 0.6;
/// Time to -60 dB of low notes, in seconds.
const DECAY_SECONDS: f64 = 1.6;
/// Where damping begins, in Hz.
const DAMPING_HERTZ: f64 = 5200.0;
/// Time before the first reflection, in milliseconds.
const PREDELAY_MS: f64 = 12.0;
/// Gain of the output: a full send is then about as loud as the dry voice.
const WET: f32 = 0.42;

struct AllPass {
    line: DelayLine,
    delay: usize,
}

impl AllPass {
    fn process(&mut self, x: f32) -> f32 {
        let delayed = self.line.read(self.delay);
        let inner = x - DIFFUSION_GAIN * delayed;
        self.line.write(inner);
        delayed + DIFFUSION_GAIN * inner
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
            damping: libm::exp(-core::f64::consts::TAU * (DAMPING_HERTZ / rate).min(0.45)) as f32,
            low: [0.0; LINES],
        }
    }

    pub(crate) fn clear(&mut self) {
        self.predelay.0.clear();
        self.diffusion.iter_mut().for_each(|stage| stage.line.clear());
        self.lines.iter_mut().for_each(DelayLine::clear);
        self.low = [0.0; LINES];
    }

    /// One frame.
    pub(crate) fn process(&mut self, x: f32) -> [f32; 2] {
        let (predelay, delay) = &mut self.predelay;
        predelay.write(x);
        let mut x = predelay.read(*delay);
        for stage in &mut self.diffusion {
            x = stage.process(x);
        }
        let mut y = [0.0; LINES];
        for (i, y) in y.iter_mut().enumerate() {
            let tap = self.lines[i].read(self.delays[i]);
            self.low[i] = super::delay::flush(tap + (self.low[i] - tap) * self.damping);
            *y = self.low[i] * self.gains[i];
        }
        let left = (y[0] - y[2]) + (y[4] - y[6]);
        let right = (y[1] - y[3]) + (y[5] - y[7]);
        hadamard(&mut y);
        for (i, line) in self.lines.iter_mut().enumerate() {
            let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
            line.write(y[i] + sign * x);
        }
        [left * WET, right * WET]
    }
}

/// Multiplies by the orthonormal Hadamard matrix of order 8.
fn hadamard(y: &mut [f32; LINES]) {
    for span in [1, 2, 4] {
        for i in (0..LINES).filter(|i| i & span == 0) {
            let (a, b) = (y[i], y[i + span]);
            (y[i], y[i + span]) = (a + b, a - b);
        }
    }
    // 1 / sqrt(8)
    y.iter_mut().for_each(|v| *v *= 0.353_553_4);
}
