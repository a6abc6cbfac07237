//! How a guest pauses its machine: a byte that it writes to QEMU's `pvpanic`, where the harness starts QEMU with
//! `-action panic=pause`. The machine stops at that instruction, and goes on behind it.

/// The port of `pvpanic`.
pub const PORT: u16 = 0x505;
/// The byte that pauses (`PVPANIC_PANICKED` in QEMU's `docs/specs/pvpanic.rst`).
pub const PAUSE: u8 = 1;
