//! What the system says about itself: its size, and which drivers Driver Verifier watches.
#![allow(unsafe_code, reason = "exported functions")]

use crate::contract::watch;
use crate::export_functions;
use crate::nt::status::{STATUS_NOT_SUPPORTED, STATUS_SUCCESS};
use crate::nt::{NTSTATUS, PVOID};

/// What of Driver Verifier is on: special pool, IRQL checking, pool tracking, I/O verification, deadlock detection, DMA
/// checking.
const VERIFIER_FLAGS: u32 = 0x1 | 0x2 | 0x8 | 0x10 | 0x20 | 0x80;

export_functions! {
    /// The system.
    pub static EXPORTS;

    /// Returns what Driver Verifier watches: all that this system's does, unless it is off.
    [ANY] fn MmIsVerifierEnabled(flags: *mut u32) -> NTSTATUS {
        if !flags.is_null() { flags.write(if watch::is_on() { VERIFIER_FLAGS } else { 0 }) }
        STATUS_SUCCESS
    }

    /// Returns whether Driver Verifier watches a driver.
    [ANY] fn MmIsDriverVerifying(_driver: PVOID) -> i32 { i32::from(watch::is_on()) }

    /// Returns whether Driver Verifier watches a driver.
    [ANY] fn MmIsDriverVerifyingByAddress(_address: PVOID) -> i32 { i32::from(watch::is_on()) }

    /// Returns how large the machine is: 0 small, 1 medium, 2 large.
    [ANY] fn MmQuerySystemSize() -> i32 { 2 }

    /// Replaces functions that a driver under Driver Verifier imports: this guest binds imports once, before the driver runs.
    [PASSIVE] fn MmAddVerifierThunks(_thunks: PVOID, _bytes: u32) -> NTSTATUS { STATUS_NOT_SUPPORTED }

    /// Returns whether the system is of a suite: none of the optional ones.
    [ANY] fn ExVerifySuite(_suite: i32) -> u8 { 0 }
}
