//! A room: early diffusion by all-passes, then eight delay lines fed back through a Hadamard matrix, each with a
//! low-pass so that high notes die away first.

use super::delay::{CHUNK, DelayLine, SILENCE, flush, is_silent};
use crate::lanes::{LANES, Lane};

/// As many as there are lanes, so that all of them are damped at once.
const LINES: usize = LANES;
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

/// 1 / sqrt(8)
const HADAMARD_SCALE: f32 = 0.353_553_4;

struct AllPass {
    line: DelayLine,
    delay: usize,
}

impl AllPass {
    /// Passes the first `frames` of a chunk. Returns whether, if it matters, the line was given nothing but zeros.
    #[inline(always)]
    fn process(&mut self, chunk: &mut [f32; CHUNK], frames: usize, matters: bool) -> bool {
        let mut inner = [0.0; CHUNK];
        self.line.read(self.delay, &mut inner);
        for (x, inner) in chunk.iter_mut().zip(&mut inner) {
            let delayed = *inner;
            *inner = *x - DIFFUSION_GAIN * delayed;
            *x = delayed + DIFFUSION_GAIN * *inner;
        }
        self.line.write(&inner[..frames]);
        matters && is_silent(&inner[..frames])
    }
}

/// The frames of a chunk on their way through the lines.
#[repr(C, align(64))]
struct Rows {
    lines: [[f32; CHUNK]; LINES],
    columns: [Lane; LANES],
    wet: [[f32; CHUNK]; 2],
}

/// The reverb: one channel in, two out.
pub(crate) struct Reverb {
    // Fixed.
    delays: [usize; LINES],
    gains: Lane,
    damping: f32,
    /// Frames that are worked on at a time: no more than the shortest delay that is fed back, so that nothing read in
    /// them depends on what is written in them.
    chunk: usize,
    // Where it is.
    predelay: (DelayLine, usize),
    diffusion: [AllPass; 4],
    lines: [DelayLine; LINES],
    low: Lane,
    /// Frames for which every line was given nothing but zeros. From the longest delay on there is nothing but zeros to
    /// be read, and with silent input nothing to be done.
    silent: usize,
    rows: Box<Rows>,
}

impl Reverb {
    /// Makes the reverb for a sample rate.
    pub(crate) fn new(sample_rate: u32) -> Self {
        let rate = f64::from(sample_rate);
        let samples = |milliseconds: f64| ((milliseconds * rate / 1000.0) as usize).max(1);
        let line = |milliseconds| DelayLine::new(samples(milliseconds));
        Self {
            delays: LINE_MS.map(samples),
            gains: Lane(LINE_MS.map(|ms| libm::pow(10.0, -3.0 * ms / 1000.0 / DECAY_SECONDS) as f32)),
            damping: damping_pole(rate) as f32,
            chunk: DIFFUSION_MS.into_iter().chain(LINE_MS).map(samples).fold(CHUNK, usize::min),
            predelay: (line(PREDELAY_MS), samples(PREDELAY_MS)),
            diffusion: DIFFUSION_MS.map(|ms| AllPass { line: line(ms), delay: samples(ms) }),
            lines: LINE_MS.map(line),
            low: Lane::default(),
            silent: usize::MAX,
            rows: Box::new(Rows {
                lines: [[0.0; CHUNK]; LINES],
                columns: [Lane::default(); LANES],
                wet: [[0.0; CHUNK]; 2],
            }),
        }
    }

    /// Silences the reverb.
    pub(crate) fn clear(&mut self) {
        self.predelay.0.clear();
        self.diffusion.iter_mut().for_each(|stage| stage.line.clear());
        self.lines.iter_mut().for_each(DelayLine::clear);
        self.low = Lane::default();
        self.silent = usize::MAX;
    }

    /// Adds the reverb of some frames to the output, left and right, of as many. `turn` turns rows of eight numbers
    /// into columns.
    #[inline(always)]
    pub(crate) fn process(
        &mut self,
        input: &[f32],
        [left, right]: [&mut [f32]; 2],
        turn: impl Fn([Lane; LANES]) -> [Lane; LANES] + Copy,
    ) {
        let parts = left.chunks_mut(self.chunk).zip(right.chunks_mut(self.chunk));
        for (input, (left, right)) in input.chunks(self.chunk).zip(parts) {
            let quiet = is_silent(input);
            if quiet && self.silent >= self.delays[LINES - 1] {
                continue;
            }
            let died = self.chunk(input, quiet, turn);
            self.silent = if died { self.silent.saturating_add(input.len()) } else { 0 };
            let [wet_left, wet_right] = &self.rows.wet;
            for (out, wet) in [(left, wet_left), (right, wet_right)] {
                out.iter_mut().zip(wet).for_each(|(out, wet)| *out += wet);
            }
        }
    }

    /// Works out a chunk. Returns whether the input was `quiet` and every line was given nothing but zeros.
    #[inline(always)]
    fn chunk(&mut self, input: &[f32], quiet: bool, turn: impl Fn([Lane; LANES]) -> [Lane; LANES] + Copy) -> bool {
        let frames = input.len();
        let mut x = [0.0; CHUNK];
        let (predelay, delay) = &mut self.predelay;
        predelay.write(input);
        predelay.read(*delay + frames - 1, &mut x);
        let mut died = quiet;
        for stage in &mut self.diffusion {
            died = stage.process(&mut x, frames, died);
        }
        let Rows { lines, columns, wet } = &mut *self.rows;
        for ((line, delay), row) in self.lines.iter().zip(self.delays).zip(&mut *lines) {
            line.read(delay, row);
        }
        let before = self.low;
        let least = damp::<false>(lines, columns, frames, (&mut self.low, self.damping, &self.gains), turn);
        if least < SILENCE.to_bits() {
            // Seldom: the lines are read again, and what is too small to be heard is flushed.
            for ((line, delay), row) in self.lines.iter().zip(self.delays).zip(&mut *lines) {
                line.read(delay, row);
            }
            self.low = before;
            damp::<true>(lines, columns, frames, (&mut self.low, self.damping, &self.gains), turn);
        }
        feed(lines, wet, &x);
        for (line, row) in self.lines.iter_mut().zip(&*lines) {
            line.write(&row[..frames]);
        }
        died && self.low.is_zero() && lines.iter().all(|row| is_silent(&row[..frames]))
    }
}

/// Lets the first `frames` frames of the lines through the damping low-passes, and lowers them. Returns the bits of the
/// least number but 0 that a low-pass has held, all of them taken as positive.
///
/// With `FLUSH`, what is too small to be heard is silence. Each low-pass is a chain of operations that must wait for one
/// another, and all but these three would make it longer: so that they are left out until a number is as small.
#[inline(always)]
fn damp<const FLUSH: bool>(
    lines: &mut [[f32; CHUNK]; LINES],
    columns: &mut [Lane; LANES],
    frames: usize,
    (low, damping, gains): (&mut Lane, f32, &Lane),
    turn: impl Fn([Lane; LANES]) -> [Lane; LANES] + Copy,
) -> u32 {
    let mut held = *low;
    let mut least = [u32::MAX; LANES];
    for first in (0..frames).step_by(LANES) {
        // A column is a frame of all lines.
        let [a, b, c, d, e, f, g, h] = &*lines;
        *columns = turn([a, b, c, d, e, f, g, h].map(|row| part(row, first)));
        for taps in &mut columns[..LANES.min(frames - first)] {
            let mut lowered = Lane::default();
            for i in 0..LANES {
                let damped = taps.0[i] + (held.0[i] - taps.0[i]) * damping;
                held.0[i] = if FLUSH { flush(damped) } else { damped };
                lowered.0[i] = held.0[i] * gains.0[i];
            }
            *taps = lowered;
            for (least, held) in least.iter_mut().zip(&held.0) {
                // Less one, so that 0 is the greatest.
                *least = (*least).min((held.to_bits() & !SIGN).wrapping_sub(1));
            }
        }
        for (line, row) in lines.iter_mut().zip(turn(*columns)) {
            line[first..first + LANES].copy_from_slice(&row.0);
        }
    }
    *low = held;
    least.into_iter().fold(u32::MAX, u32::min).saturating_add(1)
}

/// The bit of the sign.
const SIGN: u32 = 1 << 31;

/// Returns the pole of the damping low-pass. Placed so that at [`DAMPING_MEASURED_HERTZ`] it damps as much as the
/// analogue one does, whatever the rate: a pole at the analogue one's own frequency damps less the nearer that is to
/// half the rate.
fn damping_pole(rate: f64) -> f64 {
    let hertz = DAMPING_MEASURED_HERTZ.min(0.4 * rate);
    let power = 1.0 / (1.0 + (hertz / DAMPING_HERTZ) * (hertz / DAMPING_HERTZ));
    // (1 - a)^2 / (1 - 2 a cos(w) + a^2) is this power: the solution that is stable.
    let cosine = libm::cos(core::f64::consts::TAU * hertz / rate);
    let b = (1.0 - power * cosine) / (1.0 - power);
    b - libm::sqrt(b * b - 1.0)
}

/// Returns eight frames of a row.
#[inline(always)]
fn part(row: &[f32; CHUNK], first: usize) -> Lane {
    Lane(*row[first..].first_chunk().expect("a chunk is whole eights"))
}

/// Taps the damped lines for the output, and mixes them with each other and with the input into what they are given.
///
/// One line of the source for each delay line, and no array among them: the compiler then works on many frames at a
/// time.
#[inline(always)]
fn feed(lines: &mut [[f32; CHUNK]; LINES], wet: &mut [[f32; CHUNK]; 2], input: &[f32; CHUNK]) {
    let [l0, l1, l2, l3, l4, l5, l6, l7] = lines;
    let [left, right] = wet;
    for i in 0..CHUNK {
        let (a, b, c, d, e, f, g, h) = (l0[i], l1[i], l2[i], l3[i], l4[i], l5[i], l6[i], l7[i]);
        left[i] = ((a - c) + (e - g)) * WET;
        right[i] = ((b - d) + (f - h)) * WET;
        // The orthonormal Hadamard matrix of order 8.
        let (a, b, c, d, e, f, g, h) = (a + b, a - b, c + d, c - d, e + f, e - f, g + h, g - h);
        let (a, b, c, d, e, f, g, h) = (a + c, b + d, a - c, b - d, e + g, f + h, e - g, f - h);
        let (a, b, c, d, e, f, g, h) = (a + e, b + f, c + g, d + h, a - e, b - f, c - g, d - h);
        let x = input[i];
        l0[i] = a * HADAMARD_SCALE + x;
        l1[i] = b * HADAMARD_SCALE - x;
        l2[i] = c * HADAMARD_SCALE + x;
        l3[i] = d * HADAMARD_SCALE - x;
        l4[i] = e * HADAMARD_SCALE + x;
        l5[i] = f * HADAMARD_SCALE - x;
        l6[i] = g * HADAMARD_SCALE + x;
        l7[i] = h * HADAMARD_SCALE - x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::turn;

    fn one(reverb: &mut Reverb, x: f32) -> [f32; 2] {
        let (mut left, mut right) = ([0.0], [0.0]);
        reverb.process(&[x], [&mut left, &mut right], turn);
        [left[0], right[0]]
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
