//! The inner loops in plain Rust: what the others are measured against, bit for bit.

use super::interpolation::{TAPS, TAPS_BEFORE, Table};
use super::mixing::mix_lanes;
use super::{Bus, Group, Lane, Parts, Scratch, TICK};

/// Interpolates `out.len()` frames. `window[base]` is the sample at position 0; the caller has made sure that the last
/// frame's taps lie in the window.
pub(crate) fn interpolate(table: &Table, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]) {
    let mut position = position;
    for frame in out {
        let first = base + (position >> 32) as usize - TAPS_BEFORE;
        let taps = table.at(position);
        let mut sum = 0;
        for (coefficient, sample) in taps.iter().zip(&window[first..first + TAPS]) {
            sum += i32::from(*coefficient) * i32::from(*sample);
        }
        *frame = sum as f32;
        position = position.wrapping_add(step);
    }
}

/// Filters and mixes a group; see [`mix_lanes`].
pub(crate) fn mix(group: &mut Group, scratch: &Scratch, frames: usize, bus: &mut Bus, parts: Parts) {
    let mut lanes = [Lane::default(); TICK];
    for (i, frame) in lanes[..frames].iter_mut().enumerate() {
        frame.0 = core::array::from_fn(|lane| scratch.0[lane][i]);
    }
    mix_lanes(group, &lanes[..frames], bus, parts);
}
