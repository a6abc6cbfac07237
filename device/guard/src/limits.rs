//! What the guard allows at most, and how long it waits.

use std::time::Duration;

/// Longest device configuration in bytes; QEMU aborts when a guest reads a longer one.
pub const CONFIG_BYTES_MAX: usize = 256;

/// Most rings: a kick names its ring in eight bits.
pub const RINGS_MAX: usize = 256;

/// Most regions in one SET_MEM_TABLE, and most descriptors with one message (crate `vhost`).
pub const TABLE_REGIONS_MAX: usize = 32;

/// Bounds and times of a guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The time in which the back-end has to answer a relayed request, and a heartbeat. QEMU stands still for as long, so this
    /// is the time after which its vfio-user client gives up a server: 5 s.
    pub answer: Duration,
    /// The interval of heartbeats while nothing else is relayed: 1 s.
    pub heartbeat: Duration,
    /// The time after which a back-end counts as lost that leaves a kick unread and completes nothing, because the thread that
    /// serves the ring has ended: 10 s.
    pub kick: Duration,
    /// The longest pause between two attempts to reach a back-end: 1 s. The first comes at once.
    pub reconnect: Duration,
    /// The most descriptors of a ring that the back-end takes: 32768. A framework with a smaller limit ends the connection at a
    /// larger ring; the guard learns it then, and needs to be told to avoid it.
    pub ring_size: u32,
    /// The most memory regions, each of which costs a descriptor: 64.
    pub regions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(5),
            heartbeat: Duration::from_secs(1),
            kick: Duration::from_secs(10),
            reconnect: Duration::from_secs(1),
            ring_size: 32768,
            regions: 64,
        }
    }
}
