//! The high precision event timer: the one clock here whose frequency is written on it.
//!
//! Specification: IA-PC HPET 1.0a. A read costs some microseconds under QEMU's TCG, so it only disciplines the
//! processor's time-stamp counter.
#![allow(unsafe_code, reason = "memory-mapped registers")]

use super::boot::DIRECT_MAP;

const BASE: u64 = 0xfed0_0000;
const CAPABILITIES: u64 = 0;
const CONFIGURATION: u64 = 0x10;
const COUNTER: u64 = 0xf0;
/// The specification's limit on the tick period: 100 ns.
const FEMTOSECONDS_MAX: u64 = 100_000_000;

/// The timer, counting.
#[derive(Clone, Copy, Debug)]
pub struct Hpet {
    femtoseconds: u64,
}

impl Hpet {
    /// Finds it and lets it count; `None` if the machine has none.
    #[must_use]
    pub fn start() -> Option<Self> {
        let femtoseconds = read(CAPABILITIES) >> 32;
        if femtoseconds == 0 || femtoseconds > FEMTOSECONDS_MAX {
            return None;
        }
        // SAFETY: the register of a timer that was just recognised.
        unsafe { ((DIRECT_MAP + BASE + CONFIGURATION) as *mut u64).write_volatile(read(CONFIGURATION) | 1) };
        Some(Self { femtoseconds })
    }

    /// Returns the nanoseconds on the counter.
    #[must_use]
    pub fn nanoseconds(&self) -> u64 {
        (u128::from(read(COUNTER)) * u128::from(self.femtoseconds) / 1_000_000) as u64
    }
}

fn read(register: u64) -> u64 {
    // SAFETY: the page is in the direct map; without a timer it reads as ones.
    unsafe { ((DIRECT_MAP + BASE + register) as *const u64).read_volatile() }
}
