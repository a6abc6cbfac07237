//! The inner loops for x86 processors with SSE4.1 or AVX2.
//!
//! Interpolation multiplies and adds eight 16-bit samples and coefficients in one instruction; the sums are of integers
//! and exact, in whatever order. Mixing is the common source, compiled for wider registers.

#![allow(unsafe_code, reason = "vector instructions, and loads whose bounds are checked once for many frames")]

#[cfg(target_arch = "x86")]
use core::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::*;

use super::interpolation::{TAPS, TAPS_BEFORE, Table};
use super::mixing::mix_lanes;
use super::{Bus, Group, Kernels, LANES, Lane, Parts, Scratch, TICK, scalar};

/// The SSE4.1 loops, if the processor has it.
pub(super) fn sse41() -> Option<Kernels> {
    is_x86_feature_detected!("sse4.1").then_some(Kernels { interpolate: interpolate_sse41, mix: mix_sse41 })
}

/// The AVX2 loops, if the processor has it.
pub(super) fn avx2() -> Option<Kernels> {
    is_x86_feature_detected!("avx2").then_some(Kernels { interpolate: interpolate_avx2, mix: mix_avx2 })
}

fn interpolate_sse41(table: &Table, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]) {
    check(window, base, position, step, out.len());
    // SAFETY: only `sse41` hands this function out, after it has found the instructions; the taps were checked.
    unsafe { by_four(table, window, base, position, step, out) }
}

fn interpolate_avx2(table: &Table, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]) {
    check(window, base, position, step, out.len());
    // SAFETY: only `avx2` hands this function out, after it has found the instructions; the taps were checked.
    unsafe { by_eight(table, window, base, position, step, out) }
}

fn mix_sse41(group: &mut Group, scratch: &Scratch, frames: usize, bus: &mut Bus, parts: Parts) {
    // SAFETY: only `sse41` hands this function out, after it has found the instructions.
    unsafe { mix_128(group, scratch, frames, bus, parts) }
}

fn mix_avx2(group: &mut Group, scratch: &Scratch, frames: usize, bus: &mut Bus, parts: Parts) {
    // SAFETY: only `avx2` hands this function out, after it has found the instructions.
    unsafe { mix_256(group, scratch, frames, bus, parts) }
}

/// Makes sure that the taps of every frame lie in the window.
fn check(window: &[i16], base: usize, position: u64, step: u64, frames: usize) {
    let index = |position: u128| base as u128 + (position >> 32);
    let last = u128::from(position) + u128::from(step) * (frames as u128).saturating_sub(1);
    let fits = index(last) + ((TAPS - TAPS_BEFORE) as u128) <= window.len() as u128;
    let begins = index(u128::from(position)) >= TAPS_BEFORE as u128;
    assert!(fits && begins, "taps lie outside of the window");
}

/// Where the taps of a position begin, and its coefficients.
#[inline(always)]
fn at(table: &Table, base: usize, position: u64) -> (usize, &[i16; TAPS]) {
    (base + (position >> 32) as usize - TAPS_BEFORE, table.at(position))
}

/// Eight products of samples and coefficients in four sums.
///
/// # Safety
/// `first + TAPS` samples must be in the window.
#[inline]
#[target_feature(enable = "sse4.1")]
unsafe fn products(window: &[i16], first: usize, taps: &[i16; TAPS]) -> __m128i {
    // SAFETY: both are 16 bytes long, the one by the caller's promise, the other by its type; loads may be unaligned.
    unsafe {
        let samples = _mm_loadu_si128(window.as_ptr().add(first).cast());
        _mm_madd_epi16(samples, _mm_loadu_si128(taps.as_ptr().cast()))
    }
}

/// # Safety
/// The taps of all frames must lie in the window.
#[target_feature(enable = "sse4.1")]
unsafe fn by_four(table: &Table, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]) {
    let mut position = position;
    let (fours, rest) = out.as_chunks_mut::<4>();
    for four in fours {
        let mut sums = [_mm_setzero_si128(); 4];
        for sum in &mut sums {
            let (first, taps) = at(table, base, position);
            // SAFETY: by the caller's promise.
            *sum = unsafe { products(window, first, taps) };
            position = position.wrapping_add(step);
        }
        let pairs = (_mm_hadd_epi32(sums[0], sums[1]), _mm_hadd_epi32(sums[2], sums[3]));
        let frames = _mm_cvtepi32_ps(_mm_hadd_epi32(pairs.0, pairs.1));
        // SAFETY: `four` is four numbers long.
        unsafe { _mm_storeu_ps(four.as_mut_ptr(), frames) };
    }
    scalar::interpolate(table, window, base, position, step, rest);
}

/// # Safety
/// The taps of all frames must lie in the window.
#[target_feature(enable = "avx2")]
unsafe fn by_eight(table: &Table, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]) {
    let mut position = position;
    let (eights, rest) = out.as_chunks_mut::<8>();
    for eight in eights {
        // Frames 0 to 3 go through the low halves, 4 to 7 through the high ones.
        let mut sums = [_mm256_setzero_si256(); 4];
        for (i, sum) in sums.iter_mut().enumerate() {
            let low = at(table, base, position.wrapping_add(step.wrapping_mul(i as u64)));
            let high = at(table, base, position.wrapping_add(step.wrapping_mul(i as u64 + 4)));
            // SAFETY: by the caller's promise.
            let (low, high) = unsafe { (products(window, low.0, low.1), products(window, high.0, high.1)) };
            *sum = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high);
        }
        position = position.wrapping_add(step.wrapping_mul(8));
        let pairs = (_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
        let frames = _mm256_cvtepi32_ps(_mm256_hadd_epi32(pairs.0, pairs.1));
        // SAFETY: `eight` is eight numbers long.
        unsafe { _mm256_storeu_ps(eight.as_mut_ptr(), frames) };
    }
    scalar::interpolate(table, window, base, position, step, rest);
}

#[target_feature(enable = "sse4.1")]
fn mix_128(group: &mut Group, scratch: &Scratch, frames: usize, bus: &mut Bus, parts: Parts) {
    let mut lanes = [Lane::default(); TICK];
    let filled = frames.next_multiple_of(4);
    for (block, rows) in lanes[..filled].chunks_exact_mut(4).enumerate() {
        for half in [0, 4] {
            let row = |lane: usize| {
                let numbers: &[f32; 4] = scratch.0[half + lane][4 * block..].first_chunk().expect("four more frames");
                // SAFETY: the reference is to four numbers.
                unsafe { _mm_loadu_ps(numbers.as_ptr()) }
            };
            let (mut a, mut b, mut c, mut d) = (row(0), row(1), row(2), row(3));
            _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
            for (frame, numbers) in rows.iter_mut().zip([a, b, c, d]) {
                let to: &mut [f32; 4] = frame.0[half..].first_chunk_mut().expect("half a lane");
                // SAFETY: the reference is to four numbers.
                unsafe { _mm_storeu_ps(to.as_mut_ptr(), numbers) };
            }
        }
    }
    mix_lanes(group, &lanes[..frames], bus, parts);
}

#[target_feature(enable = "avx2")]
fn mix_256(group: &mut Group, scratch: &Scratch, frames: usize, bus: &mut Bus, parts: Parts) {
    let mut lanes = [Lane::default(); TICK];
    let filled = frames.next_multiple_of(LANES);
    for (block, rows) in lanes[..filled].chunks_exact_mut(LANES).enumerate() {
        let row = |lane: usize| {
            let numbers: &[f32; 8] = scratch.0[lane][LANES * block..].first_chunk().expect("eight more frames");
            // SAFETY: the reference is to eight numbers.
            unsafe { _mm256_loadu_ps(numbers.as_ptr()) }
        };
        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
        let (e, f, g, h) = (row(4), row(5), row(6), row(7));
        let pairs = [
            _mm256_unpacklo_ps(a, b),
            _mm256_unpackhi_ps(a, b),
            _mm256_unpacklo_ps(c, d),
            _mm256_unpackhi_ps(c, d),
            _mm256_unpacklo_ps(e, f),
            _mm256_unpackhi_ps(e, f),
            _mm256_unpacklo_ps(g, h),
            _mm256_unpackhi_ps(g, h),
        ];
        let low = |x, y| _mm256_shuffle_ps::<0b01_00_01_00>(x, y);
        let high = |x, y| _mm256_shuffle_ps::<0b11_10_11_10>(x, y);
        let fours = [
            low(pairs[0], pairs[2]),
            high(pairs[0], pairs[2]),
            low(pairs[1], pairs[3]),
            high(pairs[1], pairs[3]),
            low(pairs[4], pairs[6]),
            high(pairs[4], pairs[6]),
            low(pairs[5], pairs[7]),
            high(pairs[5], pairs[7]),
        ];
        for i in 0..4 {
            let halves = [
                _mm256_permute2f128_ps::<0x20>(fours[i], fours[i + 4]),
                _mm256_permute2f128_ps::<0x31>(fours[i], fours[i + 4]),
            ];
            for (frame, numbers) in [i, i + 4].into_iter().zip(halves) {
                // SAFETY: a lane is eight numbers long.
                unsafe { _mm256_storeu_ps(rows[frame].0.as_mut_ptr(), numbers) };
            }
        }
    }
    mix_lanes(group, &lanes[..frames], bus, parts);
}
