//! Numbers as DLS files write them (DLS-2.2, 1.14.2): 32-bit fixed point with 16 bits of fraction.

/// A time of exactly zero, which nothing modulates.
pub const ZERO_TIME: i32 = i32::MIN;

/// A cutoff that means "no filter".
pub const OPEN: i32 = i32::MAX;

const ONE: f64 = 65_536.0;

/// Returns a relative pitch in cents, or a relative time in time cents.
#[must_use]
pub fn cents(cents: f64) -> i32 {
    libm::round(cents * ONE) as i32
}

/// Returns absolute pitch, in Hz.
#[must_use]
pub fn hertz(hertz: f64) -> i32 {
    cents(1200.0 * libm::log2(hertz / 440.0) + 6900.0)
}

/// Returns absolute time, in seconds.
#[must_use]
pub fn seconds(seconds: f64) -> i32 {
    cents(1200.0 * libm::log2(seconds))
}

/// Returns gain, in dB.
#[must_use]
pub fn decibels(decibels: f64) -> i32 {
    libm::round(decibels * 10.0 * ONE) as i32
}

/// Returns a part in steps of 0.1 %.
#[must_use]
pub fn percent(percent: f64) -> i32 {
    libm::round(percent * 10.0 * ONE) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of DLS-2.2's tables; some of them differ from exact rounding in the last bit.
    #[test]
    fn values_equal_those_of_the_specification() {
        for (value, printed) in [
            (hertz(5.0), 0xFCAC_AE9C_u32),
            (seconds(0.010), 0xE0DB_5F61),
            (seconds(0.015), 0xE399_53DC),
            (seconds(0.4), 0xF9CD_AFB1),
            (seconds(10.0), 0x0F92_504F),
            (seconds(2.0), 0x04B0_0000),
            (percent(50.0), 0x01F4_0000),
            (decibels(-96.0), 0xFC40_0000),
        ] {
            assert!((i64::from(value) - i64::from(printed as i32)).abs() <= 1, "{value:08x} is not {printed:08x}");
        }
    }
}
