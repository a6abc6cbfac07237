//! What a bug check says beside its own text: the rule that a fault at this moment breaks, and how long the host waited
//! for the driver before it stopped.

use core::sync::atomic::{AtomicU16, AtomicU32, Ordering};

/// The rule that a fault breaks, by number; 0 for none.
static RULE: AtomicU16 = AtomicU16::new(0);

/// Milliseconds for which the host waited for the driver without result; 0 if the fault was not found by waiting.
static WAITED_MS: AtomicU32 = AtomicU32::new(0);

/// Makes a fault break the rule of this number, or none, until the next call. Returns the number that was set before, 0
/// for none.
pub fn set_rule(number: u16) -> u16 {
    RULE.swap(number, Ordering::Relaxed)
}

/// Returns the number of the rule that a fault breaks now.
#[must_use]
pub fn rule() -> Option<u16> {
    Some(RULE.load(Ordering::Relaxed)).filter(|&number| number != 0)
}

/// Notes that the host waited this long for the driver without result.
pub fn set_waited_ms(milliseconds: u32) {
    WAITED_MS.store(milliseconds, Ordering::Relaxed);
}

/// Returns for how long the host waited for the driver without result, in milliseconds; 0 if it did not.
#[must_use]
pub fn waited_ms() -> u32 {
    WAITED_MS.load(Ordering::Relaxed)
}
