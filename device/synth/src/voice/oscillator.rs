//! The wave oscillator: pitch to step, and frames out of a [`Cursor`].

use super::sample::Cursor;
use crate::lanes::interpolation::{self, Interpolate, UNITY};
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

/// Renders `out.len()` frames; zeros from where the sample ends.
pub(crate) fn render(cursor: &mut Cursor, step: u64, interpolate: Interpolate, out: &mut [f32]) {
    let table = interpolation::table_for(step);
    let mut done = 0;
    while done < out.len() {
        if cursor.ended() {
            out[done..].fill(0.0);
            return;
        }
        let limit = cursor.limit();
        if cursor.position >= limit {
            cursor.turn();
            continue;
        }
        let wanted = (out.len() - done) as u64;
        // Far from the limit, which is most of the time, no division is needed.
        let far = cursor.position + step * (wanted - 1) < limit;
        let frames = if far { wanted } else { wanted.min((limit - cursor.position).div_ceil(step)) } as usize;
        let (window, base) = cursor.window();
        interpolate(table, window, base, cursor.position, step, &mut out[done..done + frames]);
        cursor.position += step * frames as u64;
        done += frames;
    }
}
