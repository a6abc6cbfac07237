//! The probe of a device that was removed by surprise.

use crate::contract::rules;
use crate::contract::violation::{Violation, violation};
use crate::portcls::services::interrupt_sync;

/// Checks that the driver claims no interrupt while the device's registers read all ones (rule 80).
pub(crate) fn check_all_ones() {
    const INTERRUPTS: u32 = 100;
    let claimed = interrupt_sync::storm(INTERRUPTS).claimed;
    if claimed > 0 {
        violation(
            "IInterruptSync",
            Violation::new(
                rules::SURPRISE_REMOVAL,
                alloc::format!(
                    "the device is gone and reads all ones, and the service routines claim {claimed} interrupts of {INTERRUPTS}"
                ),
                "take a status of all ones for a device that is not there: return STATUS_UNSUCCESSFUL",
            ),
        );
    }
}
