//! Counters of the guest.

use serde::{Deserialize, Serialize};

/// Counters of the guest since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Interrupts that the device raised.
    pub interrupts: u64,
    /// Of those, interrupts that the driver's service routine did not claim.
    pub interrupts_not_claimed: u64,
    /// Deferred procedure calls run.
    pub dpcs: u64,
    /// Calls of `IPortDMus::Notify`.
    pub notifications: u64,
    /// Events given to render streams.
    pub events_put: u64,
    /// Events returned to their allocator.
    pub events_returned: u64,
    /// Pool allocations outstanding.
    pub pool_allocations: u64,
    /// Bytes of pool outstanding.
    pub pool_bytes: u64,
    /// Largest number of bytes of pool outstanding at any time.
    pub pool_bytes_peak: u64,
}

impl Statistics {
    /// Returns what was counted since an earlier reading; what is outstanding as it is now.
    #[must_use]
    pub const fn since(self, before: &Self) -> Self {
        Self {
            interrupts: self.interrupts - before.interrupts,
            interrupts_not_claimed: self.interrupts_not_claimed - before.interrupts_not_claimed,
            dpcs: self.dpcs - before.dpcs,
            notifications: self.notifications - before.notifications,
            events_put: self.events_put - before.events_put,
            events_returned: self.events_returned - before.events_returned,
            ..self
        }
    }
}
