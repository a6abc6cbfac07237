//! The table for steps of at most one sample: eight taps, 2048 phases, Kaiser window of beta 7, 16 bits.

use std::sync::OnceLock;

/// The sum of the coefficients of one phase. The largest 16-bit number, so that no rounding is needed at phase 0.
pub(crate) const UNITY: i32 = 32_767;
/// Samples that make one interpolated one: three before the position, the one at it, four after it.
pub(crate) const TAPS: usize = 8;
/// Samples before the position.
pub(crate) const TAPS_BEFORE: usize = 3;
/// Positions between two samples.
const PHASES: usize = 2048;
/// Bits of a position's fraction below the phase.
const PHASE_SHIFT: u32 = 32 - 11;
const BETA: f64 = 7.0;

/// Half a phase: what must be added to a position so that [`Table::at`] finds the nearest phase and not the one below.
pub(crate) const ROUNDING: u64 = 1 << (PHASE_SHIFT - 1);

/// The coefficients of every phase.
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

/// Returns the table.
pub(crate) fn table() -> &'static Table {
    static MADE: OnceLock<Box<Table>> = OnceLock::new();
    MADE.get_or_init(|| Box::new(make()))
}

fn make() -> Table {
    let mut table = Table([[0; TAPS]; PHASES]);
    for (phase, taps) in table.0.iter_mut().enumerate() {
        *taps = make_phase(phase as f64 / PHASES as f64);
    }
    table
}

fn make_phase(fraction: f64) -> [i16; TAPS] {
    let exact: [f64; TAPS] = core::array::from_fn(|tap| {
        let x = tap as f64 - TAPS_BEFORE as f64 - fraction;
        sinc(x) * kaiser(x / (TAPS / 2) as f64)
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
        assert_eq!(table().at(5 << 32), &[0, 0, 0, 32_767, 0, 0, 0, 0]);
    }

    #[test]
    fn the_gain_at_direct_current_is_the_same_at_every_phase() {
        for taps in &table().0 {
            assert_eq!(taps.iter().map(|c| i32::from(*c)).sum::<i32>(), UNITY);
        }
    }

    #[test]
    fn no_sum_of_products_overflows_32_bits() {
        for taps in &table().0 {
            let worst: i64 = taps.iter().map(|c| i64::from(c.unsigned_abs()) * 32_768).sum();
            assert!(worst <= i64::from(i32::MAX));
        }
    }
}
