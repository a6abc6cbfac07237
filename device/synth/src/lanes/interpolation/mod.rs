//! The interpolator: a bank of polyphase tables, one for each range of steps.
//!
//! Up to a step of one sample a frame, eight taps whose cutoff is the wave's own band ([`narrow`]). Above, what the wave
//! holds beyond half the output rate would come back as an alias, so that the low-pass moves down with the step
//! ([`wide`]): flat to within 0.2 dB up to 0.35 of the output rate, and 70 dB down for every frequency that would come
//! back below 0.35 of it, up to a step of eight samples. Beyond, the last table stays, and aliases come back.
//!
//! # Choice of the table
//!
//! An oscillator keeps its table from one control tick (a multiple of [`TICK`](super::TICK) frames of the absolute
//! count) to the next; only there it is chosen anew, by the step that begins there, and at the voice's first frame. When
//! it changes, the tick's frames are rendered with both, and the sound goes over in a straight line: frame `i` of the
//! tick has `(i + 1) / 64` of the new one. All tables delay alike, so that nothing but the band's edge moves. A step that
//! changes between ticks keeps its table until the next, 63 frames at most. No hysteresis is needed: a pitch that swings
//! about a bound costs a second rendering at the ticks in which it crosses, and is never heard to jump.

mod narrow;
#[cfg(test)]
mod prototype_design;
mod wide;

pub(crate) use narrow::{ROUNDING, TAPS, TAPS_BEFORE, Table, UNITY, table};
pub(crate) use wide::{Chunk, TAPS_MAX, WideTable};

/// Samples before and after a position that any table may need, the position's own rounding counted in.
pub(crate) const REACH: usize = TAPS_MAX / 2 + 1;

/// A step of one sample, in 1/2^32 samples.
const ONE: u64 = 1 << 32;

/// Interpolates `out.len()` frames from `window`, where the sample at position 0 is at `base`.
pub(crate) type Interpolate = fn(table: &Table, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]);

/// The same with a wide table.
pub(crate) type InterpolateWide =
    fn(table: &WideTable, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]);

/// The inner loops of one instruction set, for either kind of table.
#[derive(Clone, Copy)]
pub(crate) struct Interpolators {
    pub(crate) narrow: Interpolate,
    pub(crate) wide: InterpolateWide,
}

/// A table of the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The table of eight taps, for steps of at most one sample.
    Narrow,
    /// A wide table, by its index.
    Wide(u8),
}

impl Choice {
    /// Returns the table for a 32.32 step from one output frame to the next.
    #[inline(always)]
    pub(crate) fn of(step: u64) -> Self {
        if step <= ONE { Self::Narrow } else { Self::Wide(wide::index_for(step)) }
    }

    /// Returns how many samples before a position its taps begin.
    pub(crate) fn taps_before(self) -> usize {
        match self {
            Self::Narrow => TAPS_BEFORE,
            Self::Wide(index) => WideTable::at(index).taps_before(),
        }
    }
}

/// Asserts that `taps` taps of every frame, `before` of them before its position, are in the window, also of frames
/// that are rounded up to the next phase.
#[cfg_attr(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")), expect(dead_code))]
#[inline(always)]
pub(crate) fn assert_taps_fit(
    window: &[i16],
    base: usize,
    (first, step, frames): (u64, u64, usize),
    (taps, before): (usize, usize),
) {
    let moved = step.checked_mul((frames as u64).saturating_sub(1));
    let last = moved.and_then(|moved| moved.checked_add(first)).map(|last| last >> 32);
    let fits = last.is_some_and(|last| last + (base + taps - before) as u64 <= window.len() as u64);
    assert!(fits && base as u64 + (first >> 32) >= before as u64, "taps are outside of the window");
}

/// Makes the tables now, so that the first note does not have to.
pub(crate) fn prepare() {
    table();
    wide::prepare();
}
