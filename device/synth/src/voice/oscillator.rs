//! The wave oscillator: pitch to step, and frames out of a [`Cursor`].

use super::sample::Cursor;
use crate::kernel::Kernels;
use crate::kernel::interpolation;
use crate::math;

/// Greatest step in samples a frame: five octaves up. Higher notes of a wave stay there; they would be noise anyhow.
const STEP_MAX: f64 = 32.0;

/// The 32.32 step for a pitch in cents above the wave's own.
///
/// `rate` is the wave's sample rate over the output's.
pub(crate) fn step(cents: f64, rate: f64) -> u64 {
    let ratio = (math::exp2(cents * (1.0 / 1200.0)) * rate).min(STEP_MAX);
    // A step of nothing would never end a wave.
    ((ratio * 4_294_967_296.0) as u64).max(1)
}

/// Renders `out.len()` frames; zeros from where the sample ends.
pub(crate) fn render(cursor: &mut Cursor, step: u64, kernels: &Kernels, out: &mut [f32]) {
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
        (kernels.interpolate)(table, window, base, cursor.position, step, &mut out[done..done + frames]);
        cursor.position += step * frames as u64;
        done += frames;
    }
}
