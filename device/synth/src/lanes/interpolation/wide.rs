//! Tables for steps above one sample: sixteen to 96 taps, and a low-pass that moves down with the step.
//!
//! The bank has four shapes ([`PROTOTYPES`]), which are stretched over more and more taps. A shape is a sum of cosines
//! over its taps, whose coefficients are those of least greatest error: `prototype_design` finds them again. A table is
//! flat to 0.35 of the output rate at the least of its steps, and has fallen by 70 dB at 0.65 of it at the greatest.
//!
//! | steps above | to | taps | phases | shape |
//! |---|---|---|---|---|
//! | 1 | 1.148 | 16 | 2048 | A |
//! | 1.148 | 1.2995 | 16 | 2048 | B |
//! | 1.2995 | 1.411 | 16 | 2048 | C |
//! | 1.411 | 1.89 | 32 | 2048 | D |
//! | 1.89 | 2.2965 | 32 | 1024 | A |
//! | 2.2965 | 2.599 | 32 | 1024 | B |
//! | 2.599 | 2.825 | 32 | 1024 | C |
//! | 2.825 | 3.445 | 48 | 1024 | A |
//! | 3.445 | 3.85 | 48 | 1024 | B |
//! | 3.85 | 4.594 | 64 | 512 | A |
//! | 4.594 | 5.199 | 64 | 512 | B |
//! | 5.199 | 5.65 | 64 | 512 | C |
//! | 5.65 | 6.89 | 96 | 512 | A |
//! | 6.89 | 7.798 | 96 | 512 | B |
//! | 7.798 | | 96 | 512 | C |
//!
//! The higher the step, the lower are the frequencies that are left, and the fewer phases keep their error as small.

#![allow(unsafe_code, reason = "rows whose place in the table a phase settles, without a check for every frame")]

use std::sync::OnceLock;

use super::narrow::UNITY;

/// Taps in one chunk: what one instruction of AVX2 multiplies.
pub(crate) const CHUNK_TAPS: usize = 16;

/// Most taps of a table.
pub(crate) const TAPS_MAX: usize = 96;

/// Sixteen coefficients, aligned so that a load of all of them touches one line of the cache.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(crate) struct Chunk(pub(crate) [i16; CHUNK_TAPS]);

/// Terms of a prototype's series.
pub(super) const TERMS: usize = 13;

/// A shape of low-pass: `h(x) = 1 + a1 cos(pi x) + a2 cos(2 pi x) + ...` for -1 < x < 1, where 1 is half the taps.
/// The 1 is its gain for a constant, which stays as it is; at the ends it is 0, so that what is beyond its lobes fades.
pub(super) struct Prototype {
    /// The end of its pass band, in periods over all taps.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "it says what the series was found for, and a test finds it again")
    )]
    pub(super) pass: f64,
    /// The beginning of its stop band.
    #[cfg_attr(not(test), expect(dead_code, reason = "as above"))]
    pub(super) stop: f64,
    pub(super) series: [f64; TERMS],
}

/// The shapes A to D.
pub(super) const PROTOTYPES: [Prototype; 4] = [
    Prototype {
        pass: 5.95,
        stop: 9.05,
        series: [
            1.0,
            2.025_685_2,
            1.978_194_9,
            2.017_418_9,
            1.991_849_6,
            1.999_367_1,
            1.935_786_7,
            1.056_402_8,
            0.194_380_8,
            0.001_344_3,
            0.000_263_0,
            0.000_093_3,
            -0.000_163_3,
        ],
    },
    Prototype {
        pass: 4.88,
        stop: 8.00,
        series: [
            1.0,
            1.973_322_0,
            2.023_197_9,
            1.981_491_5,
            2.011_420_6,
            1.900_411_6,
            0.990_601_2,
            0.171_053_6,
            0.000_559_5,
            0.000_177_9,
            0.000_180_7,
            -0.000_268_5,
            0.000_228_2,
        ],
    },
    Prototype {
        pass: 4.31,
        stop: 7.36,
        series: [
            1.0,
            2.016_579_8,
            2.010_067_0,
            1.972_188_6,
            2.031_434_7,
            1.453_026_0,
            0.416_894_4,
            0.017_336_5,
            0.000_508_1,
            -0.000_293_7,
            0.000_059_3,
            0.000_050_4,
            -0.000_075_8,
        ],
    },
    Prototype {
        pass: 7.95,
        stop: 10.95,
        series: [
            1.0,
            2.025_660_4,
            1.975_903_0,
            2.019_844_6,
            1.983_320_7,
            2.009_204_6,
            2.000_699_6,
            1.993_307_0,
            1.934_340_6,
            1.004_075_1,
            0.157_743_6,
            -0.000_006_9,
            0.000_077_3,
        ],
    },
];

/// What a table is made of.
pub(super) struct Plan {
    /// The greatest step, in 1/65536 samples.
    up_to: u64,
    pub(super) prototype: usize,
    chunks: usize,
    phase_bits: u32,
}

const fn plan(up_to: u64, prototype: usize, taps: usize, phase_bits: u32) -> Plan {
    Plan { up_to, prototype, chunks: taps / CHUNK_TAPS, phase_bits }
}

/// The bank, by step.
pub(super) const PLANS: [Plan; 15] = [
    plan(75_235, 0, 16, 11),
    plan(85_164, 1, 16, 11),
    plan(92_471, 2, 16, 11),
    plan(123_863, 3, 32, 11),
    plan(150_503, 0, 32, 10),
    plan(170_328, 1, 32, 10),
    plan(185_139, 2, 32, 10),
    plan(225_771, 0, 48, 10),
    plan(252_313, 1, 48, 10),
    plan(301_072, 0, 64, 9),
    plan(340_721, 1, 64, 9),
    plan(370_278, 2, 64, 9),
    plan(451_543, 0, 96, 9),
    plan(511_049, 1, 96, 9),
    plan(u64::MAX, 2, 96, 9),
];

/// Returns the index of the table for a step above one sample.
#[inline(always)]
pub(super) fn index_for(step: u64) -> u8 {
    let mut index = 0;
    for plan in &PLANS {
        index += u8::from(step >> 16 > plan.up_to);
    }
    index
}

/// The coefficients of every phase at one cutoff.
pub(crate) struct WideTable {
    /// One phase after the other.
    rows: Box<[Chunk]>,
    chunks: usize,
    phase_shift: u32,
}

impl WideTable {
    /// Returns a table of the bank.
    #[inline(always)]
    pub(crate) fn at(index: u8) -> &'static Self {
        &tables()[usize::from(index)]
    }

    /// Returns how many chunks of coefficients a phase has.
    pub(crate) fn chunks(&self) -> usize {
        self.chunks
    }

    /// Returns how many samples make one interpolated one.
    pub(crate) fn taps(&self) -> usize {
        self.chunks * CHUNK_TAPS
    }

    /// Returns how many of them are before the position.
    pub(crate) fn taps_before(&self) -> usize {
        self.taps() / 2 - 1
    }

    /// Returns half a phase: what must be added to a position so that [`row`](Self::row) finds the nearest phase and
    /// not the one below.
    pub(crate) fn rounding(&self) -> u64 {
        1 << (self.phase_shift - 1)
    }

    /// Returns the coefficients of the phase at or below a 32.32 position. `CHUNKS` is [`chunks`](Self::chunks).
    #[inline(always)]
    pub(crate) fn row<const CHUNKS: usize>(&self, position: u64) -> &[Chunk; CHUNKS] {
        let first = (position as u32 >> self.phase_shift) as usize * CHUNKS;
        self.rows[first..].first_chunk().expect("a table has as many rows as a fraction has phases")
    }

    /// Returns the same without a check.
    ///
    /// # Safety
    /// `CHUNKS` must be [`chunks`](Self::chunks).
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    #[inline(always)]
    pub(crate) unsafe fn row_unchecked<const CHUNKS: usize>(&self, position: u64) -> &[Chunk; CHUNKS] {
        let phase = (position as u32 >> self.phase_shift) as usize;
        debug_assert!((phase + 1) * CHUNKS <= self.rows.len());
        // SAFETY: the table has as many rows of so many chunks, by the caller's promise, as a fraction has phases.
        unsafe { &*self.rows.as_ptr().add(phase * CHUNKS).cast() }
    }

    fn make(plan: &Plan, shape: &[f64]) -> Self {
        let phases = 1usize << plan.phase_bits;
        let taps = plan.chunks * CHUNK_TAPS;
        let mut rows = Vec::with_capacity(phases * plan.chunks);
        for phase in 0..phases {
            let row = make_phase(shape, phases, phase, taps);
            rows.extend(row[..taps].as_chunks::<CHUNK_TAPS>().0.iter().map(|chunk| Chunk(*chunk)));
        }
        Self { rows: rows.into_boxed_slice(), chunks: plan.chunks, phase_shift: 32 - plan.phase_bits }
    }
}

fn tables() -> &'static [WideTable; PLANS.len()] {
    static MADE: OnceLock<Box<[WideTable; PLANS.len()]>> = OnceLock::new();
    MADE.get_or_init(|| {
        // Tables of one shape often need its values at the same places.
        let mut shapes: Vec<((usize, usize), Vec<f64>)> = Vec::new();
        let made = core::array::from_fn(|index| {
            let plan = &PLANS[index];
            let points = (plan.chunks * CHUNK_TAPS / 2) << plan.phase_bits;
            let key = (plan.prototype, points);
            if !shapes.iter().any(|(known, _)| *known == key) {
                shapes.push((key, PROTOTYPES[plan.prototype].values(points)));
            }
            let shape = shapes.iter().find(|(known, _)| *known == key).map(|(_, values)| values);
            WideTable::make(plan, shape.expect("it was just made"))
        });
        Box::new(made)
    })
}

/// Makes the tables now.
pub(super) fn prepare() {
    tables();
}

impl Prototype {
    /// Returns the values at 0 to 1 in so many steps. At 1, where it ends, it is 0.
    fn values(&self, steps: usize) -> Vec<f64> {
        let value = |i: usize| self.value(libm::cos(core::f64::consts::PI * i as f64 / steps as f64));
        (0..steps).map(value).chain([0.0]).collect()
    }

    /// Returns the value at the place whose `cos(pi x)` is given, by Clenshaw's recurrence.
    fn value(&self, cosine: f64) -> f64 {
        let (mut b1, mut b2) = (0.0, 0.0);
        for a in self.series[1..].iter().rev() {
            (b1, b2) = (a + 2.0 * cosine * b1 - b2, b1);
        }
        self.series[0] + cosine * b1 - b2
    }
}

/// Returns the coefficients of one phase, in the first `taps` numbers.
fn make_phase(shape: &[f64], phases: usize, phase: usize, taps: usize) -> [i16; TAPS_MAX] {
    let mut exact = [0.0; TAPS_MAX];
    for (tap, exact) in exact[..taps].iter_mut().enumerate() {
        *exact = shape[(tap * phases).abs_diff((taps / 2 - 1) * phases + phase)];
    }
    let scale = f64::from(UNITY) / exact.iter().sum::<f64>();
    let mut rounded = exact.map(|c| libm::round(c * scale) as i32);
    // Rounding must not change the gain: those coefficients take the difference that it has moved most the other way.
    loop {
        let left = (UNITY - rounded.iter().sum::<i32>()).signum();
        if left == 0 {
            break;
        }
        let moved = |tap: usize| f64::from(left) * (exact[tap] * scale - f64::from(rounded[tap]));
        let most = (1..taps).fold(0, |most, tap| if moved(tap) > moved(most) { tap } else { most });
        rounded[most] += left;
    }
    rounded.map(|c| c as i16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(table: &WideTable) -> impl Iterator<Item = Vec<i16>> {
        table.rows.chunks(table.chunks).map(|row| row.iter().flat_map(|chunk| chunk.0).collect())
    }

    #[test]
    fn the_gain_at_direct_current_is_the_same_at_every_phase_of_every_table() {
        for row in tables().iter().flat_map(rows) {
            assert_eq!(row.iter().map(|c| i32::from(*c)).sum::<i32>(), UNITY);
        }
    }

    #[test]
    fn no_sum_of_products_overflows_32_bits() {
        for row in tables().iter().flat_map(rows) {
            let worst: i64 = row.iter().map(|c| i64::from(c.unsigned_abs()) * 32_768).sum();
            assert!(worst <= i64::from(i32::MAX), "{worst}");
        }
    }

    #[test]
    fn every_phase_is_the_mirror_of_its_opposite_but_for_the_last_bit() {
        for table in tables() {
            let rows: Vec<_> = rows(table).collect();
            for (phase, row) in rows.iter().enumerate().skip(1) {
                let mirrored = rows[rows.len() - phase].iter().rev();
                let most = row.iter().zip(mirrored).map(|(a, b)| a.abs_diff(*b)).max();
                assert!(most.is_some_and(|most| most <= 1), "phase {phase}: {most:?}");
            }
        }
    }

    #[test]
    fn the_step_chooses_the_table_and_beyond_the_bank_the_last_one_stays() {
        let index = |step: f64| index_for((step * 4_294_967_296.0) as u64);
        assert_eq!(
            [1.000_001, 1.147, 1.149, 1.498, 2.0, 4.0, 7.0, 8.0, 32.0].map(index),
            [0, 0, 1, 3, 4, 9, 13, 14, 14]
        );
        assert!((0..PLANS.len()).all(|i| i == 0 || PLANS[i].up_to > PLANS[i - 1].up_to));
    }

    /// Returns the gain of a table for a frequency in turns a sample, images included, in dB.
    fn gain(table: &WideTable, frequency: f64) -> f64 {
        // The impulse response between samples, at every phase; symmetric, so that cosines are enough.
        let phases = table.rows.len() / table.chunks;
        let mut sum = 0.0;
        for (phase, row) in rows(table).enumerate() {
            for (tap, coefficient) in row.iter().enumerate() {
                let place = tap as f64 - table.taps_before() as f64 - phase as f64 / phases as f64;
                sum += f64::from(*coefficient) * libm::cos(core::f64::consts::TAU * frequency * place);
            }
        }
        20.0 * libm::log10((sum / phases as f64 / f64::from(UNITY)).abs().max(1e-9))
    }

    #[test]
    fn every_table_is_flat_to_035_of_the_output_rate_and_70_db_down_from_065() {
        let mut least = 1.0;
        for (index, plan) in PLANS.iter().enumerate() {
            let table = &tables()[index];
            // The bank promises nothing beyond three octaves.
            let most = (plan.up_to as f64 / 65_536.0).min(8.0);
            let (pass, stop) = (0.35 / least, 0.65 / most);
            for i in 0..=24 {
                let frequency = pass * f64::from(i) / 24.0;
                let found = gain(table, frequency);
                assert!(found.abs() < 0.2, "table {index}: {found:.3} dB at {frequency:.4}");
            }
            // Every lobe of the first ones, and then some: they only fall.
            for i in 0..80 {
                let frequency = stop + f64::from(i) * 0.3 / table.taps() as f64;
                let found = gain(table, frequency);
                assert!(found < -70.0, "table {index}: {found:.1} dB at {frequency:.4}");
            }
            least = most;
        }
    }
}
