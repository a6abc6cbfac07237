//! A `NewStream` that is short of memory: each of its allocations is refused once, as Driver Verifier's low-resources simulation
//! does. It succeeds without, or fails and leaves nothing behind (rules 33 and 305).

use alloc::format;

use crate::contract::lacks;
use crate::contract::rules::{self, Rule};
use crate::contract::violation::{Violation, violation};
use crate::portcls::com::object::Com;
use crate::portcls::kernel;
use crate::portcls::pin::Pin;
use crate::portcls::port::Port;

/// More allocations than any stream makes.
const ALLOCATIONS_MAX: u32 = 64;

/// Opens a pin again and again, with another allocation refused each time, until none is left to refuse. Notes that the rule
/// does not apply to a driver whose `NewStream` never fails. The pin has been opened before, so that what a driver makes once
/// is made.
pub(super) fn short_of_memory(port: &Com<Port>, pin: u32, format: &[u8], rule: &'static Rule) {
    for number in 1..=ALLOCATIONS_MAX {
        let before = kernel::pool();
        rules::blame(Some(rule));
        kernel::fail_allocation(number);
        let opened = Pin::open(port, pin, format);
        let failed = kernel::allocation_failed();
        kernel::fail_allocation(0);
        rules::blame(None);
        match opened {
            Ok(pin) => pin.close(),
            Err(status) if kernel::pool() != before => violation(
                "NewStream",
                Violation::new(
                    rule,
                    format!(
                        "it fails with {status:#010x} when allocation {number} is refused, and pool allocations and bytes go from \
                         {before:?} to {:?}",
                        kernel::pool()
                    ),
                    "on failure free what was allocated before",
                ),
            ),
            Err(_) => {}
        }
        if !failed {
            break;
        }
    }
    if rule.count() == 0 {
        lacks::note(rule);
    }
}
