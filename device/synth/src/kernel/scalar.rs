//! The inner loops in plain Rust, the reference of the others, bit for bit.

use super::kernels::Kernels;
use super::mixing::mix_lanes;
use crate::lanes::interpolation::{Chunk, Interpolators, ROUNDING, TAPS, TAPS_BEFORE, Table, WideTable};
use crate::lanes::{Bus, Group, LANES, Lane, Scratch};

/// The plain loops.
pub(super) const KERNELS: Kernels = Kernels {
    interpolate: Interpolators { narrow: interpolate, wide: interpolate_wide },
    mix,
    settle: |control, group, voices, due, moment| control.settle(group, voices, due, moment),
    reduce: |bus, out| bus.reduce(out, turn),
    add_reverb: |reverb, input, out| reverb.process(input, out, turn),
    add_chorus: |chorus, input, out| chorus.process(input, out),
    prefetch: |_| {},
};

/// Interpolates `out.len()` frames. `window[base]` is the sample at position 0; the caller has made sure that the last
/// frame's taps are in the window, also when its position is rounded up to the next phase.
fn interpolate(table: &Table, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]) {
    interpolate_from(table, window, base, position + ROUNDING, step, out);
}

/// Interpolates from a position that has its [`ROUNDING`].
pub(super) fn interpolate_from(table: &Table, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]) {
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

/// Interpolates with a wide table; the rest as above.
fn interpolate_wide(table: &WideTable, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]) {
    interpolate_wide_from(table, window, base, position + table.rounding(), step, out);
}

/// Interpolates with a wide table from a position that has its rounding.
pub(super) fn interpolate_wide_from(
    table: &WideTable,
    window: &[i16],
    base: usize,
    position: u64,
    step: u64,
    out: &mut [f32],
) {
    match table.chunks() {
        1 => by_chunks::<1>(table, window, base, position, step, out),
        2 => by_chunks::<2>(table, window, base, position, step, out),
        3 => by_chunks::<3>(table, window, base, position, step, out),
        4 => by_chunks::<4>(table, window, base, position, step, out),
        _ => by_chunks::<6>(table, window, base, position, step, out),
    }
}

fn by_chunks<const CHUNKS: usize>(
    table: &WideTable,
    window: &[i16],
    base: usize,
    position: u64,
    step: u64,
    out: &mut [f32],
) {
    let mut position = position;
    for frame in out {
        let first = base + (position >> 32) as usize - table.taps_before();
        let mut sum = 0i32;
        for (Chunk(taps), samples) in table.row::<CHUNKS>(position).iter().zip(window[first..].chunks_exact(16)) {
            for (coefficient, sample) in taps.iter().zip(samples) {
                sum += i32::from(*coefficient) * i32::from(*sample);
            }
        }
        *frame = sum as f32;
        position = position.wrapping_add(step);
    }
}

/// Filters and mixes a group; see [`mix_lanes`].
fn mix(group: &mut Group, scratch: &mut Scratch, frames: usize, bus: &mut Bus) {
    transpose(scratch, frames);
    mix_lanes(group, &scratch.lanes[..frames], bus);
}

/// Turns rows of voices into lanes.
pub(super) fn transpose(scratch: &mut Scratch, frames: usize) {
    for (i, frame) in scratch.lanes[..frames].iter_mut().enumerate() {
        for lane in 0..LANES {
            frame.0[lane] = scratch.rows[lane][i];
        }
    }
}

/// Turns rows of eight numbers into columns.
#[inline(always)]
pub(crate) fn turn(rows: [Lane; LANES]) -> [Lane; LANES] {
    core::array::from_fn(|column| Lane(rows.map(|row| row.0[column])))
}
