//! The inner loops for 64-bit Arm processors with Advanced SIMD.
//!
//! Interpolation multiplies and adds eight 16-bit samples and coefficients in two instructions; the sums are of
//! integers and exact, in any order. Mixing and control are the common source, which the compiler turns into vectors.

#![allow(unsafe_code, reason = "vector instructions, and loads whose bounds are checked once for many frames")]

use core::arch::aarch64::*;
use std::arch::is_aarch64_feature_detected;

use super::kernels::Kernels;
use super::mixing::mix_lanes;
use super::scalar;
use crate::lanes::interpolation::{
    Chunk, Interpolators, ROUNDING, TAPS, TAPS_BEFORE, Table, WideTable, assert_taps_fit,
};
use crate::lanes::{Bus, Group, LANES, Scratch};

/// Returns the loops, if the processor has the instructions that they need.
pub(super) fn neon() -> Option<Kernels> {
    is_aarch64_feature_detected!("neon").then_some(Kernels {
        interpolate: Interpolators { narrow: interpolate, wide: interpolate_wide },
        mix,
        ..scalar::KERNELS
    })
}

fn interpolate(table: &Table, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]) {
    assert_taps_fit(window, base, (position + ROUNDING, step, out.len()), (TAPS, TAPS_BEFORE));
    // SAFETY: only `neon` hands this function out, after it has found the instructions; the taps were checked.
    unsafe { by_four(table, window, base, position + ROUNDING, step, out) }
}

fn interpolate_wide(table: &WideTable, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]) {
    let position = position + table.rounding();
    assert_taps_fit(window, base, (position, step, out.len()), (table.taps(), table.taps_before()));
    // SAFETY: only `neon` hands this function out, after it has found the instructions; the taps were checked, and the
    // number of chunks is the table's.
    unsafe {
        match table.chunks() {
            1 => wide_by_four::<1>(table, window, base, position, step, out),
            2 => wide_by_four::<2>(table, window, base, position, step, out),
            3 => wide_by_four::<3>(table, window, base, position, step, out),
            4 => wide_by_four::<4>(table, window, base, position, step, out),
            _ => wide_by_four::<6>(table, window, base, position, step, out),
        }
    }
}

fn mix(group: &mut Group, scratch: &mut Scratch, frames: usize, bus: &mut Bus) {
    // SAFETY: only `neon` hands this function out, after it has found the instructions.
    unsafe { transpose(scratch, frames) };
    mix_lanes(group, &scratch.lanes[..frames], bus);
}

/// Multiplies eight samples and coefficients into four sums.
///
/// # Safety
/// The taps of the position must be in the window.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn products(table: &Table, window: &[i16], base: usize, position: u64) -> int32x4_t {
    let first = base + (position >> 32) as usize - TAPS_BEFORE;
    debug_assert!(first + TAPS <= window.len());
    // SAFETY: both are 16 bytes long, the one by the caller's promise, the other by its type.
    let (samples, taps) = unsafe { (vld1q_s16(window.as_ptr().add(first)), vld1q_s16(table.at(position).as_ptr())) };
    vmlal_high_s16(vmull_s16(vget_low_s16(samples), vget_low_s16(taps)), samples, taps)
}

/// # Safety
/// The taps of all frames must be in the window. The position has its rounding.
#[target_feature(enable = "neon")]
unsafe fn by_four(table: &Table, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]) {
    let mut position = position;
    let (fours, rest) = out.as_chunks_mut::<4>();
    for four in fours {
        let mut sums = [vdupq_n_s32(0); 4];
        for sum in &mut sums {
            // SAFETY: by the caller's promise.
            *sum = unsafe { products(table, window, base, position) };
            position = position.wrapping_add(step);
        }
        let pairs = (vpaddq_s32(sums[0], sums[1]), vpaddq_s32(sums[2], sums[3]));
        let frames = vcvtq_f32_s32(vpaddq_s32(pairs.0, pairs.1));
        // SAFETY: `four` is four numbers long.
        unsafe { vst1q_f32(four.as_mut_ptr(), frames) };
    }
    scalar::interpolate_from(table, window, base, position, step, rest);
}

/// Multiplies the samples and coefficients of one frame into four sums.
///
/// # Safety
/// The taps of the position must be in the window, and the table must have `CHUNKS` chunks.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn wide_products<const CHUNKS: usize>(
    table: &WideTable,
    window: &[i16],
    base: usize,
    position: u64,
) -> int32x4_t {
    let first = base + (position >> 32) as usize - table.taps_before();
    debug_assert!(first + table.taps() <= window.len());
    let mut sums = vdupq_n_s32(0);
    for (i, Chunk(taps)) in table.row::<CHUNKS>(position).iter().enumerate() {
        for half in [0, 8] {
            // SAFETY: eight samples are in the window by the caller's promise, eight coefficients in the chunk.
            let (samples, taps) =
                unsafe { (vld1q_s16(window.as_ptr().add(first + 16 * i + half)), vld1q_s16(taps.as_ptr().add(half))) };
            sums = vmlal_s16(sums, vget_low_s16(samples), vget_low_s16(taps));
            sums = vmlal_high_s16(sums, samples, taps);
        }
    }
    sums
}

/// # Safety
/// The taps of all frames must be in the window, and the table must have `CHUNKS` chunks. The position has its rounding.
#[target_feature(enable = "neon")]
unsafe fn wide_by_four<const CHUNKS: usize>(
    table: &WideTable,
    window: &[i16],
    base: usize,
    position: u64,
    step: u64,
    out: &mut [f32],
) {
    let mut position = position;
    let (fours, rest) = out.as_chunks_mut::<4>();
    for four in fours {
        let mut sums = [vdupq_n_s32(0); 4];
        for sum in &mut sums {
            // SAFETY: by the caller's promise.
            *sum = unsafe { wide_products::<CHUNKS>(table, window, base, position) };
            position = position.wrapping_add(step);
        }
        let frames = vcvtq_f32_s32(vpaddq_s32(vpaddq_s32(sums[0], sums[1]), vpaddq_s32(sums[2], sums[3])));
        // SAFETY: `four` is four numbers long.
        unsafe { vst1q_f32(four.as_mut_ptr(), frames) };
    }
    scalar::interpolate_wide_from(table, window, base, position, step, rest);
}

/// Turns rows of voices into lanes, four by four; up to three frames more than requested, which are not used.
#[target_feature(enable = "neon")]
fn transpose(scratch: &mut Scratch, frames: usize) {
    let Scratch { rows, lanes } = scratch;
    for (block, frames) in lanes[..frames.next_multiple_of(4)].chunks_exact_mut(4).enumerate() {
        for half in (0..LANES).step_by(4) {
            let row = |lane: usize| {
                let numbers: &[f32; 4] = rows[half + lane][4 * block..].first_chunk().expect("four more frames");
                // SAFETY: the reference is to four numbers.
                unsafe { vld1q_f32(numbers.as_ptr()) }
            };
            let (a, b, c, d) = (row(0), row(1), row(2), row(3));
            let wide = |x, y| (vreinterpretq_f64_f32(x), vreinterpretq_f64_f32(y));
            let (even, odd) = (wide(vtrn1q_f32(a, b), vtrn1q_f32(c, d)), wide(vtrn2q_f32(a, b), vtrn2q_f32(c, d)));
            let turned = [
                vtrn1q_f64(even.0, even.1),
                vtrn1q_f64(odd.0, odd.1),
                vtrn2q_f64(even.0, even.1),
                vtrn2q_f64(odd.0, odd.1),
            ];
            for (frame, numbers) in frames.iter_mut().zip(turned) {
                let to: &mut [f32; 4] = frame.0[half..].first_chunk_mut().expect("half a lane");
                // SAFETY: the reference is to four numbers.
                unsafe { vst1q_f32(to.as_mut_ptr(), vreinterpretq_f32_f64(numbers)) };
            }
        }
    }
}
