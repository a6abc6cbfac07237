//! Exit codes of a guest on QEMU's `isa-debug-exit` device; QEMU's exit status is twice the code plus one.

/// I/O port of `isa-debug-exit`.
pub const PORT: u16 = 0xf4;
/// [`Request::Shutdown`](crate::Request::Shutdown) was answered. QEMU exits with 33.
pub const COMPLETED: u8 = 0x10;
/// The system stopped with a bug check, and its report was sent. QEMU exits with 35.
pub const BUG_CHECK: u8 = 0x11;
/// The guest failed where no report can be sent. QEMU exits with 37.
pub const GUEST_FAILED: u8 = 0x12;
