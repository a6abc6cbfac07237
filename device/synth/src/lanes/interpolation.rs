//! The interpolator's coefficients: eight taps, 2048 phases, Kaiser window of beta 7, 16 bits.
//!
//! For notes far above the pitch at which a wave was recorded there are tables with a lower cutoff, one each half
//! octave, so that frequencies above half the output rate do not come back as aliases.

use std::sync::OnceLock;

/// Samples that make one interpolated one: three before the position, the one at it, four after it.
pub(crate) const TAPS: usize = 8;
/// Samples before the position.
pub(crate) const TAPS_BEFORE: usize = 3;
/// Positions between two samples.
const PHASES: usize = 2048;
/// Bits of a position's fraction below the phase.
const PHASE_SHIFT: u32 = 32 - 11;
/// The sum of the coefficients of one phase. The largest 16-bit number, so that no rounding is needed at phase 0.
pub(crate) const UNITY: i32 = 32_767;

const BETA: f64 = 7.0;

/// Tables: cutoff 1, then lower by half an octave each.
const TABLES: usize = 5;

/// Half a phase: what must be added to a position so that [`Table::at`] finds the nearest phase and not the one below.
pub(crate) const ROUNDING: u64 = 1 << (PHASE_SHIFT - 1);

/// The coefficients of every phase at one cutoff.
#[repr(C, align(64))]
pub(crate) struct Table([[i16; TAPS]; PHASES]);

impl Table {
    /// Returns the coefficients of the phase at or below a 32.32 position.
    #[inline(always)]
    pub(crate) fn at(&self, position: u64) -> &[i16; TAPS] {
        // In range for any position: the fraction has 32 bits, the phase eleven.
        &self.0[(position as u32 >> PHASE_SHIFT) as usize]
    }
}

/// Interpolates `out.len()` frames from `window`, where the sample at position 0 is at `base`.
pub(crate) type Interpolate = fn(table: &Table, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]);

/// Asserts that the taps of every frame are in the window, also of those rounded up to the next phase.
#[cfg_attr(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")), expect(dead_code))]
#[inline(always)]
pub(crate) fn assert_taps_fit(window: &[i16], base: usize, position: u64, step: u64, frames: usize) {
    let first = (position + ROUNDING) >> 32;
    let moved = step.checked_mul((frames as u64).saturating_sub(1));
    let last = moved.and_then(|moved| moved.checked_add(position + ROUNDING)).map(|last| last >> 32);
    let fits = last.is_some_and(|last| last + (base + TAPS - TAPS_BEFORE) as u64 <= window.len() as u64);
    assert!(fits && base as u64 + first >= TAPS_BEFORE as u64, "taps are outside of the window");
}

/// Returns the table for a 32.32 step from one output frame to the next.
pub(crate) fn table_for(step: u64) -> &'static Table {
    /// Steps up to 2^0.25, 2^0.75, 2^1.25 and 2^1.75 samples, in 1/65536 samples.
    const BOUNDS: [u64; TABLES - 1] = [77_936, 110_218, 155_872, 220_436];
    let index = BOUNDS.iter().filter(|bound| step >> 16 > **bound).count();
    &tables()[index]
}

fn tables() -> &'static [Table; TABLES] {
    static MADE: OnceLock<Box<[Table; TABLES]>> = OnceLock::new();
    MADE.get_or_init(|| {
        let made: Vec<Table> = (0..TABLES).map(|i| make(libm::exp2(-0.5 * i as f64))).collect();
        made.try_into().unwrap_or_else(|_| unreachable!("as many tables as requested"))
    })
}

/// Makes the tables now, so that the first note does not have to.
pub(crate) fn prepare() {
    tables();
}

fn make(cutoff: f64) -> Table {
    let mut table = Table([[0; TAPS]; PHASES]);
    for (phase, taps) in table.0.iter_mut().enumerate() {
        *taps = make_phase(cutoff, phase as f64 / PHASES as f64);
    }
    table
}

fn make_phase(cutoff: f64, fraction: f64) -> [i16; TAPS] {
    let exact: [f64; TAPS] = core::array::from_fn(|tap| {
        let x = tap as f64 - TAPS_BEFORE as f64 - fraction;
        sinc(cutoff * x) * kaiser(x / (TAPS / 2) as f64)
    });
    let sum: f64 = exact.iter().sum();
    let mut rounded = exact.map(|c| libm::round(c / sum * f64::from(UNITY)) as i32);
    // Rounding must not change the gain: the largest coefficient takes the difference, as far as it has room.
    let (largest, other) = if fraction < 0.5 { (TAPS_BEFORE, TAPS_BEFORE + 1) } else { (TAPS_BEFORE + 1, TAPS_BEFORE) };
    rounded[largest] = (rounded[largest] + UNITY - rounded.iter().sum::<i32>()).min(UNITY);
    rounded[other] += UNITY - rounded.iter().sum::<i32>();
    rounded.map(|c| c as i16)
}

fn sinc(x: f64) -> f64 {
    let angle = core::f64::consts::PI * x;
    if angle.abs() < 1e-9 { 1.0 } else { libm::sin(angle) / angle }
}

fn kaiser(x: f64) -> f64 {
    if x.abs() >= 1.0 { 0.0 } else { bessel_i0(BETA * libm::sqrt(1.0 - x * x)) / bessel_i0(BETA) }
}

/// Returns the modified Bessel function of the first kind and order 0, by its series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..=24 {
        term *= quarter / f64::from(k * k);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_on_a_sample_gives_that_sample() {
        let taps = table_for(1 << 32).at(5 << 32);
        assert_eq!(taps, &[0, 0, 0, 32_767, 0, 0, 0, 0]);
    }

    #[test]
    fn the_gain_at_direct_current_is_the_same_at_every_phase_of_every_table() {
        for taps in tables().iter().flat_map(|t| &t.0) {
            assert_eq!(taps.iter().map(|c| i32::from(*c)).sum::<i32>(), UNITY);
        }
    }

    #[test]
    fn no_sum_of_products_overflows_32_bits() {
        for taps in tables().iter().flat_map(|t| &t.0) {
            let worst: i64 = taps.iter().map(|c| i64::from(c.unsigned_abs()) * 32_768).sum();
            assert!(worst <= i64::from(i32::MAX));
        }
    }

    #[test]
    fn higher_steps_get_lower_cutoffs() {
        let centre = |step: f64| table_for((step * 4_294_967_296.0) as u64).at(0)[TAPS_BEFORE];
        let centres: Vec<i16> = [1.0, 1.5, 2.0, 3.0, 8.0].map(centre).to_vec();
        assert!(centres.is_sorted_by(|a, b| a > b), "{centres:?}");
    }
}
