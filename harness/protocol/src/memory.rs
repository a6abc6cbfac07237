//! Guest-physical memory, through which bulk data passes.

use serde::{Deserialize, Serialize};

/// A range of guest-physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bulk {
    /// Guest-physical address of the first byte.
    pub address: u64,
    /// Length in bytes.
    pub length: u64,
}

/// How the harness reaches a [`Bulk`] range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BulkAccess {
    /// It maps the guest's memory.
    Mapped,
    /// By [`Request::ReadBulk`](crate::Request::ReadBulk) and [`Request::WriteBulk`](crate::Request::WriteBulk): the ranges are memory
    /// of a process, and their addresses name nothing outside of it.
    Line,
}

/// Most bytes of one [`Request::ReadBulk`](crate::Request::ReadBulk), [`Request::WriteBulk`](crate::Request::WriteBulk) or
/// [`Request::ReadFile`](crate::Request::ReadFile): some seconds at the 20 KB/s of a serial port, within any time limit.
pub const LINE_BULK_BYTES_MAX: u32 = 32 << 10;
