//! The inner loops for x86 processors with SSE4.1, AVX2 or AVX-512.
//!
//! Interpolation multiplies and adds eight 16-bit samples and coefficients in one instruction; the sums are of integers
//! and exact, in any order. Mixing and control are the common source, compiled for wider registers.

#![allow(unsafe_code, reason = "vector instructions, and loads whose bounds are checked once for many frames")]

#[cfg(target_arch = "x86")]
use core::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::*;

use super::kernels::Kernels;
use super::mixing::mix_lanes;
use super::scalar;
use crate::effects::chorus::Chorus;
use crate::effects::reverb::Reverb;
use crate::lanes::interpolation::{
    Chunk, Interpolators, ROUNDING, TAPS, TAPS_BEFORE, Table, WideTable, assert_taps_fit,
};
use crate::lanes::{Bus, Group, LANES, Lane, LaneSet, PLANES, Scratch};
use crate::voice::active::Voice;
use crate::voice::control::{Control, Moment};

/// The loops of one instruction set: safe doors to functions that are compiled for it.
macro_rules! kernels {
    ($features:literal, $interpolate:ident, $wide:ident, $transpose:ident, $turn:ident) => {{
        #[target_feature(enable = $features)]
        fn mix_here(group: &mut Group, scratch: &mut Scratch, frames: usize, bus: &mut Bus) {
            $transpose(scratch, frames);
            mix_lanes(group, &scratch.lanes[..frames], bus);
        }

        #[target_feature(enable = $features)]
        fn settle_here(
            control: &mut Control,
            group: &mut Group,
            voices: &mut [Option<Voice>],
            due: LaneSet,
            moment: &Moment<'_>,
        ) -> LaneSet {
            control.settle(group, voices, due, moment)
        }

        #[target_feature(enable = $features)]
        fn reduce_here(bus: &Bus, out: [&mut [f32]; PLANES]) {
            bus.reduce(out, |rows| $turn(rows));
        }

        #[target_feature(enable = $features)]
        fn add_reverb_here(reverb: &mut Reverb, input: &[f32], out: [&mut [f32]; 2]) {
            reverb.process(input, out, |rows| $turn(rows));
        }

        #[target_feature(enable = $features)]
        fn add_chorus_here(chorus: &mut Chorus, input: &[f32], out: [&mut [f32]; 2]) {
            chorus.process(input, out);
        }

        Kernels {
            interpolate: Interpolators { narrow: |table, window, base, position, step, out| {
                assert_taps_fit(window, base, (position + ROUNDING, step, out.len()), (TAPS, TAPS_BEFORE));
                // SAFETY: these loops are handed out after the instructions were found; the taps were checked.
                unsafe { $interpolate(table, window, base, position + ROUNDING, step, out) }
            },
            wide: |table, window, base, position, step, out| {
                let position = position + table.rounding();
                assert_taps_fit(window, base, (position, step, out.len()), (table.taps(), table.taps_before()));
                // SAFETY: these loops are handed out after the instructions were found; the taps were checked, and the
                // number of chunks is the table's.
                unsafe {
                    match table.chunks() {
                        1 => $wide::<1>(table, window, base, position, step, out),
                        2 => $wide::<2>(table, window, base, position, step, out),
                        3 => $wide::<3>(table, window, base, position, step, out),
                        4 => $wide::<4>(table, window, base, position, step, out),
                        _ => $wide::<6>(table, window, base, position, step, out),
                    }
                }
            }, },
            mix: |group, scratch, frames, bus| {
                // SAFETY: these loops are handed out after the instructions were found.
                unsafe { mix_here(group, scratch, frames, bus) }
            },
            settle: |control, group, voices, due, moment| {
                // SAFETY: these loops are handed out after the instructions were found.
                unsafe { settle_here(control, group, voices, due, moment) }
            },
            reduce: |bus, out| {
                // SAFETY: these loops are handed out after the instructions were found.
                unsafe { reduce_here(bus, out) }
            },
            add_reverb: |reverb, input, out| {
                // SAFETY: these loops are handed out after the instructions were found.
                unsafe { add_reverb_here(reverb, input, out) }
            },
            add_chorus: |chorus, input, out| {
                // SAFETY: these loops are handed out after the instructions were found.
                unsafe { add_chorus_here(chorus, input, out) }
            },
            prefetch: |samples| {
                // SAFETY: these loops are handed out after the instructions were found.
                unsafe { prefetch(samples) }
            },
        }
    }};
}

/// Returns the SSE4.1 loops, if the processor has the instructions.
pub(super) fn sse41() -> Option<Kernels> {
    is_x86_feature_detected!("sse4.1")
        .then(|| kernels!("sse4.1", by_four, wide_by_four, transpose_by_four, turn_by_four))
}

/// Returns the AVX2 loops, if the processor has the instructions.
pub(super) fn avx2() -> Option<Kernels> {
    is_x86_feature_detected!("avx2")
        .then(|| kernels!("avx2", by_eight, wide_by_eight, transpose_by_eight, turn_by_eight))
}

/// Returns the AVX-512 loops, if the processor has the instructions that they need.
pub(super) fn avx512() -> Option<Kernels> {
    let found = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    found.then(|| {
        kernels!(
            "avx512f,avx512bw,avx512dq,avx512vl",
            by_eight_512,
            wide_by_eight_512,
            transpose_by_eight,
            turn_by_eight
        )
    })
}

/// Samples in a line of the cache.
const LINE: usize = 32;

/// Asks for samples, so that they are in the nearest cache when they are read.
#[target_feature(enable = "sse4.1")]
fn prefetch(samples: &[i16]) {
    for line in samples.chunks(LINE) {
        _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
    }
}

/// Multiplies eight samples and coefficients into four sums, and advances the position by a step.
///
/// # Safety
/// The taps of the position must be in the window.
#[inline]
#[target_feature(enable = "sse4.1")]
unsafe fn next_products(table: &Table, window: &[i16], base: usize, next: &mut u64, step: u64) -> __m128i {
    let position = *next;
    *next = position.wrapping_add(step);
    let first = base + (position >> 32) as usize - TAPS_BEFORE;
    debug_assert!(first + TAPS <= window.len());
    // SAFETY: both are 16 bytes long, the one by the caller's promise, the other by its type; loads may be unaligned.
    unsafe {
        let samples = _mm_loadu_si128(window.as_ptr().add(first).cast());
        _mm_madd_epi16(samples, _mm_loadu_si128(table.at(position).as_ptr().cast()))
    }
}

/// # Safety
/// The taps of all frames must be in the window. The position has its rounding.
#[target_feature(enable = "sse4.1")]
unsafe fn by_four(table: &Table, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]) {
    let mut position = position;
    let (fours, rest) = out.as_chunks_mut::<4>();
    for four in fours {
        // SAFETY: by the caller's promise.
        let mut next = || unsafe { next_products(table, window, base, &mut position, step) };
        let (a, b, c, d) = (next(), next(), next(), next());
        // Shuffles and additions of one's own are faster than the horizontal additions that hide them.
        let ab = _mm_add_epi32(_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
        let cd = _mm_add_epi32(_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
        let frames = _mm_cvtepi32_ps(_mm_add_epi32(_mm_unpacklo_epi64(ab, cd), _mm_unpackhi_epi64(ab, cd)));
        // SAFETY: `four` is four numbers long.
        unsafe { _mm_storeu_ps(four.as_mut_ptr(), frames) };
    }
    scalar::interpolate_from(table, window, base, position, step, rest);
}

/// # Safety
/// The taps of all frames must be in the window. The position has its rounding.
#[target_feature(enable = "avx2")]
unsafe fn by_eight(table: &Table, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]) {
    let mut position = position;
    let (eights, rest) = out.as_chunks_mut::<8>();
    for eight in eights {
        // Frames 0 to 3 go through the low halves, 4 to 7 through the high ones.
        // SAFETY: by the caller's promise.
        let mut next = || unsafe { next_products(table, window, base, &mut position, step) };
        let low = [next(), next(), next(), next()];
        let high = [next(), next(), next(), next()];
        let both = |i: usize| _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low[i]), high[i]);
        let (a, b, c, d) = (both(0), both(1), both(2), both(3));
        let ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
        let cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
        let sums = _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
        let frames = _mm256_cvtepi32_ps(sums);
        // SAFETY: `eight` is eight numbers long.
        unsafe { _mm256_storeu_ps(eight.as_mut_ptr(), frames) };
    }
    scalar::interpolate_from(table, window, base, position, step, rest);
}

/// # Safety
/// The taps of all frames must be in the window. The position has its rounding.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn by_eight_512(table: &Table, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]) {
    // SAFETY: by the caller's promise.
    unsafe { by_eight(table, window, base, position, step, out) }
}

/// Multiplies the samples and coefficients of one frame into four sums, and advances the position by a step.
///
/// # Safety
/// The taps of the position must be in the window, and the table must have `CHUNKS` chunks.
#[inline]
#[target_feature(enable = "sse4.1")]
unsafe fn next_wide_by_four<const CHUNKS: usize>(
    table: &WideTable,
    window: &[i16],
    base: usize,
    next: &mut u64,
    step: u64,
) -> __m128i {
    let position = *next;
    *next = position.wrapping_add(step);
    let first = base + (position >> 32) as usize - table.taps_before();
    debug_assert!(first + table.taps() <= window.len());
    let mut sums = _mm_setzero_si128();
    for (i, Chunk(taps)) in table.row::<CHUNKS>(position).iter().enumerate() {
        for half in [0, 8] {
            // SAFETY: eight samples are in the window by the caller's promise, eight coefficients in the chunk.
            let products = unsafe {
                let samples = _mm_loadu_si128(window.as_ptr().add(first + 16 * i + half).cast());
                _mm_madd_epi16(samples, _mm_loadu_si128(taps.as_ptr().add(half).cast()))
            };
            sums = _mm_add_epi32(sums, products);
        }
    }
    sums
}

/// # Safety
/// The taps of all frames must be in the window, and the table must have `CHUNKS` chunks. The position has its rounding.
#[target_feature(enable = "sse4.1")]
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
        // SAFETY: by the caller's promise.
        let mut next = || unsafe { next_wide_by_four::<CHUNKS>(table, window, base, &mut position, step) };
        let (a, b, c, d) = (next(), next(), next(), next());
        let ab = _mm_add_epi32(_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
        let cd = _mm_add_epi32(_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
        let frames = _mm_cvtepi32_ps(_mm_add_epi32(_mm_unpacklo_epi64(ab, cd), _mm_unpackhi_epi64(ab, cd)));
        // SAFETY: `four` is four numbers long.
        unsafe { _mm_storeu_ps(four.as_mut_ptr(), frames) };
    }
    scalar::interpolate_wide_from(table, window, base, position, step, rest);
}

/// Multiplies the samples and coefficients of the next frame into eight sums, and advances the position by a step. A
/// macro, because a function of this size would be called, and its result go through memory.
///
/// Safety: the taps of the position must be in the window, and the table must have `CHUNKS` chunks.
macro_rules! next_wide_sums {
    ($table:ident, $window:ident, $base:ident, $position:ident, $step:ident, $chunks:ident) => {{
        let first = $base + ($position >> 32) as usize - (8 * $chunks - 1);
        debug_assert!(first + 16 * $chunks <= $window.len());
        let samples = $window.as_ptr().add(first);
        let taps = $table.row_unchecked::<$chunks>($position).as_ptr();
        $position = $position.wrapping_add($step);
        let products = |i: usize| {
            let samples = _mm256_loadu_si256(samples.add(16 * i).cast());
            _mm256_madd_epi16(samples, _mm256_load_si256(taps.add(i).cast()))
        };
        let mut sums = products(0);
        let mut i = 1;
        while i < $chunks {
            sums = _mm256_add_epi32(sums, products(i));
            i += 1;
        }
        sums
    }};
}

/// Adds up four frames' eight sums to two each: of the low halves in the low half, of the high ones in the high one.
#[inline]
#[target_feature(enable = "avx2")]
fn two_sums([a, b, c, d]: [__m256i; 4]) -> __m256i {
    let ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    let cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd))
}

/// # Safety
/// The taps of all frames must be in the window, and the table must have `CHUNKS` chunks. The position has its rounding.
#[target_feature(enable = "avx2")]
unsafe fn wide_by_eight<const CHUNKS: usize>(
    table: &WideTable,
    window: &[i16],
    base: usize,
    position: u64,
    step: u64,
    out: &mut [f32],
) {
    let mut position = position;
    let (eights, rest) = out.as_chunks_mut::<8>();
    for eight in eights {
        // SAFETY: by the caller's promise; `eight` is eight numbers long.
        unsafe {
            let a = next_wide_sums!(table, window, base, position, step, CHUNKS);
            let b = next_wide_sums!(table, window, base, position, step, CHUNKS);
            let c = next_wide_sums!(table, window, base, position, step, CHUNKS);
            let d = next_wide_sums!(table, window, base, position, step, CHUNKS);
            let early = two_sums([a, b, c, d]);
            let a = next_wide_sums!(table, window, base, position, step, CHUNKS);
            let b = next_wide_sums!(table, window, base, position, step, CHUNKS);
            let c = next_wide_sums!(table, window, base, position, step, CHUNKS);
            let d = next_wide_sums!(table, window, base, position, step, CHUNKS);
            let late = two_sums([a, b, c, d]);
            let low = _mm256_permute2x128_si256::<0x20>(early, late);
            let high = _mm256_permute2x128_si256::<0x31>(early, late);
            _mm256_storeu_ps(eight.as_mut_ptr(), _mm256_cvtepi32_ps(_mm256_add_epi32(low, high)));
        }
    }
    scalar::interpolate_wide_from(table, window, base, position, step, rest);
}

/// # Safety
/// The taps of all frames must be in the window, and the table must have `CHUNKS` chunks. The position has its rounding.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn wide_by_eight_512<const CHUNKS: usize>(
    table: &WideTable,
    window: &[i16],
    base: usize,
    position: u64,
    step: u64,
    out: &mut [f32],
) {
    // SAFETY: by the caller's promise.
    unsafe { wide_by_eight::<CHUNKS>(table, window, base, position, step, out) }
}

/// Turns rows of voices into lanes, four by four; up to three frames more than requested, which are not used.
#[target_feature(enable = "sse4.1")]
fn transpose_by_four(scratch: &mut Scratch, frames: usize) {
    let Scratch { rows, lanes } = scratch;
    for (block, frames) in lanes[..frames.next_multiple_of(4)].chunks_exact_mut(4).enumerate() {
        for half in (0..LANES).step_by(4) {
            let row = |lane: usize| {
                let numbers: &[f32; 4] = rows[half + lane][4 * block..].first_chunk().expect("four more frames");
                // SAFETY: the reference is to four numbers.
                unsafe { _mm_loadu_ps(numbers.as_ptr()) }
            };
            let (mut a, mut b, mut c, mut d) = (row(0), row(1), row(2), row(3));
            _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
            for (frame, numbers) in frames.iter_mut().zip([a, b, c, d]) {
                let to: &mut [f32; 4] = frame.0[half..].first_chunk_mut().expect("half a lane");
                // SAFETY: the reference is to four numbers.
                unsafe { _mm_storeu_ps(to.as_mut_ptr(), numbers) };
            }
        }
    }
}

/// Turns rows of voices into lanes, eight by eight; up to seven frames more than requested, which are not used.
#[target_feature(enable = "avx2")]
fn transpose_by_eight(scratch: &mut Scratch, frames: usize) {
    let Scratch { rows, lanes } = scratch;
    for (block, frames) in lanes[..frames.next_multiple_of(LANES)].chunks_exact_mut(LANES).enumerate() {
        // Voices 0 to 3 go through the low halves, 4 to 7 through the high ones: loads can do that by themselves.
        let rows = |lane: usize, half: usize| {
            let numbers = |lane: usize| -> __m128 {
                let numbers: &[f32; 4] = rows[lane][LANES * block + half..].first_chunk().expect("four more frames");
                // SAFETY: the reference is to four numbers.
                unsafe { _mm_loadu_ps(numbers.as_ptr()) }
            };
            _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(numbers(lane)), numbers(lane + 4))
        };
        for half in [0, 4] {
            let (a, b, c, d) = (rows(0, half), rows(1, half), rows(2, half), rows(3, half));
            let low = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
            let high = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
            let turned = [
                _mm256_shuffle_ps::<0b01_00_01_00>(low.0, low.1),
                _mm256_shuffle_ps::<0b11_10_11_10>(low.0, low.1),
                _mm256_shuffle_ps::<0b01_00_01_00>(high.0, high.1),
                _mm256_shuffle_ps::<0b11_10_11_10>(high.0, high.1),
            ];
            for (frame, numbers) in frames[half..].iter_mut().zip(turned) {
                // SAFETY: a lane is eight numbers long.
                unsafe { _mm256_storeu_ps(frame.0.as_mut_ptr(), numbers) };
            }
        }
    }
}

/// Turns rows of eight numbers into columns, as four blocks of four by four.
#[inline]
#[target_feature(enable = "sse4.1")]
fn turn_by_four(rows: [Lane; LANES]) -> [Lane; LANES] {
    let mut columns = [Lane::default(); LANES];
    for above in [0, 4] {
        for before in [0, 4] {
            // SAFETY: four numbers are left from either place of a lane.
            let row = |i: usize| unsafe { _mm_loadu_ps(rows[above + i].0[before..].as_ptr()) };
            let (mut a, mut b, mut c, mut d) = (row(0), row(1), row(2), row(3));
            _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
            for (i, column) in [a, b, c, d].into_iter().enumerate() {
                // SAFETY: as above.
                unsafe { _mm_storeu_ps(columns[before + i].0[above..].as_mut_ptr(), column) };
            }
        }
    }
    columns
}

/// Turns rows of eight numbers into columns.
#[inline]
#[target_feature(enable = "avx2")]
fn turn_by_eight(rows: [Lane; LANES]) -> [Lane; LANES] {
    // SAFETY: a lane is eight numbers long.
    let [a, b, c, d, e, f, g, h] = rows.map(|row| unsafe { _mm256_loadu_ps(row.0.as_ptr()) });
    let pairs = |a, b| (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    let (ab, cd, ef, gh) = (pairs(a, b), pairs(c, d), pairs(e, f), pairs(g, h));
    let early = |a, b| _mm256_shuffle_ps::<0b01_00_01_00>(a, b);
    let late = |a, b| _mm256_shuffle_ps::<0b11_10_11_10>(a, b);
    // Each holds four rows of one column in its low half, and of the fourth one after it in its high half.
    let above = [early(ab.0, cd.0), late(ab.0, cd.0), early(ab.1, cd.1), late(ab.1, cd.1)];
    let below = [early(ef.0, gh.0), late(ef.0, gh.0), early(ef.1, gh.1), late(ef.1, gh.1)];
    let mut columns = [Lane::default(); LANES];
    for i in 0..4 {
        let halves =
            [_mm256_permute2f128_ps::<0x20>(above[i], below[i]), _mm256_permute2f128_ps::<0x31>(above[i], below[i])];
        for (column, half) in [i, i + 4].into_iter().zip(halves) {
            // SAFETY: a lane is eight numbers long.
            unsafe { _mm256_storeu_ps(columns[column].0.as_mut_ptr(), half) };
        }
    }
    columns
}
