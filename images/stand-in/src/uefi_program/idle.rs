//! Waits that leave the host's processor to others: under the emulator, a loop that only looks at a clock takes one for itself.
#![allow(unsafe_code, reason = "the processor is halted")]

/// Halts until the next interrupt: with the firmware, its timer's; without, there is none, and this is the end.
pub(super) fn halt() {
    // SAFETY: stops the processor until an interrupt, and changes nothing.
    unsafe { core::arch::asm!("hlt", options(nomem, nostack, preserves_flags)) };
}
