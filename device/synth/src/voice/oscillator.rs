//! The wave oscillator: pitch to step, and frames out of a [`Cursor`].

use super::sample::Cursor;
use crate::lanes::TICK;
use crate::lanes::interpolation::{self, Choice, Interpolators, UNITY, WideTable};
use crate::math;

/// From the oscillator's units (a 16-bit sample times [`UNITY`]) to full scale 1.
pub(crate) const SCALE: f64 = 1.0 / (UNITY as f64 * 32_768.0);

/// Greatest step in samples a frame: five octaves up. Higher notes of a wave stay there; they would be noise anyhow.
const STEP_MAX: f64 = 32.0 * ONE;

/// A step of one sample, in 1/2^32 samples.
const ONE: f64 = 4_294_967_296.0;

/// Returns the step, in 1/2^32 samples a frame, for a pitch in cents above the wave's own.
///
/// `rate` is the wave's sample rate over the output's.
pub(crate) fn unbent_step(cents: f64, rate: f64) -> f64 {
    math::exp2(cents * (1.0 / 1200.0)) * rate * ONE
}

/// Returns a step that is bent by a ratio, in whole 1/2^32 samples a frame.
#[inline(always)]
pub(crate) fn step(unbent: f64, ratio: f32) -> u64 {
    // Adding 2^52 leaves no place for a fraction in the mantissa, whose bits are the whole number then.
    const ROUNDER: f64 = 4_503_599_627_370_496.0;
    let bent = unbent * f64::from(ratio);
    let bent = if bent < STEP_MAX { bent } else { STEP_MAX };
    // A step of nothing would never end a wave.
    let bent = if bent > 1.0 { bent } else { 1.0 };
    (bent + ROUNDER).to_bits() & (ROUNDER as u64 - 1)
}

/// The tables of an oscillator: that of the tick before, and that of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tables {
    before: Choice,
    now: Choice,
}

impl Tables {
    /// Returns the tables of a voice that begins with a step.
    pub(crate) fn begin(step: u64) -> Self {
        Self { before: Choice::of(step), now: Choice::of(step) }
    }

    /// Returns the tables of the tick that follows, which begins with a step.
    #[inline(always)]
    pub(crate) fn follow(self, step: u64) -> Self {
        Self { before: self.now, now: Choice::of(step) }
    }

    /// Returns how many samples before a position the taps begin.
    fn taps_before(self) -> usize {
        self.before.taps_before().max(self.now.taps_before())
    }
}

/// Renders `out.len()` frames from frame `offset` of a tick on; zeros from where the sample ends.
pub(crate) fn render(
    cursor: &mut Cursor,
    step: u64,
    tables: Tables,
    offset: usize,
    interpolators: Interpolators,
    out: &mut [f32],
) {
    let taps_before = tables.taps_before();
    let mut done = 0;
    while done < out.len() {
        if cursor.ended() {
            out[done..].fill(0.0);
            return;
        }
        let limit = cursor.limit(taps_before);
        if cursor.position >= limit {
            cursor.turn();
            continue;
        }
        let wanted = (out.len() - done) as u64;
        // Far from the limit, which is most of the time, no division is needed.
        let far = cursor.position + step * (wanted - 1) < limit;
        let frames = if far { wanted } else { wanted.min((limit - cursor.position).div_ceil(step)) } as usize;
        let part = &mut out[done..done + frames];
        interpolate(interpolators, tables.now, cursor, step, part);
        if tables.before != tables.now {
            fade(interpolators, tables.before, cursor, step, offset + done, part);
        }
        cursor.position += step * frames as u64;
        done += frames;
    }
}

#[inline(always)]
fn interpolate(interpolators: Interpolators, table: Choice, cursor: &Cursor, step: u64, out: &mut [f32]) {
    let (window, base) = cursor.window();
    interpolate_in(interpolators, table, (window, base), cursor.position, step, out);
    if let Some(low) = cursor.low_window() {
        add_low_bits(interpolators, table, (low, base), cursor.position, step, out);
    }
}

#[inline(always)]
fn interpolate_in(
    interpolators: Interpolators,
    table: Choice,
    (window, base): (&[i16], usize),
    position: u64,
    step: u64,
    out: &mut [f32],
) {
    match table {
        Choice::Narrow => (interpolators.narrow)(interpolation::table(), window, base, position, step, out),
        Choice::Wide(index) => (interpolators.wide)(WideTable::at(index), window, base, position, step, out),
    }
}

/// Adds the lower 8 of 24 bits. Interpolation is a sum of products, so that the parts of a sample may be interpolated apart.
#[cold]
fn add_low_bits(
    interpolators: Interpolators,
    table: Choice,
    window: (&[i16], usize),
    position: u64,
    step: u64,
    out: &mut [f32],
) {
    let mut low = [0.0; TICK];
    let low = &mut low[..out.len()];
    interpolate_in(interpolators, table, window, position, step, low);
    for (out, low) in out.iter_mut().zip(low) {
        *out += *low * (1.0 / 256.0);
    }
}

/// Goes over from another table to what is there already, in a straight line over the tick.
#[cold]
fn fade(interpolators: Interpolators, from: Choice, cursor: &Cursor, step: u64, offset: usize, out: &mut [f32]) {
    let mut before = [0.0; TICK];
    let before = &mut before[..out.len()];
    interpolate(interpolators, from, cursor, step, before);
    for (i, (out, before)) in out.iter_mut().zip(before).enumerate() {
        let part = (offset + i + 1) as f32 * (1.0 / TICK as f32);
        *out = *before + (*out - *before) * part;
    }
}
