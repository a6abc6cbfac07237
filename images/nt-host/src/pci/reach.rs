//! How long the machine takes to reach the device: one in a process of its own is as slow as the host lets that process be.

use super::{Address, config};
use crate::arch::clock;
use crate::arch::uninterrupted::Uninterrupted;

/// Reads that are timed: a host that is busy delays some, not each.
const READS: u32 = 16;

static DEVICE: Uninterrupted<Option<Address>> = Uninterrupted::new(None);

/// Sets the function of the device that has interrupts; `None` when it is gone.
pub fn set(device: Option<Address>) {
    DEVICE.with(|slot| *slot = device);
}

/// Returns the function of the device that has interrupts.
#[must_use]
pub fn device() -> Option<Address> {
    DEVICE.with(|device| *device)
}

/// Returns the nanoseconds that the slowest of some reads of the device's ids takes now; 0 for a device that is no function.
#[must_use]
pub fn slowest_read() -> u64 {
    let Some(device) = DEVICE.with(|device| *device) else { return 0 };
    let read = |_| {
        let begun = clock::nanoseconds();
        let _ = config::read(device, 0);
        clock::nanoseconds().saturating_sub(begun)
    };
    (0..READS).map(read).max().unwrap_or(0)
}
