//! The few functions that run at every control tick, the same to the last bit on every processor.
//!
//! They are made of additions and multiplications in a written order; nothing comes from the platform's own
//! mathematics library. What runs only when a note starts comes from the `libm` crate.

use std::sync::OnceLock;

/// 2 to the power of `x`, with a relative error below 3e-10. `x` is clamped to ±1000.
pub(crate) fn exp2(x: f64) -> f64 {
    let x = x.clamp(-1000.0, 1000.0);
    // Truncation of a positive number is the floor, without the platform's `floor`.
    let whole = (x + 1024.5) as i64 - 1024;
    let f = x - whole as f64;
    // The series of e^(f ln 2) on -0.5..=0.5, in pairs, so that the processor need not wait for one term after another.
    let t = f * core::f64::consts::LN_2;
    let (t2, pair) = (t * t, |even: f64, odd: f64| even + odd * t);
    let t4 = t2 * t2;
    let low = pair(1.0, 1.0) + pair(1.0 / 2.0, 1.0 / 6.0) * t2;
    let high = pair(1.0 / 24.0, 1.0 / 120.0) + pair(1.0 / 720.0, 1.0 / 5040.0) * t2;
    let series = low + (high + (1.0 / 40_320.0) * t4) * t4;
    series * f64::from_bits(((whole + 1023) as u64) << 52)
}

/// An amplitude from decibels.
pub(crate) fn amplitude(decibels: f64) -> f64 {
    exp2(decibels * (core::f64::consts::LOG2_10 / 20.0))
}

const SINE_STEPS: usize = 1024;

/// One turn of a sine, for the low-frequency oscillators.
pub(crate) struct SineTable([f32; SINE_STEPS + 1]);

impl SineTable {
    /// The table, made at the first call.
    pub(crate) fn get() -> &'static Self {
        static TABLE: OnceLock<SineTable> = OnceLock::new();
        TABLE.get_or_init(|| {
            let angle = |i: usize| core::f64::consts::TAU * i as f64 / SINE_STEPS as f64;
            Self(core::array::from_fn(|i| libm::sin(angle(i)) as f32))
        })
    }

    /// The sine of a phase, of which 2^32 make one turn. Exact to 5e-6.
    pub(crate) fn at(&self, phase: u32) -> f32 {
        let index = (phase >> 22) as usize;
        let fraction = (phase & 0x3F_FFFF) as f32 * (1.0 / 4_194_304.0);
        let (from, to) = (self.0[index], self.0[index + 1]);
        from + (to - from) * fraction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp2_agrees_with_libm_over_the_range_of_pitch_and_gain() {
        for i in -40_000..40_000 {
            let x = f64::from(i) * 0.001_37;
            assert!((exp2(x) / libm::exp2(x) - 1.0).abs() < 3e-10, "2^{x}");
        }
    }

    #[test]
    fn the_sine_table_agrees_with_libm() {
        for i in 0..10_000u32 {
            let phase = i.wrapping_mul(429_497);
            let angle = f64::from(phase) / 4_294_967_296.0 * core::f64::consts::TAU;
            assert!((f64::from(SineTable::get().at(phase)) - libm::sin(angle)).abs() < 5e-6);
        }
    }
}
