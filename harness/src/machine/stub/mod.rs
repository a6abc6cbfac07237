//! QEMU's stub for debuggers: where it listens, and what becomes of the guest while a debugger stops it.
//!
//! A second monitor of its own tells whether the machine runs and whether a debugger is connected: time in which it does not run is no
//! time of the guest's, and a debugger that is gone must not leave the guest stopped.

mod options;
mod release;
mod socket;
mod watch;

pub use options::{Stub, Teller};
pub use socket::{StubSocket, StubSocketError};
pub(super) use watch::StubWatch;

/// QEMU's last words when a debugger ends it.
pub(super) const ENDED_BY_DEBUGGER: &str = "Terminated via GDBstub";
