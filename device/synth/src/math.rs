//! The few functions that run at every control tick, the same to the last bit on every processor.
//!
//! They are made of additions and multiplications in a written order; nothing comes from the platform's own
//! mathematics library. What runs only when a note starts comes from the `libm` crate.

/// Returns 2 to the power of `x`, with a relative error below 3e-10. `x` is clamped to ±1000.
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

/// Returns 2 to the power of `x` in single precision, with a relative error below 3e-7 and exactly 1 at 0, for voices
/// side by side. `x` is clamped to what a normal number can hold.
#[inline(always)]
pub(crate) fn exp2_single(x: f32) -> f32 {
    // Adding this number leaves no place for a fraction in the mantissa: its low bits are the whole number then.
    const ROUNDER: f32 = 12_582_912.0;
    let x = least(greatest(x, -126.0), 127.0);
    let rounded = x + ROUNDER;
    let f = x - (rounded - ROUNDER);
    // (2^f - 1) / f through its values at Chebyshev's points of -0.5..=0.5.
    let f2 = f * f;
    let low = core::f32::consts::LN_2 + 0.240_226_5 * f;
    let middle = 0.055_503_57 + 0.009_618_083 * f;
    let high = 0.001_339_086_3 + 0.000_154_531_63 * f;
    let series = 1.0 + f * (low + f2 * (middle + f2 * high));
    series * f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23))
}

/// Returns the sine of a phase of which 2^32 make one turn, exact to 2e-6.
#[inline(always)]
pub(crate) fn sine(phase: u32) -> f32 {
    // Half turns, -1 to 1; beyond a quarter turn the sine runs back.
    let x = phase.cast_signed() as f32 * (1.0 / 2_147_483_648.0);
    let t = least(x.abs(), 1.0 - x.abs());
    // sin(pi t) / t by t^2, through its values at Chebyshev's points of 0..=0.25.
    let t2 = t * t;
    let quotient = (3.141_590_3 - 5.167_405_8 * t2) + (t2 * t2) * (2.544_000_2 - 0.559_435 * t2);
    (t * quotient).copysign(x)
}

/// Returns the triangle of a phase of which 2^32 make one turn: from 0 up to 1, down to -1, and back.
#[inline(always)]
pub(crate) fn triangle(phase: u32) -> f32 {
    let x = phase.cast_signed() as f32 * (1.0 / 2_147_483_648.0);
    (2.0 * least(x.abs(), 1.0 - x.abs())).copysign(x)
}

/// Returns the lesser of two numbers, neither of which is a NaN: one instruction, unlike the standard function.
#[inline(always)]
pub(crate) fn least(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// Returns the greater of two numbers, neither of which is a NaN.
#[inline(always)]
pub(crate) fn greatest(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
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
    fn the_single_exp2_agrees_with_libm_and_is_one_at_zero() {
        assert_eq!(exp2_single(0.0), 1.0);
        for i in -90_000..90_000i32 {
            let x = i as f32 * 0.001_37;
            let exact = libm::exp2(f64::from(x));
            assert!((f64::from(exp2_single(x)) / exact - 1.0).abs() < 3e-7, "2^{x}");
        }
        assert_eq!(exp2_single(-1e9), libm::exp2f(-126.0));
        assert_eq!(exp2_single(1e9), libm::exp2f(127.0));
    }

    #[test]
    fn the_sine_agrees_with_libm() {
        assert_eq!(sine(0), 0.0);
        for i in 0..100_000u32 {
            let phase = i.wrapping_mul(429_497);
            let angle = f64::from(phase) / 4_294_967_296.0 * core::f64::consts::TAU;
            assert!((f64::from(sine(phase)) - libm::sin(angle)).abs() < 2e-6, "{phase}");
        }
    }
}
