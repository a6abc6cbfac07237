//! Where objects are that the system keeps the address of: never in memory that may be paged out while it does.

use crate::arch::pageable;
use crate::contract::{checks, verifier, watch};

/// `DRIVER_VERIFIER_DETECTED_VIOLATION`.
const DRIVER_VERIFIER_DETECTED_VIOLATION: u32 = 0xc4;

/// Checks that an object that a driver gives to `function` is resident.
pub(crate) fn expect<T>(function: &'static str, what: &str, object: *const T) {
    let address = object as u64;
    if watch::is_on() && pageable::overlaps(&(address..address + size_of::<T>() as u64)) {
        verifier::failed(
            checks::RESIDENT_OBJECTS,
            DRIVER_VERIFIER_DETECTED_VIOLATION,
            function,
            [address, size_of::<T>() as u64, 0, 0],
            format_args!(
                "{function} gets {what} at {address:#x}, in paged pool or in a pageable section: the system uses it at \
                 DISPATCH_LEVEL and links it to others. Allocate it from NonPagedPoolNx, or in the device extension"
            ),
        );
    }
}
